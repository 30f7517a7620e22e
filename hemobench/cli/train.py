"""`python -m hemobench.train`: one model on one data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemobench.cli.making import make_checkpoint
from hemobench.cli.run import say_new_spelling
from hemobench.datasets.opening import parse_spec
from hemobench.errors import UserError
from hemobench.training.config import read_options
from hemobench.training.one_run import run_folder, train_once
from hemobench.training.resolving import resolve_config
from hemobench.training.result import RunResult

__all__ = ["app", "resolve_config", "summary", "train"]

app = typer.Typer(add_completion=False, help=__doc__)

_HEADLINES = ("auroc_any", "auroc_macro", "ap_any", "accuracy", "logloss_rsna", "accuracy_exclusive")


@app.command()
def train(
    model: Annotated[str | None, typer.Option(help="paper_cnn, timm:<backbone>, unet2d, unet2.5d, unet3d, ...")] = None,
    data: Annotated[str | None, typer.Option(help="NAME or NAME:PATH, e.g. ct-ich:PATH; default: phantom")] = None,
    task: Annotated[str | None, typer.Option(help="classification or segmentation")] = None,
    weighting: Annotated[str | None, typer.Option(help="none, paper, 0.5,0.5, inverse-frequency, ...")] = None,
    loss: Annotated[str | None, typer.Option(help="bce, focal, dice, dice+bce, tversky, blood+type, ...")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the training patients")] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate")] = None,
    batch_size: Annotated[int | None, typer.Option(help="slices or volumes a step")] = None,
    augment: Annotated[str | None, typer.Option(help="none, light, strong, any-scan or any-picture")] = None,
    size: Annotated[int | None, typer.Option(help="side of a classifier's pictures in pixels")] = None,
    patients: Annotated[int | None, typer.Option(help="number of phantom patients")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights, order and augmentation")] = None,
    split: Annotated[Path | None, typer.Option(help="JSON of a split by patient, or official.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with training options; the options above go first")] = None,
    resume: Annotated[bool, typer.Option("--resume/--restart", help="go on where the same run stopped")] = True,
    output: Annotated[Path | None, typer.Option(help="folder of the run; default: runs/<model>-<data>-s<seed>")] = None,
    # Until 0.2: `hemobench recipe` in its old spelling.
    recipe: Annotated[str | None, typer.Option(hidden=True)] = None,
    checkpoint: Annotated[Path | None, typer.Option(hidden=True)] = None,
    test: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    anatomies: Annotated[str | None, typer.Option(hidden=True)] = None,
    start: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train one model, choose its best epoch on validation patients, and score it on test patients."""
    given = {
        "model": model,
        "task": task,
        "weighting": weighting,
        "loss": loss,
        "epochs": epochs,
        "learning_rate": lr,
        "batch_size": batch_size,
        "augment": augment,
        "seed": seed,
    }
    named = {key: value for key, value in given.items() if value is not None}
    try:
        if recipe is not None:
            fixed = {**named, "config": config, "size": size, "patients": patients, "split": split}
            _refuse_beside_recipe({key: value for key, value in fixed.items() if key != "seed"})
            say_new_spelling(f"train --recipe {recipe}", f"recipe {recipe}")
            make_checkpoint(
                recipe,
                checkpoint or Path("checkpoints") / Path(recipe).stem,
                data=data,
                tests=test or (),
                seed=seed,
                run=output,
                resume=resume,
                anatomies=anatomies,
                start=start,
            )
            return
        if checkpoint is not None or test or anatomies is not None or start is not None:
            raise UserError(
                "--checkpoint, --test, --anatomies or --start in a single training; expected a recipe "
                "beside them; run hemobench recipe NAME with them"
            )
        options = ({} if config is None else read_options(config)) | named
        _train(options, data or "phantom", size, patients, split, resume, output)
    except KeyboardInterrupt:
        typer.echo("the same command goes on after the last finished epoch", err=True)
        raise


def _refuse_beside_recipe(options: Mapping[str, object]) -> None:
    given = [key.replace("_", "-") for key, value in options.items() if value is not None]
    if given:
        raise UserError(
            f"--recipe with {', '.join(given)}; expected data, test, seed, output, checkpoint there; "
            "copy the recipe's YAML, change it there and give its path"
        )


def _train(
    options: dict[str, Any],
    data: str,
    size: int | None,
    patients: int | None,
    split_path: Path | None,
    resume: bool,
    output: Path | None,
) -> None:
    result = train_once(
        options, data, size=size, patients=patients, split=split_path, resume=resume, output=output, progress=True
    )
    for line in summary(result):
        typer.echo(line)
    typer.echo(f"saved in {output or run_folder(result.config, parse_spec(data)[0])}")


def summary(result: RunResult) -> list[str]:
    """The lines that a finished run prints: its headline metrics on test patients, beside the trivial answer's."""
    suffix = getattr(result.config.view, "suffix", "any")
    names: tuple[str, ...] = _HEADLINES
    if result.config.task == "segmentation":
        overlap = ("dice", "nsd_2mm", "hd95_mm", "abs_volume_error_ml")
        names = (*(f"{name}_{suffix}" for name in overlap), "voxel_accuracy")
    source = "PHANTOM patients" if result.phantom else "patients"
    lines = [
        f"{result.name}: best epoch {result.best_epoch}, on {result.patients['test']} test {source} of "
        f"{result.dataset}, trained in {result.timings['train_seconds']:.1f} s"
    ]
    for name in names:
        if name in result.metrics:
            missing = result.undefined.get(name, 0)
            trivial = f"; a trivial answer scores {result.baselines[name]:.4f}" if name in result.baselines else ""
            undefined = f"; undefined in {missing}" if missing else ""
            lines.append(f"  {name} {result.metrics[name]:.4f}{trivial}{undefined}")
    return lines
