"""Training on few patients without fooling oneself: every patient is answered by a network that never saw them.

One network a fold gives the out-of-fold answers, from which metrics, calibration and thresholds are taken; a last one
learns from everybody and is the one that ships. Nothing is chosen by a validation set: patients are too few to spare.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hemobench.case import Case
from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split, kfold_by_patient
from hemobench.errors import UserError
from hemobench.progress import Reporter
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.training.result import RESULT_FILE, RunResult, SlicePredictions
from hemobench.training.stream import ExampleStream, StreamSpec

EVERYBODY = "everybody"


@dataclass(frozen=True)
class CrossFitted:
    """`final` learned from everybody and has no test; `folds` are the splits with the runs that answer for their test
    patients. `out_of_fold` holds a classifier's answers in the order of the examples; a segmenter's, which are too
    large to keep, are asked for again where they are needed (`evaluation.out_of_fold`), and it is None."""

    final: RunResult
    folds: tuple[tuple[Split, RunResult], ...]
    out_of_fold: SlicePredictions | None


def crossfit(
    config: TrainConfig,
    examples: Examples,
    cases: Sequence[Case],
    output: Path,
    *,
    folds: int,
    seed: int,
    stream: StreamSpec | None = None,
    start: Path | None = None,
    fold_starts: Path | None = None,
    progress: Reporter | None = None,
) -> CrossFitted:
    """Train one network a fold and one on everybody, in `output/fold-1` ... and `output/everybody`; resumable.

    Each is trained to its last epoch. `stream` and `start` as in `run_experiment`; neither may know the patients,
    unless `fold_starts` is given: the folder of another crossfit with the same folds, whose network of a fold is what
    that fold begins with. Raises: UserError, also where its folds are of other patients.
    """
    with _kept(stream, config, [*_fold_folders(output, folds), output / EVERYBODY]):
        answered = _folds(config, examples, cases, output, folds, seed, stream, start, fold_starts, progress)
        if progress is not None:
            progress.say("everybody teaches")
        final = run_experiment(
            config,
            examples,
            everybody(cases, seed),
            output / EVERYBODY,
            stream=stream,
            start=start,
            progress=progress,
            tested=False,
        )
    answers = joined([run.test for _, run in answered], examples) if config.task == "classification" else None
    return CrossFitted(final, answered, answers)


def train_folds(
    config: TrainConfig,
    examples: Examples,
    cases: Sequence[Case],
    output: Path,
    *,
    folds: int,
    seed: int,
    stream: StreamSpec | None = None,
    start: Path | None = None,
    fold_starts: Path | None = None,
    progress: Reporter | None = None,
) -> tuple[tuple[Split, RunResult], ...]:
    """The folds of `crossfit` alone, where a network of everybody is there already."""
    with _kept(stream, config, _fold_folders(output, folds)):
        return _folds(config, examples, cases, output, folds, seed, stream, start, fold_starts, progress)


def _folds(
    config: TrainConfig,
    examples: Examples,
    cases: Sequence[Case],
    output: Path,
    folds: int,
    seed: int,
    stream: StreamSpec | None,
    start: Path | None,
    fold_starts: Path | None,
    progress: Reporter | None,
) -> tuple[tuple[Split, RunResult], ...]:
    splits = kfold_by_patient(cases, folds=folds, validation_fraction=0.0, seed=seed)
    answered = []
    for split, folder in zip(splits, _fold_folders(output, folds), strict=True):
        if progress is not None:
            progress.say(f"{folder.name} of {folds}: {len(split.train)} patients teach, {len(split.test)} are asked")
        begin = start if fold_starts is None else _of_same_fold(fold_starts / folder.name, split)
        run = run_experiment(config, examples, split, folder, stream=stream, start=begin, progress=progress)
        answered.append((split, replace(run, directory=folder)))
    return tuple(answered)


def _fold_folders(output: Path, folds: int) -> list[Path]:
    return [output / f"fold-{number}" for number in range(1, folds + 1)]


@contextlib.contextmanager
def _kept(stream: StreamSpec | None, config: TrainConfig, runs: Sequence[Path]) -> Iterator[None]:
    """The first shard stays until all of these are trained: with few epochs it is the only one."""
    if stream is None or all((run / RESULT_FILE).is_file() for run in runs):
        yield
        return
    assert config.view is not None
    with ExampleStream(stream, config.view, masks=config.locates) as kept:
        kept.at(1, 1)
        yield


def _of_same_fold(run: Path, split: Split) -> Path:
    """A finished run, made sure that it learned from the same patients and no others."""
    if RunResult.load(run).split_fingerprint != split.fingerprint:
        raise UserError(
            f"{run} learned from other patients than this fold's; expected the same folds of the same data "
            "set, so that nobody is asked whom it knows; train it again on this data"
        )
    return run


def everybody(cases: Iterable[Case], seed: int) -> Split:
    """The split in which all patients teach and nobody is asked."""
    return Split(tuple(sorted({case.patient_id for case in cases})), (), (), seed)


def joined(parts: Sequence[object], examples: Examples) -> SlicePredictions:
    """The answers of all folds as one table, in the order of the examples."""
    tables = [part for part in parts if isinstance(part, SlicePredictions)]
    if len(tables) != len(parts):
        raise UserError("folds without slice predictions; expected classifiers; leave folds out of the recipe")
    key = [
        (study, index)
        for table in tables
        for study, index in zip(table.study_ids.tolist(), table.slice_indices.tolist(), strict=True)
    ]
    rows = zip(examples.study_ids.tolist(), examples.slice_indices.tolist(), strict=True)
    place = {one: row for row, one in enumerate(rows)}
    order = np.argsort([place[one] for one in key], kind="stable")
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])[order]
        for name in ("probabilities", "targets", "patient_ids", "study_ids", "slice_indices")
    }
    return SlicePredictions(**columns, exclusive=tables[0].exclusive)
