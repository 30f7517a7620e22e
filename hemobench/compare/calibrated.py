"""Calibration on boards: Platt's fit on a run's validation patients, its ECE and Brier score on the test patients.

A cross-validated board has a fit for each fold, on that fold's validation patients and for that fold's test answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from hemobench.labels import CLASSES
from hemobench.metrics.calibration import MIN_PLATT, fit_platt
from hemobench.metrics.classification import STUDY, study_maximum
from hemobench.stats import WeightedStatistic, case_mean, classification_statistic
from hemobench.training.result import SlicePredictions

CALIBRATED = tuple(f"{name}_any_calibrated{ending}" for ending in ("", STUDY) for name in ("ece", "brier"))
_ANY = CLASSES.index("any")
_FLOOR = 1e-6


@dataclass(frozen=True)
class Calibrated:
    """A calibrated metric of one seed: (slope, offset) of the logit of `any`, a pair a fold (one without folds), and
    the statistic on the test answers of all folds."""

    platt: tuple[tuple[float, float], ...]
    statistic: WeightedStatistic


def calibrated(metric: str, folds: Sequence[tuple[SlicePredictions, SlicePredictions]]) -> Calibrated:
    """The metric (of CALIBRATED) on test answers, calibrated by slopes and offsets that validation patients gave.

    folds: validation and test answers of each network; one pair where patients were divided once. Rows of the statistic
    are the folds' test rows one after the other. A `_study` metric is calibrated on the studies' maxima. Undefined
    (NaN) where a validation part holds fewer than five with or without haemorrhage: nothing is fitted there.
    """
    base = metric.replace("_calibrated", "")
    platt = tuple(_fitted(*_answers(validation, base.endswith(STUDY))) for validation, _ in folds)
    tests = [test for _, test in folds]
    if not np.isfinite(platt).all():
        return Calibrated(platt, case_mean(np.full(sum(len(test.patient_ids) for test in tests), np.nan)))
    answers = [test.probabilities.astype(np.float64) for test in tests]
    for probabilities, (slope, offset) in zip(answers, platt, strict=True):
        # A rising function: the maximum of a study is that of the same slice before and after.
        probabilities[:, _ANY] = expit(slope * _logits(probabilities[:, _ANY]) + offset)
    statistic = classification_statistic(
        base,
        np.concatenate(answers),
        np.concatenate([test.targets for test in tests]),
        np.concatenate([test.study_ids for test in tests]),
    )
    return Calibrated(platt, statistic)


def _fitted(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    if min(np.count_nonzero(truth), np.count_nonzero(~truth)) < MIN_PLATT:
        return math.nan, math.nan
    return fit_platt(logits, truth)


def _answers(predictions: SlicePredictions, by_study: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if not len(predictions.targets):
        return np.zeros(0), np.zeros(0, dtype=np.bool_)
    probabilities, targets = predictions.probabilities.astype(np.float64), predictions.targets > 0
    if by_study:
        probabilities, targets, _ = study_maximum(probabilities, targets, predictions.study_ids)
    return _logits(probabilities[:, _ANY]), targets[:, _ANY]


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities, _FLOOR, 1 - _FLOOR)), dtype=np.float64)
