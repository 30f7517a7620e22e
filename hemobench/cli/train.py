"""`python -m hemobench.train`: one model on one data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hemobench.cli.recipe import make_checkpoint
from hemobench.datasets.cache import build_examples
from hemobench.datasets.registry import Dataset, dataset_info, open_dataset, parse_spec
from hemobench.datasets.splits import Split, official_split, split_by_patient
from hemobench.datasets.support import default_target, default_task, first_lines, unsupported
from hemobench.datasets.views import default_view, view_to_mapping
from hemobench.errors import UserError
from hemobench.training.config import TrainConfig, read_options
from hemobench.training.experiment import check_epochs, run_experiment
from hemobench.training.logging import ConsoleReporter, counting
from hemobench.training.problem import check_config
from hemobench.training.result import RunResult

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
    recipe: Annotated[str | None, typer.Option(help="a shipped recipe, or a YAML file: makes a checkpoint")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="with --recipe: folder of the checkpoint")] = None,
    test: Annotated[list[str] | None, typer.Option(help="with --recipe: NAME:PATH to measure it on as well")] = None,
    anatomies: Annotated[
        str | None, typer.Option(help="with --recipe: phantom:FOLDER of label maps for phantoms made while it trains")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="with --recipe: run or checkpoint that it begins with")] = None,
) -> None:
    """Train one model, choose its best epoch on validation patients, and score it on test patients.

    With --recipe everything comes from the recipe, and a checkpoint folder is written in the end.
    """
    given = {
        "model": model, "task": task, "weighting": weighting, "loss": loss, "epochs": epochs, "learning_rate": lr,
        "batch_size": batch_size, "augment": augment, "seed": seed,
    }
    named = {key: value for key, value in given.items() if value is not None}
    try:
        if recipe is not None:
            fixed = {**named, "config": config, "size": size, "patients": patients, "split": split}
            _refuse_beside_recipe({key: value for key, value in fixed.items() if key != "seed"})
            make_checkpoint(
                recipe, checkpoint or Path("checkpoints") / Path(recipe).stem, data=data, tests=test or (), seed=seed,
                run=output, resume=resume, anatomies=anatomies, start=start,
            )
            return
        if checkpoint is not None or test or anatomies is not None or start is not None:
            raise UserError("--checkpoint, --test, --anatomies or --start without --recipe; expected a recipe beside "
                            "them; add --recipe NAME")
        options = ({} if config is None else read_options(config)) | named
        _train(options, data or "phantom", size, patients, split, resume, output)
    except KeyboardInterrupt:
        typer.echo("the same command goes on after the last finished epoch", err=True)
        raise


def _refuse_beside_recipe(options: Mapping[str, object]) -> None:
    given = [key.replace("_", "-") for key, value in options.items() if value is not None]
    if given:
        raise UserError(f"--recipe with {', '.join(given)}; expected data, test, seed, output, checkpoint there; "
                        "copy the recipe's YAML, change it there and give its path")


def resolve_config(options: dict[str, Any], dataset: str, size: int | None) -> TrainConfig:
    """Config of a command line: the task follows the model and the data set, the view what its masks mark.

    Raises: UserError for names and options that are unknown, and for a task that the data set `dataset` cannot serve.

    >>> resolve_config({"model": "unet3d"}, "phantom-t1", None).monitor
    'dice_ventricles'
    """
    options, info = dict(options), dataset_info(dataset)
    segments = str(options.get("model", "")).startswith(("unet", "monai:"))
    options.setdefault("task", "segmentation" if segments else default_task(info))
    view = options.get("view") or {}
    if not isinstance(view, Mapping):
        raise UserError(f"view is {view!r}; expected options such as {{size: 128}}; give a mapping")
    view = dict(view)
    if size is not None:
        view["size"] = size
    if options["task"] == "segmentation" and "target" not in view:
        view = view_to_mapping(default_view("segmentation", default_target(info))) | view
    config = TrainConfig.from_mapping({**options, "view": view or None}).resolved()
    assert config.view is not None
    reason = unsupported(info, config.task, config.view)
    if reason is not None:
        raise UserError(f"{reason}; expected a task and a target that it serves; choose another data set or task")
    return config


def _train(
    options: dict[str, Any], data: str, size: int | None, patients: int | None, split_path: Path | None, resume: bool,
    output: Path | None,
) -> None:
    name, _ = parse_spec(data)
    settings = resolve_config(options, name, size)
    check_config(settings)
    check_epochs(settings, started=False)
    folder = output or Path("runs") / f"{settings.model}-{name}-s{settings.seed}".replace(":", "-")
    with ConsoleReporter() as reporter:
        chosen: dict[str, Any] = {} if patients is None else {"patients": patients}
        dataset = open_dataset(data, progress=counting(reporter, f"opening {data}"), **chosen)
        for line in first_lines(dataset, data):
            reporter.say(f"warning: {line}")
        # The split has a seed of its own, so that training seeds share their patients.
        split = _split_of(dataset, split_path)
        assert settings.view is not None
        examples = build_examples(
            dataset, settings.view, masks=settings.says_where,
            progress=counting(reporter, f"reading {dataset.info.name}"),
        )  # fmt: skip
        kind = "phantom" if examples.phantom else "real"
        sizes = f"{len(split.train)} train, {len(split.validation)} validate, {len(split.test)} test"
        reporter.say(f"{settings.model} for {settings.task} on {dataset.info.name}, {kind} patients: {sizes}; "
                     f"seed {settings.seed}")
        result = run_experiment(settings, examples, split, folder, resume=resume, progress=reporter)
        split.save(folder / "split.json")
    for line in summary(result):
        typer.echo(line)
    typer.echo(f"saved in {folder}")


def _split_of(dataset: Dataset, path: Path | None) -> Split:
    """Drawn by patient, its authors' own where the path is "official", or read."""
    if path is None:
        return split_by_patient(dataset.cases, seed=0)
    return official_split(dataset) if str(path) == "official" else Split.load(path)


def summary(result: RunResult) -> list[str]:
    """The lines that a finished run prints: its headline metrics on test patients, beside the trivial answer's."""
    suffix = getattr(result.config.view, "suffix", "any")
    names: tuple[str, ...] = _HEADLINES
    if result.config.task == "segmentation":
        overlap = ("dice", "nsd_2mm", "hd95_mm", "abs_volume_error_ml")
        names = (*(f"{name}_{suffix}" for name in overlap), "voxel_accuracy")
    source = "PHANTOM patients" if result.phantom else "patients"
    lines = [f"{result.name}: best epoch {result.best_epoch}, on {result.patients['test']} test {source} of "
             f"{result.dataset}, trained in {result.timings['train_seconds']:.1f} s"]
    for name in names:
        if name in result.metrics:
            missing = result.undefined.get(name, 0)
            trivial = f"; a trivial answer scores {result.baselines[name]:.4f}" if name in result.baselines else ""
            undefined = f"; undefined in {missing}" if missing else ""
            lines.append(f"  {name} {result.metrics[name]:.4f}{trivial}{undefined}")
    return lines
