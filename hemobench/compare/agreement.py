"""Volumes on boards: how far predicted millilitres, and the bedside formula ABC/2, are from the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemobench.compare.leaderboard import Agreement
from hemobench.metrics.volumetry import bland_altman
from hemobench.training.result import CaseScores, SlicePredictions

_TRUE, _PREDICTED, _ABC2 = "volume_ml_true_", "volume_ml_pred_", "abc2_ml_true_"


def volume_agreement(tests: Sequence[CaseScores | SlicePredictions]) -> Agreement | None:
    """Bland-Altman numbers of predicted against true volumes, all seeds' cases together; None without volumes."""
    scores = [test for test in tests if isinstance(test, CaseScores)]
    if not scores:
        return None
    suffix = _suffix(scores[0], _PREDICTED)
    if suffix is None:
        return None
    predicted = np.concatenate([test.values[_PREDICTED + suffix] for test in scores])
    true = np.concatenate([test.values[_TRUE + suffix] for test in scores])
    return _agreement(predicted, true, len(scores[0].patient_ids))


def abc2_agreement(test: CaseScores | SlicePredictions) -> Agreement | None:
    """The same of ABC/2 of the true lesions: the error of a reader who outlines perfectly; None without it."""
    suffix = _suffix(test, _ABC2) if isinstance(test, CaseScores) else None
    if suffix is None or suffix == "ventricles" or not isinstance(test, CaseScores):
        return None
    true = test.values[_TRUE + suffix]
    bleeding = true > 0
    return _agreement(test.values[_ABC2 + suffix][bleeding], true[bleeding], int(np.count_nonzero(bleeding)))


def _agreement(measured: np.ndarray, reference: np.ndarray, cases: int) -> Agreement:
    found = bland_altman(measured, reference)
    return Agreement(found.bias, found.sd, found.low, found.high, cases)


def _suffix(scores: CaseScores, beginning: str) -> str | None:
    return next((name.removeprefix(beginning) for name in scores.values if name.startswith(beginning)), None)
