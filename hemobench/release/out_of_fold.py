"""A segmenter's answers to patients whom it never saw, by the networks of a crossfit, and the rule that they give.

Each patient's scan goes through the pipeline that ships, with the network of the fold that did not learn from that
patient: what is measured is what a stranger will get. A rule is fitted on such answers; where it is measured too, it is
the rule of the other folds' patients.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from hemobench.case import Case, Loaded
from hemobench.components import TOUCHING, highest_by_piece
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import slice_truth
from hemobench.evaluation.overlap import overlap_metrics
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.lesions import DEFAULT_RULES, lesions_of, occupied_box
from hemobench.inference.networks import BloodField, blood_field, outlined, summary_of
from hemobench.inference.torch_engine import TorchEngine
from hemobench.release.operating_points import OUT_OF_FOLD_WORDS, DecisionRule, fit_rule, selected, settled
from hemobench.training.crossfit import CrossFitted
from hemobench.training.experiment import load_model
from hemobench.training.hardware import plan_compute
from hemobench.training.result import CaseScores, SlicePredictions
from hemobench.views.head_box import assumed_scale
from hemobench.views.scan_grid import to_source
from hemobench.volume import LABEL_MAP, Volume

VOXELS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
LESIONS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
CLEAN_SHARE = 0.8
OUTLINE_RULE = (
    "a voxel is outlined from one probability on, in a lesion whose likeliest voxel reaches a second one: the two that "
    f"give bleeding patients the largest mean Dice and leave at least {100 * CLEAN_SHARE:.0f}% of the patients without "
    "blood without any outline, by networks that had not seen the patient (out of fold)"
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Outlines:
    """What one case would have outlined at each of VOXELS: highest probability, mL, voxels and true voxels of each
    piece (P,), and how many voxels truly bleed."""

    pieces: tuple[tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer], NDArray[np.integer]], ...]
    true_voxels: int

    def dice(self, voxel: int, least: float) -> float:
        """Dice at a threshold (its place in VOXELS) and a lesion's; NaN where nothing bleeds and nothing is kept."""
        highest, millilitres, voxels, hits = self.pieces[voxel]
        kept = (highest >= least) & (millilitres >= DEFAULT_RULES.min_ml)
        both = int(voxels[kept].sum()) + self.true_voxels
        return 2 * float(hits[kept].sum()) / both if both else float("nan")


@dataclass(frozen=True, eq=False)
class Unseen:
    """One case as its fold's network answers it. field: on the network's grid, half precision."""

    case: Case
    field: BloodField
    outlines: Outlines
    targets: NDArray[np.uint8]
    logits: NDArray[np.float64]
    step_mm: float


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers to all cases, in the order of the data set, and the fold (N,) of each."""

    answers: tuple[Unseen, ...]
    folds: NDArray[np.int64]

    @property
    def slices(self) -> SlicePredictions:
        """What the likeliest spots say of each slice, not yet smoothed over neighbours, nothing calibrated."""
        counts = [len(one.logits) for one in self.answers]
        return SlicePredictions(
            expit(np.concatenate([one.logits for one in self.answers])),
            np.concatenate([one.targets for one in self.answers]),
            np.repeat(np.asarray([one.case.patient_id for one in self.answers], dtype=np.str_), counts),
            np.repeat(np.asarray([one.case.study_id for one in self.answers], dtype=np.str_), counts),
            np.concatenate([np.arange(count) for count in counts]),
        )

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """(S,) from each slice to the next."""
        return np.repeat([one.step_mm for one in self.answers], [len(one.logits) for one in self.answers])

    @property
    def fold_of_slice(self) -> NDArray[np.int64]:
        return np.repeat(self.folds, [len(one.logits) for one in self.answers])


def answer_out_of_fold(
    crossfitted: CrossFitted, config: CheckpointConfig, cases: Sequence[Case], progress: Progress | None = None
) -> OutOfFold:
    """Ask each fold's network about the cases that it never saw. config: of the checkpoint in the making, whose rule is
    not used. Raises: UserError where a case lacks masks or labels, or no fold has it."""
    found: dict[str, tuple[Unseen, int]] = {}
    for number, (split, run) in enumerate(crossfitted.folds):
        assert run.directory is not None
        model, _ = load_model(run.directory)
        device = torch.device("cpu")
        engine = TorchEngine(model, config.context, plan_compute(run.config.precision, device).precision, device)
        for case in cases:
            if case.patient_id in split.test:
                found[case.study_id] = (_asked(case, config, engine), number)
                if progress is not None:
                    progress(len(found), len(cases))
    if len(found) < len(cases):
        raise UserError(f"{len(cases) - len(found)} cases are in no fold; expected each in one; train the recipe again")
    answers = [found[case.study_id] for case in cases]
    return OutOfFold(tuple(one for one, _ in answers), np.asarray([fold for _, fold in answers]))


def fit_outlines(found: OutOfFold, among: NDArray[np.bool_]) -> dict[str, float]:
    """The thresholds "voxel" and "lesion" that OUTLINE_RULE gives on the cases (N,) of `among`."""
    cases = [one.outlines for one, chosen in zip(found.answers, among, strict=True) if chosen]
    bleeding = [case for case in cases if case.true_voxels]
    healthy = [case for case in cases if not case.true_voxels]
    if not bleeding:
        raise UserError("no case with blood to choose thresholds by; expected some; take other data")
    best, chosen = -1.0, (VOXELS[0], LESIONS[0])
    for place, voxel in enumerate(VOXELS):
        for least in LESIONS:
            clean = [np.isnan(case.dice(place, least)) for case in healthy]
            if healthy and float(np.mean(clean)) < CLEAN_SHARE:
                continue
            mean = float(np.mean([case.dice(place, least) for case in bleeding]))
            if mean > best:
                best, chosen = mean, (voxel, least)
    # Where none of them leaves enough heads clean, the strictest is the best that there is.
    voxel, least = chosen if best >= 0 else (VOXELS[-1], LESIONS[-1])
    return {"voxel": voxel, "lesion": least}


def fit_all(found: OutOfFold, among: NDArray[np.bool_]) -> DecisionRule:
    """Calibration and thresholds of slices, studies and outlines on the cases (N,) of `among`."""
    outlines = fit_outlines(found, among)
    rows = among[np.repeat(np.arange(len(among)), [len(one.logits) for one in found.answers])]
    rule = fit_rule(selected(found.slices, rows), found.steps_mm[rows], OUT_OF_FOLD_WORDS)
    thresholds = {**rule.thresholds, **{level: {"any": value} for level, value in outlines.items()}}
    return dataclasses.replace(rule, thresholds=thresholds, words=f"{rule.words}; {OUTLINE_RULE}")


def settled_by_others(found: OutOfFold) -> SlicePredictions:
    """Answers to slices, each fold's settled by the rule of the other folds' patients."""
    answers, steps_mm = found.slices, found.steps_mm
    probabilities = np.array(answers.probabilities)
    for fold in np.unique(found.folds):
        own = found.fold_of_slice == fold
        rule = fit_all(found, found.folds != fold)
        probabilities[own] = settled(selected(answers, own), steps_mm[own], rule).probabilities
    return dataclasses.replace(answers, probabilities=probabilities)


def outlined_by_others(
    found: OutOfFold, config: CheckpointConfig
) -> Iterator[tuple[Unseen, Loaded, NDArray[np.uint8]]]:
    """Each case with its data and its label map (D, H, W), by thresholds that the other folds' patients chose."""
    rules = {fold: fit_outlines(found, found.folds != fold) for fold in np.unique(found.folds)}
    for one, fold in zip(found.answers, found.folds, strict=True):
        loaded = one.case.load()
        volume = _scaled(one.case, loaded)
        ruled = dataclasses.replace(config, thresholds={k: {"any": v} for k, v in rules[fold].items()})
        blood = outlined(_single(one.field), volume, ruled)
        search = lesions_of(
            volume.with_voxels(blood.labels, LABEL_MAP), blood.probability, spacing_known=one.case.spacing_known
        )
        yield one, loaded, np.asarray(search.label_map.voxels, dtype=np.uint8)


