"""Runs a suite: data, splits, every entry with every seed, then the boards. What is finished is never done twice."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import torch

from hemobench.compare.costs import StageClock
from hemobench.compare.leaderboard import Board, Leaderboard
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.references import SLICE_POSITION, slice_position_predictions
from hemobench.compare.suites import BoardSpec, Suite
from hemobench.compare.tables import duration, score_number
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.registry import Dataset, dataset_info, open_dataset, parse_spec
from hemobench.datasets.splits import PARTS, Split, check_disjoint, split_by_patient
from hemobench.datasets.support import first_lines, unsupported
from hemobench.datasets.views import view_to_mapping
from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import package_commit, run_experiment
from hemobench.training.logging import Silent
from hemobench.training.result import RESULT_FILE, RunResult, SlicePredictions


@dataclass(frozen=True)
class PreparedBoard:
    """A board with its data at hand: opened, divided by patient and decoded."""

    spec: BoardSpec
    number: int
    dataset: Dataset
    split: Split
    examples: Examples

    @property
    def label(self) -> str:
        """Short name for folders and progress: 1-classification."""
        return f"{self.number}-{self.spec.task}"


@dataclass(frozen=True)
class RunTask:
    """One entry with one seed of a prepared board, and the folder it leaves its result in."""

    board: int
    entry: str
    config: TrainConfig
    folder: Path

    @property
    def title(self) -> str:
        """How the run is called in lines and tables."""
        return f"{self.config.task} {self.entry}, seed {self.config.seed}"


@dataclass(frozen=True)
class SuiteResult:
    """What a suite leaves: its leaderboard, and each board's runs, entry name to one run a seed."""

    leaderboard: Leaderboard
    runs: tuple[dict[str, list[RunResult]], ...]


def with_data(suite: Suite, spec: str | None) -> tuple[Suite, tuple[str, ...]]:
    """The suite on another data set, and a line for each board that this data set cannot serve.

    A board keeps its data options when the data set is its own (with another path). UserError if no board is left.
    """
    if spec is None:
        return suite, ()
    name, _ = parse_spec(spec)
    info, boards, skipped = dataset_info(name), [], []
    for board in suite.boards:
        reason = unsupported(info, board.task, board.view) or _without_masks(spec, board.task)
        if reason is None:
            options = board.options if board.dataset_name == name else {}
            boards.append(replace(board, dataset=spec, options=options))
        else:
            skipped.append(f"board '{board.title}' ({board.task}): {reason}")
    if not boards:
        raise UserError(
            f"data set '{name}' serves no board of suite '{suite.name}' ({'; '.join(skipped)}); "
            "expected one for its tasks; choose another suite or data set"
        )
    return replace(suite, boards=tuple(boards)), tuple(skipped)


def _without_masks(spec: str, task: str) -> str | None:
    """Why a segmentation board cannot use this copy: some data sets come with masks and without."""
    if task != "segmentation" or dataset_info(parse_spec(spec)[0]).phantom:
        return None
    dataset = open_dataset(spec)
    if not dataset.cases or dataset.cases[0].load().foreground is not None:
        return None
    return f"this copy of '{dataset.info.name}' has no masks"


