"""All runs of a suite: what is finished is kept, the rest goes to an engine, each end is a line and a row at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hemobench.compare.costs import StageClock
from hemobench.compare.engines import Ended, default_jobs, in_processes, in_turn
from hemobench.compare.leaderboard import write_text
from hemobench.compare.pace import Pace, about
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ray_engine import on_ray
from hemobench.compare.run_task import DONE, Outcome, RunTask, Workforce, carry_out
from hemobench.compare.suites import BoardSpec
from hemobench.compare.terminal_tables import duration, score_number
from hemobench.datasets.cache import Examples
from hemobench.errors import UserError
from hemobench.training.experiment import finished_result, teachers
from hemobench.training.result import RunResult

RUNS_FILE = "runs.csv"
RUNS_COLUMNS = ("board", "task", "entry", "seed", "metric", "value", "best_epoch", "train_seconds", "folder", "fold")


class Prepared(Protocol):
    """What training needs of a board: its specification and its examples."""

    @property
    def spec(self) -> BoardSpec: ...

    @property
    def examples(self) -> Examples: ...


@dataclass
class RunsTable:
    """`runs.csv`: a row for each finished run, there as soon as it is; the boards come when all are."""

    path: Path
    expected: int
    rows: tuple[tuple[str, ...], ...] = ()

    def add(self, task: RunTask, result: RunResult, metric: str) -> None:
        """Write a run's row below the others; the file is at every moment whole."""
        value = result.metrics.get(metric)
        row = (
            task.board + 1,
            task.config.task,
            task.entry,
            task.config.seed,
            metric,
            "" if value is None else f"{value:.6g}",
            result.best_epoch,
            f"{result.timings.get('train_seconds', 0.0):.1f}",
            task.folder.name,
            task.fold or "",
        )
        self.rows = (*self.rows, tuple(map(str, row)))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([RUNS_COLUMNS, *self.rows])
        write_text(self.path, text.getvalue())


def train_all(
    tasks: Sequence[RunTask],
    boards: Sequence[Prepared],
    workforce: Workforce,
    table: RunsTable,
    progress: SuiteProgress,
    clock: StageClock,
) -> dict[Path, RunResult]:
    """The result of each task by its folder: finished ones as they are, the others trained by the workforce.

    Raises: UserError, when all that can be trained is, where a run has no result: it diverged or its process died.
    """
    results: dict[Path, RunResult] = {}
    progress.expect("runs", len(tasks))
    left = []
    for task in tasks:
        result = _finished(task, boards)
        if result is None:
            left.append(task)
            continue
        results[task.folder] = result
        _tell(task, result, boards, table, progress, "(kept from before)")
    jobs = workforce.jobs or default_jobs(len(left), workforce.threads)
    if left:
        progress.line(f"{len(left)} of {len(tasks)} runs ({jobs} at once, threads of each: {workforce.threads})")
    failures, pace = [], Pace(left, jobs)
    for task, outcome in _engine(left, boards, workforce, jobs, progress):
        pace.ended(task, outcome.seconds)
        if outcome.kind != DONE:
            failures.append(outcome)
            progress.finish(f"no result: {outcome.reason}")
            continue
        result = _loaded(task, boards)
        results[task.folder] = result
        scoring = min(result.timings.get("test_seconds", 0.0), outcome.seconds)
        clock.add(f"train {task.title}", (outcome.seconds - scoring) / jobs)
        clock.add("score all runs", scoring / jobs)
        rest = f", about {about(pace.seconds_left)} left" if pace.seconds_left else ""
        _tell(task, result, boards, table, progress, f"in {duration(outcome.seconds)}{rest}")
    _raise_failures(failures, len(tasks))
    return results


def _engine(
    left: Sequence[RunTask], boards: Sequence[Prepared], workforce: Workforce, jobs: int, progress: SuiteProgress
) -> Iterator[Ended]:
    def run_here(task: RunTask) -> Outcome:
        progress.begin(task.title)
        return carry_out(task, boards[task.board].examples, progress)

    if not left:
        return iter(())
    if workforce.engine == "ray":
        return on_ray(left, workforce.jobs, progress.line)
    return in_turn(left, run_here) if jobs == 1 else in_processes(left, jobs, progress.line)


def _finished(task: RunTask, boards: Sequence[Prepared]) -> RunResult | None:
    taught_by = teachers(boards[task.board].examples, task.stream)
    return finished_result(task.folder, task.config.resolved(), taught_by, task.split)


def _loaded(task: RunTask, boards: Sequence[Prepared]) -> RunResult:
    """What the run left. Another command with another suite may have trained its own there since."""
    found = _finished(task, boards)
    if found is None:
        raise UserError(
            f"{task.folder} holds another run than {task.title}; expected the one just trained: another command writes "
            "there; give each suite its own --output"
        )
    return found


def _tell(
    task: RunTask, result: RunResult, boards: Sequence[Prepared], table: RunsTable, progress: SuiteProgress, how: str
) -> None:
    rank_by = boards[task.board].spec.rank_by
    table.add(task, result, rank_by)
    place, score = f"[{len(table.rows)}/{table.expected}] {task.title}", _headline(result.metrics, rank_by)
    progress.finish(f"{place}: {score} {how}")


def _headline(metrics: Mapping[str, float], rank_by: str) -> str:
    value = metrics.get(rank_by)
    return "finished" if value is None else f"{rank_by} {score_number(value)}"


def _raise_failures(failures: Sequence[Outcome], runs: int) -> None:
    if not failures:
        return
    others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    raise UserError(
        f"{len(failures)} of {runs} runs have no result: {failures[0].reason}{others}; expected all to finish; "
        "the others are kept: correct the entry, or run again (fewer --jobs where memory is short)"
    )
