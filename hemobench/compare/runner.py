"""Runs a suite: data, splits, every entry with every seed, then the boards. What is finished is never done twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hemobench.compare.costs import StageClock
from hemobench.compare.external import Elsewhere, open_elsewhere, score_elsewhere, sees_slices
from hemobench.compare.fingerprint import suite_fingerprint
from hemobench.compare.folds import fingerprint_of
from hemobench.compare.leaderboard import Board, Leaderboard
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Disagreements
from hemobench.compare.run_task import RunTask, Workforce, slug
from hemobench.compare.suites import FOLD_VALIDATION, IMAGE, PATIENT, BoardSpec, Suite
from hemobench.compare.train_all import RUNS_FILE, RunsTable, train_all
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.image_splits import by_image, paired_splits, shared_patients, split_by_image
from hemobench.datasets.opening import Dataset, dataset_info, open_dataset, parse_spec
from hemobench.datasets.splits import PARTS, Split, check_disjoint, kfold_by_patient, split_by_patient
from hemobench.datasets.support import first_lines, unsupported
from hemobench.errors import UserError
from hemobench.evaluation.slice_position import SLICE_POSITION, slice_position_predictions
from hemobench.stats import STATISTICS
from hemobench.training.experiment import package_commit
from hemobench.training.result import Predictions, RunResult
from hemobench.views.render import mask_of
from hemobench.views.view import SegmentationView, View, view_to_mapping

FEW_PATIENTS = 60
ADVISED_FOLDS = 5

__all__ = ["Guests", "PreparedBoard", "Ranked", "SuiteResult", "Workforce", "run_suite", "slug", "with_data"]


@dataclass(frozen=True)
class PreparedBoard:
    """A board with its data at hand: opened, divided and decoded. splits: by what an entry's split divides, one or as
    many as the board has folds."""

    spec: BoardSpec
    number: int
    dataset: Dataset
    splits: Mapping[str, tuple[Split, ...]]
    examples: Examples

    @property
    def label(self) -> str:
        """Short name for folders and progress: 1-classification."""
        return f"{self.number}-{self.spec.task}"

    @property
    def folds(self) -> tuple[Split, ...]:
        """The splits of which the board tells, one without folds: the honest ones, where there are some."""
        return self.splits.get(PATIENT) or self.splits[IMAGE]


@dataclass(frozen=True)
class Ranked:
    """A board and its runs, entry name to one run a seed; on a cross-validated board to one a seed and fold, the folds
    of the first seed first. disagreements: where its entries differ, of boards that tell."""

    board: Board
    runs: dict[str, list[RunResult]]
    disagreements: Disagreements | None = None


class Guests(Protocol):
    """Entries that exist, on boards of a suite that trains (`boards.mixed`)."""

    def check(self, boards: Sequence[BoardSpec], datasets: Sequence[Dataset], progress: SuiteProgress) -> None:
        """Open them, before anything is decoded or trained. Raises: UserError where one serves no board."""

    def ask(self, boards: Sequence[PreparedBoard], output: Path, progress: SuiteProgress) -> None:
        """Their answers for all who are tested, before anything trains. Raises: UserError."""

    def rank(
        self,
        board: PreparedBoard,
        facts: BoardFacts,
        runs: Mapping[str, Sequence[RunResult]],
        references: Mapping[str, Predictions],
    ) -> Ranked | None:
        """A board with them beside the trained runs; None for one on which there are none."""


@dataclass(frozen=True)
class SuiteResult:
    """What a suite leaves: its leaderboard, and of each board its runs and where its entries differ (see Ranked)."""

    leaderboard: Leaderboard
    runs: tuple[dict[str, list[RunResult]], ...]
    disagreements: tuple[Disagreements | None, ...]


def with_data(suite: Suite, spec: str | None) -> tuple[Suite, tuple[str, ...]]:
    """The suite on another data set, and a line for each board that this data set cannot serve.

    A board keeps its data options when the data set is its own (with another path), and from one kind of phantoms to
    the other how many they are and their seed. UserError if no board is left.
    """
    if spec is None:
        return suite, ()
    name, _ = parse_spec(spec)
    info, boards, skipped = dataset_info(name), [], []
    for board in suite.boards:
        reason = unsupported(info, board.task, board.view) or _without_masks(spec, board.view)
        if reason is None:
            boards.append(replace(board, dataset=spec, options=_kept_options(board, name)))
        else:
            skipped.append(f"board '{board.title}' ({board.task}): {reason}")
    if not boards:
        raise UserError(
            f"data set '{name}' serves no board of suite '{suite.name}' ({'; '.join(skipped)}); "
            "expected one for its tasks; choose another suite or data set"
        )
    return replace(suite, boards=tuple(boards)), tuple(skipped)


def _kept_options(board: BoardSpec, name: str) -> Mapping[str, Any]:
    if board.dataset_name == name:
        return board.options
    if not (dataset_info(name).phantom and dataset_info(board.dataset_name).phantom):
        return {}
    return {key: value for key, value in board.options.items() if key in ("patients", "seed")}


def _without_masks(spec: str, view: View) -> str | None:
    """Why a segmentation board cannot use this copy: some data sets come with masks and without, or with others."""
    if not isinstance(view, SegmentationView) or dataset_info(parse_spec(spec)[0]).phantom:
        return None
    dataset = open_dataset(spec)
    loaded = dataset.cases[0].load() if dataset.cases else None
    # Masks of blood without types are seen to when they are decoded.
    ventricles = view.target == "ventricles"
    if loaded is None or mask_of(loaded, "ventricles" if ventricles else "haemorrhage") is not None:
        return None
    return f"this copy of '{dataset.info.name}' has no masks{' of ventricles' if ventricles else ''}"


def run_suite(
    suite: Suite,
    output: Path,
    *,
    workforce: Workforce | None = None,
    skipped: Sequence[str] = (),
    tests: Sequence[str] = (),
    guests: Guests | None = None,
    progress: SuiteProgress,
    clock: StageClock,
) -> SuiteResult:
    """Train what is not trained yet under `output`, then rank. tests: data sets, `NAME[:PATH]`, that every trained
    network is scored on too, with a board of their own each. guests: entries that exist, beside the trained ones.

    Raises:
        UserError: data or guests that cannot be opened (before anything trains), runs that diverged or died (after all
        others have been trained), a folder not writable.
    """
    workforce = workforce or Workforce()
    if guests is None and any(board.existing for board in suite.boards):
        raise UserError(
            f"suite '{suite.name}' has entries that exist; expected somebody to ask them; rank it with "
            "`python -m hemobench.compare`"
        )
    if output.exists() and not output.is_dir():
        raise UserError(f"output {output} is a file; expected a folder, new or of an earlier run; give another one")
    with clock.stage("open data"):
        datasets = _open_all(suite.boards, progress)
        elsewhere = open_elsewhere(tests, suite.boards, datasets, progress)
        if guests is not None:
            guests.check(suite.boards, datasets, progress)
    # Not before: a mistake in the data leaves no empty folder behind.
    _make_folder(output / "runs")
    names = [board.dataset for board in suite.boards]
    for name, dataset in dict(zip(names, datasets, strict=True)).items():
        for line in first_lines(dataset, name):
            progress.line(f"note: {line}")
    boards = [
        _prepare(spec, number, dataset, output, progress, clock)
        for number, (spec, dataset) in enumerate(zip(suite.boards, datasets, strict=True), start=1)
    ]
    for line in dict.fromkeys(filter(None, map(_folds_advice, boards))):
        progress.line(f"note: {line}")
    if guests is not None:
        with clock.stage("answers of entries that exist"):
            guests.ask(boards, output, progress)
    tasks = list(_tasks(boards, suite.seeds, output, workforce.threads))
    results = train_all(tasks, boards, workforce, RunsTable(output / RUNS_FILE, len(tasks)), progress, clock)
    runs: list[dict[str, list[RunResult]]] = [{} for _ in boards]
    for task in tasks:
        runs[task.board].setdefault(task.entry, []).append(results[task.folder])
    with clock.stage("bootstrap and ranks"):
        ranked = [_rank(board, group, guests) for board, group in zip(boards, runs, strict=True)]
    if guests is not None and elsewhere:
        progress.line("boards of --test rank trained entries alone: entries that exist are not asked there")
    ranked += _elsewhere(boards, runs, ranked, elsewhere, output, progress, clock)
    leaderboard = Leaderboard(
        suite=suite.name,
        title=suite.title,
        description=suite.description,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=package_commit() or "unknown",
        seeds=suite.seeds,
        boards=tuple(one.board for one in ranked),
        skipped=tuple(skipped),
        suite_fingerprint=suite_fingerprint(suite),
        statistics=STATISTICS,
    )
    return SuiteResult(leaderboard, tuple(one.runs for one in ranked), tuple(one.disagreements for one in ranked))


def _elsewhere(
    boards: Sequence[PreparedBoard],
    runs: Sequence[dict[str, list[RunResult]]],
    at_home: Sequence[Ranked],
    elsewhere: Sequence[Elsewhere],
    output: Path,
    progress: SuiteProgress,
    clock: StageClock,
) -> list[Ranked]:
    """The boards of the trained networks on other data."""
    found = []
    for board, group, internal in zip(boards, runs, at_home, strict=True):
        for other in elsewhere:
            with clock.stage(f"test on {other.name}"):
                scored = score_elsewhere(
                    board.spec, board.examples, board.folds, internal.board, group, other, output, progress
                )
            if scored is not None:
                found.append(Ranked(*scored))
    return found


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
        if board.stream is not None:
            board.stream.shard(0)  # a mistake in it is told before anything is decoded
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
    name = f"{dataset.info.name} for {spec.task}"
    progress.begin(name)
    progress.start("patients", len(dataset.cases))
    with clock.stage(f"data: {name}"):
        examples = build_examples(dataset, spec.view, masks=spec.locates, progress=progress.reach)
        if spec.stream is not None:
            # Made once and left in the cache, for all runs: each would make and delete its own.
            shard = spec.stream.shard(0)
            progress.start("phantoms beside them", len(shard.cases))
            build_examples(shard, spec.view, masks=spec.locates, progress=progress.reach)
    examples = examples if spec.split_by == PATIENT else by_image(examples)
    board = PreparedBoard(spec, number, dataset, _splits(spec, dataset, examples), examples)
    for unit, splits in board.splits.items():
        for fold, split in enumerate(splits, start=1):
            check_disjoint(split)
            ending = "" if splits is board.folds else f"-{unit}"
            ending += f"-fold{fold}" if len(splits) > 1 else ""
            split.save(output / "splits" / f"{board.label}{ending}.json")
    first = board.folds[0]
    counts = ", ".join(f"{len(getattr(first, part))} {part}" for part in PARTS)
    which = f"fold 1 of {spec.folds}, " if spec.folds > 1 else ""
    progress.line(f"{name}: {len(examples)} examples of {len(dataset.cases)} studies; {which}{first.unit}s: {counts}")
    return board


def _folds_advice(board: PreparedBoard) -> str:
    """What tests all of few patients; "" where there are many, where folds do, or where more can be generated."""
    patients = len({case.patient_id for case in board.dataset.cases})
    spec, few = board.spec, ADVISED_FOLDS <= patients < FEW_PATIENTS
    if not few or board.dataset.info.phantom or spec.folds > 1 or spec.split_by != PATIENT:
        return ""
    return (
        f"{len(board.folds[0].test)} of {patients} patients of {board.dataset.info.name} are tested; "
        f"--folds {ADVISED_FOLDS} tests all of them, with {ADVISED_FOLDS} networks for each entry and seed"
    )


def _splits(spec: BoardSpec, dataset: Dataset, examples: Examples) -> dict[str, tuple[Split, ...]]:
    """The splits of a board's entries, by what they divide."""
    if spec.folds > 1:
        folds = kfold_by_patient(
            dataset.cases, folds=spec.folds, validation_fraction=FOLD_VALIDATION, seed=spec.split_seed
        )
        return {PATIENT: folds}
    if spec.split_by == IMAGE:
        watched = spec.watch == "test"
        split = split_by_image(examples, fractions=spec.fractions, seed=spec.split_seed, watch_test=watched)
        return {IMAGE: (split,)}
    people = split_by_patient(dataset.cases, fractions=spec.fractions, seed=spec.split_seed)
    check_disjoint(people)
    if spec.split_by == PATIENT:
        return {PATIENT: (people,)}
    honest, leaking = paired_splits(examples, people)
    return {PATIENT: (honest,), IMAGE: (leaking,)}


