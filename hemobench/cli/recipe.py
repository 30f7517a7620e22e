"""`hemobench recipe`: from a recipe to a checkpoint folder with its card, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hemobench.release.recipes import described_recipes

app = typer.Typer(help="Make a checkpoint by a recipe.", add_completion=False)


@app.command()
def recipe(
    name: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A shipped recipe, or a YAML file; without: what there is")
    ] = None,
    data: Annotated[str | None, typer.Option(help="NAME:PATH to learn from; default: the recipe's own")] = None,
    test: Annotated[list[str] | None, typer.Option(help="NAME:PATH to measure the network on as well")] = None,
    anatomies: Annotated[
        str | None, typer.Option(help="phantom:FOLDER of label maps, for phantoms made while it trains")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="run or checkpoint that it begins with")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights, order and augmentation")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="folder of the checkpoint; default: checkpoints/RECIPE")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the run; default: runs/RECIPE")] = None,
    resume: Annotated[bool, typer.Option("--resume/--restart", help="go on where the same run stopped")] = True,
) -> None:
    """Train what a recipe says, fit its decision rule, measure it, and write a checkpoint folder with its card.

    Stopped, the same command goes on where it was.
    """
    if name is None:
        for known, makes in described_recipes().items():
            typer.echo(f"{known}: {makes}")
        return
    # Here, not above: --help should not pay for loading torch.
    from hemobench.cli.making import make_checkpoint

    try:
        make_checkpoint(
            name,
            checkpoint or Path("checkpoints") / Path(name).stem,
            data=data,
            tests=test or (),
            seed=seed,
            run=output,
            resume=resume,
            anatomies=anatomies,
            start=start,
        )
    except KeyboardInterrupt:
        typer.echo("the same command goes on where it stopped", err=True)
        raise