def overlap_by_others(found: OutOfFold, config: CheckpointConfig) -> CaseScores:
    """Segmentation metrics of each case on the scan's own voxels. Where millimetres are nominal, volumes are those of a
    head of average length (`datasets.views.assumed_scale`)."""
    tables: list[Mapping[str, float]] = []
    for one, loaded, labels in outlined_by_others(found, config):
        table = overlap_metrics(loaded, labels, "any", spacing_known=one.case.spacing_known)
        truth = loaded.foreground
        assert table is not None
        assert truth is not None
        per_voxel_ml = _scaled(one.case, loaded).voxel_volume_ml
        volumes = {
            "volume_ml_true_any": truth.sum() * per_voxel_ml,
            "volume_ml_pred_any": (labels > 0).sum() * per_voxel_ml,
        }
        tables.append({**table, **volumes})
    names = list(dict.fromkeys(name for table in tables for name in table))
    values = {name: np.asarray([table.get(name, np.nan) for table in tables], dtype=np.float64) for name in names}
    cases = [one.case for one in found.answers]
    return CaseScores(
        values,
        np.asarray([case.patient_id for case in cases], dtype=np.str_),
        np.asarray([case.study_id for case in cases], dtype=np.str_),
    )


def _asked(case: Case, config: CheckpointConfig, engine: TorchEngine) -> Unseen:
    loaded = case.load()
    truth, labels = loaded.foreground, slice_truth(loaded)
    if truth is None or labels is None:
        raise UserError(f"{case.study_id} has no mask or no labels; expected both; leave folds out of the recipe")
    volume = _scaled(case, loaded)
    field = blood_field(volume, config, engine, lambda name: nullcontext())
    # Calibrated for slices by (1, 0), so that the likeliest spots speak; nothing is smoothed over their neighbours yet.
    bare = dataclasses.replace(config, calibration={"slice": {}}, thresholds={}, context_mm=0.0, study_slices=1)
    logits = summary_of(field, volume, bare).logits
    half = BloodField(field.blood.astype(np.float16), field.types.astype(np.float16), field.grid)  # type: ignore[arg-type]
    return Unseen(case, half, _outlines(field, volume, truth), labels[0], logits, volume.spacing_mm[0])


def _outlines(field: BloodField, volume: Volume, truth: NDArray[np.bool_]) -> Outlines:
    probability = to_source(expit(field.blood)[None], field.grid, volume)[0]
    true_voxels = int(truth.sum())
    box = occupied_box(probability >= VOXELS[0]) or (slice(0, 0),) * 3
    probability, truth = probability[box], truth[box]
    pieces = []
    for threshold in VOXELS:
        labels, count = ndimage.label(probability >= threshold, structure=TOUCHING)
        voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        hits = np.bincount(labels[truth], minlength=count + 1)[1:]
        pieces.append((highest_by_piece(labels, count, probability), voxels * volume.voxel_volume_ml, voxels, hits))
    return Outlines(tuple(pieces), true_voxels)


def _scaled(case: Case, loaded: Loaded) -> Volume:
    return loaded.image if case.spacing_known else assumed_scale(loaded.image)


def _single(field: BloodField) -> BloodField:
    return BloodField(field.blood.astype(np.float32), field.types.astype(np.float32), field.grid)
