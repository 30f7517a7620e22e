"""`hemobench compare --entry ...`: boards of checkpoints and of other tools' answers, on the same cases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from hemobench.errors import UserError, unknown_name


def rank_existing(
    entries: Sequence[str], data: str | None, output: Path | None, terms: tuple[str, bool, bool, str | None],
    trained: Mapping[str, object],
) -> None:
    """Rank entries on a data set. terms: --missing, --allow-seen, --leave-out-seen, --engine. trained: options that
    mean suites, and whether they were given. Raises: UserError where some were, and where --data is missing."""
    for option, given in trained.items():
        if given:
            raise UserError(f"{option} with --entry; expected entries that exist or a suite to train, not both; leave "
                            "one out")
    if data is None:
        raise UserError("--entry without --data; expected the data set to rank on; add --data NAME:PATH")
    # Here, not above: --help and the errors above should not pay for loading torch.
    from hemobench.compare.costs import StageClock

    clock = StageClock()
    with clock.stage("start"):
        from hemobench.boards.entries import parse_entry
        from hemobench.boards.session import SUITE, Terms, compare_entries
        from hemobench.compare.work import slug
        from hemobench.inference.engine import KINDS
        from hemobench.predictions.folder import check_missing

    missing, allow, leave_out, engine = terms
    check_missing(missing)
    if engine is not None and engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    folder = output or Path("hemobench-results") / f"{SUITE}-{slug(data.partition(':')[0])}"
    compare_entries(
        [parse_entry(text) for text in entries], data, folder, Terms(missing, allow, leave_out, engine or "auto"),
        command=_command(entries, data, missing, allow, leave_out), clock=clock,
    )  # fmt: skip


def refuse_existing(given: Mapping[str, bool]) -> None:
    """Raise UserError for options that mean entries and stand beside a suite."""
    for option, used in given.items():
        if used:
            raise UserError(f"{option} without --entry; expected it with entries that exist; leave it out")


def _command(entries: Sequence[str], data: str, missing: str, allow: bool, leave_out: bool) -> str:
    words = ["hemobench", "compare", *(word for entry in entries for word in ("--entry", entry)), "--data", data]
    words += [] if missing == "count" else ["--missing", missing]
    words += [*(["--allow-seen"] if allow else []), *(["--leave-out-seen"] if leave_out else [])]
    return shlex.join(words)
