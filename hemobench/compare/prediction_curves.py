"""What a board's test answers look like beyond their scores: ROC, precision-recall, reliability, volumes. From runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import precision_recall_curve, roc_curve

from hemobench.compare.leaderboard import Board
from hemobench.labels import CLASSES
from hemobench.metrics.calibration import reliability_curve
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

POINTS = 101
BINS = 10
_ANY = CLASSES.index("any")
_FLOOR = 1e-6
FloatArray = NDArray[np.float64]
Runs = Mapping[str, Sequence[RunResult]]


@dataclass(frozen=True)
class Line:
    """A curve of one entry: x, the mean over seeds y, and the lowest and highest of them, all (P,)."""

    entry: str
    x: FloatArray
    y: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Reliability:
    """Mean probability of `any` against how often it held, in bins of equally many slices, all seeds together; as the
    network answers, and calibrated on each seed's validation patients (empty where nothing could be fitted)."""

    entry: str
    raw: tuple[FloatArray, FloatArray]
    calibrated: tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Volumes:
    """True and predicted mL (N,) of the test cases by an entry's first seed."""

    entry: str
    true_ml: FloatArray
    predicted_ml: FloatArray


def roc_lines(runs: Runs) -> tuple[Line, ...]:
    """Sensitivity over the false positive rate of `any` by slice; nothing for runs without `any`.

    Seeds are averaged at equal false positive rates (vertical averaging: Fawcett, Pattern Recognition Letters 2006).
    """
    grid = np.linspace(0, 1, POINTS)

    def one(truth: NDArray[np.bool_], given: FloatArray) -> FloatArray:
        rate, sensitivity, _ = roc_curve(truth, given)
        return np.asarray(np.interp(grid, rate, sensitivity))

    return _lines(runs, grid, one)


def precision_recall_lines(runs: Runs) -> tuple[Line, ...]:
    """Precision over recall of `any` by slice: at each recall that of the highest threshold which reaches it."""
    grid = np.linspace(0, 1, POINTS)[1:]

    def one(truth: NDArray[np.bool_], given: FloatArray) -> FloatArray:
        precision, recall, _ = precision_recall_curve(truth, given)
        # Of falling thresholds; the last point of scikit-learn's curve, recall 0, belongs to no threshold.
        rising_recall, its_precision = recall[:-1][::-1], precision[:-1][::-1]
        return np.asarray(its_precision[np.searchsorted(rising_recall, grid - 1e-9)])

    return _lines(runs, grid, one)


def prevalence(runs: Runs) -> float:
    """Share of the test slices with a haemorrhage; NaN for runs without `any`."""
    truth = [test.targets[:, _ANY] > 0 for group in runs.values() for test in _binary(group)]
    return float(np.concatenate(truth).mean()) if truth else float("nan")


def reliabilities(board: Board, runs: Runs) -> tuple[Reliability, ...]:
    """How far each entry's probabilities of `any` can be taken at their word, before and after calibration."""
    found = []
    for entry in board.entries:
        tests = _binary(runs.get(entry.name, ()))
        if not tests:
            continue
        truth = np.concatenate([test.targets[:, _ANY] > 0 for test in tests])
        given = [test.probabilities[:, _ANY].astype(np.float64) for test in tests]
        fitted = [fit for fit in entry.calibration if np.isfinite(fit).all()]
        nothing = (np.zeros(0), np.zeros(0))
        after = nothing
        if len(fitted) == len(tests):
            after = _bins(np.concatenate([_platt(p, *fit) for p, fit in zip(given, fitted, strict=True)]), truth)
        found.append(Reliability(entry.name, _bins(np.concatenate(given), truth), after))
    return tuple(found)


def volumes(runs: Runs) -> tuple[Volumes, ...]:
    """Each entry's volumes by its first seed; nothing for runs that measured none."""
    found = []
    for name, group in runs.items():
        # Every fold of the first seed, where there are folds.
        tests = [run.test.values for run in group if run.seed == group[0].seed and isinstance(run.test, CaseScores)]
        if not tests:
            continue
        predicted = next((key for key in tests[0] if key.startswith("volume_ml_pred_")), None)
        if predicted is not None:
            true = predicted.replace("_pred_", "_true_")
            joined = [np.concatenate([values[key] for values in tests]) for key in (true, predicted)]
            found.append(Volumes(name, *joined))
    return tuple(found)


def _lines(
    runs: Runs, grid: FloatArray, one: Callable[[NDArray[np.bool_], FloatArray], FloatArray]
) -> tuple[Line, ...]:
    lines = []
    for name, group in runs.items():
        # A seed's folds are one set of answers, as on the board.
        seeds = [_binary([run for run in group if run.seed == seed]) for seed in dict.fromkeys(r.seed for r in group)]
        answers = [
            (
                np.concatenate([test.targets[:, _ANY] > 0 for test in tests]),
                np.concatenate([test.probabilities[:, _ANY].astype(np.float64) for test in tests]),
            )
            for tests in seeds
            if tests
        ]
        curves = [one(truth, given) for truth, given in answers if 0 < truth.mean() < 1]
        if curves:
            every = np.stack(curves)
            lines.append(Line(name, grid, every.mean(axis=0), every.min(axis=0), every.max(axis=0)))
    return tuple(lines)


def _binary(group: Sequence[RunResult]) -> list[SlicePredictions]:
    return [run.test for run in group if isinstance(run.test, SlicePredictions) and not run.test.exclusive]


def _platt(probabilities: FloatArray, slope: float, offset: float) -> FloatArray:
    return np.asarray(expit(slope * logit(np.clip(probabilities, _FLOOR, 1 - _FLOOR)) + offset), dtype=np.float64)


def _bins(probabilities: FloatArray, truth: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    curve = reliability_curve(probabilities, truth, BINS, "equal-mass")
    return curve.mean_probability, curve.frequency
