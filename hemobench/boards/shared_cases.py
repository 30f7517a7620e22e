"""What all boards of existing entries share: the cases that every entry answers, and runs that nobody trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import hemobench
from hemobench.boards.entries import Entrant
from hemobench.case import Dataset
from hemobench.compare.leaderboard import Board, Breakdown, MetricScore
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Disagreements
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer
from hemobench.predictions.names import few
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import package_commit
from hemobench.training.result import CaseScores, Pictures, Predictions, RunResult

# How a board's models are named where a trained one's configuration would stand: nothing of them is known here.
_PLACEHOLDER = {"classification": "paper_cnn", "segmentation": "unet3d"}


@dataclass(frozen=True)
class Common:
    """Entries that answer at all, the cases (their places) that each of them answers, and lines on who lacks what."""

    entrants: tuple[Entrant, ...]
    numbers: tuple[int, ...]
    cautions: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One board with what its report shows beside the table. unit: what an answer is of."""

    board: Board
    runs: Mapping[str, Sequence[RunResult]]
    disagreements: Disagreements
    unit: str


def in_common(
    entrants: Sequence[Entrant],
    dataset: Dataset,
    has: Callable[[Answer], bool],
    what: str,
    asked: Collection[int] = (),
) -> Common | None:
    """Who answers for which cases; None where nobody does. has: whether an answer serves the board, in words `what`.
    asked: cases (their places) that others on the board answer anyway.

    Raises: UserError where the entries have fewer than two patients in common (and the board has more).
    """
    having = {one.name: {answer.number for answer in one.answers if has(answer)} for one in entrants}
    taking = tuple(one for one in entrants if having[one.name])
    if not taking:
        return None
    every = set(asked).union(*having.values())
    shared = set(every).intersection(*(having[one.name] for one in taking))
    cautions = [
        f"{one.name} says nothing of {what} and is not on this board." for one in entrants if not having[one.name]
    ]
    for one in taking:
        lost = [dataset.cases[number].study_id for number in sorted(every - having[one.name])]
        if lost:
            cautions.append(
                f"MISSING: {one.name} has no {what} for {len(lost)} of {len(every)} cases, which are left "
                f"out for every entry: {few(lost)}."
            )
    people, there = ({dataset.cases[number].patient_id for number in numbers} for numbers in (shared, asked))
    if len(people) < min(2, len(there) or 2):
        raise UserError(
            f"{what}: {len(shared)} cases that all of {few([one.name for one in taking])} answer; expected "
            "at least two patients; leave an entry out, or add --missing empty"
        )
    return Common(taking, tuple(sorted(shared)), tuple(cautions))


def run_of(entrant: Entrant, test: Predictions, task: str, dataset: Dataset) -> RunResult:
    """An entry's answers in the form in which boards take a trained network's: one seed, nothing learnt here."""
    nobody = np.zeros(0, dtype=np.str_)
    none = np.zeros(0, dtype=np.uint8)
    return RunResult(
        name=entrant.name,
        config=TrainConfig(task=task, model=_PLACEHOLDER[task]),
        dataset=dataset.info.name,
        phantom=dataset.info.phantom,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint="",
        metrics={},
        validation_metrics={},
        undefined={},
        baselines={},
        history=(),
        timings={},
        parameters=0,
        peak_memory_mb=0.0,
        hardware={},
        commit=package_commit(),
        version=hemobench.__version__,
        best_epoch=0,
        patients={},
        test=test,
        validation=CaseScores({}, nobody, nobody),
        pictures=Pictures(none, none, none, nobody, nobody),
    )


def ranked(
    task: str,
    title: str,
    common: Common,
    tests: Mapping[str, Predictions],
    dataset: Dataset,
    *,
    shown: Sequence[str],
    also: Sequence[str] | None,
    references: Mapping[str, Predictions],
    resamples: int,
    answered: Callable[[Entrant, str], bool],
) -> tuple[Board, dict[str, list[RunResult]]]:
    """The board of these answers, ranked by the first of `shown`, without the metrics that an entry does not answer.

    answered: whether an entry's answers can be scored by a metric.
    """
    runs = {one.name: [run_of(one, tests[one.name], task, dataset)] for one in common.entrants}
    people = {dataset.cases[number].patient_id for number in common.numbers}
    facts = BoardFacts(
        task=task,
        title=title,
        data=dataset.info.name,
        data_fingerprint=dataset.fingerprint,
        phantom=dataset.info.phantom,
        rank_by=shown[0],
        shown=tuple(shown),
        resamples=resamples,
        leaky=dataset.leaky,
        split={"by": "data set", "test_patients": len(people), "cases": len(common.numbers)},
        also=None if also is None else tuple(also),
    )
    board = build_board(facts, runs, references)
    of_name = {one.name: one for one in common.entrants}
    entries = tuple(
        entry
        if entry.name not in of_name
        else replace(
            entry,
            parameters=None,
            config=plain_settings(of_name[entry.name].told),
            metrics={name: score for name, score in entry.metrics.items() if answered(of_name[entry.name], name)},
        )
        for entry in board.entries
    )
    remarks = tuple(dict.fromkeys(line for one in common.entrants for line in one.remarks))
    cautions = (*common.cautions, *_measured_by(common.entrants), *remarks, *board.cautions)
    return replace(board, entries=entries, cautions=cautions), runs


def _measured_by(entrants: Sequence[Entrant]) -> list[str]:
    """Lines on who measured what, where that were several."""
    people = sorted({one.measured_by for one in entrants if one.measured_by})
    lines = [
        f"Measured by {who}: {', '.join(one.name for one in entrants if one.measured_by == who)}." for who in people
    ]
    own = [one.name for one in entrants if not one.measured_by]
    return [*lines, f"Measured here: {', '.join(own)}."] if lines and own else lines


def plain_settings(told: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what is not known."""
    return {name: value for name, value in told.items() if value not in (None, "")}


def metric_score(score: Mapping[str, Any], seeds: int = 1) -> MetricScore:
    """A score of `evaluation.scores` as a board's. seeds: how many it is the mean over; `undefined` is of one of them,
    rounded up."""
    low, high = score["ci"]
    return MetricScore(score["mean"], (low, high), float("nan"), score["n"], math.ceil(score["undefined"] / seeds))


def by_group(
    title: str, groups: Mapping[str, int], rows: Mapping[str, Sequence[MetricScore | None]], note: str = ""
) -> Breakdown | None:
    """A breakdown of the groups that have cases; None where none has. groups: how many cases each has."""
    kept = [place for place, count in enumerate(groups.values()) if count]
    if not kept:
        return None
    names, counts = list(groups), list(groups.values())
    scores = {name: tuple(row[place] for place in kept) for name, row in rows.items()}
    return Breakdown(title, tuple(names[place] for place in kept), tuple(counts[place] for place in kept), scores, note)