def run_suite(
    suite: Suite,
    output: Path,
    *,
    jobs: int = 1,
    skipped: Sequence[str] = (),
    progress: SuiteProgress,
    clock: StageClock,
) -> SuiteResult:
    """Train what is not trained yet under `output`, then rank. `jobs` runs train at once, cores / jobs threads each.

    Raises:
        UserError: data that cannot be opened (before anything trains), a run that diverged, a folder not writable.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"output {output} is a file; expected a folder, new or of an earlier run; give another one")
    with clock.stage("open data"):
        datasets = _open_all(suite.boards, progress)
    # Not before: a mistake in the data leaves no empty folder behind.
    _make_folder(output)
    names = [board.dataset for board in suite.boards]
    for name, dataset in dict(zip(names, datasets, strict=True)).items():
        for line in first_lines(dataset, name):
            progress.line(f"note: {line}")
    boards = [
        _prepare(spec, number, dataset, output, progress, clock)
        for number, (spec, dataset) in enumerate(zip(suite.boards, datasets, strict=True), start=1)
    ]
    tasks = list(_tasks(boards, suite.seeds, output))
    results = _train_all(tasks, boards, jobs, progress, clock)
    runs: list[dict[str, list[RunResult]]] = [{} for _ in boards]
    for task in tasks:
        runs[task.board].setdefault(task.entry, []).append(results[task.folder])
    with clock.stage("bootstrap and ranks"):
        ranked = tuple(_rank(board, group) for board, group in zip(boards, runs, strict=True))
    leaderboard = Leaderboard(
        suite=suite.name, title=suite.title, description=suite.description,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"), commit=package_commit() or "unknown",
        seeds=suite.seeds, boards=ranked, skipped=tuple(skipped),
    )  # fmt: skip
    return SuiteResult(leaderboard, tuple(runs))


def _open_all(boards: Sequence[BoardSpec], progress: SuiteProgress) -> list[Dataset]:
    """Each board's data set; boards on the same data share one."""
    opened: dict[str, Dataset] = {}
    for board in boards:
        key = f"{board.dataset} {sorted(board.options.items())}"
        if key not in opened:
            progress.line(f"opening {board.dataset}")
            progress.begin(board.dataset)
            progress.start("reading", 0)
            opened[key] = open_dataset(board.dataset, progress=progress.reach, **board.options)
    return [opened[f"{board.dataset} {sorted(board.options.items())}"] for board in boards]


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"output folder {output} cannot be made ({reason}); expected a writable place; give another --output"
        ) from error


def _prepare(
    spec: BoardSpec, number: int, dataset: Dataset, output: Path, progress: SuiteProgress, clock: StageClock
) -> PreparedBoard:
    split = split_by_patient(dataset.cases, fractions=spec.fractions, seed=spec.split_seed)
    check_disjoint(split)
    name = f"{dataset.info.name} for {spec.task}"
    progress.begin(name)
    progress.start("patients", len(dataset.cases))
    with clock.stage(f"data: {name}"):
        examples = build_examples(dataset, spec.view, masks=spec.says_where, progress=progress.reach)
    board = PreparedBoard(spec, number, dataset, split, examples)
    split.save(output / "splits" / f"{board.label}.json")
    counts = ", ".join(f"{len(getattr(split, part))} {part}" for part in PARTS)
    progress.line(f"{name}: {len(examples)} examples of {len(dataset.cases)} studies; patients: {counts}")
    return board


def _tasks(boards: Sequence[PreparedBoard], seeds: Sequence[int], output: Path) -> Iterator[RunTask]:
    """Every run of the suite; folders are named by board, entry and seed, alike names by a number besides."""
    taken: set[Path] = set()
    for index, board in enumerate(boards):
        for number, entry in enumerate(board.spec.entries, start=1):
            for seed in seeds:
                folder = output / "runs" / f"{board.label}-{slug(entry.name)}-seed{seed}"
                if folder in taken:
                    folder = folder.with_name(f"{folder.name}-{number}")
                taken.add(folder)
                yield RunTask(index, entry.name, board.spec.config(entry, seed), folder)


def _train_all(
    tasks: Sequence[RunTask], boards: Sequence[PreparedBoard], jobs: int, progress: SuiteProgress, clock: StageClock
) -> dict[Path, RunResult]:
    """The result in each task's folder: finished ones as they are, the others trained in turn or `jobs` at once."""
    before = {task.folder: _written(task.folder) for task in tasks}
    results: dict[Path, RunResult] = {}
    progress.expect_runs(len(tasks), 0)
    trained = _in_processes(tasks, boards, jobs) if jobs > 1 else _in_turn(tasks, boards, progress)
    for number, (task, result, seconds) in enumerate(trained, start=1):
        results[task.folder] = result
        place, score = f"[{number}/{len(tasks)}] {task.title}", _headline(result, boards[task.board].spec)
        if _written(task.folder) == before[task.folder]:
            progress.run_finished(f"{place}: {score} (kept from before)")
            continue
        scoring = min(result.timings.get("test_seconds", 0.0), seconds)
        clock.add(f"train {task.title}", (seconds - scoring) / jobs)
        clock.add("score all runs", scoring / jobs)
        progress.run_finished(f"{place}: {score} in {duration(seconds)}")
    return results


