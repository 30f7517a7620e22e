"""A trained network's answers and scores: cheap ones for every epoch, all metrics at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hemobench.components import confident_pieces
from hemobench.datasets.cache import Examples
from hemobench.labels import UNTYPED
from hemobench.metrics import classification_metrics, exclusive_accuracy, segmentation_metrics
from hemobench.metrics.segmentation import voxel_counts
from hemobench.training.batches import BatchSource
from hemobench.training.config import EPOCH_MONITOR, LOSS_MONITOR
from hemobench.training.problem import Problem
from hemobench.training.result import CaseScores, SlicePredictions
from hemobench.views.view import SegmentationView

THRESHOLD = 0.5


@dataclass
class Stopwatch:
    """Seconds spent in the network, host-to-device copies included."""

    seconds: float = 0.0


@torch.no_grad()
def answers(
    model: nn.Module, problem: Problem, source: BatchSource, rows: NDArray[np.int64], batch_size: int, watch: Stopwatch
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """(rows, logits, targets) batch by batch, on the device, the model in evaluation mode."""
    model.eval()
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        begin = time.perf_counter()
        images, targets = source.whole(part)
        logits = model(images).float()
        if logits.is_cuda:
            torch.cuda.synchronize()
        watch.seconds += time.perf_counter() - begin
        yield part, logits, targets


def slice_predictions(
    model: nn.Module,
    problem: Problem,
    examples: Examples,
    source: BatchSource,
    rows: NDArray[np.int64],
    batch_size: int,
    watch: Stopwatch,
) -> SlicePredictions:
    """A classifier's probabilities on these rows beside their targets."""
    parts = [
        problem.probabilities(logits).cpu().numpy()
        for _, logits, _ in answers(model, problem, source, rows, batch_size, watch)
    ]
    return _slice_table(problem, examples, rows, parts)


def _slice_table(
    problem: Problem, examples: Examples, rows: NDArray[np.int64], parts: list[NDArray[np.float32]]
) -> SlicePredictions:
    probabilities = np.concatenate(parts) if parts else np.zeros((0, problem.num_outputs), dtype=np.float32)
    return SlicePredictions(
        probabilities,
        np.asarray(problem.targets[rows]),
        examples.patient_ids[rows],
        examples.study_ids[rows],
        examples.slice_indices[rows],
        exclusive=problem.exclusive,
    )


def slice_metrics(predictions: SlicePredictions) -> dict[str, float]:
    """Metrics of a classifier, over slices and over studies; {} without slices."""
    if len(predictions.targets) == 0:
        return {}
    if predictions.exclusive:
        return {"accuracy_exclusive": exclusive_accuracy(predictions.probabilities, predictions.targets.argmax(axis=1))}
    return classification_metrics(predictions.probabilities, predictions.targets, predictions.study_ids)


def case_scores(
    model: nn.Module,
    problem: Problem,
    examples: Examples,
    source: BatchSource,
    rows: NDArray[np.int64],
    watch: Stopwatch,
    threshold: float = THRESHOLD,
    least: float = 0.0,
) -> tuple[CaseScores, dict[int, NDArray[np.uint8]]]:
    """All segmentation metrics of each case, and the predicted masks (D, H, W) by row, as np.packbits leaves them.

    A voxel is called from `threshold` on, in a piece whose likeliest voxel reaches `least`.
    """
    assert isinstance(examples.view, SegmentationView)
    tables: list[dict[str, float]] = []
    masks: dict[int, NDArray[np.uint8]] = {}
    for part, logits, _ in answers(model, problem, source, rows, 1, watch):
        row = int(part[0])
        probabilities = problem.probabilities(logits)[0].cpu().numpy()
        mask = confident_pieces(probabilities[0] >= threshold, probabilities[0], least)
        types = probabilities[1:].argmax(axis=0) + 1 if problem.typed else None
        table = case_table(examples, row, mask, types)
        tables.append(table)
        masks[row] = np.packbits(mask)
    names = tables[0] if tables else {}
    values = {name: np.asarray([table[name] for table in tables], dtype=np.float64) for name in names}
    return CaseScores(values, examples.patient_ids[rows], examples.study_ids[rows]), masks


def case_table(
    examples: Examples, row: int, mask: NDArray[np.bool_], types: NDArray[np.integer] | None = None
) -> dict[str, float]:
    """All segmentation metrics of a mask (D, H, W) of one case, on the examples' own grid, whoever made it.

    types: ids 1..5 (D, H, W) of what the mask marks, for a view of subtypes: `dice_<type>` comes with them, NaN where
    the truth does not tell all of its own.
    """
    assert isinstance(examples.view, SegmentationView)
    target = np.asarray(examples.targets[row, 0])
    table = segmentation_metrics(mask, target.astype(np.bool_), examples.steps_mm(row), suffix=examples.view.suffix)
    if types is not None:
        predicted, all_typed = np.where(mask, types, 0), target.max() < UNTYPED
        for label, name in enumerate(examples.view.outputs[1:], start=1):
            dice = voxel_counts(predicted == label, target == label).dice
            table[f"dice_{name}"] = dice if all_typed else math.nan
    return table


