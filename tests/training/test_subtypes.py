"""Segmentation with types, from label maps in the cache to Dice of each type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_dataset, make_split

from hemobench.augment import PRESETS
from hemobench.datasets.cache import Examples, SegmentationView, build_examples
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.evaluate import pooled_dice_by_threshold
from hemobench.training.experiment import run_experiment
from hemobench.training.problem import check_config, pose_problem, weighted_prior
from hemobench.training.result import CaseScores
from hemobench.weighting import create_weighting

VIEW = SegmentationView("subtypes", (5.0, 2.0, 2.0), (6, 24, 24), "brain")


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return build_examples(make_dataset(), VIEW, jobs=1)


def test_targets_are_blood_then_each_type(typed: Examples) -> None:
    source = BatchSource(typed, typed.targets, torch.device("cpu"), types=5)
    _, targets = source.whole(np.array([0, 1, 2]))  # types 1 and 2, then none
    assert targets.shape == (3, 6, 6, 24, 24)
    present = targets.flatten(2).sum(-1) > 0
    assert present.tolist() == [
        [True, True, False, False, False, False],
        [True, False, True, False, False, False],
        [False] * 6,
    ]
    assert torch.equal(targets[:, 0], targets[:, 1:].sum(dim=1))


def test_augmented_targets_move_with_their_types(typed: Examples) -> None:
    assert PRESETS["any-scan"].moves
    source = BatchSource(typed, typed.targets, torch.device("cpu"), types=5)
    _, targets = source.training(
        np.array([1, 3]),
        torch.Generator().manual_seed(0),
        augmentation="any-scan",
        patch=(4, 24, 24),
        on_foreground=True,
    )
    assert targets.shape == (2, 6, 4, 24, 24)
    assert torch.equal(targets[:, 0], targets[:, 1:].sum(dim=1))
    assert targets[0, 2].any()
    assert not targets[0, [1, 3, 4, 5]].any()


def test_the_prior_is_that_of_blood_and_even_for_types(typed: Examples) -> None:
    config = TrainConfig(task="segmentation", model="unet2.5d", view=VIEW, loss="blood+type").resolved()
    problem = pose_problem(config, typed)
    rows = np.arange(12)
    prior = weighted_prior(problem, rows, None, create_weighting("none", None))
    assert prior[0] == pytest.approx(float((np.asarray(typed.targets) > 0).mean()), rel=1e-6)
    assert prior[1:] == [0.5] * 5
    logits = torch.randn(2, 6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    probabilities = problem.probabilities(logits)
    torch.testing.assert_close(probabilities[:, 1:].sum(dim=1), torch.ones(2, 1, 2, 2))
    torch.testing.assert_close(probabilities[:, 0], logits[:, 0].sigmoid())


def test_a_typed_run_reports_dice_of_each_type(typed: Examples, tmp_path: Path) -> None:
    config = TrainConfig(
        task="segmentation",
        model="unet2.5d",
        model_options={"base": 4, "depth": 2, "norm": "instance"},
        view=VIEW,
        loss="blood+type",
        epochs=40,
        learning_rate=5e-3,
        schedule="onecycle",
        batch_size=2,
    )
    result = run_experiment(config, typed, make_split(), tmp_path / "run")
    assert isinstance(result.test, CaseScores)
    # Test patients 9 and 10 have types 5 and 1, number 11 none.
    assert result.test.values["dice_any"][:2].mean() > 0.4
    assert set(result.test.values) >= {f"dice_{name}" for name in SUBTYPES}
    for name, patient in (("subdural", 0), ("epidural", 1)):
        assert np.isfinite(result.test.values[f"dice_{name}"][patient])


def test_losses_and_outputs_must_fit() -> None:
    shared = {"task": "segmentation", "model": "unet2.5d"}
    with pytest.raises(UserError, match=r"loss 'dice' for 6 outputs; expected blood\+type"):
        check_config(TrainConfig(**shared, view=VIEW, loss="dice").resolved())
    with pytest.raises(UserError, match=r"loss 'blood\+type' for 1 outputs"):
        check_config(TrainConfig(**shared, view=SegmentationView(), loss="blood+type").resolved())


def test_pooled_dice_is_that_of_all_voxels_together(typed: Examples) -> None:
    config = TrainConfig(task="segmentation", model="unet2.5d", view=VIEW, loss="blood+type").resolved()
    problem = pose_problem(config, typed)
    source = BatchSource(typed, problem.targets, torch.device("cpu"), types=5)

    class Bright(torch.nn.Module):
        """Blood where the picture is bright: a logit of 20 * (grey - 0.7)."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([20 * (images - 0.7), images.expand(-1, 5, -1, -1, -1)], dim=1)

    rows = np.array([0, 2, 5])
    thresholds, dice = pooled_dice_by_threshold(Bright(), problem, source, rows, bins=20)
    probabilities = 1 / (1 + np.exp(-20 * (typed.images[rows].astype(np.float64) / 255 - 0.7)))
    truth = typed.targets[rows] > 0
    for threshold, value in zip(thresholds[1:], dice[1:], strict=True):
        called = probabilities >= threshold
        expected = 2 * (called & truth).sum() / (called.sum() + truth.sum())
        assert value == pytest.approx(expected, abs=2e-3)
