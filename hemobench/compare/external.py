"""External boards: the networks of a board, as they are, on people of another data set, and what they lose there."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hemobench.compare.leaderboard import Board, Entry, MetricScore
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.run_task import slug
from hemobench.compare.suites import BoardSpec
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.opening import Dataset, open_dataset, parse_spec
from hemobench.datasets.splits import Split, check_disjoint_cases, check_unseen
from hemobench.datasets.support import first_lines, unsupported
from hemobench.errors import UserError
from hemobench.evaluation.slice_position import SLICE_POSITION, position_predictions
from hemobench.metrics.definitions import higher_is_better
from hemobench.training.experiment import score_run
from hemobench.training.loop import BEST
from hemobench.training.result import RESULT_FILE, RunResult, SlicePredictions
from hemobench.views.view import view_to_mapping

DROP = "drop_"
FOLDER = "external"
Runs = Mapping[str, Sequence[RunResult]]


@dataclass(frozen=True)
class Elsewhere:
    """An opened data set to test on. name: as the user gave it."""

    name: str
    dataset: Dataset


def open_elsewhere(
    specs: Sequence[str], boards: Sequence[BoardSpec], datasets: Sequence[Dataset], progress: SuiteProgress
) -> list[Elsewhere]:
    """The data sets that networks are tested on, opened and checked against those that they learn from.

    Raises: UserError where one serves no board, and where it holds people of the board's own data: they would be no
    test, whichever part of the split they are in.
    """
    opened = []
    for spec in dict.fromkeys(specs):
        progress.line(f"opening {spec} to test on")
        dataset = open_dataset(spec)
        own = [data for board, data in zip(boards, datasets, strict=True) if _reason(dataset, board) is None]
        if not own:
            raise UserError(
                f"--test {spec}: {_reason(dataset, boards[0])}; expected data for a board of this suite; choose another"
            )
        for data in own:
            for line in _doubts(spec, data, dataset):
                progress.line(f"note: {line}")
        for line in first_lines(dataset, spec):
            progress.line(f"note: {line}")
        opened.append(Elsewhere(spec, dataset))
    return opened


def score_elsewhere(
    spec: BoardSpec,
    learnt: Examples,
    folds: Sequence[Split],
    internal: Board,
    runs: Runs,
    other: Elsewhere,
    output: Path,
    progress: SuiteProgress,
) -> tuple[Board, dict[str, list[RunResult]]] | None:
    """The board of a board's networks on another data set, with the drop as a column, and the runs as scored there.

    Each network answers for all people there. Those of the folds of a cross-validated board are therefore not pooled:
    each is one more seed, so that the score is the mean over the networks and its spread that of training again, from
    another start and other patients. None where the data set does not serve the board. What was scored before is read
    from `output/external`.
    """
    reason = _reason(other.dataset, spec)
    if reason is not None:
        progress.line(f"not tested on {other.name}: board '{spec.title}' ({reason})")
        return None
    progress.begin(other.name)
    progress.start("patients", len(other.dataset.cases))
    examples = build_examples(other.dataset, spec.view, progress=progress.reach)
    folder = output / FOLDER / slug(examples.fingerprint)
    scored = {name: [_scored(run, examples, folder, progress) for run in group] for name, group in runs.items()}
    people = len(np.unique(examples.patient_ids))
    facts = BoardFacts(
        task=spec.task,
        title=f"{spec.title} Trained on {internal.data}, tested on {examples.dataset}",
        data=examples.dataset,
        data_fingerprint=examples.fingerprint,
        phantom=examples.phantom,
        rank_by=spec.rank_by,
        shown=spec.metrics,
        leaky=other.dataset.leaky,
        resamples=spec.resamples,
        view=view_to_mapping(spec.view),
        questions=spec.questions,
        split={
            "train_patients": internal.split.get("train_patients", 0),
            "test_patients": people,
            "by": "data set",
            "trained_on": internal.data,
            "internal_fingerprint": internal.split.get("fingerprint", ""),
        },
    )
    references = {}
    if sees_slices(runs):
        everyone = np.arange(len(examples))
        rows = learnt.rows_of(tuple(sorted({person for split in folds for person in split.train})))
        references[SLICE_POSITION] = position_predictions(learnt, rows, examples, everyone)
    board = build_board(facts, scored, references)
    if len(folds) > 1:
        board = replace(board, method=f"{board.method} {_EACH_FOLD.format(folds=len(folds))}")
    return with_drop(board, internal), scored


_EACH_FOLD = (
    "The {folds} networks that an entry trained for each seed, one a fold, all answered for every patient here and "
    "count as {folds} seeds; training time is that of one."
)


def sees_slices(runs: Runs) -> bool:
    """Whether all runs answered slices with independent types, to which a slice's position is an answer too."""
    tests = [run.test for group in runs.values() for run in group]
    return all(isinstance(test, SlicePredictions) and not test.exclusive for test in tests)


