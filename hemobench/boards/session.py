"""A whole comparison of what exists: ask every entry, rank on the cases that all answer, write and print the boards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from rich.console import Console

from hemobench.boards.disagreement_pictures import CAPTION, disagreement_rows
from hemobench.boards.entries import BOARD, Entrant, Wanted, ask_all, open_checkpoints, without_known
from hemobench.boards.masks import masks_board
from hemobench.boards.probabilities import slices_board, studies_board
from hemobench.boards.record import Record, check_same_data, entrants_of, open_record, vouch_for, write_record
from hemobench.boards.shared_cases import Task
from hemobench.case import Dataset
from hemobench.compare.cases import entry_cases
from hemobench.compare.costs import MemoryWatch, StageClock, describe_machine
from hemobench.compare.exports import write_tables
from hemobench.compare.leaderboard import Leaderboard, write_leaderboard
from hemobench.compare.prediction_curves import precision_recall_lines, prevalence, reliabilities, roc_lines, volumes
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.report import Costs, Evidence, ExampleRow, write_report
from hemobench.compare.run_task import slug
from hemobench.compare.session import print_costs
from hemobench.compare.terminal_tables import make_console, print_board
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.support import first_lines
from hemobench.errors import UserError
from hemobench.evaluation.slice_position import SLICE_POSITION
from hemobench.stats import STATISTICS
from hemobench.training.experiment import package_commit

SUITE = "entries"
RESAMPLES = 1000
_PROTOCOL = (
    "No entry was trained for these boards: they are shared checkpoints, asked here, and answers that other tools "
    "wrote. Every entry of a board is scored on the same cases, those that all of them answer; the lines below a board "
    "say who lacks which. Under a score stands the 95% interval over draws of patients, the same for every entry, so "
    "entries are compared pair by pair; those whose difference is not settled are marked as tied. People who taught a "
    "checkpoint are refused, left out for all entries, or marked; who taught another tool is unknown. Research use "
    "only, never a diagnosis."
)


@dataclass(frozen=True)
class Terms:
    """How entries are measured.

    missing: see `predictions.folder`. allow_seen, leave_out_seen: see `check_seen`. engine: what computes checkpoints.
    pictures: whether the report shows slices of patients.
    """

    missing: str = "count"
    allow_seen: bool = False
    leave_out_seen: bool = False
    engine: str = "auto"
    pictures: bool = True
    resamples: int = RESAMPLES


def compare_entries(
    wanted: Sequence[Wanted],
    data: str,
    output: Path,
    terms: Terms,
    *,
    command: str,
    clock: StageClock,
    consoles: tuple[Console, Console] | None = None,
) -> Leaderboard:
    """Rank entries on a data set under `output`; boards go to stdout, progress to stderr, or to `consoles`.

    A second call with the same answers measures nothing again. Raises: UserError.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"output {output} is a file; expected a folder, new or of an earlier run; give another one")
    console, notes = consoles or (make_console(), make_console(stderr=True))
    with MemoryWatch() as memory:
        with SuiteProgress(notes) as progress:
            leaderboard, tasks, examples = rank_entries(wanted, data, output, terms, progress, clock)
        output.mkdir(parents=True, exist_ok=True)
        write_leaderboard(leaderboard, output)
        write_tables(leaderboard, output)
        with clock.stage("report"):
            evidence = [_evidence(task, examples) for task in tasks]
            costs = Costs(clock.stages(), clock.total_seconds, memory.peak_gb, describe_machine())
            write_report(output / "report.html", leaderboard, evidence, costs, command)
        vouch_for(output, ("leaderboard.json", "leaderboard.md", "report.html"))
    for board in leaderboard.boards:
        print_board(console, board)
    print_costs(console, clock, memory, output)
    return leaderboard


def rank_entries(
    wanted: Sequence[Wanted], data: str, output: Path, terms: Terms, progress: SuiteProgress, clock: StageClock
) -> tuple[Leaderboard, list[Task], tuple[ExampleRow, ...]]:
    """The boards of these entries, what a report needs of each, and pictures of masks that differ; answers are kept
    under `output`, and what is needed to rank others against them (`boards.record`)."""
    with clock.stage("open"):
        own = [one for one in wanted if one.kind != BOARD]
        records = {one.where: open_record(one.where) for one in wanted if one.kind == BOARD}
        checkpoints = open_checkpoints(own)
        dataset = _opened(data, progress)
        kept = without_known(
            list(checkpoints.values()), dataset, allow=terms.allow_seen, leave_out=terms.leave_out_seen
        )
        for record in records.values():
            check_same_data(record, kept)
    staying = {case.study_id for case in kept.cases}
    left_out = [case for case in dataset.cases if case.study_id not in staying]
    if left_out:
        progress.line(f"{len(left_out)} cases of people whom a checkpoint knows are left out for all entries")
    with clock.stage("answers"):
        entrants, nothing = ask_all(
            own,
            checkpoints,
            kept,
            output,
            missing=terms.missing,
            engine=terms.engine,
            progress=progress,
            left_out=left_out,
            truths=bool(records),
        )
        entrants += _shared(records, nothing, progress)
        _check_names(entrants)
    with clock.stage("bootstrap and ranks"):
        tasks, skipped = _boards(entrants, nothing, kept, terms.resamples)
    for reason in skipped:
        progress.line(f"left out: {reason}")
    if not tasks:
        if skipped:
            raise UserError(skipped[0])
        errors = [answer.error for one in entrants for answer in one.answers if answer.error is not None]
        raise UserError(
            f"no entry gave an answer that '{kept.info.name}' has labels for"
            f"{f' (first: {errors[0]})' if errors else ''}; expected some; check the entries and the data"
        )
    leaderboard = Leaderboard(
        suite=SUITE,
        title=f"What exists, on {kept.info.name}",
        description="",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=package_commit() or "unknown",
        seeds=(0,),
        boards=tuple(task.board for task in tasks),
        skipped=skipped,
        protocol=_PROTOCOL,
        statistics=STATISTICS,
    )
    examples = _pictures(tasks, entrants, kept) if terms.pictures else ()
    write_record(output, entrants, kept, pictures=bool(examples))
    return leaderboard, tasks, examples


