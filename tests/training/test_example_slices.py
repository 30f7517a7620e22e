"""Which test examples a run leaves for reports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from hemobench.datasets.cache import Examples
from hemobench.training.example_slices import slice_pictures, volume_pictures
from hemobench.training.result import SlicePredictions


def _volumes() -> tuple[Examples, dict[int, np.ndarray]]:
    """Five volumes of 2 slices: 0, 4, 1, 2 and 3 true voxels, all in slice 1; every prediction is one voxel there."""
    targets = np.zeros((5, 1, 2, 2, 2), dtype=np.uint8)
    for row, size in enumerate((0, 4, 1, 2, 3)):
        targets[row, 0, 1].flat[:size] = 1
    predicted = np.zeros((2, 2, 2), dtype=np.uint8)
    predicted[1, 0, 0] = 1
    images = np.arange(5, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 1, 2, 2, 2), dtype=np.uint8)
    examples = cast(Any, SimpleNamespace(targets=targets, images=images, study_ids=np.asarray(list("abcde"))))
    return examples, {row: np.packbits(predicted) for row in range(5)}


def test_volumes_by_size_then_the_best_the_median_and_the_worst() -> None:
    examples, masks = _volumes()
    dice = np.array([np.nan, 0.4, 1.0, 0.667, 0.5])
    pictures = volume_pictures(examples, np.arange(5), masks, dice)
    assert pictures.titles[pictures.where("")].tolist() == ["c, slice 1", "d, slice 1", "e, slice 1", "b, slice 1"]
    own = {role: str(pictures.titles[pictures.where(role)[0]])[0] for role in ("best", "median", "worst")}
    assert own == {"best": "c", "median": "e", "worst": "b"}
    worst = int(pictures.where("worst")[0])
    assert pictures.truth[worst].sum() == 4
    assert pictures.prediction[worst].sum() == 1
    assert pictures.images[worst, 0, 0] == 1


def test_too_few_volumes_have_no_best_and_worst() -> None:
    examples, masks = _volumes()
    pictures = volume_pictures(examples, np.arange(2), masks, np.array([np.nan, 0.4]))
    assert set(pictures.roles) == {""}


def _slices(exclusive: bool) -> tuple[Examples, SlicePredictions]:
    """Six slices of three studies; `any` holds in the first four."""
    truth = np.zeros((6, 6), dtype=np.uint8)
    truth[:4, 4] = 1
    truth[:4, 5] = 0 if exclusive else 1
    truth[4:, 0] = 1 if exclusive else 0
    given = np.zeros((6, 6), dtype=np.float32)
    given[:, 5] = given[:, 4] = [0.2, 0.1, 0.9, 0.3, 0.6, 0.7]
    given[:, 0] = 1 - given[:, 4]
    studies = np.asarray(["a", "a", "b", "c", "c", "c"])
    images = np.zeros((6, 1, 4, 4), dtype=np.uint8)
    examples = cast(Any, SimpleNamespace(images=images, study_ids=studies, slice_indices=np.arange(6)))
    return examples, SlicePredictions(given, truth, studies, studies, np.arange(6), exclusive)


def test_slices_that_a_run_misses_and_invents_come_from_different_studies() -> None:
    pictures = slice_pictures(*_with_rows(exclusive=False))
    assert pictures.titles[pictures.where("missed")].tolist() == ["a, slice 1", "c, slice 3"]
    assert pictures.titles[pictures.where("false alarm")].tolist() == ["c, slice 5"]


def test_with_exclusive_classes_the_least_certain_of_their_own_class() -> None:
    pictures = slice_pictures(*_with_rows(exclusive=True))
    assert pictures.titles[pictures.where("missed")].tolist() == ["a, slice 1", "c, slice 3"]
    assert not len(pictures.where("false alarm"))


def _with_rows(exclusive: bool) -> tuple[Examples, np.ndarray, SlicePredictions]:
    examples, predictions = _slices(exclusive)
    return examples, np.arange(6), predictions
