"""References that see no image: what a board's scores must beat before they mean anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split
from hemobench.evaluation.pooled_folds import joined
from hemobench.labels import CLASSES
from hemobench.training.result import Predictions, SlicePredictions

SLICE_POSITION = "slice position (no image)"


def slice_position_predictions(examples: Examples, folds: Sequence[Split]) -> Predictions:
    """Test predictions of a model that knows nothing but where in its study a slice lies.

    For each class, a logistic regression of the slice's relative height (0 lowest, 1 highest) and its square, fitted
    on the training patients' slices. A class that is never or always present there keeps its base rate. With several
    folds each is answered by a regression of its own, as the board's networks answer it.
    """
    return joined(
        [
            position_predictions(examples, examples.rows_of(split.train), examples, examples.rows_of(split.test))
            for split in folds
        ]
    )


def position_predictions(
    learnt: Examples, rows: NDArray[np.int64], asked: Examples, asked_rows: NDArray[np.int64]
) -> SlicePredictions:
    """The same, fitted on some rows of one set of examples and asked about rows of another."""
    probabilities = height_probabilities(
        _height(learnt)[rows], np.asarray(learnt.targets)[rows], _height(asked)[asked_rows]
    )
    return SlicePredictions(
        probabilities=probabilities,
        targets=np.asarray(asked.targets)[asked_rows],
        patient_ids=asked.patient_ids[asked_rows],
        study_ids=asked.study_ids[asked_rows],
        slice_indices=asked.slice_indices[asked_rows],
    )


def height_probabilities(
    heights: NDArray[np.float64], targets: NDArray[np.uint8], asked: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Probabilities (M, 6) of slices at relative heights `asked` (M,), learnt from heights (N,) and targets (N, 6)."""
    features, unseen = (np.stack([height, height**2], axis=1) for height in (heights, asked))
    probabilities = np.empty((len(asked), len(CLASSES)), dtype=np.float32)
    for column in range(len(CLASSES)):
        labels = targets[:, column]
        if labels.min() == labels.max():
            probabilities[:, column] = labels.mean()
            continue
        # C is large: two features and hundreds of slices need no shrinking.
        model = LogisticRegression(C=100.0, max_iter=1000).fit(features, labels)
        probabilities[:, column] = model.predict_proba(unseen)[:, 1]
    return probabilities


def _height(examples: Examples) -> NDArray[np.float64]:
    return relative_height(examples.study_ids, examples.slice_indices)


def relative_height(study_ids: NDArray[np.str_], slice_indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each slice lies in its study: (N,) from 0, the lowest slice of the study, to 1, the highest.

    >>> relative_height(np.array(["a", "a", "a", "b"]), np.array([0, 1, 2, 7])).tolist()
    [0.0, 0.5, 1.0, 0.0]
    """
    _, study = np.unique(study_ids, return_inverse=True)
    lowest = np.full(study.max() + 1, np.inf)
    highest = np.full(study.max() + 1, -np.inf)
    np.minimum.at(lowest, study, slice_indices)
    np.maximum.at(highest, study, slice_indices)
    return (slice_indices - lowest[study]) / np.maximum(highest - lowest, 1)[study]
