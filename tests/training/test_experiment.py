from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_split

from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split
from hemobench.errors import UserError
from hemobench.metrics import classification_metrics, segmentation_metrics
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import load_model, run_experiment
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

SMALL_CNN = {"width": 8, "hidden": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def classified(slices: Examples, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    config = TrainConfig(
        view=slices.view,
        model_options=SMALL_CNN,
        epochs=30,
        batch_size=12,
        learning_rate=3e-3,
        schedule="cosine",
        sampling="balanced",
        precision="fp32",
    )
    return run_experiment(config, slices, make_split(), tmp_path_factory.mktemp("runs") / "cnn")


@pytest.fixture(scope="module")
def segmented(volumes: Examples, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    config = TrainConfig(
        task="segmentation",
        model="unet3d",
        model_options={"base": 4},
        view=volumes.view,
        epochs=40,
        learning_rate=5e-3,
        loss="dice+bce",
        schedule="onecycle",
    )
    return run_experiment(config, volumes, make_split(), tmp_path_factory.mktemp("runs") / "unet")


def test_a_classifier_learns_bright_squares(classified: RunResult) -> None:
    assert classified.metrics["auroc_any"] > 0.95
    assert classified.history[-1]["train_loss"] < 0.5 * classified.history[0]["train_loss"]


def test_the_monitor_epoch_keeps_the_last_one(slices: Examples, tmp_path: Path) -> None:
    # A rate that makes the loss jump about, so that the lowest is seldom the last.
    config = TrainConfig(
        view=slices.view,
        model_options=SMALL_CNN,
        epochs=6,
        batch_size=12,
        learning_rate=3e-2,
        monitor="validation_loss",
        precision="fp32",
    )
    lowest = run_experiment(config, slices, make_split(), tmp_path / "lowest")
    losses = [row["validation_loss"] for row in lowest.history]
    assert lowest.best_epoch == 1 + losses.index(min(losses))
    last = run_experiment(dataclasses.replace(config, monitor="epoch"), slices, make_split(), tmp_path / "last")
    assert [row["validation_loss"] for row in last.history] == losses
    assert last.best_epoch == 6
    assert last.metrics != lowest.metrics or lowest.best_epoch == 6
    unwatched = dataclasses.replace(make_split(), validation=())
    alone = run_experiment(dataclasses.replace(config, monitor="epoch"), slices, unwatched, tmp_path / "none")
    assert alone.best_epoch == 6


def test_the_saved_predictions_give_the_saved_metrics(classified: RunResult) -> None:
    test = classified.test
    assert isinstance(test, SlicePredictions)
    assert set(test.patient_ids) == set(make_split().test)
    metrics = classification_metrics(test.probabilities, test.targets, test.study_ids)
    assert classified.metrics == pytest.approx(metrics, nan_ok=True)
    # Test patients 9 and 10 bleed on three of six slices each, 11 does not.
    assert test.targets[:, 5].sum() == 6
    assert classified.baselines["accuracy"] == pytest.approx(12 / 18)


def test_a_segmenter_learns_bright_squares(segmented: RunResult) -> None:
    assert segmented.metrics["dice_any"] > 0.7
    test = segmented.test
    assert isinstance(test, CaseScores)
    assert list(test.study_ids) == ["s09", "s10", "s11"]
    # The third test patient has no haemorrhage: all of its background is right, and its volume is 0.
    assert test.values["volume_ml_true_any"][2] == 0
    # 3 slices of 6 x 6 of 2 x 2 x 5 mm each are 2.16 mL in each of the others.
    assert test.values["volume_ml_true_any"][:2] == pytest.approx([2.16, 2.16])
    background = 1 - 2 * 108 / (3 * 6 * 24 * 24)
    assert segmented.baselines["voxel_accuracy"] == pytest.approx(background)


def test_undefined_cases_are_counted_and_left_out_of_the_mean(segmented: RunResult) -> None:
    test = segmented.test
    assert isinstance(test, CaseScores)
    known = [value for value in test.values["sensitivity_any"] if math.isfinite(value)]
    assert segmented.undefined["sensitivity_any"] == 1
    assert segmented.metrics["sensitivity_any"] == pytest.approx(sum(known) / 2)


def test_a_result_comes_back_from_disk_as_it_was(segmented: RunResult, tmp_path: Path) -> None:
    segmented.save(tmp_path)
    loaded = RunResult.load(tmp_path)
    assert loaded.config == segmented.config
    assert loaded.metrics == pytest.approx(segmented.metrics, nan_ok=True)
    assert [row["train_loss"] for row in loaded.history] == [row["train_loss"] for row in segmented.history]
    for name in ("images", "truth", "prediction"):
        assert np.array_equal(getattr(loaded.pictures, name), getattr(segmented.pictures, name))
    assert isinstance(loaded.test, CaseScores)
    content = json.loads((tmp_path / "run.json").read_text())
    assert {"seed", "config", "commit", "data_fingerprint", "split_fingerprint", "phantom", "version"} <= set(content)
    assert content["phantom"] is True


def test_an_incomplete_folder_is_one_line(segmented: RunResult, tmp_path: Path) -> None:
    segmented.save(tmp_path)
    (tmp_path / "predictions.npz").unlink()
    with pytest.raises(UserError, match="train it again"):
        RunResult.load(tmp_path)


def test_the_best_weights_alone_repeat_the_test_scores(volumes: Examples, tmp_path: Path) -> None:
    config = TrainConfig(
        task="segmentation",
        model="unet2d",
        model_options={"base": 4},
        view=volumes.view,
        epochs=3,
        learning_rate=3e-3,
        precision="fp32",
    )
    result = run_experiment(config, volumes, make_split(), tmp_path)
    model, loaded = load_model(tmp_path)
    assert loaded == result.config
    row = int(volumes.rows_of(("p09",))[0])
    with torch.no_grad():
        logits = model(torch.from_numpy(np.asarray(volumes.images[row : row + 1])).float() / 255)
    scores = segmentation_metrics(
        (logits[0, 0] >= 0).numpy(), np.asarray(volumes.targets[row, 0]).astype(bool), volumes.spacing_mm[row]
    )
    assert isinstance(result.test, CaseScores)
    for name, value in scores.items():
        assert result.test.values[name][0] == pytest.approx(value, nan_ok=True), name


def test_pictures_show_truth_and_prediction_of_the_same_slice(segmented: RunResult, volumes: Examples) -> None:
    pictures = segmented.pictures
    assert pictures.images.shape == pictures.truth.shape == pictures.prediction.shape == (2, 24, 24)
    assert (pictures.truth.sum(axis=(1, 2)) == 36).all()
    bright = [
        image[mask > 0].mean() > image[mask == 0].mean()
        for image, mask in zip(pictures.images, pictures.truth, strict=True)
    ]
    assert all(bright)


def test_seeds_decide_and_repeat(slices: Examples, tmp_path: Path) -> None:
    config = TrainConfig(view=slices.view, model_options=SMALL_CNN, epochs=1, batch_size=12, augment="light")
    runs = [
        run_experiment(dataclasses.replace(config, seed=seed), slices, make_split(), tmp_path / str(number))
        for number, seed in enumerate((1, 1, 2))
    ]
    tables = [run.test.probabilities for run in runs if isinstance(run.test, SlicePredictions)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_early_stopping_and_max_steps_end_a_run(slices: Examples, tmp_path: Path) -> None:
    base = TrainConfig(view=slices.view, model_options=SMALL_CNN, epochs=50, batch_size=12, precision="fp32")
    # Steps too small to change the ranking of any slice: the first epoch stays the best but for the loss's ties.
    stopped = run_experiment(
        dataclasses.replace(base, learning_rate=1e-12, early_stopping=2, monitor="accuracy"),
        slices,
        make_split(),
        tmp_path / "a",
    )
    assert len(stopped.history) - stopped.best_epoch == 2
    capped = run_experiment(dataclasses.replace(base, max_steps=4), slices, make_split(), tmp_path / "b")
    # 36 training slices in batches of 12 are three steps an epoch.
    assert len(capped.history) == 2


def test_exclusive_classes_train_on_bleeding_slices_only(slices: Examples, tmp_path: Path) -> None:
    config = TrainConfig(view=slices.view, model_options=SMALL_CNN, loss="cross-entropy", epochs=1, batch_size=6)
    result = run_experiment(config, slices, make_split(), tmp_path)
    assert isinstance(result.test, SlicePredictions)
    assert result.test.exclusive
    assert len(result.test.targets) == 6
    assert result.test.probabilities.sum(axis=1) == pytest.approx(np.ones(6), rel=1e-3)
    assert set(result.metrics) == {"accuracy_exclusive"}


@pytest.mark.parametrize(
    ("change", "split", "words"),
    [
        ({"monitor": "dice_any"}, make_split(), "monitor 'dice_any' measures segmentation"),
        ({"learning_rate": 1e9, "precision": "fp32", "optimizer": "adamw", "weight_decay": 1e9}, make_split(), "lower"),
        ({}, Split(("p00", "p01"), ("p02",), ("p01",), 0), "p01"),
        ({}, Split(("p00", "nobody"), (), ("p01",), 0), "nobody"),
        ({}, Split(("p00",), ("p01",), (), 0), "no test patients"),
    ],
)
def test_mistakes_are_one_line(
    change: dict[str, object], split: Split, words: str, slices: Examples, tmp_path: Path
) -> None:
    config = TrainConfig(view=slices.view, model_options=SMALL_CNN, epochs=3, batch_size=12)
    with pytest.raises(UserError, match=words) as caught:
        run_experiment(dataclasses.replace(config, **change), slices, split, tmp_path)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
