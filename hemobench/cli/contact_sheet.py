"""Some cases of a data set analysed and drawn on one page, for `hemobench sheet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hemobench.cli.opening import opened
from hemobench.cli.run import EXIT_USER_ERROR
from hemobench.datasets.opening import parse_spec
from hemobench.errors import UserError
from hemobench.progress import reporting_progress

if TYPE_CHECKING:
    from hemobench.inference.checkpoint import Checkpoint


def sheet_of(data: str | None, sheet: Path | None, others: Sequence[str]) -> tuple[str, Path]:
    """The data set and the file that were asked for. others: names of options that were given and mean scans.

    Raises: UserError where one of the two is missing, or scans are meant as well.

    >>> sheet_of("phantom", Path("sheet.png"), []) == ("phantom", Path("sheet.png"))
    True
    """
    if data is None:
        raise UserError(f"--sheet {sheet} without --data; expected a data set to draw; add --data NAME:PATH")
    if sheet is None:
        raise UserError(
            f"--data {data} without --masks; expected where its answers go; add --masks FOLDER, or run "
            f"hemobench sheet {data} for a page of its cases"
        )
    refuse_scans(data, others)
    return data, checked_name(sheet)


def checked_name(sheet: Path) -> Path:
    """The file of a sheet itself. Raises: UserError where its name is not that of a PNG."""
    if sheet.suffix.lower() != ".png":
        raise UserError(f"sheet {sheet}; expected a name ending in .png; rename it")
    return sheet


def refuse_scans(data: str, others: Sequence[str]) -> None:
    """Raise UserError where options that mean scans stand beside a data set."""
    if others:
        raise UserError(
            f"--data {data} with {', '.join(others)}; expected a data set or scans, not both; leave one out"
        )


def draw_cases(
    data: str,
    sheet: Path,
    checkpoints: Mapping[str, Checkpoint],
    *,
    cases: int,
    engine: str,
    flip_tta: bool,
    strangers: bool = False,
) -> None:
    """Open the data set, analyse some of its cases, draw them; cases without an answer are named at the end."""
    # Here, not above: --help should not pay for loading torch.
    from hemobench.evaluation.contact_sheet import write_sheet

    name = parse_spec(data)[0]
    dataset = opened(data)
    with reporting_progress(f"analysing {name}") as progress:
        done = write_sheet(
            dataset,
            tuple(checkpoints.values()),
            sheet,
            cases=cases,
            engine=engine,
            flip_tta=flip_tta,
            strangers=strangers,
            progress=progress,
        )
    typer.echo(f"{done.shown} cases of {name} drawn; {sheet}")
    if not dataset.info.phantom:
        typer.echo("it shows patients: for looking at, not for committing")
    if done.left_out:
        typer.echo(f"hemobench: {len(done.left_out)} cases gave no answer:", err=True)
        for line in done.left_out:
            typer.echo(f"  {line}", err=True)
        raise typer.Exit(EXIT_USER_ERROR)
