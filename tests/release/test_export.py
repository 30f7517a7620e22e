"""From a recipe to a checkpoint folder, by the command that users type, and the rule that calls are made by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import logit

from hemobench.datasets.phantom.sources import load_anatomy
from hemobench.errors import UserError
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.labels import CLASSES
from hemobench.machine import cache_home
from hemobench.metrics.calibration import fit_platt
from hemobench.release.recipes import FOLDER as RECIPES
from hemobench.release.recipes import known_recipes, load_recipe
from hemobench.training.problem import check_config
from hemobench.training.result import RunResult, SlicePredictions

RECIPE = """
description: A network far too small, on pictures far too few.
role: slice-classifier
data: {name: image-folder}
split: {fractions: [0.5, 0.25, 0.25], seed: 0}
training:
  task: classification
  model: timm:test_resnet
  view: {windows: [brain, subdural], size: 32}
  epochs: 1
  batch_size: 8
"""


COMMAND = ("tiny.yaml", "--data", "image-folder:seen", "--test", "image-folder:unseen")


def _pictures(folder: Path) -> Path:
    """Six pictures of each of 24 patients; every second patient has a bright square, a subdural, on each."""
    folder.mkdir()
    draws, rows = np.random.default_rng(0), ["id,patient,subdural"]
    for patient in range(24):
        for number in range(6):
            grey = draws.integers(40, 90, (40, 40)).astype(np.uint8)
            if patient % 2:
                grey[10:20, 5 + number : 15 + number] = 200
            name = f"{patient:02d}-{number}.png"
            Image.fromarray(grey).save(folder / name)
            rows.append(f"{name},{folder.name}{patient},{patient % 2}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def _make(*arguments: str, home: Path, command: str = "recipe") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"hemobench.{command}", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env={**os.environ, "HEMOBENCH_HOME": str(home / "home")},
        cwd=home,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/tiny` and `checkpoints/tiny`, made by one command."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.yaml").write_text(RECIPE)
    _pictures(folder / "seen")
    _pictures(folder / "unseen")
    done = _make(*COMMAND, home=folder)
    assert done.returncode == 0, done.stderr
    assert "checkpoint in checkpoints/tiny" in done.stdout
    return folder


def test_the_checkpoint_gives_the_runs_probabilities(made: Path) -> None:
    checkpoint = open_checkpoint(made / "checkpoints" / "tiny")
    result = RunResult.load(made / "runs" / "tiny")
    assert checkpoint.config.outputs == CLASSES
    assert checkpoint.config.view == result.config.view
    assert checkpoint.config.training["phantom"] is False
    assert str(made) not in json.dumps(checkpoint.config.to_mapping())
    weights = checkpoint.build_model().state_dict()
    assert sum(value.numel() for value in weights.values()) > 300_000


def test_the_card_names_its_patients_and_gives_intervals(made: Path) -> None:
    card = (made / "checkpoints" / "tiny" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "6 real patients of image-folder (test), 36 slices" in card
    assert "24 real patients of image-folder (never trained on), 144 slices" in card
    assert "Research use only" in card
    assert "python -m hemobench.recipe tiny.yaml" in card
    assert "measured on patients alone, and no picture of a patient" in card
    assert "](training.png)" in card
    folder = made / "checkpoints" / "tiny"
    assert not (folder / "failures.png").exists()
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert {"history.csv", "training.png"} < set(listed)
    assert (folder / "history.csv").read_bytes() == (made / "runs" / "tiny" / "history.csv").read_bytes()
    metrics = json.loads((made / "checkpoints" / "tiny" / "metrics.json").read_text())
    assert metrics["others"][0]["patients"] == 24
    scores = metrics["metrics"]
    low, high = scores["auroc_any"]["ci"]
    assert low <= scores["auroc_any"]["mean"] <= high


def test_the_same_command_again_trains_nothing_and_gives_the_same_weights(made: Path) -> None:
    before = open_checkpoint(made / "checkpoints" / "tiny").sha256
    stamp = (made / "runs" / "tiny" / "run.json").stat().st_mtime_ns
    assert _make(*COMMAND, home=made).returncode == 0
    assert (made / "runs" / "tiny" / "run.json").stat().st_mtime_ns == stamp
    assert open_checkpoint(made / "checkpoints" / "tiny").sha256 == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slice-clasifier",), "did you mean 'slice-classifier'"),
        ((*COMMAND[:3], "--test", "image-folder:seen"), "the same patients on both sides"),
        ((*COMMAND[:1], "--data", "phantom-t1"), "recipe tiny needs it"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], words: str, made: Path) -> None:
    done = _make(*arguments, home=made)
    assert done.returncode == 2
    assert words in done.stderr.strip().splitlines()[-1]


def test_the_rule_is_fitted_on_validation_patients(made: Path) -> None:
    result = RunResult.load(made / "runs" / "tiny")
    assert isinstance(result.validation, SlicePredictions)
    config = open_checkpoint(made / "checkpoints" / "tiny").config
    calibration, thresholds = config.calibration, config.thresholds
    assert config.context_mm == 0  # pictures have no neighbours
    column = CLASSES.index("any")
    logits = logit(np.clip(result.validation.probabilities[:, column].astype(np.float64), 1e-6, 1 - 1e-6))
    slope, offset = fit_platt(logits, result.validation.targets[:, column])
    assert calibration["slice"]["any"] == pytest.approx((slope, offset), abs=1e-5)
    negative = 1 / (1 + np.exp(-(slope * logits + offset)))[result.validation.targets[:, column] == 0]
    assert (negative >= thresholds["slice"]["any"]).mean() <= 0.1 or thresholds["slice"]["any"] == 0.5


@pytest.mark.parametrize("name", known_recipes())
def test_shipped_recipes_are_whole(name: str) -> None:
    recipe = load_recipe(name)
    check_config(recipe.config)
    epochs = recipe.config.to_mapping()["epochs"]
    assert epochs > 1 or (epochs == 0 and recipe.start is not None)
    assert sum(recipe.fractions) == pytest.approx(1)


def test_a_recipe_without_its_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half.yaml").write_text("description: x\nrole: ventricles\n")
    with pytest.raises(UserError, match="incomplete"):
        load_recipe(str(tmp_path / "half.yaml"))


FOLDS = (
    RECIPE.replace("split: {fractions: [0.5, 0.25, 0.25], seed: 0}", "folds: 2").replace(
        "  batch_size: 8", "  batch_size: 8\n  stream_share: 0.5\n  steps_per_epoch: 4"
    )
    + "start: tiny\nstream: {patients: 1, slices: 4, matrix: 32}\n"
)


def test_folds_answer_for_each_other_and_a_stream_teaches_beside(made: Path) -> None:
    (made / "folds.yaml").write_text(FOLDS)
    load_anatomy(None, 0)  # the MNI head is built in the ordinary cache once, not in each test's own
    if not (made / "home" / "anatomy").exists():
        (made / "home" / "anatomy").symlink_to(cache_home() / "anatomy")
    done = _make("folds.yaml", "--data", "image-folder:seen", home=made)
    assert done.returncode == 2
    assert "begins with a network that 18 of the patients it is tested on have taught" in done.stderr
    _pictures(made / "others")
    # A checkpoint is as good a start as a run; this one's people are others.
    done = _make("folds.yaml", "--data", "image-folder:others", "--start", "checkpoints/tiny", home=made)
    assert done.returncode == 0, done.stderr
    assert "24 patients, out of fold" in done.stdout
    # The same command trains nothing again.
    written = (made / "runs/folds/fold-1/last.safetensors").stat().st_mtime_ns
    again = _make("folds.yaml", "--data", "image-folder:others", "--start", "checkpoints/tiny", home=made)
    assert again.returncode == 0, again.stderr
    assert (made / "runs/folds/fold-1/last.safetensors").stat().st_mtime_ns == written
    checkpoint = open_checkpoint(made / "checkpoints" / "folds")
    training = checkpoint.config.training
    assert training["folds"] == 2
    assert training["patients"] == {"train": 24, "validation": 0, "test": 0}
    assert checkpoint.metrics["patients"] == 24
    assert checkpoint.metrics["cases"] == 144
    assert "out of fold" in checkpoint.config.threshold_rule
    card = (made / "checkpoints" / "folds" / "README.md").read_text()
    assert "(out of fold), 144 slices" in card
    assert "50% of each batch were phantoms made while it trained (phantom)" in card
    assert "It began with the weights of tiny" in card
    # The network that ships knows everybody; those that were measured did not.
    known = [
        set(json.loads((made / "runs/folds" / f"fold-{n}" / "run.json").read_text())["patients"].items())
        for n in (1, 2)
    ]
    assert all(("train", 12) in one for one in known)
    # Who begins with it takes the network that ships, as it is, and knows the same people.
    (made / "after.yaml").write_text(RECIPE.replace("epochs: 1", "epochs: 0") + "start: folds\n")
    done = _make("after.yaml", "--data", "image-folder:unseen", home=made)
    assert done.returncode == 0, done.stderr
    weights = [open_checkpoint(made / "checkpoints" / name).sha256 for name in ("folds", "after")]
    assert weights[0] == weights[1]
    people = open_checkpoint(made / "checkpoints" / "after").people
    assert people is not None
    assert len(people.taught) == 24 + 12 + 12  # others, unseen, and those of tiny, whom folds began with


def test_a_start_that_is_missing_or_not_wanted_is_one_line(made: Path) -> None:
    (made / "later.yaml").write_text(FOLDS.replace("start: tiny", "start: nobody"))
    done = _make("later.yaml", "--data", "image-folder:seen", home=made)
    assert done.returncode == 2
    assert "begins with a finished run of nobody" in done.stderr
    done = _make("tiny.yaml", "--start", "runs/tiny", home=made)
    assert done.returncode == 2
    assert "expected none" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recipe", "tiny.yaml", "--epochs", "3"), "--recipe with epochs"),
        (("--checkpoint", "here"), "run hemobench recipe NAME with them"),
    ],
)
def test_a_single_training_takes_no_recipe_s_options(arguments: tuple[str, ...], words: str, made: Path) -> None:
    done = _make(*arguments, home=made, command="train")
    assert done.returncode == 2
    assert words in done.stderr


def test_the_old_spelling_makes_the_same_and_says_the_new_one(made: Path) -> None:
    before = open_checkpoint(made / "checkpoints" / "tiny").sha256
    done = _make("--recipe", *COMMAND, home=made, command="train")
    assert done.returncode == 0, done.stderr
    assert "`train --recipe tiny.yaml` is now `hemobench recipe tiny.yaml`" in done.stderr
    assert open_checkpoint(made / "checkpoints" / "tiny").sha256 == before


def test_without_a_name_the_recipes_are_listed(made: Path) -> None:
    done = _make(home=made)
    names = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    assert names == sorted(path.stem for path in RECIPES.glob("*.yaml"))
    assert "ventricles: Where the ventricles are on T1-weighted MRI" in done.stdout
