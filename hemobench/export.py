"""From a finished run to a checkpoint folder: decision rule fitted on validation patients, metrics on test patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit

from hemobench.cards import Measured, metrics_mapping, write_card
from hemobench.compare.references import position_predictions
from hemobench.datasets.cache import Examples
from hemobench.datasets.people import People
from hemobench.datasets.splits import Split
from hemobench.errors import UserError
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from hemobench.inference.config import Calibration, CheckpointConfig, Thresholds
from hemobench.labels import CLASSES
from hemobench.metrics.calibration import fit_platt
from hemobench.stats import WeightedStatistic, case_mean, classification_statistic, patient_bootstrap
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.crossfit import CrossFitted, joined
from hemobench.training.evaluate import Stopwatch, case_scores, pooled_dice_by_threshold, slice_predictions
from hemobench.training.experiment import load_model
from hemobench.training.hardware import plan_compute, to_layout
from hemobench.training.problem import Problem, outputs_of, pose_problem
from hemobench.training.recipes import Recipe
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

SPECIFICITY = 0.9
RULE = (
    "a class is called from the calibrated probability on that leaves 90% of the validation patients' slices (or "
    "studies) without it uncalled; 0.5 where validation has too few to say"
)
OUT_OF_FOLD_RULE = (
    "a class is called from the calibrated probability on that leaves 90% of the slices (or studies) without it "
    "uncalled, by networks that had not seen the patient (out of fold); 0.5 where there are too few to say"
)
VOXEL_RULE = (
    "a voxel is called from the probability on that gives the largest Dice over all voxels of the validation patients "
    "together, those without a lesion included"
)
_SLICE_METRICS = (
    "auroc_any", "auroc_macro", *(f"auroc_{name}" for name in CLASSES[:-1]), "ap_any", "logloss_rsna", "brier_any",
    "ece_any", "sens_at_spec90_any", "auroc_any_study", "auroc_macro_study",
)
_CASE_METRICS = ("dice", "sensitivity", "precision", "nsd_2mm", "hd95_mm", "lesion_f1", "abs_volume_error_ml")
_EPSILON = 1e-6
_MIN_NEGATIVE = 10


def export_run(
    run: Path, output: Path, recipe: Recipe, examples: Examples, split: Split, *, data: str, command: str,
    people: People | None = None, others: Sequence[Examples] = (), crossfitted: CrossFitted | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Write the checkpoint folder of a finished run on `examples` and `split`.

    A classifier is calibrated (Platt, slice and study) and its thresholds chosen on the validation patients alone.
    Metrics are of the test patients, and of `others`: data sets that the run never saw. data: what it was trained on.
    people: the patients who taught and chose it, of all real data sets that it learnt from. beside: what else taught it
    (stream, start), for the card. With `crossfitted` the run is the one that learned from everybody; metrics come from
    the out-of-fold answers, each fold's calibrated by the other folds' patients, and the rule from all of them.
    Raises: UserError where the run is not finished.
    """
    result = RunResult.load(run)
    model, config = load_model(run)
    assert config.view is not None
    taught, asked = examples.rows_of(split.train), examples.rows_of(split.test)
    if isinstance(result.validation, CaseScores):
        threshold = _voxel_threshold(model, config, examples, examples.rows_of(split.validation))
        calibration: Calibration = {}
        thresholds: Thresholds = {"voxel": {outputs_of(config)[0]: threshold}}
        rule, test = VOXEL_RULE, _predictions(model, config, examples, asked, threshold)
    elif crossfitted is not None:
        threshold, test = 0.5, _calibrated_by_others(crossfitted)
        asked = np.arange(len(examples))
        calibration, thresholds, _ = decision_rule(crossfitted.out_of_fold)
        rule = OUT_OF_FOLD_RULE
    else:
        threshold, test = 0.5, result.test
        calibration, thresholds, rule = decision_rule(result.validation)
    training = {
        "recipe": recipe.name, "data": data, "phantom": result.phantom, "patients": result.patients,
        "seed": result.seed, "commit": result.commit, "command": command, "hemobench": result.version,
        "seconds": round(result.timings["train_seconds"], 1), "hardware": dict(result.hardware),
        "best_epoch": result.best_epoch, "config": config.to_mapping(), **(beside or {}),
    }
    if crossfitted is not None:
        training["folds"] = len(crossfitted.folds)
    checkpoint_config = CheckpointConfig(
        name=output.name, role=recipe.role, task=config.task, model=config.model,
        model_options={k: v for k, v in config.model_options.items() if k != "prior"},
        in_channels=config.view.channels, outputs=outputs_of(config), view=config.view,
        calibration=calibration, thresholds=thresholds, threshold_rule=rule, training=training,
    )
    blind = None
    if config.task == "classification":
        asks = [(taught, asked)] if crossfitted is None else _fold_rows(crossfitted, examples)
        blind = joined([position_predictions(examples, learnt, examples, rows) for learnt, rows in asks], examples)
    measured = [measure(test, calibration if crossfitted is None else {}, examples, blind)]
    for other in others:
        rows = np.arange(len(other))
        predictions = _predictions(model, config, other, rows, threshold)
        if blind is not None:
            blind = position_predictions(examples, taught, other, rows)
        measured.append(measure(predictions, calibration, other, blind))
    card = write_card(checkpoint_config, recipe.description, result.parameters, measured)
    write_checkpoint(
        output, model, checkpoint_config, metrics_mapping(measured), card, commit=result.commit, command=command,
        people=people,
    )
    return open_checkpoint(output)


