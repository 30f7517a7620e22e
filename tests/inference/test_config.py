from __future__ import annotations

import json
from typing import Any

import pytest
from small_checkpoints import FAMILIES, small_config, small_model

from hemobench.errors import UserError
from hemobench.inference.checkpoint import CheckpointConfig
from hemobench.models.unet import UNet2D


def full_config() -> CheckpointConfig:
    training = {"seed": 3, "phantom": True}
    return small_config(
        "slice-classifier",
        calibration={"slice": {"any": (1.25, -0.5)}, "study": {"subdural": (0.5, 0.0)}},
        thresholds={"slice": {"any": 0.3}},
        threshold_rule="highest Youden index",
        training=training,
    )


@pytest.mark.parametrize("role", FAMILIES)
def test_a_config_survives_json(role: str) -> None:
    config = full_config() if role == "slice-classifier" else small_config(role)
    assert CheckpointConfig.from_mapping(json.loads(json.dumps(config.to_mapping()))) == config


def test_calibration_is_the_identity_where_none_was_fitted() -> None:
    config = full_config()
    assert config.calibrated("slice", "any") == (1.25, -0.5)
    assert config.calibrated("slice", "subdural") == (1.0, 0.0)
    assert config.calibrated("voxel", "any") == (1.0, 0.0)


@pytest.mark.parametrize(
    ("model", "options"), [("unet2d", {"base": 2}), ("unet2.5d", {"base": 2}), ("unet2.5d", {"base": 2, "context": 2})]
)
def test_context_is_that_of_the_network_that_is_built(model: str, options: dict[str, Any]) -> None:
    config = small_config("haemorrhage", model=model, model_options=options)
    network = small_model(config)
    assert isinstance(network, UNet2D)
    assert config.context == network.context


def test_networks_that_are_not_slice_wise_have_no_context() -> None:
    assert small_config("slice-classifier").context is None
    assert small_config("ventricles").context is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outputs": ("any",)}, "expected classification of epidural"),
        ({"in_channels": 1}, "expected its view's 3"),
        ({"model_options": {"pretrained": True}}, "the checkpoint has its own"),
        ({"model_options": {"checkpoint_path": "other.pth"}}, "the checkpoint has its own"),
        ({"calibration": {"slices": {}}}, "did you mean 'slice'"),
        ({"calibration": {"slice": {"subdual": (1, 0)}}}, "did you mean 'subdural'"),
        ({"calibration": {"slice": {"any": (1.0, float("nan"))}}}, "two finite numbers"),
        ({"calibration": {"slice": {"any": 1.0}}}, "two finite numbers"),
        ({"calibration": {"slice": 2.0}}, "numbers by level and class"),
        ({"thresholds": {"slice": {"any": 1.5}}}, "from 0 to 1"),
        ({"thresholds": {"study": {"any": True}}}, "from 0 to 1"),
    ],
)
def test_contradictions_are_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        small_config("slice-classifier", **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tresholds": {}}, "did you mean 'thresholds'"),
        ({"role": "haemorrage"}, "did you mean 'haemorrhage'"),
        ({"schema": 2}, "schema 2; expected 1"),
        ({"in_channels": "3"}, "in_channels '3'; expected a whole number"),
        ({"outputs": "any"}, "expected a list of class names"),
        ({"view": {"sizes": 64}}, "did you mean 'size'"),
        ({"model_options": ["base"]}, "expected a mapping"),
    ],
)
def test_json_that_says_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        CheckpointConfig.from_mapping({**full_config().to_mapping(), **change})


def test_a_missing_key_is_named() -> None:
    mapping = full_config().to_mapping()
    del mapping["threshold_rule"]
    with pytest.raises(UserError, match="lacks threshold_rule"):
        CheckpointConfig.from_mapping(mapping)


def test_a_config_of_before_slices_were_smoothed_still_opens() -> None:
    mapping = full_config().to_mapping()
    del mapping["context_mm"]
    assert CheckpointConfig.from_mapping(mapping).context_mm == 0.0
    with pytest.raises(UserError, match="context_mm"):
        CheckpointConfig.from_mapping({**mapping, "context_mm": -1})
    del mapping["study_slices"]
    assert CheckpointConfig.from_mapping(mapping).study_slices == 1
    for wrong in (0, 1.5, True):
        with pytest.raises(UserError, match="study_slices"):
            CheckpointConfig.from_mapping({**mapping, "study_slices": wrong})