def _written(folder: Path) -> int | None:
    """When a run's result was written (ns), None without one: a result that stays the same was not trained again."""
    path = folder / RESULT_FILE
    return path.stat().st_mtime_ns if path.is_file() else None


def _in_turn(
    tasks: Sequence[RunTask], boards: Sequence[PreparedBoard], progress: SuiteProgress
) -> Iterator[tuple[RunTask, RunResult, float]]:
    for task in tasks:
        board, own = boards[task.board], StageClock()
        progress.begin(task.title)
        result = _run(task, board.examples, board.split, progress)
        yield task, result, own.total_seconds


def _in_processes(
    tasks: Sequence[RunTask], boards: Sequence[PreparedBoard], jobs: int
) -> Iterator[tuple[RunTask, RunResult, float]]:
    threads, others = max(1, torch.get_num_threads() // jobs), set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(threads,)
    )
    try:
        futures = {
            pool.submit(_run_elsewhere, task, boards[task.board].dataset, boards[task.board].split): task
            for task in tasks
        }
        for future in as_completed(futures):
            seconds = future.result()
            yield futures[future], RunResult.load(futures[future].folder), seconds
        pool.shutdown()
    except BrokenProcessPool as error:
        raise UserError(
            f"a training process died ({jobs} ran at once), probably of too little memory; expected all to finish; "
            "run the same command with fewer --jobs, it goes on where it stopped"
        ) from error
    finally:
        # After an error or Ctrl-C the other runs stop too; their checkpoints let them go on next time.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(threads: int) -> None:
    """Ctrl-C ends a worker at once and silently, and it never outlives the command it works for."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()

    def leave_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _run_elsewhere(task: RunTask, dataset: Dataset, split: Split) -> float:
    """Run a task in a worker; its examples are in the cache already. Returns its seconds, the result is on disk."""
    assert task.config.view is not None
    own = StageClock()
    _run(task, build_examples(dataset, task.config.view, masks=task.config.says_where), split, None)
    return own.total_seconds


def _run(task: RunTask, examples: Examples, split: Split, progress: SuiteProgress | None) -> RunResult:
    try:
        return run_experiment(
            task.config, examples, split, task.folder, name=task.folder.name, progress=progress or Silent()
        )
    except UserError as error:
        raise UserError(f"{task.title}: {error}") from error


def _rank(board: PreparedBoard, runs: dict[str, list[RunResult]]) -> Board:
    spec, split = board.spec, board.split
    tests = [run.test for group in runs.values() for run in group]
    slices = all(isinstance(test, SlicePredictions) and not test.exclusive for test in tests)
    patients = {f"{part}_patients": len(getattr(split, part)) for part in PARTS}
    facts = BoardFacts(
        task=spec.task, title=spec.title, data=board.dataset.info.name,
        data_fingerprint=board.examples.fingerprint, phantom=board.examples.phantom, rank_by=spec.rank_by,
        shown=spec.metrics, leaky=board.dataset.leaky, resamples=spec.resamples, view=view_to_mapping(spec.view),
        split={**patients, "seed": split.seed, "fractions": list(spec.fractions), "fingerprint": split.fingerprint},
    )  # fmt: skip
    references = {SLICE_POSITION: slice_position_predictions(board.examples, split)} if slices else {}
    return build_board(facts, runs, references)


def _headline(result: RunResult, spec: BoardSpec) -> str:
    value = result.metrics.get(spec.rank_by)
    return "finished" if value is None else f"{spec.rank_by} {score_number(value)}"


def slug(text: str) -> str:
    """A text as a folder's name: lower case, digits, dots and single hyphens.

    >>> slug("unet2.5d [0.2, 0.8]")
    'unet2.5d-0.2-0.8'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"
