"""Calibration on boards: Platt's fit on a run's validation patients, its ECE and Brier score on the test patients."""

from __future__ import annotations

import math
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
    """A calibrated metric of one run: (slope, offset) of the logit of `any`, and the statistic on test answers."""

    platt: tuple[float, float]
    statistic: WeightedStatistic


def calibrated(metric: str, validation: SlicePredictions, test: SlicePredictions) -> Calibrated:
    """The metric (of CALIBRATED) on test answers, calibrated by slopes and offsets that validation patients gave.

    A `_study` metric is calibrated on the studies' maxima. Undefined (NaN) where validation holds fewer than five with
    or without haemorrhage: nothing is fitted then.
    """
    base = metric.replace("_calibrated", "")
    logits, truth = _answers(validation, base.endswith(STUDY))
    if min(np.count_nonzero(truth), np.count_nonzero(~truth)) < MIN_PLATT:
        return Calibrated((math.nan, math.nan), case_mean(np.full(len(test.patient_ids), np.nan)))
    slope, offset = fit_platt(logits, truth)
    probabilities = test.probabilities.astype(np.float64)
    # A rising function: the maximum of a study is that of the same slice before and after.
    probabilities[:, _ANY] = expit(slope * _logits(probabilities[:, _ANY]) + offset)
    statistic = classification_statistic(base, probabilities, test.targets, test.study_ids)
    return Calibrated((slope, offset), statistic)


def _answers(predictions: SlicePredictions, by_study: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if not len(predictions.targets):
        return np.zeros(0), np.zeros(0, dtype=np.bool_)
    probabilities, targets = predictions.probabilities.astype(np.float64), predictions.targets > 0
    if by_study:
        probabilities, targets, _ = study_maximum(probabilities, targets, predictions.study_ids)
    return _logits(probabilities[:, _ANY]), targets[:, _ANY]


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities, _FLOOR, 1 - _FLOOR)), dtype=np.float64)
