"""The reference that sees no image: it learns the height of slices and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split
from hemobench.evaluation.slice_position import relative_height, slice_position_predictions
from hemobench.views.view import ClassificationView

PATIENTS, SLICES = 12, 20


@pytest.fixture
def examples() -> Examples:
    """Every patient bleeds subdurally in the upper half of the head and nowhere else; pictures are empty."""
    patients = np.repeat([f"p{number:02d}" for number in range(PATIENTS)], SLICES)
    indices = np.tile(np.arange(SLICES), PATIENTS)
    targets = np.zeros((PATIENTS * SLICES, 6), dtype=np.uint8)
    targets[:, [4, 5]] = (indices >= SLICES // 2)[:, None]
    return Examples(
        task="classification",
        images=np.zeros((len(patients), 1, 8, 8), dtype=np.uint8),
        targets=targets,
        patient_ids=patients,
        study_ids=patients,
        slice_indices=indices,
        spacing_mm=np.ones((len(patients), 3)),
        dataset="made",
        phantom=True,
        fingerprint="f",
        view=ClassificationView(("brain",), 8),
    )


def test_height_alone_finds_what_depends_on_height(examples):
    names = sorted(set(examples.patient_ids.tolist()))
    predictions = slice_position_predictions(examples, (Split(tuple(names[:8]), (names[8],), tuple(names[9:]), 0),))
    assert set(predictions.patient_ids.tolist()) == set(names[9:])
    low, high = predictions.slice_indices < SLICES // 2, predictions.slice_indices >= SLICES // 2
    assert predictions.probabilities[low, 5].max() < 0.5 < predictions.probabilities[high, 5].min()
    # A type that no training patient has keeps its base rate of zero.
    assert predictions.probabilities[:, 0].tolist() == [0.0] * (3 * SLICES)
    assert np.array_equal(predictions.targets[:, 5], high)


def test_height_is_relative_to_the_study():
    height = relative_height(np.asarray(["b", "b", "a", "a", "a"]), np.asarray([4, 6, 0, 5, 10]))
    assert height.tolist() == [0.0, 1.0, 0.0, 0.5, 1.0]