def with_drop(external: Board, internal: Board) -> Board:
    """The external board with a column `drop_<ranking metric>`: how much worse each entry is than at home.

    Other patients on both sides, so the two intervals are combined as of independent estimates (MOVER: Zou and Donner,
    Stat Med 2008); the spread is that of the drop of each seed, over the mean of its folds' networks where it has some.
    """
    name = f"{DROP}{external.rank_by}"
    at_home = {entry.name: entry for entry in internal.entries}
    entries = tuple(
        replace(entry, metrics={**entry.metrics, name: _drop(entry, at_home[entry.name], external.rank_by)})
        if entry.name in at_home
        else entry
        for entry in external.entries
    )
    return replace(external, entries=entries, shown=(external.shown[0], name, *external.shown[1:]))


def _drop(outside: Entry, home: Entry, metric: str) -> MetricScore:
    sign = 1.0 if higher_is_better(metric) else -1.0
    there, here = outside.metrics[metric], home.metrics[metric]
    ends_here, ends_there = (sorted(sign * end for end in score.ci) for score in (here, there))
    mean = sign * (here.mean - there.mean)
    low = mean - math.hypot(sign * here.mean - ends_here[0], ends_there[1] - sign * there.mean)
    high = mean + math.hypot(ends_here[1] - sign * here.mean, sign * there.mean - ends_there[0])
    spread = _spread(home.seed_scores.get(metric, ()), outside.seed_scores.get(metric, ()))
    return MetricScore(mean, (low, high), spread, there.n, 0)


def _spread(here: Sequence[float], there: Sequence[float]) -> float:
    """Standard deviation of the drop over seeds; outside each seed has one network, or those of all its folds."""
    if len(here) < 2:
        return math.nan
    return float(np.std(np.array(here) - np.reshape(there, (len(here), -1)).mean(axis=1), ddof=1))


def _scored(run: RunResult, examples: Examples, folder: Path, progress: SuiteProgress) -> RunResult:
    """A run scored on these examples: from before, where its weights are still the same."""
    assert run.directory is not None
    own = folder / run.directory.name
    weights = hashlib.sha256((run.directory / BEST).read_bytes()).hexdigest()[:16]
    taught_by = f"{examples.fingerprint} {weights}"
    if (own / RESULT_FILE).is_file():
        before = RunResult.load(own)
        if before.data_fingerprint == taught_by:
            return before
    result = replace(score_run(run, examples), data_fingerprint=taught_by)
    result.save(own)
    progress.line(f"{run.directory.name} scored on {examples.dataset}")
    return result


def _reason(dataset: Dataset, board: BoardSpec) -> str | None:
    return unsupported(dataset.info, board.task, board.view)


def _doubts(spec: str, own: Dataset, other: Dataset) -> list[str]:
    """Lines about what nobody can tell. UserError where both hold the same people."""
    try:
        check_disjoint_cases(own.cases, other.cases)
    except UserError as error:
        raise UserError(f"--test {parse_spec(spec)[0]} against '{own.info.name}': {error}") from error
    lines = [check_unseen((), lineage, other) for lineage in sorted({case.lineage for case in own.cases})]
    return [line for line in lines if line is not None]
