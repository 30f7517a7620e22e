"""Classifiers that say where: from label maps of slices to weights that a segmenter begins with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_dataset, make_split
from safetensors.torch import load_file

from hemobench.datasets.cache import ClassificationView, Examples, SegmentationView, build_examples
from hemobench.errors import UserError
from hemobench.training.batches import BatchSource
from hemobench.training.checkpointing import load_tensors, save_tensors
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import load_model, run_experiment
from hemobench.training.loop import BEST, LAST
from hemobench.training.problem import check_config

CONFIG = TrainConfig.from_mapping(
    {
        "model": "timm-unet:test_resnet",
        "view": {"windows": ["brain", "bone"], "size": 32},
        "loss": "bce+localisation",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "optimizer": "adamw",
        "precision": "fp32",
        "augment": "any-picture",
    }
).resolved()


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return build_examples(make_dataset(), ClassificationView(("brain", "bone"), 32), masks=True, jobs=1)


def test_masks_move_with_their_pictures(located: Examples) -> None:
    source = BatchSource(located, located.targets, torch.device("cpu"), masks=located.masks)
    rows = np.flatnonzero(located.targets[:, -1])[:6]
    images, _, masks = source.training(
        rows, torch.Generator().manual_seed(2), augmentation="light", patch=None, on_foreground=False
    )
    assert masks.shape == (6, 1, 32, 32)
    for image, mask in zip(images[:, 0], masks[:, 0] > 0, strict=True):
        assert mask.any()
        assert image[mask].mean() > image[~mask].mean() + 0.2, "the blob is the brightest thing there is"
    assert not np.array_equal(masks.numpy(), np.asarray(located.masks)[rows])


def test_a_segmenter_begins_with_the_weights_of_the_classifier(located: Examples, tmp_path: Path) -> None:
    result = run_experiment(CONFIG, located, make_split(), tmp_path / "slices")
    assert np.isfinite(result.history[-1]["train_loss"])
    model, _ = load_model(tmp_path / "slices")
    assert model(torch.zeros(1, 2, 32, 32)).shape == (1, 6)

    view = SegmentationView("subtypes", (5.0, 2.0, 2.0), (6, 24, 24), "brain+bone")
    volumes = build_examples(make_dataset(), view, jobs=1)
    assert volumes.images.shape == (12, 2, 6, 24, 24)
    config = TrainConfig.from_mapping(
        {
            "task": "segmentation",
            "model": "timm-unet:test_resnet",
            "view": view,
            "loss": "blood+type",
            "epochs": 1,
            "batch_size": 2,
            "learning_rate": 1e-12,
            "precision": "fp32",
            "prior": False,
        }
    ).resolved()
    run_experiment(config, volumes, make_split(), tmp_path / "volumes", start=tmp_path / "slices")
    before, after = load_file(tmp_path / "slices" / BEST), load_file(tmp_path / "volumes" / BEST)
    assert set(after) == {name for name in before if not name.startswith("backbone.fc")}
    learned = [name for name in after if "running" not in name and "num_batches" not in name]
    for name in learned:
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)


def test_loss_and_network_must_fit(located: Examples, slices: Examples) -> None:
    check_config(CONFIG)
    with pytest.raises(UserError, match="expected bce\\+localisation exactly for classifiers timm-unet:<backbone>"):
        check_config(dataclasses.replace(CONFIG, loss="bce"))
    with pytest.raises(UserError, match="expected bce\\+localisation exactly for classifiers timm-unet:<backbone>"):
        check_config(dataclasses.replace(CONFIG, model="timm:test_resnet"))
    with pytest.raises(UserError, match="on examples without masks of their slices"):
        run_experiment(CONFIG, slices, make_split(), Path("never"))


def test_a_run_of_no_epochs_takes_the_weights_as_they_are(located: Examples, tmp_path: Path) -> None:
    run_experiment(CONFIG, located, make_split(), tmp_path / "slices")
    view = SegmentationView("subtypes", (5.0, 2.0, 2.0), (6, 24, 24), "brain+bone")
    volumes = build_examples(make_dataset(), view, jobs=1)
    config = TrainConfig.from_mapping(
        {
            "task": "segmentation",
            "model": "timm-unet:test_resnet",
            "view": view,
            "loss": "blood+type",
            "epochs": 0,
            "precision": "fp32",
        }
    ).resolved()
    result = run_experiment(config, volumes, make_split(), tmp_path / "volumes", start=tmp_path / "slices")
    assert result.history == ()
    assert "dice_any" in result.metrics
    before, after = load_file(tmp_path / "slices" / BEST), load_file(tmp_path / "volumes" / BEST)
    assert all(torch.equal(after[name], before[name]) for name in after)
    with pytest.raises(UserError, match="epochs is 0 without a run to start with"):
        run_experiment(config, volumes, make_split(), tmp_path / "nothing")


def test_another_way_to_answer_trains_nothing_anew(located: Examples, tmp_path: Path) -> None:
    run_experiment(CONFIG, located, make_split(), tmp_path / "run")
    written = (tmp_path / "run" / LAST).stat().st_mtime_ns
    options = {**CONFIG.model_options, "evidence": "both", "mirrored": True}
    other = run_experiment(dataclasses.replace(CONFIG, model_options=options), located, make_split(), tmp_path / "run")
    assert (tmp_path / "run" / LAST).stat().st_mtime_ns == written
    assert load_model(tmp_path / "run")[1].model_options == options
    fresh = run_experiment(
        dataclasses.replace(CONFIG, model_options=options), located, make_split(), tmp_path / "fresh"
    )
    np.testing.assert_array_equal(other.test.probabilities, fresh.test.probabilities)  # type: ignore[union-attr]


def test_a_start_without_a_decoder_leaves_it_to_begin_anew(located: Examples, tmp_path: Path) -> None:
    run_experiment(CONFIG, located, make_split(), tmp_path / "whole")
    tensors, header = load_tensors(tmp_path / "whole" / BEST)
    plain = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    save_tensors(tmp_path / "plain" / BEST, plain, header)
    frozen = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-12, augment="none")
    run_experiment(frozen, located, make_split(), tmp_path / "after", start=tmp_path / "plain")
    begun, _ = load_tensors(tmp_path / "after" / BEST)
    torch.testing.assert_close(begun["backbone.fc.weight"], tensors["backbone.fc.weight"], atol=1e-6, rtol=0)
    assert not torch.allclose(begun["decoder.final.weight"], tensors["decoder.final.weight"], atol=1e-6)


def test_a_decoder_for_other_outputs_begins_anew_and_another_backbone_is_refused(
    located: Examples, tmp_path: Path
) -> None:
    run_experiment(CONFIG, located, make_split(), tmp_path / "whole")
    tensors, header = load_tensors(tmp_path / "whole" / BEST)
    frozen = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-12, augment="none")
    for part in ("decoder.final.weight", "backbone.fc.weight"):
        doubled = tensors | {part: torch.cat([tensors[part]] * 2)}
        save_tensors(tmp_path / part / BEST, doubled, header)
    start = tmp_path / "decoder.final.weight"
    run_experiment(frozen, located, make_split(), tmp_path / "after", start=start)
    begun, _ = load_tensors(tmp_path / "after" / BEST)
    torch.testing.assert_close(begun["backbone.fc.weight"], tensors["backbone.fc.weight"], atol=1e-6, rtol=0)
    assert not torch.allclose(begun["decoder.final.weight"], tensors["decoder.final.weight"], atol=1e-6)
    with pytest.raises(UserError, match="expected a run or checkpoint of the same network"):
        run_experiment(frozen, located, make_split(), tmp_path / "refused", start=tmp_path / "backbone.fc.weight")


def test_the_weights_of_another_network_are_refused(located: Examples, tmp_path: Path) -> None:
    run_experiment(CONFIG, located, make_split(), tmp_path / "whole")
    tensors, header = load_tensors(tmp_path / "whole" / BEST)
    for name, kept in {
        "half": [one for one in tensors if one.startswith("backbone.") and "layer1" not in one],
        "none": [],
    }.items():
        save_tensors(tmp_path / name / BEST, {one: tensors[one] for one in kept} | {"other": torch.ones(1)}, header)
        with pytest.raises(UserError, match="expected a run or checkpoint of the same network"):
            run_experiment(CONFIG, located, make_split(), tmp_path / f"after-{name}", start=tmp_path / name)


def test_configs_of_before_have_the_loss_by_its_former_name() -> None:
    assert TrainConfig.from_mapping({**CONFIG.to_mapping(), "loss": "bce+where"}) == CONFIG
