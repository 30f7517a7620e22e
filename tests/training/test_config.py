from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.views.view import ClassificationView, SegmentationView


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(view=ClassificationView(("bone",), 64), weighting="0.2,0.8", model_options={"width": 8}).resolved(),
        TrainConfig(
            task="segmentation",
            view=SegmentationView(spacing_mm=(5, 2, 2)),
            patch=(8, 32, 32),
            max_steps=7,
            gradient_clip=1.0,
            early_stopping=3,
            loss_options={"gamma": 1.5},
            loss="focal",
        ),
    ],
)
def test_a_config_goes_to_yaml_and_back(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.to_mapping()))
    assert TrainConfig.from_yaml(path) == config
    assert TrainConfig.from_yaml(path).fingerprint == config.fingerprint


def test_resolving_fills_in_what_depends_on_the_task() -> None:
    classifier = TrainConfig().resolved()
    assert (classifier.model, classifier.monitor, classifier.batch_size) == ("paper_cnn", "auroc_any", 32)
    segmenter = TrainConfig.from_mapping({"task": "segmentation", "view": {"target": "ventricles"}}).resolved()
    assert segmenter.monitor == "dice_ventricles"
    assert isinstance(segmenter.view, SegmentationView)
    # The paper's crop.
    assert segmenter.view.shape == (80, 120, 120)
    assert segmenter.learning_rate == 2e-4
    assert segmenter.resolved() == segmenter


def test_the_fingerprint_sees_every_change_but_not_written_out_defaults() -> None:
    assert TrainConfig().fingerprint == TrainConfig().resolved().fingerprint
    assert TrainConfig(seed=1).fingerprint != TrainConfig().fingerprint
    assert TrainConfig(model_options={"width": 8}).fingerprint != TrainConfig().fingerprint


def test_yaml_habits_are_understood() -> None:
    config = TrainConfig.from_mapping({"learning_rate": "5e-4", "weighting": [0.2, 0.8], "weight_decay": 0})
    assert config.learning_rate == 5e-4
    assert config.weighting == "0.2,0.8"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"epoch": 3}, "unknown training option 'epoch'; known: .*weighting.*did you mean 'epochs'"),
        ({"epochs": "many"}, "epochs is 'many'; expected a whole number"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"epochs": -1}, "at least 1"),
        ({"epochs": None}, "epochs is None"),
        ({"learning_rate": 0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"prior": "yes"}, "true or false"),
        ({"model": {"name": "unet"}}, "text"),
        ({"model_options": [1]}, "mapping"),
        ({"augment": "lite"}, "did you mean 'light'"),
        ({"precision": "fp16"}, "auto, bf16, fp32"),
        ({"task": "detection"}, "classification, segmentation"),
        ({"view": "big"}, "give a mapping"),
        ({"patch": [8, 8]}, "three sizes"),
        ({"patch": [8, 8, 8]}, "leave patch out"),
        ({"seed": -1}, "seed is -1"),
        ({"gradient_clip": 0}, "gradient_clip"),
    ],
)
def test_mistakes_are_one_line(mapping: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        TrainConfig.from_mapping(mapping)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [("a: [1", "no YAML"), ("- 1", "holds a list"), (None, "cannot be read")])
def test_broken_files_are_one_line(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        TrainConfig.from_yaml(path)
    assert "\n" not in str(caught.value)