def _tasks(boards: Sequence[PreparedBoard], seeds: Sequence[int], output: Path, threads: int) -> Iterator[RunTask]:
    """Every run of the suite; folders are named by board, entry, fold and seed, alike names by a number besides."""
    taken: set[Path] = set()
    for index, board in enumerate(boards):
        for number, entry in enumerate(board.spec.entries, start=1):
            splits = board.splits[entry.split_by]
            for seed, (place, split) in product(seeds, enumerate(splits, start=1)):
                fold = place if len(splits) > 1 else 0
                ending = f"-fold{fold}-seed{seed}" if fold else f"-seed{seed}"
                folder = output.resolve() / "runs" / f"{board.label}-{slug(entry.name)}{ending}"
                if folder in taken:
                    folder = folder.with_name(f"{folder.name}-{number}")
                taken.add(folder)
                config = board.spec.config(entry, seed)
                stream = board.spec.stream_for(config)
                yield RunTask(index, entry.name, config, folder, board.dataset, split, threads, fold, stream)


def _rank(board: PreparedBoard, runs: dict[str, list[RunResult]], guests: Guests | None) -> Ranked:
    spec = board.spec
    facts = BoardFacts(
        task=spec.task,
        title=spec.title,
        data=board.dataset.info.name,
        data_fingerprint=board.examples.fingerprint,
        phantom=board.examples.phantom,
        rank_by=spec.rank_by,
        shown=spec.metrics,
        leaky=board.dataset.leaky,
        resamples=spec.resamples,
        view=view_to_mapping(spec.view),
        split=_division(board),
        questions=spec.questions,
    )
    references = {}
    if sees_slices(runs):
        references[SLICE_POSITION] = slice_position_predictions(board.examples, board.folds)
    mixed = None if guests is None else guests.rank(board, facts, runs, references)
    return mixed or Ranked(build_board(facts, runs, references, folds=spec.folds), runs)


