"""`hemobench compare --entry ...`: boards of checkpoints and of other tools' answers, on the same cases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from hemobench.errors import UserError, unknown_name


def rank_existing(
    suite: str | None, entries: Sequence[str], data: str | None, output: Path | None,
    terms: tuple[str | None, bool, bool, str | None, bool], trained: Mapping[str, object],
) -> None:
    """Rank entries on a data set: those of a board's YAML file `suite`, and those of the command line.

    terms: --missing, --allow-seen, --leave-out-seen, --engine, --pictures. trained: options that mean suites to
    train, and whether they were given. Raises: UserError where some were, and where nobody says on which data.
    """
    for option, given in trained.items():
        if given:
            raise UserError(f"{option} with --entry; expected entries that exist or a suite to train, not both; leave "
                            "one out")
    # Here, not above: --help and the errors above should not pay for loading torch.
    from hemobench.compare.costs import StageClock

    clock = StageClock()
    with clock.stage("start"):
        from hemobench.boards.entries import parse_entry
        from hemobench.boards.file import BoardFile, read_board_file
        from hemobench.boards.session import SUITE, Terms, compare_entries
        from hemobench.compare.work import slug
        from hemobench.inference.engine import KINDS
        from hemobench.predictions.folder import COUNT, check_missing

    file = BoardFile((), "", COUNT) if suite is None else read_board_file(Path(suite))
    data = data or file.data
    if not data:
        raise UserError("--entry without --data; expected the data set to rank on; add --data NAME:PATH")
    missing, allow, leave_out, engine, pictures = terms
    check_missing(missing or file.missing)
    if engine is not None and engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    wanted = [*file.entries, *(parse_entry(text) for text in entries)]
    folder = output or Path("hemobench-results") / f"{SUITE}-{slug(data.partition(':')[0])}"
    compare_entries(
        wanted, data, folder, Terms(missing or file.missing, allow, leave_out, engine or "auto", pictures),
        command=_command(suite, entries, data, missing or file.missing, allow, leave_out, pictures), clock=clock,
    )  # fmt: skip


def names_board_file(suite: str) -> bool:
    """Whether a suite is a YAML file of entries that exist."""
    if not suite.lower().endswith((".yaml", ".yml")):
        return False
    from hemobench.boards.file import is_board_file

    return is_board_file(suite)


def refuse_existing(given: Mapping[str, bool]) -> None:
    """Raise UserError for options that mean entries and stand beside a suite."""
    for option, used in given.items():
        if used:
            raise UserError(f"{option} without --entry; expected it with entries that exist; leave it out")


def _command(
    suite: str | None, entries: Sequence[str], data: str, missing: str, allow: bool, leave_out: bool,
    pictures: bool,
) -> str:
    words = ["hemobench", "compare", *([suite] if suite else [])]
    words += [*(word for entry in entries for word in ("--entry", entry)), "--data", data]
    words += [] if missing == "count" else ["--missing", missing]
    words += [*(["--allow-seen"] if allow else []), *(["--leave-out-seen"] if leave_out else [])]
    words += [] if pictures else ["--no-pictures"]
    return shlex.join(words)
