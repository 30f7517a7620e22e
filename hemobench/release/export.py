"""From a finished run to a checkpoint folder: decision rule fitted on validation patients, metrics on test patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples
from hemobench.datasets.catalogue import PHANTOM
from hemobench.datasets.patient_hashes import People
from hemobench.datasets.splits import Split
from hemobench.evaluation.slice_position import position_predictions
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.torch_engine import TorchEngine
from hemobench.models import count_parameters
from hemobench.models.timm_unet import LocatingClassifier
from hemobench.release.card import Measured, metrics_mapping, write_card
from hemobench.release.card_files import card_files
from hemobench.release.joint_rule import BothAnswers, classifier_answers, fit_joint, joint_by_others, with_joint
from hemobench.release.mask_thresholds import Called, answers_to, fit_called, masks_of
from hemobench.release.measured import JOINT, call_metrics, measure
from hemobench.release.operating_points import (
    OUT_OF_FOLD_WORDS,
    DecisionRule,
    fit_rule,
    selected,
    settled,
    smoothed_over_slices,
)
from hemobench.release.out_of_fold import (
    OutOfFold,
    answer_out_of_fold,
    fit_all,
    overlap_by_others,
    settled_by_others,
)
from hemobench.release.outline_page import outline_page
from hemobench.release.phantom_contrast import contrast_section
from hemobench.release.recipes import Recipe
from hemobench.training.config import TrainConfig
from hemobench.training.crossfit import CrossFitted, joined
from hemobench.training.experiment import load_model
from hemobench.training.hardware import plan_compute
from hemobench.training.problem import outputs_of
from hemobench.training.result import CaseScores, RunResult, SlicePredictions

FOLD_CHECKPOINT = "checkpoint"
"""In the run of each fold of a segmenter."""


def export_run(
    run: Path,
    output: Path,
    recipe: Recipe,
    examples: Examples,
    split: Split,
    *,
    data: str,
    command: str,
    datasets: Sequence[Dataset],
    people: People | None = None,
    others: Sequence[Examples] = (),
    crossfitted: CrossFitted | None = None,
    beside: Mapping[str, Any] | None = None,
    beside_run: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Write the checkpoint folder of a finished run on `examples` and `split`.

    A classifier is calibrated (Platt, slice and study) and its thresholds chosen on the validation patients alone.
    Metrics are of the test patients, and of `others`: data sets that the run never saw. data: what it was trained on.
    people: the patients who taught and chose it, of all real data sets that it learnt from. beside: what else taught it
    (stream, start), for the card. With `crossfitted` the run is the one that learned from everybody; metrics come from
    the out-of-fold answers and the rule from all of them. Those of calibration are of answers that the other folds'
    patients calibrated; those of ranking of answers smoothed over slices as the checkpoint does it, before any
    calibration: one for all, as the checkpoint has, ranks nothing anew, and five different ones do.
    A segmenter's folds are asked again, on the scans (`evaluation.out_of_fold`); `progress` counts them. beside_run:
    the crossfit's run of the classifier that it judges with, where the recipe names one. datasets: what `examples` and
    `others` were made of, for that and for the card's pictures of failures.
    Raises: UserError where the run is not finished.
    """
    result = RunResult.load(run)
    model, config = _to_ship(*load_model(run))
    training = {"recipe": recipe.name, "data": data, "command": command, **_facts(result), **(beside or {})}
    if crossfitted is not None:
        training["folds"] = len(crossfitted.folds)
    undecided = _undecided(output.name, recipe.role, config, training)
    if crossfitted is None:
        judged = _judged_by_split(model, config, result, examples, datasets, split)
    elif crossfitted.out_of_fold is None:
        classifier = None if recipe.beside is None or beside_run is None else (beside_run.name, beside_run)
        judged = _judged_outlines(crossfitted, undecided, examples, datasets[0], classifier, progress)
    else:
        judged = _judged_slices(crossfitted, crossfitted.out_of_fold, examples)
    decision = judged.decision
    checkpoint_config = dataclasses.replace(
        undecided,
        calibration=decision.calibration,
        thresholds=decision.thresholds,
        threshold_rule=decision.words,
        context_mm=decision.context_mm,
        study_slices=decision.study_slices,
        **judged.joint,
    )
    measured, answers = [judged.measured], [(judged.answers, examples)]
    for other in others:
        taught = (examples, examples.rows_of(split.train))
        predictions, blind = _on_others(model, config, other, judged.called, decision, taught)
        measured.append(measure(predictions, other, blind))
        answers.append((predictions, other))
    shown = card_files(
        run, result, checkpoint_config, answers, datasets, partial(masks_of, model, config, judged.called)
    )
    sections = (
        *judged.sections,
        *_phantom_sections(model, checkpoint_config, config, datasets, progress),
        *shown.sections,
    )
    card = write_card(checkpoint_config, recipe.description, count_parameters(model), measured, sections)
    write_checkpoint(
        output,
        model,
        checkpoint_config,
        metrics_mapping(measured),
        card,
        commit=result.commit,
        command=command,
        people=people,
        attached={**judged.files, **shown.files},
    )
    return open_checkpoint(output)


