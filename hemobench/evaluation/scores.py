"""From answers to scores with intervals: by slice, by study, by patient, by type, beside the slice's position alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hemobench.case import Case
from hemobench.evaluation.case_predictions import Answer
from hemobench.evaluation.slice_position import height_probabilities, relative_height
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.context import study_logits
from hemobench.inference.networks import threshold_of
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.stats import (
    WeightedStatistic,
    bootstrap_scores,
    case_mean,
    classification_statistic,
    percentile_interval,
)

Scores = dict[str, dict[str, Any]]
UPPER = "_upper75"
LOWEST_LEFT_OUT = 0.25
STUDY, PATIENT = "_study", "_patient"
_ANY = ("auroc_any", "ap_any", "sens_at_spec90_any", "brier_any", "ece_any")
_CALIBRATION = ("brier", "ece", "logloss")
_OF_ALL = ("auroc_macro", "logloss_rsna", "accuracy_exact")
_TYPES = ("auroc_macro", *(f"auroc_{name}" for name in SUBTYPES), "logloss_rsna")


@dataclass(frozen=True, eq=False)
class SliceTable:
    """Answers of slices, one a row. logits: (N, 6) float64; targets: (N, 6) uint8; the others (N,).

    typed, by_slice: see SliceAnswer. slice_indices: from the lowest slice of the study up.
    """

    logits: NDArray[np.float64]
    targets: NDArray[np.uint8]
    patient_ids: NDArray[np.str_]
    study_ids: NDArray[np.str_]
    slice_indices: NDArray[np.int64]
    typed: NDArray[np.bool_]
    by_slice: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[Case], answers: Sequence[Answer]) -> SliceTable | None:
        """The slices of all answers that have some; None where none has."""
        kept = [(cases[one.number], one.slices) for one in answers if one.slices is not None]
        if not kept:
            return None
        counts = [len(slices.logits) for _, slices in kept]

        def repeated(values: Sequence[Any]) -> NDArray[Any]:
            return np.repeat(np.asarray(values), counts)

        return cls(
            logits=np.concatenate([np.asarray(slices.logits, dtype=np.float64) for _, slices in kept]),
            targets=np.concatenate([np.asarray(slices.targets, dtype=np.uint8) for _, slices in kept]),
            patient_ids=repeated([case.patient_id for case, _ in kept]),
            study_ids=repeated([case.study_id for case, _ in kept]),
            slice_indices=np.concatenate([np.arange(count) for count in counts]),
            typed=repeated([slices.typed for _, slices in kept]),
            by_slice=repeated([slices.by_slice for _, slices in kept]),
        )

    @property
    def heights(self) -> NDArray[np.float64] | None:
        """Where each slice lies in its study, 0 lowest to 1 highest (N,); None where studies are single slices."""
        if len(np.unique(self.study_ids)) == len(self.study_ids):
            return None
        return relative_height(self.study_ids, self.slice_indices)


@dataclass(frozen=True, eq=False)
class StudyTable:
    """Answers of studies as a whole, one a row: as SliceTable, without slices."""

    logits: NDArray[np.float64]
    targets: NDArray[np.uint8]
    patient_ids: NDArray[np.str_]
    study_ids: NDArray[np.str_]
    typed: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[Case], answers: Sequence[Answer]) -> StudyTable | None:
        """Of all answers that speak of their study apart from its slices; None where none does."""
        kept = [(cases[one.number], one.study) for one in answers if one.study is not None]
        if not kept:
            return None
        return cls(
            logits=np.asarray([study.logits for _, study in kept], dtype=np.float64),
            targets=np.asarray([study.targets for _, study in kept], dtype=np.uint8),
            patient_ids=np.asarray([case.patient_id for case, _ in kept]),
            study_ids=np.asarray([case.study_id for case, _ in kept]),
            typed=np.asarray([study.typed for _, study in kept]),
        )


@dataclass(frozen=True)
class Rule:
    """A checkpoint's calibration and thresholds at the levels "slice" and "study", of each class; and how many of a
    study's highest slices speak for it.

    classes: by level those that are answered at all; the others have no scores. probabilities_given: False where the
    numbers only rank and call, so that nothing is said of how well they are calibrated.
    """

    calibration: Mapping[str, tuple[tuple[float, float], ...]]
    thresholds: Mapping[str, tuple[float, ...]]
    study_slices: int = 1
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"slice": CLASSES, "study": CLASSES})
    probabilities_given: bool = True

    @classmethod
    def plain(
        cls,
        thresholds: Mapping[str, tuple[float, ...]],
        classes: Mapping[str, tuple[str, ...]],
        probabilities_given: bool,
    ) -> Rule:
        """That of numbers which are taken as they are."""
        calibration = {level: ((1.0, 0.0),) * len(CLASSES) for level in thresholds}
        return cls(calibration, thresholds, classes=classes, probabilities_given=probabilities_given)

    @classmethod
    def of(cls, config: CheckpointConfig) -> Rule:
        """A checkpoint's own; of a segmenter without any, whose voxels stand for slices, its threshold for blood."""
        if config.task == "classification" or "slice" in config.calibration:
            levels = {
                level: tuple(threshold_of(config, level, name) for name in CLASSES) for level in ("slice", "study")
            }
            calibration = {level: tuple(config.calibrated(level, name) for name in CLASSES) for level in levels}
            return cls(calibration, levels, config.study_slices)
        threshold = threshold_of(config, "voxel", "any")
        return cls(
            {level: ((1.0, 0.0),) * len(CLASSES) for level in ("slice", "study")},
            {level: (threshold,) * len(CLASSES) for level in ("slice", "study")},
        )

    def probabilities(self, level: str, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, 6) of logits (N, 6)."""
        pairs = np.asarray(self.calibration[level])
        return np.asarray(expit(logits * pairs[:, 0] + pairs[:, 1]))


def slice_scores(table: SliceTable, rule: Rule, *, grouped: bool = True) -> tuple[Scores, Scores]:
    """Scores of slices and of groups of slices, and those of the slice's position alone; intervals by `patient_ids`.

    grouped: False where the groups have answers of their own (`study_scores`).

    Names: those of `metrics.METRICS`; `sensitivity_at_call_<class>` and `specificity_at_call_<class>` at the rule's
    thresholds; `_upper75` for the upper three quarters of each stack; `_study` by study, or `_patient` by patient
    where the studies are single pictures. What labels cannot tell is left out: types where they are not known, slices
    where labels are of studies, positions of single pictures.
    """
    scores: Scores = {}
    position: Scores = {}
    rows = table.by_slice
    if rows.any():
        probabilities = rule.probabilities("slice", table.logits)
        scores |= _level(
            probabilities[rows], table.targets[rows], table.typed[rows], table.patient_ids[rows], rule, "slice"
        )
        heights = table.heights
        if heights is not None:
            upper = rows & (heights >= LOWEST_LEFT_OUT)
            names = ["auroc_any", *(["auroc_macro"] if table.typed[upper].all() else [])]
            names = [name for name in names if is_answered(name, rule, "slice")]
            scores |= _renamed(_basic(names, probabilities, table, upper), UPPER)
            position = _position_scores(table, heights, rows, upper)
    together = _grouped(table, rule.study_slices) if grouped else None
    if together is not None:
        ending, logits, targets, typed, patients = together
        probabilities = rule.probabilities("study", logits)
        scores |= _renamed(_level(probabilities, targets, typed, patients, rule, "study"), ending)
    return scores, position


def study_scores(table: StudyTable, rule: Rule) -> Scores:
    """Scores of studies that were answered as a whole, their names ending in `_study`."""
    probabilities = rule.probabilities("study", table.logits)
    return _renamed(_level(probabilities, table.targets, table.typed, table.patient_ids, rule, "study"), STUDY)


def case_scores(values: Mapping[str, NDArray[np.float64]], patient_ids: NDArray[np.str_]) -> Scores:
    """Means over cases of segmentation metrics (N,), NaN left out and counted, with intervals by patient."""
    return scored({name: case_mean(column) for name, column in values.items()}, patient_ids)


def _level(
    probabilities: NDArray[np.float64],
    targets: NDArray[np.uint8],
    typed: NDArray[np.bool_],
    patient_ids: NDArray[np.str_],
    rule: Rule,
    level: str,
) -> Scores:
    """Every score of one level: rows are slices, studies or patients."""
    thresholds = rule.thresholds[level]
    kept = [name for name in _ANY if is_answered(name, rule, level)]
    scores = scored(
        {name: classification_statistic(name, probabilities, targets) for name in kept}
        | call_statistics(probabilities, targets, thresholds, ("any",)),
        patient_ids,
    )
    types = [name for name in SUBTYPES if name in rule.classes[level]]
    if typed.any() and types:
        part, truth = probabilities[typed], targets[typed]
        scores |= scored(
            {name: classification_statistic(name, part, truth) for name in _TYPES if is_answered(name, rule, level)}
            | call_statistics(part, truth, thresholds, types),
            patient_ids[typed],
        )
    return scores


def is_answered(name: str, rule: Rule, level: str) -> bool:
    """Whether a rule's numbers can be scored by a metric: of all types, of one, or of how well they are calibrated."""
    if name.startswith(_CALIBRATION) and not rule.probabilities_given:
        return False
    needed = CLASSES if name in _OF_ALL else ("any",) if name == "accuracy" else (name.rpartition("_")[2],)
    return all(one in rule.classes[level] for one in needed)