def _shared(records: Mapping[str, Record], nothing: Entrant | None, progress: SuiteProgress) -> list[Entrant]:
    """The entries of boards that others measured. nothing: an answer a case, with its labels."""
    found: list[Entrant] = []
    for where, record in records.items():
        assert nothing is not None
        found += entrants_of(record, nothing.answers)
        progress.line(f"{len(record.rows)} entries from the board {where}")
    return found


def _check_names(entrants: Sequence[Entrant]) -> None:
    names: dict[str, str] = {}
    for one in entrants:
        if slug(one.name) in names:
            raise UserError(
                f"two entries '{one.name}', one of them from a board; expected a name of its own for each; "
                "say --entry NAME=..."
            )
        names[slug(one.name)] = one.name


def _pictures(tasks: Sequence[Task], entrants: Sequence[Entrant], dataset: Dataset) -> tuple[ExampleRow, ...]:
    """Of the board of masks, the cases on which its entries differ most."""
    found = next((task for task in tasks if task.board.task == "segmentation"), None)
    if found is None:
        return ()
    # The masks of entries that others measured are with them.
    of_name = {one.name: one for one in entrants if not one.measured_by}
    ordered = [of_name[name] for name in found.disagreements.entries if name in of_name]
    if not ordered:
        return ()
    return disagreement_rows([case.case for case in found.disagreements.cases], ordered, dataset)


def _boards(
    entrants: Sequence[Entrant], nothing: Entrant | None, dataset: Dataset, resamples: int
) -> tuple[list[Task], tuple[str, ...]]:
    """The boards that the entries serve, and why another is left out although some of them would."""
    tasks, skipped = [], []
    for board in (slices_board, studies_board, partial(masks_board, nothing=nothing)):
        try:
            task = board(entrants, dataset=dataset, resamples=resamples)
        except UserError as error:
            skipped.append(str(error))
            continue
        if task is not None:
            tasks.append(task)
    return tasks, tuple(skipped)


def _opened(data: str, progress: SuiteProgress) -> Dataset:
    progress.line(f"opening {data}")
    progress.begin(data)
    progress.start("reading", 0)
    dataset = open_dataset(data, progress=progress.reach)
    for line in first_lines(dataset, data):
        progress.line(f"note: {line}")
    return dataset


def _evidence(task: Task, examples: tuple[ExampleRow, ...] = ()) -> Evidence:
    """What the report shows of a board beside its table. examples: pictures, for the board of masks."""
    board, runs = (
        task.board,
        {entry.name: task.runs[entry.name] for entry in task.board.entries if entry.name in task.runs},
    )
    sure = {name: group for name, group in runs.items() if _gives_probabilities(task, name)}
    notes: tuple[str, ...] = ()
    if any(entry.name == SLICE_POSITION for entry in board.entries):
        notes = (f"'{SLICE_POSITION}' knows only how high in the head a slice lies: what pictures add is above it.",)
    return Evidence(
        board=board,
        notes=notes,
        roc=roc_lines(runs),
        precision_recall=precision_recall_lines(runs),
        prevalence=prevalence(runs),
        reliabilities=reliabilities(board, sure),
        volumes=volumes(runs),
        cases=entry_cases(runs, pictures=False),
        disagreements=task.disagreements,
        unit=task.unit,
        examples=examples if board.task == "segmentation" else (),
        examples_caption=CAPTION,
        made_with=tuple(
            f"{name}: {', '.join(f'{key} {value}' for key, value in told.items())}"
            for name, told in _told(task).items()
        ),
    )


def _told(task: Task) -> dict[str, dict[str, object]]:
    """By entry, whose answers these are, without long lists of thresholds."""
    return {
        entry.name: {key: value for key, value in entry.config.items() if isinstance(value, str)}
        for entry in task.board.entries
        if entry.config
    }


def _gives_probabilities(task: Task, name: str) -> bool:
    return any(entry.name == name and "ece_any" in entry.metrics for entry in task.board.entries)