def _facts(result: RunResult) -> dict[str, Any]:
    """What a checkpoint says of the run that made it."""
    return {
        "phantom": result.phantom,
        "patients": result.patients,
        "seed": result.seed,
        "commit": result.commit,
        "hemobench": result.version,
        "seconds": round(result.timings["train_seconds"], 1),
        "hardware": dict(result.hardware),
        "best_epoch": result.best_epoch,
        "config": result.config.to_mapping(),
    }


def _undecided(name: str, role: str, config: TrainConfig, training: Mapping[str, Any]) -> CheckpointConfig:
    """A checkpoint's description before it has a rule."""
    assert config.view is not None
    return CheckpointConfig(
        name=name,
        role=role,
        task=config.task,
        model=config.model,
        model_options={k: v for k, v in config.model_options.items() if k != "prior"},
        in_channels=config.view.channels,
        outputs=outputs_of(config),
        view=config.view,
        training=training,
    )


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What a run's answers to the patients that it is measured on give: the rule, how masks are called, the scores,
    the answers themselves, and what the card says and shows of them."""

    decision: DecisionRule
    called: Called
    measured: Measured
    answers: SlicePredictions | CaseScores
    sections: tuple[str, ...] = ()
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    joint: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _judged_by_split(
    model: torch.nn.Module,
    config: TrainConfig,
    result: RunResult,
    examples: Examples,
    datasets: Sequence[Dataset],
    split: Split,
) -> _Judged:
    """The rule of the validation patients, measured on the test patients."""
    taught, asked = examples.rows_of(split.train), examples.rows_of(split.test)
    if isinstance(result.validation, CaseScores):
        called, words = fit_called(model, config, examples, datasets, split)
        name = outputs_of(config)[0]
        levels = {"voxel": {name: called.voxel}} | ({"lesion": {name: called.least}} if called.least else {})
        masks = answers_to(model, config, examples, asked, called)
        return _Judged(DecisionRule({}, levels, words), called, measure(masks, examples, None), masks)
    assert isinstance(result.test, SlicePredictions)
    decision = fit_rule(result.validation, _steps_mm(examples, examples.rows_of(split.validation)))
    test = settled(result.test, _steps_mm(examples, asked), decision)
    blind = position_predictions(examples, taught, examples, asked)
    return _Judged(decision, Called(), measure(test, examples, blind), test)


def _judged_slices(crossfitted: CrossFitted, answers: SlicePredictions, examples: Examples) -> _Judged:
    """The rule of all out-of-fold answers of a classifier, measured by the rules of the other folds."""
    steps_mm = _steps_mm(examples, np.arange(len(examples)))
    decision = fit_rule(answers, steps_mm, OUT_OF_FOLD_WORDS)
    ranked = smoothed_over_slices(answers, steps_mm, decision.context_mm)
    asks = [(examples.rows_of(split.train), examples.rows_of(split.test)) for split, _ in crossfitted.folds]
    blind = joined([position_predictions(examples, learnt, examples, rows) for learnt, rows in asks], examples)
    test = _settled_by_others(crossfitted, answers, steps_mm)
    return _Judged(decision, Called(), measure(test, examples, blind, ranked), test)


def _judged_outlines(
    crossfitted: CrossFitted,
    config: CheckpointConfig,
    examples: Examples,
    dataset: Dataset,
    beside: tuple[str, Path] | None,
    progress: Callable[[int, int], None] | None,
) -> _Judged:
    """The rule of all out-of-fold answers of a segmenter, measured by the rules of the other folds, at the scans' own
    voxels; with a classifier (its name and its crossfit's run) also that of both together."""
    unseen = answer_out_of_fold(crossfitted, config, dataset.cases, progress)
    decision = fit_all(unseen, np.ones(len(unseen.folds), dtype=np.bool_))
    called = Called(decision.thresholds["voxel"]["any"], decision.thresholds["lesion"]["any"])
    ranked = smoothed_over_slices(unseen.slices, unseen.steps_mm, decision.context_mm)
    of_slices = measure(settled_by_others(unseen), examples, None, ranked)
    scores: dict[str, Any] = {}
    joint: dict[str, Any] = {}
    if beside is not None:
        name, run = beside
        answers_of_both = BothAnswers(classifier_answers(run, unseen.slices), unseen.slices, unseen.steps_mm)
        rule = fit_joint(answers_of_both)
        decision = with_joint(decision, rule, name)
        both = joint_by_others(answers_of_both, unseen.fold_of_slice)
        joint = {"joint_with": name, "classifier_share": rule.share}
        studies = (both.logits, both.targets, both.patient_ids)
        of_both = dict(measure(both.slices, examples, None, both.order, studies).metrics)
        of_both |= call_metrics(both.called, both.targets, both.patient_ids)
        scores = {f"{metric}{JOINT}": score for metric, score in of_both.items()}
    masks = overlap_by_others(unseen, config)
    of_masks = measure(masks, examples, None)
    scores = {**of_masks.metrics, **of_slices.metrics, **scores}
    _write_folds(crossfitted, config, unseen, dataset)
    page = outline_page(masks)
    measured = dataclasses.replace(of_masks, metrics=scores)
    return _Judged(decision, called, measured, masks, page.sections, page.files, joint)


def _write_folds(crossfitted: CrossFitted, config: CheckpointConfig, unseen: OutOfFold, dataset: Dataset) -> None:
    """A checkpoint folder in the run of each fold, with the rule of the other folds' patients: so that whoever has the
    data can look at, or measure, what a network says of patients whom it never saw."""
    for number, (split, run) in enumerate(crossfitted.folds):
        assert run.directory is not None
        rule = fit_all(unseen, unseen.folds != number)
        decided = dataclasses.replace(
            config,
            name=f"{config.name} fold {number + 1}",
            calibration=rule.calibration,
            thresholds=rule.thresholds,
            threshold_rule=rule.words,
            context_mm=rule.context_mm,
            study_slices=rule.study_slices,
        )
        write_checkpoint(
            run.directory / FOLD_CHECKPOINT,
            load_model(run.directory)[0],
            decided,
            {"schema": 1, "metrics": {}},
            f"# {decided.name}\n\nOne of {len(crossfitted.folds)} networks, each for patients it never saw. Not for "
            "sharing.\n",
            commit=run.commit,
            command=str(config.training["command"]),
            people=People.of(dataset, split),
        )


def _phantom_sections(
    model: torch.nn.Module,
    config: CheckpointConfig,
    trained: TrainConfig,
    datasets: Sequence[Dataset],
    progress: Callable[[int, int], None] | None,
) -> tuple[str, ...]:
    """Of a network that outlines blood: the first phantoms that it was measured on, by what can be seen of them."""
    phantoms = next((one for one in datasets[1:] if one.info.name == PHANTOM.name), None)
    if config.role != "haemorrhage" or phantoms is None:
        return ()
    device = torch.device("cpu")
    engine = TorchEngine(model, config.context, plan_compute(trained.precision, device).precision, device)
    return (contrast_section(config, engine, phantoms.cases, phantoms.info.name, progress),)


def _to_ship(model: torch.nn.Module, config: TrainConfig) -> tuple[torch.nn.Module, TrainConfig]:
    """The network and its config as they are used: what a classifier that says where only learned from is left out."""
    if not isinstance(model, LocatingClassifier):
        return model, config
    config = dataclasses.replace(config, loss="bce", loss_options={})  # whoever is asked needs no masks
    if not model.is_plain:
        return model, config
    # Timm alone can open what is left.
    options = {name: value for name, value in config.model_options.items() if name not in ("evidence", "mirrored")}
    return model.plain(), dataclasses.replace(config, model=f"timm:{model.name}", model_options=options)


def _on_others(
    model: torch.nn.Module,
    config: TrainConfig,
    other: Examples,
    called: Called,
    decision: DecisionRule,
    taught_by: tuple[Examples, NDArray[np.int64]],
) -> tuple[SlicePredictions | CaseScores, SlicePredictions | None]:
    """Answers to data that the run never saw, and those of slice positions alone where they are of slices."""
    rows = np.arange(len(other))
    predictions = answers_to(model, config, other, rows, called)
    if isinstance(predictions, CaseScores):
        return predictions, None
    return settled(predictions, _steps_mm(other, rows), decision), position_predictions(*taught_by, other, rows)


def _steps_mm(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(examples.spacing_mm[rows, 0], dtype=np.float64)


def _settled_by_others(
    crossfitted: CrossFitted, answers: SlicePredictions, steps_mm: NDArray[np.float64]
) -> SlicePredictions:
    """Out-of-fold answers, each fold's settled by a rule that the other folds' patients gave: no slice rules itself."""
    probabilities: NDArray[Any] = answers.probabilities.astype(np.float64)
    for split, _ in crossfitted.folds:
        own = np.isin(answers.patient_ids, split.test)
        rule = fit_rule(selected(answers, ~own), steps_mm[~own])
        probabilities[own] = settled(selected(answers, own), steps_mm[own], rule).probabilities
    return dataclasses.replace(answers, probabilities=probabilities)