def call_statistics(
    probabilities: NDArray[np.float64], targets: NDArray[np.uint8], thresholds: Sequence[float], names: Sequence[str]
) -> dict[str, WeightedStatistic]:
    """Sensitivity and specificity of each class at its threshold."""
    found = {}
    for name in names:
        column = CLASSES.index(name)
        called, present = probabilities[:, column] >= thresholds[column], targets[:, column] > 0
        found[f"sensitivity_at_call_{name}"] = _rate(called & present, present)
        found[f"specificity_at_call_{name}"] = _rate(~called & ~present, ~present)
    return found


def _rate(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> WeightedStatistic:
    return WeightedStatistic(partial(_share, right.astype(np.float64), among.astype(np.float64)), len(right))


def _share(right: NDArray[np.float64], among: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights @ among
    return np.divide(weights @ right, total, out=np.full(total.shape, np.nan), where=total > 0)


def _basic(
    names: Sequence[str], probabilities: NDArray[np.float64], table: SliceTable, rows: NDArray[np.bool_]
) -> Scores:
    if not rows.any():
        return {}
    statistics = {name: classification_statistic(name, probabilities[rows], table.targets[rows]) for name in names}
    return scored(statistics, table.patient_ids[rows])


def _position_scores(
    table: SliceTable, heights: NDArray[np.float64], rows: NDArray[np.bool_], upper: NDArray[np.bool_]
) -> Scores:
    """What a slice's height alone scores, learnt from these very slices: as good as position can be, if not better.

    Learning it from other patients of the same data would pool answers of several fits, whose offsets lower AUROC: a
    baseline should not be easy to beat.
    """
    if len(np.unique(table.patient_ids)) < 2:
        return {}
    blind = height_probabilities(heights[rows], table.targets[rows], heights).astype(np.float64)
    return _basic(("auroc_any",), blind, table, rows) | _renamed(_basic(("auroc_any",), blind, table, upper), UPPER)


_Grouped = tuple[str, NDArray[np.float64], NDArray[np.uint8], NDArray[np.bool_], NDArray[np.str_]]


def _grouped(table: SliceTable, study_slices: int) -> _Grouped | None:
    """Logit (see `study_logits`; of a patient's single pictures the largest) and largest target of each study or
    patient, with the ending of its scores' names; None for singles."""
    for ending, ids, slices in ((STUDY, table.study_ids, study_slices), (PATIENT, table.patient_ids, 1)):
        _, group = np.unique(ids, return_inverse=True)
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
        if len(starts) < len(ids):
            return (
                ending,
                np.stack([study_logits(own, slices) for own in np.split(table.logits[order], starts[1:])]),
                np.maximum.reduceat(table.targets[order], starts),
                np.logical_and.reduceat(table.typed[order], starts),
                table.patient_ids[order][starts],
            )
    return None


def scored(statistics: Mapping[str, WeightedStatistic], patient_ids: NDArray[np.str_]) -> Scores:
    """Each statistic's value with its 95% interval over draws of patients, as a leaderboard's entry has it."""
    resampled = bootstrap_scores(list(statistics.values()), patient_ids)
    everything = np.ones((1, len(patient_ids)))
    alone = len(np.unique(patient_ids)) < 2  # of whom every draw is the same
    scores: Scores = {}
    for (name, statistic), draws in zip(statistics.items(), resampled, strict=True):
        low, high, _ = percentile_interval(np.full(1, np.nan) if alone else draws)
        mean = float(statistic.evaluate(everything)[0])
        scores[name] = {
            "mean": mean,
            "ci": [low, high],
            "sd_seeds": None,
            "n": len(patient_ids),
            "undefined": statistic.undefined,
        }
    return scores


def _renamed(scores: Scores, ending: str) -> Scores:
    return {f"{name}{ending}": score for name, score in scores.items()}
