"""How much a slice classifier's voice is worth beside a segmenter's, chosen on patients whom neither had seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from hemobench.errors import UserError
from hemobench.inference.config import JOINT_SLICE, JOINT_STUDY, Calibration, Thresholds
from hemobench.inference.joint import pooled
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.release.operating_points import (
    DecisionRule,
    Levels,
    fit_levels,
    fit_rule,
    of_studies,
    precise_threshold,
    selected,
    settled,
    smoothed_over_slices,
)
from hemobench.training.result import RESULT_FILE, RunResult, SlicePredictions

Value = TypeVar("Value")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_WORTH = 0.002
JOINT_WORDS = (
    "slices and studies are judged with the slice classifier {name}: the mean of both networks' calibrated logits, the "
    "classifier's counting {share:g}, which has the highest AUROC of any blood, by slice and study in the mean, out of "
    "fold; together they name a type from the probability on from which 70% of the types named in slices (or studies) "
    "are right, all types taken together"
)


@dataclasses.dataclass(frozen=True, eq=False)
class BothAnswers:
    """Both networks' answers to the same slices, in the same order, and the rule of each."""

    classifier: SlicePredictions
    segmenter: SlicePredictions
    steps_mm: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class JointRule:
    """share: what the classifier's logits count. calibration, thresholds: of the levels JOINT_SLICE and JOINT_STUDY."""

    share: float
    calibration: Calibration
    thresholds: Thresholds


def classifier_answers(run: Path, wanted: SlicePredictions) -> SlicePredictions:
    """The out-of-fold answers that a classifier's crossfit left in `run`, to the slices of `wanted` in its order.

    Raises: UserError where the folder holds none, or they are of other slices.
    """
    parts = [RunResult.load(folder).test for folder in sorted(run.glob("fold-*")) if (folder / RESULT_FILE).is_file()]
    tables = [part for part in parts if isinstance(part, SlicePredictions)]
    if not tables:
        raise UserError(
            f"{run} has no folds of a slice classifier; expected those of a recipe with folds; train it, "
            "or leave `beside` out of the recipe"
        )
    place = {
        key: (table, row)
        for table in tables
        for row, key in enumerate(zip(table.study_ids.tolist(), table.slice_indices.tolist(), strict=True))
    }
    keys = list(zip(wanted.study_ids.tolist(), wanted.slice_indices.tolist(), strict=True))
    missing = sum(key not in place for key in keys)
    if missing:
        raise UserError(
            f"{run} has no answer to {missing} of {len(keys)} slices; expected the same data; train it again on them"
        )
    probabilities = np.stack([place[key][0].probabilities[place[key][1]] for key in keys])
    return dataclasses.replace(wanted, probabilities=probabilities)


def fit_joint(answers: BothAnswers) -> JointRule:
    """The share of SHARES whose AUROC of any blood is best (of equal ones the nearest to half), and its rule."""
    voices = _voices(answers, answers)
    by_share = {share: voices.pooled(share) for share in SHARES}
    scores = {share: _score(levels) for share, levels in by_share.items()}
    best = max(scores.values())
    share = min((share for share, score in scores.items() if score >= best - _WORTH), key=lambda one: abs(one - 0.5))
    levels = by_share[share]
    calibration, thresholds = fit_levels(levels)
    for level, (logits, targets) in (("slice", levels.slices), ("study", levels.studies)):
        calibrated = expit(calibrated_logits(logits, calibration[level]))[:, : len(SUBTYPES)]
        least = round(precise_threshold(calibrated, targets[:, : len(SUBTYPES)]), 6)
        thresholds = {**thresholds, level: {**thresholds[level], **dict.fromkeys(SUBTYPES, least)}}
    return JointRule(share, _renamed(calibration), _renamed(thresholds))