def pooled_dice_by_threshold(
    model: nn.Module, problem: Problem, source: BatchSource, rows: NDArray[np.int64], bins: int = 100
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds 0, 1 / bins, 2 / bins, ... below 1, and the Dice at each over all voxels of all rows together.

    Pooled, so that what is called in cases without foreground counts against it too.
    """
    counts = np.zeros((2, bins))
    for _, logits, targets in answers(model, problem, source, rows, 1, Stopwatch()):
        probability = problem.probabilities(logits)[:, 0].cpu().numpy()
        counts += counts_by_bin(probability, (targets[:, 0] > 0.5).cpu().numpy(), bins)
    return dice_by_threshold(counts)


def counts_by_bin(probability: NDArray[np.floating], truth: NDArray[np.bool_], bins: int) -> NDArray[np.float64]:
    """How many voxels, of background and of foreground, have a probability in each of `bins` bins: (2, bins)."""
    place = (probability.ravel() * bins).astype(np.int64).clip(0, bins - 1)
    flat = truth.ravel()
    return np.stack([np.bincount(place[flat == kind], minlength=bins) for kind in (False, True)]).astype(np.float64)


def dice_by_threshold(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds 0, 1 / bins, 2 / bins, ... below 1, and the Dice at each, from the sum of `counts_by_bin`."""
    bins = counts.shape[1]
    # Called from a threshold on: everything in its bin and above.
    wrong, right = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    dice = 2 * right / np.maximum(1, right + wrong + counts[1].sum())
    return np.arange(bins) / bins, dice


def mean_dice_by_confidence(
    model: nn.Module,
    problem: Problem,
    source: BatchSource,
    rows: NDArray[np.int64],
    threshold: float,
    candidates: Sequence[float],
) -> NDArray[np.float64]:
    """Mean Dice over cases, at `threshold`, for each of the probabilities that a piece's likeliest voxel must reach.

    A case without foreground counts as 0 where anything is called, and is left out where nothing is.
    """
    dice = np.full((len(rows), len(candidates)), np.nan)
    for case, (_, logits, targets) in enumerate(answers(model, problem, source, rows, 1, Stopwatch())):
        probability = problem.probabilities(logits)[0, 0].cpu().numpy()
        truth = (targets[0, 0] > 0.5).cpu().numpy()
        for column, least in enumerate(candidates):
            kept = confident_pieces(probability >= threshold, probability, least)
            dice[case, column] = voxel_counts(kept, truth).dice
    defined = np.isfinite(dice)
    total = np.where(defined, dice, 0.0).sum(axis=0)
    return np.divide(total, defined.sum(axis=0), out=np.zeros(len(candidates)), where=defined.any(axis=0))


def mean_scores(scores: CaseScores) -> tuple[dict[str, float], dict[str, int]]:
    """Mean over the cases where a metric is defined (NaN if nowhere), and how many cases it is undefined in."""
    metrics, undefined = {}, {}
    for name, column in scores.values.items():
        known = column[np.isfinite(column)]
        metrics[name] = float(known.mean()) if len(known) else math.nan
        undefined[name] = int(len(column) - len(known))
    return metrics, undefined


def epoch_metrics(
    model: nn.Module,
    problem: Problem,
    examples: Examples,
    source: BatchSource,
    rows: NDArray[np.int64],
    batch_size: int,
    loss: nn.Module,
    monitor: str,
) -> dict[str, float]:
    """What an epoch's validation costs: one pass. `validation_loss`, and `validation_<metric>` for every cheap metric.

    Segmentation has Dice and voxel accuracy counted on the device; another `monitor` costs all metrics.
    """
    if len(rows) == 0:
        return {}
    if problem.task == "classification":
        return _classifier_epoch(model, problem, examples, source, rows, batch_size, loss)
    assert isinstance(examples.view, SegmentationView)
    losses, counts = [], []
    for _, logits, targets in answers(model, problem, source, rows, 1, Stopwatch()):
        losses.append(float(loss(logits, targets)))
        predicted, truth = logits[:, :1] >= 0, targets[:, :1] > 0.5
        tallied = (predicted & truth, predicted, truth, predicted == truth)
        counts.append(torch.stack([mask.sum() for mask in tallied]))
    hits, called, present, right = torch.stack(counts).cpu().double().numpy().T
    dice = np.divide(2 * hits, called + present, out=np.full(len(rows), np.nan), where=called + present > 0)
    accuracy = right / float(np.prod(problem.targets.shape[1:]))
    found = {f"dice_{examples.view.suffix}": _mean(dice), "voxel_accuracy": _mean(accuracy)}
    if monitor not in (*found, LOSS_MONITOR, EPOCH_MONITOR):
        found = mean_scores(case_scores(model, problem, examples, source, rows, Stopwatch())[0])[0]
    return {LOSS_MONITOR: _mean(np.asarray(losses)), **{f"validation_{name}": value for name, value in found.items()}}


def _classifier_epoch(
    model: nn.Module,
    problem: Problem,
    examples: Examples,
    source: BatchSource,
    rows: NDArray[np.int64],
    batch_size: int,
    loss: nn.Module,
) -> dict[str, float]:
    total, parts = 0.0, []
    for part, logits, targets in answers(model, problem, source, rows, batch_size, Stopwatch()):
        total += float(loss(logits, targets)) * len(part)
        parts.append(problem.probabilities(logits).cpu().numpy())
    found = slice_metrics(_slice_table(problem, examples, rows, parts))
    return {LOSS_MONITOR: total / len(rows), **{f"validation_{name}": value for name, value in found.items()}}


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
