"""A comparison asked for by values, ranked without printing: what `hemobench.compare` does."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from rich.console import Console

from hemobench.boards.entries import parse_entry
from hemobench.boards.file import BoardFile, is_board_file, read_board_file
from hemobench.boards.mixed import MixedBoards
from hemobench.boards.session import SUITE, Terms, compare_entries
from hemobench.compare.costs import StageClock
from hemobench.compare.leaderboard import Leaderboard
from hemobench.compare.run_task import slug
from hemobench.compare.runner import Workforce, with_data
from hemobench.compare.session import compare_suite
from hemobench.compare.suite_files import load_suite
from hemobench.compare.terminal_tables import make_console
from hemobench.errors import UserError, unknown_name
from hemobench.inference.engine import KINDS
from hemobench.predictions.folder import COUNT, check_missing

TRAINERS = ("local", "ray")


@dataclass(frozen=True)
class Request:
    """What is to be compared; see `hemobench.api.compare`."""

    suite: str | None = None
    data: str | None = None
    entries: tuple[str, ...] = ()
    seeds: int | None = None
    folds: int | None = None
    tests: tuple[str, ...] = ()
    jobs: int | None = None
    threads: int = 1
    engine: str | None = None
    missing: str | None = None
    allow_seen: bool = False
    leave_out_seen: bool = False
    pictures: bool = True

    @property
    def call(self) -> str:
        """The call that gives the same boards again."""
        given = [(one.name, getattr(self, one.name)) for one in fields(self)]
        words = [f"{name}={value!r}" for name, value in given if value != getattr(_NOTHING, name)]
        return f"hemobench.compare({', '.join(words)})"

    @property
    def terms(self) -> Terms:
        """How what exists is measured."""
        engine = self.engine_of(KINDS, "auto")
        return Terms(self.missing or COUNT, self.allow_seen, self.leave_out_seen, engine, self.pictures)

    def engine_of(self, known: tuple[str, ...], usual: str) -> str:
        """What computes. Raises: UserError for none of these."""
        if self.engine is not None and self.engine not in known:
            raise unknown_name("engine", self.engine, known)
        return self.engine or usual


_NOTHING = Request()


def rank(request: Request, output: Path | None = None, *, progress: bool = False) -> Leaderboard:
    """The leaderboard of a request, its files under `output`; progress goes to stderr, boards nowhere.

    Raises: UserError for what cannot be meant, and as `compare_suite` and `compare_entries` do.
    """
    check_missing(request.missing or COUNT)
    if request.allow_seen and request.leave_out_seen:
        raise UserError(
            "allow_seen and leave_out_seen; expected one of them: people whom a checkpoint knows are kept "
            "and marked, or left out; leave one off"
        )
    notes = make_console(stderr=True) if progress else Console(quiet=True)
    consoles = (Console(quiet=True), notes)
    listed = request.suite is not None and is_board_file(request.suite)
    if listed or (request.entries and request.suite is None):
        return _rank_existing(request, listed, output, consoles)
    clock = StageClock()
    suite, skipped = with_data(load_suite(request.suite or "quick"), request.data)
    suite = suite if request.seeds is None else suite.with_seeds(request.seeds)
    suite = suite if request.folds is None else suite.with_folds(request.folds)
    ending = "" if request.data is None else f"-{slug(request.data.partition(':')[0])}"
    wanted = [parse_entry(text) for text in request.entries]
    guests = None
    if wanted or any(board.existing for board in suite.boards):
        guests = MixedBoards(wanted, Terms(request.missing or COUNT, request.allow_seen, request.leave_out_seen))
    return compare_suite(
        suite,
        output or Path("hemobench-results") / f"{slug(suite.name)}{ending}",
        workforce=Workforce(request.engine_of(TRAINERS, "local"), request.jobs, request.threads),
        skipped=skipped,
        tests=request.tests,
        guests=guests,
        pictures=request.pictures,
        command=request.call,
        clock=clock,
        consoles=consoles,
    )


def _rank_existing(
    request: Request, listed: bool, output: Path | None, consoles: tuple[Console, Console]
) -> Leaderboard:
    """A board of what exists alone, from a file of entries where there is one."""
    for name in ("seeds", "folds", "tests", "jobs"):
        if getattr(request, name) != getattr(_NOTHING, name):
            raise UserError(f"{name} with entries alone; expected entries that exist or a suite to train; leave it out")
    file = read_board_file(Path(str(request.suite))) if listed else BoardFile((), "", COUNT)
    data = request.data or file.data
    if not data:
        raise UserError("entries without data; expected the data set to rank on; give data='NAME:PATH'")
    wanted = [*file.entries, *(parse_entry(text) for text in request.entries)]
    folder = output or Path("hemobench-results") / f"{SUITE}-{slug(data.partition(':')[0])}"
    terms = replace(request.terms, missing=request.missing or file.missing)
    return compare_entries(wanted, data, folder, terms, command=request.call, clock=StageClock(), consoles=consoles)