def _division(board: PreparedBoard) -> dict[str, Any]:
    """What a board tells of its split; of pictures also whom they show, and how many are on both sides. Of folds: all
    patients are tested; train and validation are the mean fold's. Where phantoms teach beside the patients, which."""
    spec, split, examples = board.spec, board.folds[0], board.examples
    beside = {} if spec.stream is None else {"stream": asdict(spec.stream)}
    if spec.folds > 1:
        return {
            "folds": spec.folds,
            **{
                f"{part}_patients": round(float(np.mean([len(getattr(fold, part)) for fold in board.folds])))
                for part in ("train", "validation")
            },
            "test_patients": sum(len(fold.test) for fold in board.folds),
            "by": PATIENT,
            "seed": split.seed,
            "validation_fraction": FOLD_VALIDATION,
            "fingerprint": fingerprint_of(board.folds),
            **beside,
        }
    of_parts = {part: examples.patient_ids[examples.rows_of(getattr(split, part))] for part in PARTS}
    told: dict[str, Any] = {f"{part}_patients": len(np.unique(patients)) for part, patients in of_parts.items()}
    told |= {"by": spec.split_by, "seed": split.seed, "fractions": list(spec.fractions), **beside}
    told["fingerprint"] = split.fingerprint
    if spec.split_by != PATIENT:
        told |= {f"{part}_images": len(patients) for part, patients in of_parts.items()}
        told["patients_on_both_sides"] = shared_patients(examples, board.splits[IMAGE][0])
        told["leaking_fingerprint"] = board.splits[IMAGE][0].fingerprint
        told["watched"] = spec.watch
    return told
