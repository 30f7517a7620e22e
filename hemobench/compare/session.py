"""A whole comparison: run the suite, write its files, print its boards and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hemobench.compare.costs import MemoryWatch, StageClock, describe_machine
from hemobench.compare.evidence import board_evidence
from hemobench.compare.exports import write_tables
from hemobench.compare.leaderboard import Board, Leaderboard, write_leaderboard
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.report import Costs, write_report
from hemobench.compare.runner import Guests, SuiteResult, Workforce, run_suite
from hemobench.compare.suites import Suite
from hemobench.compare.terminal_tables import make_console, print_board, timing_table
from hemobench.evaluation.slice_position import SLICE_POSITION


def compare_suite(
    suite: Suite,
    output: Path,
    *,
    workforce: Workforce | None = None,
    skipped: Sequence[str] = (),
    tests: Sequence[str] = (),
    guests: Guests | None = None,
    pictures: bool = True,
    command: str,
    clock: StageClock,
    consoles: tuple[Console, Console] | None = None,
) -> Leaderboard:
    """Train, rank and report a suite under `output`; boards go to stdout, progress to stderr.

    `skipped` names boards that were left out and why; `tests` other data sets to score all networks on; `guests` what
    exists and is ranked beside them; `pictures` whether the report shows examples; `command` is what it says to repeat;
    `consoles` take boards and progress in place of the terminal's.
    Raises: UserError.
    """
    console, notes = consoles or (make_console(), make_console(stderr=True))
    with MemoryWatch() as memory:
        with SuiteProgress(notes) as progress:
            for reason in skipped:
                progress.line(f"left out: {reason}")
            result = run_suite(
                suite,
                output,
                workforce=workforce,
                skipped=skipped,
                tests=tests,
                guests=guests,
                progress=progress,
                clock=clock,
            )
        write_leaderboard(result.leaderboard, output)
        write_tables(result.leaderboard, output)
        with clock.stage("report"):
            _report(result, output, command, clock, memory, pictures)
    for board in result.leaderboard.boards:
        print_board(console, board)
    print_costs(console, clock, memory, output)
    return result.leaderboard


def _report(
    result: SuiteResult, output: Path, command: str, clock: StageClock, memory: MemoryWatch, pictures: bool
) -> None:
    boards = zip(result.leaderboard.boards, result.runs, result.disagreements, strict=True)
    evidence = [
        board_evidence(board, runs, notes=_notes(board), pictures=pictures, disagreements=disagreements)
        for board, runs, disagreements in boards
    ]
    costs = Costs(clock.stages(), clock.total_seconds, memory.peak_gb, describe_machine())
    write_report(output / "report.html", result.leaderboard, evidence, costs, command)


def _notes(board: Board) -> tuple[str, ...]:
    if board.task == "classification":
        if all(entry.name != SLICE_POSITION for entry in board.entries):
            return ()
        return (f"'{SLICE_POSITION}' knows only how high in the head a slice lies: what pictures add is above it.",)
    return ("voxel_accuracy_background is what finding nothing scores: a voxel accuracy near it means little.",)


def print_costs(console: Console, clock: StageClock, memory: MemoryWatch, output: Path) -> None:
    """Where the time went, the largest memory in use, and the files that were written."""
    console.print(timing_table(clock.stages(), clock.total_seconds))
    if memory.peak_gb is not None:
        peak = f"peak memory {memory.peak_gb:.2f} GB, all processes together; {describe_machine()}"
        console.print(Text(peak), soft_wrap=True)
    for name in ("leaderboard.csv", "leaderboard.json", "leaderboard.md", "leaderboard.tex", "report.html"):
        console.print(Text(f"wrote {output / name}"), soft_wrap=True)
