"""`hemobench sheet`: some cases of a data set on one page, beside what their labels say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hemobench.cli.contact_sheet import checked_name, draw_cases
from hemobench.cli.options import Checkpoints, EngineName, Mirrored
from hemobench.errors import unknown_name

app = typer.Typer(help="Draw cases of a data set on one page.", add_completion=False)


@app.command()
def sheet(
    data: Annotated[str, typer.Argument(metavar="NAME:PATH", help="The data set: phantom, ct-ich:FOLDER, ...")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PNG", help="The page.")] = Path("sheet.png"),
    cases: Annotated[int, typer.Option(min=1, max=60, help="How many, evenly over its patients.")] = 12,
    strangers: Annotated[bool, typer.Option("--strangers", help="Only people whom no network knows.")] = False,
    checkpoint: Checkpoints = None,
    engine: EngineName = "auto",
    tta: Mirrored = False,
) -> None:
    """A panel for each of some cases: the slice with most outlined, plain and outlined, what the networks call, and
    what the labels say. Half of them bleed where labels say so. It shows patients: for looking at, not for committing.
    """
    # Here, not above: --help should not pay for loading torch.
    from hemobench.inference.engine import KINDS
    from hemobench.inference.shipped import checkpoints_by_role

    if engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    page = checked_name(output)
    networks = checkpoints_by_role(checkpoint or None)
    draw_cases(data, page, networks, cases=cases, engine=engine, flip_tta=tta, strangers=strangers)
