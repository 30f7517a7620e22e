"""The answers of several folds as those of one test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemobench.errors import UserError
from hemobench.training.result import CaseScores, Predictions, SlicePredictions


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Answers of several folds as one: the first's rows, then the second's, which is the same order for all entries.

    Raises: UserError where a patient was tested in two folds, which would count that patient twice.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    people = np.concatenate([np.unique(part.patient_ids) for part in parts])
    if len(np.unique(people)) < len(people):
        raise UserError(
            "a patient was tested in two folds; expected each in one; train the board again in an empty --output folder"
        )
    patient_ids = np.concatenate([part.patient_ids for part in parts])
    study_ids = np.concatenate([part.study_ids for part in parts])
    if isinstance(first, CaseScores):
        scores = [part.values for part in parts if isinstance(part, CaseScores)]
        values = {name: np.concatenate([part[name] for part in scores]) for name in first.values}
        return CaseScores(values, patient_ids, study_ids)
    slices = [part for part in parts if isinstance(part, SlicePredictions)]
    return SlicePredictions(
        np.concatenate([part.probabilities for part in slices]),
        np.concatenate([part.targets for part in slices]),
        patient_ids,
        study_ids,
        np.concatenate([part.slice_indices for part in slices]),
        first.exclusive,
    )
