"""`hemobench compare --entry ...`: checkpoints and other tools' answers, on boards of their own or a suite's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hemobench.cli.shown_command import told
from hemobench.errors import UserError, unknown_name

if TYPE_CHECKING:
    from hemobench.boards.mixed import MixedBoards
    from hemobench.compare.suites import Suite


@dataclass(frozen=True)
class Asked:
    """What exists, as the command line asks for it: --entry, --missing, --allow-seen and --leave-out-seen."""

    entries: tuple[str, ...]
    missing: str | None
    allow_seen: bool
    leave_out_seen: bool

    def words(self) -> list[str]:
        """The same as words of a command."""
        words = [word for entry in self.entries for word in ("--entry", entry)]
        words += [] if self.missing in (None, "count") else ["--missing", str(self.missing)]
        return [
            *words,
            *(["--allow-seen"] if self.allow_seen else []),
            *(["--leave-out-seen"] if self.leave_out_seen else []),
        ]


def rank_existing(
    suite: str | None,
    asked: Asked,
    data: str | None,
    output: Path | None,
    engine: str | None,
    pictures: bool,
    trained: Mapping[str, object],
) -> None:
    """Rank entries on a data set: those of a board's YAML file `suite`, and those of the command line.

    trained: options that mean suites to train, and whether they were given. Raises: UserError where some were, and
    where nobody says on which data.
    """
    for option, given in trained.items():
        if given:
            raise UserError(
                f"{option} with --entry; expected entries that exist or a suite to train, not both; leave one out"
            )
    # Here, not above: --help and the errors above should not pay for loading torch.
    from hemobench.compare.costs import StageClock

    clock = StageClock()
    with clock.stage("start"):
        from hemobench.boards.entries import parse_entry
        from hemobench.boards.file import BoardFile, read_board_file
        from hemobench.boards.session import SUITE, Terms, compare_entries
        from hemobench.compare.run_task import slug
        from hemobench.inference.engine import KINDS
        from hemobench.predictions.folder import COUNT, check_missing

    file = BoardFile((), "", COUNT) if suite is None else read_board_file(Path(suite))
    data = data or file.data
    if not data:
        raise UserError("--entry without --data; expected the data set to rank on; add --data NAME:PATH")
    missing = asked.missing or file.missing
    check_missing(missing)
    check_seen_once(asked.allow_seen, asked.leave_out_seen)
    if engine is not None and engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    wanted = [*file.entries, *(parse_entry(text) for text in asked.entries)]
    folder = output or Path("hemobench-results") / f"{SUITE}-{slug(data.partition(':')[0])}"
    words = ["hemobench", "compare", *([suite] if suite else []), "--data", data]
    words += replace(asked, missing=missing).words()
    compare_entries(
        wanted,
        data,
        folder,
        Terms(missing, asked.allow_seen, asked.leave_out_seen, engine or "auto", pictures),
        command=told([*words, *([] if pictures else ["--no-pictures"])]),
        clock=clock,
    )


def beside(suite: Suite, asked: Asked) -> MixedBoards | None:
    """What exists and is to stand on a suite's boards; None where neither it nor the command line names any. Raises:
    UserError for what cannot be meant."""
    if not asked.entries and not any(board.existing for board in suite.boards):
        refuse_existing(asked)
        return None
    from hemobench.boards.entries import parse_entry
    from hemobench.boards.mixed import MixedBoards
    from hemobench.boards.session import Terms
    from hemobench.predictions.folder import COUNT, check_missing

    missing = asked.missing or COUNT
    check_missing(missing)
    check_seen_once(asked.allow_seen, asked.leave_out_seen)
    return MixedBoards(
        [parse_entry(text) for text in asked.entries], Terms(missing, asked.allow_seen, asked.leave_out_seen)
    )


def check_seen_once(allow: bool, leave_out: bool) -> None:
    """Raise UserError where people whom a checkpoint knows are to be kept and left out."""
    if allow and leave_out:
        raise UserError(
            "--allow-seen and --leave-out-seen; expected one of them: people whom a checkpoint knows are "
            "kept and marked, or left out; leave one off"
        )


def names_board_file(suite: str) -> bool:
    """Whether a suite is a YAML file of entries that exist."""
    if not suite.lower().endswith((".yaml", ".yml")):
        return False
    from hemobench.boards.file import is_board_file

    return is_board_file(suite)


def refuse_existing(asked: Asked) -> None:
    """Raise UserError for options that mean entries and stand where there are none."""
    given = {
        "--missing": asked.missing is not None,
        "--allow-seen": asked.allow_seen,
        "--leave-out-seen": asked.leave_out_seen,
    }
    for option, used in given.items():
        if used:
            raise UserError(f"{option} without --entry; expected it with entries that exist; leave it out")