def decision_rule(validation: SlicePredictions) -> tuple[Calibration, Thresholds, str]:
    """Calibration, thresholds and their rule in words, from a classifier's answers on the validation patients."""
    if validation.exclusive:
        raise UserError("a run with loss cross-entropy; expected one of independent outputs; train with bce or focal")
    study_logits, study_targets = study_maxima(validation)
    levels = {"slice": (_logits(validation.probabilities), validation.targets), "study": (study_logits, study_targets)}
    calibration: dict[str, dict[str, tuple[float, float]]] = {}
    thresholds: dict[str, dict[str, float]] = {}
    for level, (logits, targets) in levels.items():
        calibration[level], thresholds[level] = {}, {}
        for column, name in enumerate(CLASSES):
            slope, offset = fit_platt(logits[:, column], targets[:, column])
            calibration[level][name] = (round(slope, 6), round(offset, 6))
            calibrated = expit(slope * logits[:, column] + offset)
            thresholds[level][name] = round(specific_threshold(calibrated, targets[:, column]), 6)
    return calibration, thresholds, RULE


def specific_threshold(
    probabilities: NDArray[np.float64], targets: NDArray[np.integer], specificity: float = SPECIFICITY
) -> float:
    """Lowest probability that leaves at least `specificity` of the negatives uncalled; 0.5 with few negatives.

    >>> specific_threshold(np.arange(21) / 20, np.r_[np.zeros(20, dtype=int), 1], 0.9)
    0.9
    """
    negative = np.sort(probabilities[targets == 0])
    if len(negative) < _MIN_NEGATIVE or not targets.any():
        return 0.5
    allowed = int(np.floor((1 - specificity) * len(negative) + 1e-9))
    # The first value above all but `allowed` of the negatives.
    return float(negative[-allowed]) if allowed else float(min(1.0, np.nextafter(negative[-1], 2)))