def with_joint(rule: DecisionRule, joint: JointRule, name: str) -> DecisionRule:
    """A segmenter's rule and that of its judgement together with the classifier `name`."""
    words = JOINT_WORDS.format(name=name, share=joint.share)
    return dataclasses.replace(
        rule,
        calibration={**rule.calibration, **joint.calibration},
        thresholds={**rule.thresholds, **joint.thresholds},
        words=f"{rule.words}; {words}",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class JointAnswers:
    """What both networks say together, each fold's patients by the rule of the others.

    slices: calibrated. order: as their order alone matters, before the joint calibration. Of the studies, (S, 6) each:
    logits before it, calibrated probabilities, whether they are called, and targets; patient ids (S,).
    """

    slices: SlicePredictions
    order: SlicePredictions
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    called: NDArray[np.bool_]
    targets: NDArray[np.uint8]
    patient_ids: NDArray[np.str_]


def joint_by_others(answers: BothAnswers, folds: NDArray[np.int64]) -> JointAnswers:
    """Joint answers to all slices and studies. folds: (N,) of the slices."""
    shape = answers.segmenter.probabilities.shape
    together: NDArray[Any] = np.zeros(shape)
    order: NDArray[Any] = np.zeros(shape)
    _, targets, patients = of_studies(answers.segmenter)
    studies, logits = np.unique(answers.segmenter.study_ids), np.zeros(targets.shape)
    probabilities, called = np.zeros(targets.shape), np.zeros(targets.shape, dtype=np.bool_)
    for fold in np.unique(folds):
        own = folds == fold
        others, asked = _part(answers, ~own), _part(answers, own)
        rule = fit_joint(others)
        levels = _voices(others, asked).pooled(rule.share)
        order[own] = expit(levels.slices[0])
        together[own] = expit(calibrated_logits(levels.slices[0], rule.calibration[JOINT_SLICE]))
        rows = np.isin(studies, asked.segmenter.study_ids)
        logits[rows] = levels.studies[0]
        probabilities[rows] = expit(calibrated_logits(levels.studies[0], rule.calibration[JOINT_STUDY]))
        called[rows] = probabilities[rows] >= [rule.thresholds[JOINT_STUDY][name] for name in CLASSES]
    return JointAnswers(
        dataclasses.replace(answers.segmenter, probabilities=together),
        dataclasses.replace(answers.segmenter, probabilities=order),
        logits,
        probabilities,
        called,
        targets,
        patients,
    )


def calibrated_logits(logits: NDArray[np.float64], pairs: Mapping[str, tuple[float, float]]) -> NDArray[np.float64]:
    """Logits (N, 6) by the pairs of each class."""
    slopes, offsets = np.asarray([pairs[name] for name in CLASSES]).T
    return np.asarray(logits * slopes + offsets)


@dataclasses.dataclass(frozen=True, eq=False)
class _Voices:
    """Calibrated probabilities of the classifier and of the segmenter, (N, 6) of slices and (S, 6) of studies, and
    their targets."""

    slices: tuple[NDArray[np.floating], NDArray[np.floating]]
    studies: tuple[NDArray[np.floating], NDArray[np.floating]]
    slice_targets: NDArray[np.uint8]
    study_targets: NDArray[np.uint8]

    def pooled(self, share: float) -> Levels:
        return Levels(
            (pooled(*self.slices, share), self.slice_targets), (pooled(*self.studies, share), self.study_targets)
        )


def _voices(fitted: BothAnswers, asked: BothAnswers) -> _Voices:
    """The answers `asked`, each network's calibrated by its own rule on the answers `fitted`."""
    slices, studies = [], []
    for name in ("classifier", "segmenter"):
        rule = fit_rule(getattr(fitted, name), fitted.steps_mm)
        answers = getattr(asked, name)
        slices.append(settled(answers, asked.steps_mm, rule).probabilities)
        studies.append(_of_studies(answers, asked.steps_mm, rule))
    _, targets, _ = of_studies(asked.segmenter)
    return _Voices((slices[0], slices[1]), (studies[0], studies[1]), asked.segmenter.targets, targets)


def _of_studies(answers: SlicePredictions, steps_mm: NDArray[np.float64], rule: DecisionRule) -> NDArray[np.float64]:
    """Calibrated probabilities (S, 6) of the studies by a network's own rule."""
    logits, _, _ = of_studies(smoothed_over_slices(answers, steps_mm, rule.context_mm), rule.study_slices)
    pairs = np.asarray([rule.calibration["study"][name] for name in CLASSES])
    return np.asarray(expit(logits * pairs[:, 0] + pairs[:, 1]))


def _score(levels: Levels) -> float:
    known = [
        roc_auc_score(targets[:, -1], logits[:, -1])
        for logits, targets in (levels.slices, levels.studies)
        if 0 < targets[:, -1].sum() < len(targets)
    ]
    return float(np.mean(known)) if known else 0.0


def _part(answers: BothAnswers, chosen: NDArray[np.bool_]) -> BothAnswers:
    classifier, segmenter = (selected(one, chosen) for one in (answers.classifier, answers.segmenter))
    return BothAnswers(classifier, segmenter, answers.steps_mm[chosen])


def _renamed(by_level: Mapping[str, Value]) -> dict[str, Value]:
    return {{"slice": JOINT_SLICE, "study": JOINT_STUDY}[level]: value for level, value in by_level.items()}
