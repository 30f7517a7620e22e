"""From masks of patients to a segmenter's checkpoint: out of fold, by the command that users type, and the rule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.case import Case
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom.plan import PhantomSpec
from hemobench.datasets.rehearsal import LAYOUTS
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.inference.checkpoint import OUTLINES_PICTURE, Checkpoint, open_checkpoint
from hemobench.inference.study import analyse
from hemobench.labels import CLASSES
from hemobench.release.out_of_fold import CLEAN_SHARE, LESIONS, VOXELS, Outlines, OutOfFold, Unseen, fit_outlines

RECIPE = """
description: A segmenter far too small, on heads far too few.
role: haemorrhage
data: {name: ct-ich}
folds: 2
start: beginner.yaml
beside: beginner.yaml
split: {seed: 0}
training:
  task: segmentation
  model: timm-unet:test_resnet
  model_options: {context: 1, fine: true, mirrored: true, labelled: true}
  view: {target: subtypes, spacing_mm: [5, 4, 4], shape: [8, 64, 64], window: brain+bone}
  loss: blood+type
  sampling: slices
  augment: any-slice
  average: 0.5
  prior: false
  epochs: 1
  steps_per_epoch: 4
  batch_size: 4
"""

BEGINNER = """
description: Its classifier, no larger.
role: slice-classifier
data: {name: ct-ich}
split: {seed: 0, fractions: [1, 0, 0]}
training:
  task: classification
  model: timm-unet:test_resnet
  view: {windows: [brain, bone], size: 64}
  loss: bce+localisation
  epochs: 1
  batch_size: 8
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "beginner.yaml").write_text(BEGINNER)
    build_layout(folder / "copy", LAYOUTS["ct-ich"], PhantomSpec(patients=8, slices=6, matrix=64, healthy=0.4, seed=3))
    done = subprocess.run(
        [sys.executable, "-m", "hemobench.recipe", "small.yaml", "--data", "ct-ich:copy"],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        cwd=folder,
        env={**os.environ, "HEMOBENCH_HOME": str(folder / "home")},
    )
    assert done.returncode == 0, done.stderr
    assert "8 patients, out of fold" in done.stdout
    return folder


@pytest.fixture(scope="module")
def checkpoint(made: Path) -> Checkpoint:
    return open_checkpoint(made / "checkpoints" / "small")


def test_it_holds_one_rule_for_slices_studies_and_outlines(checkpoint: Checkpoint) -> None:
    config = checkpoint.config
    assert (config.role, config.context) == ("haemorrhage", 1)
    joint = {"joint-slice", "joint-study"}  # with the classifier that the recipe trained first
    assert config.joint_with == "beginner"
    assert set(config.calibration) == {"slice", "study"} | joint
    assert set(config.thresholds) == {"slice", "study", "voxel", "lesion"} | joint
    assert set(config.thresholds["study"]) == set(CLASSES)
    assert config.thresholds["voxel"]["any"] in VOXELS
    assert config.thresholds["lesion"]["any"] in LESIONS
    assert "out of fold" in config.threshold_rule


def test_its_card_says_what_holds_on_people_it_never_saw(made: Path, checkpoint: Checkpoint) -> None:
    metrics = checkpoint.metrics["metrics"]
    for name in (
        "dice_any",
        "dice_filled_any",
        "lesion_sensitivity_any",
        "false_lesions_any",
        "auroc_any",
        "auroc_any_study",
        "sensitivity_any",
        "false_alarm_any",
        "auroc_any_study_joint",
        "sensitivity_called_any_study_joint",
        "precision_named_types_study_joint",
    ):
        assert name in metrics, name
    card = (checkpoint.directory / "README.md").read_text()
    assert "## By size" in card
    assert "limits of agreement" in card
    assert "out of fold" in card
    assert str(made) not in card
    with Image.open(checkpoint.directory / OUTLINES_PICTURE) as picture:
        assert picture.width > 500


def test_outside_a_classifier_it_judges_slices_and_study_by_itself(made: Path, checkpoint: Checkpoint) -> None:
    scan = open_dataset(f"ct-ich:{made / 'copy'}").cases[0].load().image
    report = analyse(scan, checkpoint)
    assert list(report.study.probabilities) == list(CLASSES)
    threshold = checkpoint.config.thresholds["study"]["any"]
    assert report.study.calls["any"].threshold == threshold
    assert len(report.slices) == scan.shape[0]
    assert not any("likeliest voxel" in line for line in report.source.warnings)


def test_the_same_command_again_trains_nothing(made: Path) -> None:
    before = (made / "runs" / "small" / "fold-1" / "best.safetensors").stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "hemobench.recipe", "small.yaml", "--data", "ct-ich:copy"],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        cwd=made,
        env={**os.environ, "HEMOBENCH_HOME": str(made / "home")},
    )
    assert done.returncode == 0, done.stderr
    assert (made / "runs" / "small" / "fold-1" / "best.safetensors").stat().st_mtime_ns == before
    assert json.loads((made / "checkpoints" / "small" / "metrics.json").read_text())["patients"] == 8


def _case(true_voxels: int, highest: float, voxels: int, hits: int) -> Outlines:
    """One piece of 1 mL, the same at each threshold up to its highest probability."""
    pieces = []
    for threshold in VOXELS:
        kept = int(highest >= threshold)
        pieces.append(
            (
                np.full(kept, highest),
                np.full(kept, 1.0),
                np.full(kept, voxels),
                np.full(kept, hits),
            )
        )
    return Outlines(tuple(pieces), true_voxels)


def _found(cases: list[Outlines]) -> OutOfFold:
    def unseen(number: int, outlines: Outlines) -> Unseen:
        case = Case(str(number), str(number), "hand", "hand", None, lambda: None)  # type: ignore[arg-type,return-value]
        return Unseen(case, None, outlines, np.zeros((1, 6), np.uint8), np.zeros((1, 6)), 5.0)  # type: ignore[arg-type]

    return OutOfFold(tuple(unseen(*pair) for pair in enumerate(cases)), np.zeros(len(cases), dtype=np.int64))


def test_dice_counts_kept_pieces_alone() -> None:
    case = _case(true_voxels=100, highest=0.8, voxels=60, hits=40)
    assert case.dice(0, 0.0) == pytest.approx(2 * 40 / 160)
    assert case.dice(0, 0.85) == 0.0
    assert np.isnan(_case(0, 0.8, 60, 0).dice(0, 0.85))
    assert _case(0, 0.8, 60, 0).dice(0, 0.5) == 0.0


def test_thresholds_leave_healthy_heads_clean_and_then_outline_best() -> None:
    bleeding = [_case(100, 0.99, 100, 90), _case(100, 0.9, 100, 50)]
    # Of ten heads without blood one shows something sure, which may stay, and three something up to 0.86.
    healthy = [_case(0, 0.97, 30, 0), *[_case(0, 0.86, 30, 0)] * 3, *[_case(0, 0.1, 30, 0)] * 6]
    assert CLEAN_SHARE == 0.8
    chosen = fit_outlines(_found([*bleeding, *healthy]), np.ones(12, dtype=bool))
    assert chosen["lesion"] == 0.9  # the first that is above 0.86 and loses no true one
    among = np.r_[np.ones(2, dtype=bool), np.zeros(10, dtype=bool)]
    assert fit_outlines(_found([*bleeding, *healthy]), among) == {"voxel": VOXELS[0], "lesion": LESIONS[0]}