def study_maxima(predictions: SlicePredictions) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Largest slice logit (S, 6) and target (S, 6) of each study."""
    logits = _logits(predictions.probabilities)
    _, study = np.unique(predictions.study_ids, return_inverse=True)
    order = np.argsort(study, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(study[order]) > 0])
    return (np.maximum.reduceat(logits[order], starts), np.maximum.reduceat(predictions.targets[order], starts))


def _fold_rows(crossfitted: CrossFitted, examples: Examples) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    return [(examples.rows_of(split.train), examples.rows_of(split.test)) for split, _ in crossfitted.folds]


def _calibrated_by_others(crossfitted: CrossFitted) -> SlicePredictions:
    """Out-of-fold answers, each fold's calibrated by what the other folds' patients say: no slice calibrates itself."""
    answers = crossfitted.out_of_fold
    probabilities = answers.probabilities.copy()
    for split, _ in crossfitted.folds:
        own = np.isin(answers.patient_ids, split.test)
        others = SlicePredictions(
            answers.probabilities[~own], answers.targets[~own], answers.patient_ids[~own], answers.study_ids[~own],
            answers.slice_indices[~own],
        )
        probabilities[own] = calibrated(answers.probabilities[own], decision_rule(others)[0])
    return dataclasses.replace(answers, probabilities=probabilities)


def calibrated(probabilities: NDArray[np.floating], calibration: Calibration, level: str = "slice") -> NDArray[Any]:
    """Probabilities (N, 6) after a calibration of their logits."""
    pairs = np.asarray([calibration.get(level, {}).get(name, (1.0, 0.0)) for name in CLASSES])
    return np.asarray(expit(_logits(probabilities) * pairs[:, 0] + pairs[:, 1]))


def measure(
    predictions: SlicePredictions | CaseScores, calibration: Calibration, asked: Examples,
    blind: SlicePredictions | None,
) -> Measured:
    """Metrics of predictions on examples `asked`, with 95% intervals by patient.

    A classifier's probabilities are calibrated before, and beside it stands what the slices' positions alone would
    score: the predictions `blind`.
    """
    patient_ids = predictions.patient_ids
    statistics: dict[str, WeightedStatistic] = {}
    position = None
    if isinstance(predictions, CaseScores):
        statistics = {name: case_mean(values) for name, values in predictions.values.items() if _reported(name)}
    else:
        probabilities = calibrated(predictions.probabilities, calibration)
        for name in _SLICE_METRICS:
            statistics[name] = classification_statistic(
                name, probabilities, predictions.targets, predictions.study_ids
            )
        assert blind is not None
        position = _score(classification_statistic("auroc_any", blind.probabilities, blind.targets), blind.patient_ids)
    scores = {name: _score(statistic, patient_ids) for name, statistic in statistics.items()}
    return Measured(
        asked.dataset, asked.phantom, len(np.unique(patient_ids)), len(patient_ids), scores, position
    )


def _score(statistic: WeightedStatistic, patient_ids: NDArray[np.str_]) -> dict[str, Any]:
    interval = patient_bootstrap(statistic, patient_ids, resamples=1000)
    return {"mean": interval.estimate, "ci": [interval.low, interval.high], "sd_seeds": None, "n": 1,
            "undefined": statistic.undefined}


def _predictions(
    model: torch.nn.Module, config: TrainConfig, examples: Examples, rows: NDArray[np.int64], threshold: float
) -> SlicePredictions | CaseScores:
    """The network's answers on rows of any examples, in the precision it was trained in; masks from `threshold` on."""
    problem, source, precision = _asked(model, config, examples)
    with precision:
        if config.task == "classification":
            return slice_predictions(model, problem, examples, source, rows, 32, Stopwatch())
        return case_scores(model, problem, examples, source, rows, Stopwatch(), threshold)[0]


def _voxel_threshold(
    model: torch.nn.Module, config: TrainConfig, examples: Examples, rows: NDArray[np.int64]
) -> float:
    problem, source, precision = _asked(model, config, examples)
    with precision:
        thresholds, dice = pooled_dice_by_threshold(model, problem, source, rows)
    return float(thresholds[dice.argmax()])


def _asked(
    model: torch.nn.Module, config: TrainConfig, examples: Examples
) -> tuple[Problem, BatchSource, torch.autocast]:
    device = torch.device("cpu")
    plan = plan_compute(config.precision, device)
    to_layout(model, plan.channels_last)
    problem = pose_problem(config, examples)
    source = BatchSource(examples, problem.targets, device, channels_last=plan.channels_last, types=problem.types)
    return problem, source, torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bf16")


def _reported(name: str) -> bool:
    return name.startswith(_CASE_METRICS) or name.startswith("voxel_accuracy")


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), _EPSILON, 1 - _EPSILON)))
