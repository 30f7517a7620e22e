"""`hemobench predict --data NAME:PATH --masks FOLDER`: all cases of a data set as a folder of predictions."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hemobench.cli.contact_sheet import draw_cases, refuse_scans, sheet_of
from hemobench.cli.opening import opened
from hemobench.cli.run import EXIT_USER_ERROR, say_new_spelling
from hemobench.datasets.opening import parse_spec
from hemobench.errors import UserError
from hemobench.progress import reporting_progress

if TYPE_CHECKING:
    from hemobench.inference.checkpoint import Checkpoint


def of_data_set(
    data: str | None,
    sheet: Path | None,
    masks: Path | None,
    others: Sequence[str],
    checkpoints: Callable[[], Mapping[str, Checkpoint]],
    *,
    cases: int,
    engine: str,
    flip_tta: bool,
    strangers: bool,
) -> None:
    """What `predict` does with --data: answer all cases into `masks`, or, in an old spelling, draw some to `sheet`.

    others: names of options that were given and mean scans. Raises: UserError where one of both is not asked for alone.
    """
    if masks is None:
        chosen = sheet_of(data, sheet, others)
        say_new_spelling(f"predict --data {data} --sheet {sheet}", f"sheet {data} --output {sheet}")
        draw_cases(*chosen, checkpoints(), cases=cases, engine=engine, flip_tta=flip_tta, strangers=strangers)
        return
    if data is None:
        raise UserError(f"--masks {masks} without --data; expected a data set to answer; add --data NAME:PATH")
    refuse_scans(data, [*others, *(["--sheet"] if sheet is not None else [])])
    write_masks(data, masks, checkpoints(), engine=engine, flip_tta=flip_tta, strangers=strangers)


def write_masks(
    data: str, folder: Path, checkpoints: Mapping[str, Checkpoint], *, engine: str, flip_tta: bool, strangers: bool
) -> None:
    """Open the data set, analyse all of its cases, write the folder; cases without an answer are named at the end."""
    # Here, not above: --help should not pay for loading torch.
    from hemobench.predictions.export import write_predictions

    name = parse_spec(data)[0]
    dataset = opened(data)
    with reporting_progress(f"analysing {name}") as progress:
        done = write_predictions(
            dataset,
            tuple(checkpoints.values()),
            folder,
            engine=engine,
            flip_tta=flip_tta,
            strangers=strangers,
            progress=progress,
        )
    typer.echo(f"{done.answered} cases of {name} answered; {folder}")
    if done.seen:
        typer.echo(
            f"SEEN: {done.seen} of these people taught the networks or helped to choose them: their scores are "
            "no test (--strangers leaves them out)"
        )
    command = shlex.join(["hemobench", "evaluate", f"predictions:{folder}", "--data", data])
    typer.echo(f"to measure them: {command}")
    if done.left_out:
        typer.echo(f"hemobench: {len(done.left_out)} cases gave no answer:", err=True)
        for line in done.left_out:
            typer.echo(f"  {line}", err=True)
        raise typer.Exit(EXIT_USER_ERROR)
