"""From which probability a voxel is called, blood or ventricle, chosen on validation patients; masks so called."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split
from hemobench.inference.torch_engine import TorchEngine
from hemobench.models import context_of
from hemobench.release.thresholds_on_scans import pooled_dice_on_scans
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.evaluate import (
    Stopwatch,
    case_scores,
    mean_dice_by_confidence,
    pooled_dice_by_threshold,
    slice_predictions,
)
from hemobench.training.hardware import plan_compute, to_layout
from hemobench.training.problem import Problem, pose_problem
from hemobench.training.result import CaseScores, SlicePredictions
from hemobench.views.view import SegmentationView

VOXEL_RULE = (
    "a voxel is called from the probability on that gives the largest Dice over all voxels of the validation patients "
    "together, those without a lesion included"
)
LESION_RULE = (
    "a lesion is kept where its likeliest voxel reaches the probability that gives the largest mean Dice over the "
    "validation patients, a patient without blood in whom anything is called counting as 0"
)
_CONFIDENCES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


@dataclasses.dataclass(frozen=True)
class Called:
    """Probabilities from which a voxel is called, in a piece whose likeliest voxel reaches `least`."""

    voxel: float = 0.5
    least: float = 0.0


def answers_to(
    model: torch.nn.Module, config: TrainConfig, examples: Examples, rows: NDArray[np.int64], called: Called
) -> SlicePredictions | CaseScores:
    """The network's answers on rows of any examples, in the precision it was trained in; masks as they are called."""
    problem, source, precision = _asked(model, config, examples)
    with precision:
        if config.task == "classification":
            return slice_predictions(model, problem, examples, source, rows, 32, Stopwatch())
        return case_scores(model, problem, examples, source, rows, Stopwatch(), called.voxel, called.least)[0]


def masks_of(
    model: torch.nn.Module, config: TrainConfig, called: Called, examples: Examples, rows: NDArray[np.int64]
) -> dict[int, NDArray[np.uint8]]:
    """The masks of rows of any examples as they are called, by row."""
    problem, source, precision = _asked(model, config, examples)
    with precision:
        return case_scores(model, problem, examples, source, rows, Stopwatch(), called.voxel, called.least)[1]


def fit_called(
    model: torch.nn.Module, config: TrainConfig, examples: Examples, datasets: Sequence[Dataset], split: Split
) -> tuple[Called, str]:
    """How masks are called, and the rule in words: of blood VOXEL_RULE and LESION_RULE; a brain has ventricles, surely
    one piece, and on the scans that they are measured on."""
    rows = examples.rows_of(split.validation)
    problem, source, precision = _asked(model, config, examples)
    if not problem.typed and datasets:
        cases = [case for case in datasets[0].cases if case.patient_id in split.validation]
        assert isinstance(config.view, SegmentationView)
        context, device = context_of(config.model, config.model_options), torch.device("cpu")
        engine = TorchEngine(model, context, plan_compute(config.precision, device).precision, device)
        thresholds, dice = pooled_dice_on_scans(engine, config.view, cases)
        return Called(float(thresholds[dice.argmax()])), f"{VOXEL_RULE}, at the scans' own voxels"
    with precision:
        thresholds, dice = pooled_dice_by_threshold(model, problem, source, rows)
        threshold = float(thresholds[dice.argmax()])
        candidates = [0.0, *(least for least in _CONFIDENCES if least > threshold)]
        if len(candidates) == 1:
            return Called(threshold), VOXEL_RULE
        by_case = mean_dice_by_confidence(model, problem, source, rows, threshold, candidates)
    least = candidates[int(by_case.argmax())]
    return Called(threshold, least), f"{VOXEL_RULE}; {LESION_RULE}" if least else VOXEL_RULE


def _asked(
    model: torch.nn.Module, config: TrainConfig, examples: Examples
) -> tuple[Problem, BatchSource, torch.autocast]:
    device = torch.device("cpu")
    plan = plan_compute(config.precision, device)
    to_layout(model, plan.channels_last)
    problem = pose_problem(config, examples)
    source = BatchSource(examples, problem.targets, device, channels_last=plan.channels_last, types=problem.types)
    return problem, source, torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bf16")
