"""`hemobench evaluate`: a checkpoint, or another tool's predictions, measured on data sets: a table, metrics.json and
predictions.csv of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hemobench.cli.existing import check_seen_once
from hemobench.cli.opening import opened
from hemobench.datasets.opening import parse_spec
from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES
from hemobench.progress import reporting_progress

if TYPE_CHECKING:
    from hemobench.case import Dataset
    from hemobench.evaluation.run import Evaluation, Progress

HEADINGS = ("metric", "value", "95% interval", "n", "undefined")
# Options of the command by data set: what its opener calls them.
_COLUMN_OPTIONS = {
    "image-folder": {"image": "id_column", "patient": "patient_column"},
    "nifti-folder": {"image": "study_column", "patient": "patient_column"},
}

# What stands before a folder of another tool's answers.
PREDICTIONS = "predictions:"

app = typer.Typer(help="Measure a checkpoint, or another tool's predictions, on data sets.", add_completion=False)


@app.command()
def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|USER/NAME|predictions:FOLDER",
            help="A checkpoint, here or on the Hub; or masks and tables that another tool wrote.",
        ),
    ],
    data: Annotated[
        list[str], typer.Option(metavar="NAME:PATH", help="ct-ich:DIR, image-folder:DIR ...; repeat for more.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column of a labels CSV that names the picture.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Column that names the patient.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=COLUMN", help="Column of any or a type, e.g. any=hemorrhage.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="auto|openvino|torch", help="What computes the network.")] = "auto",
    masks: Annotated[bool, typer.Option("--masks", help="Write the label maps of a segmenter too.")] = False,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Measure on people it knows, and mark it.")] = False,
    leave_out_seen: Annotated[bool, typer.Option("--leave-out-seen", help="Leave out people it knows.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure once more what is finished.")] = False,
    name: Annotated[str | None, typer.Option(help="Of predictions: what to call them. Default: the folder.")] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|ID=NAME,...",
            help="Of predictions: what the ids of masks are, such as "
            "1=intraparenchymal,2=blood,3=none. Default: the folder's ids.yaml.",
        ),
    ] = None,
    missing: Annotated[
        str,
        typer.Option(
            metavar="count|empty",
            help="Of predictions: cases without an answer are left out and named, or count as if nothing was found.",
        ),
    ] = "count",
) -> None:
    """Measure a checkpoint on data sets, with intervals by patient, beside what slices' positions alone would score.

    Stopped and started again, the command goes on where it was. People who taught the checkpoint are refused.
    predictions:FOLDER stands for answers of another tool (docs/predictions.md). Research use only.
    """
    # Here, not above: --help should not pay for loading torch.
    from hemobench.evaluation.run import METRICS
    from hemobench.inference.engine import KINDS

    if engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    check_seen_once(allow_seen, leave_out_seen)
    options = [column_options(spec, image_column, patient_column, label or ()) for spec in data]
    if checkpoint.startswith(PREDICTIONS):
        told = {"--masks": masks, "--allow-seen": allow_seen, "--leave-out-seen": leave_out_seen}
        _refuse(told, "a checkpoint")
        measure, called = _of_predictions(Path(checkpoint[len(PREDICTIONS) :]).expanduser(), name, ids, missing, again)
    else:
        _refuse({"--name": name, "--ids": ids, "--missing": missing != "count"}, "predictions:FOLDER")
        measure, called = _of_checkpoint(checkpoint, engine, masks, again, (allow_seen, leave_out_seen))
    folders = result_folders(output or Path("hemobench-evaluation") / called, data)
    for spec, folder, chosen in zip(data, folders, options, strict=True):
        dataset = opened(spec, **chosen)
        with reporting_progress(f"measuring on {parse_spec(spec)[0]}") as progress:
            result = measure(dataset, folder, progress)
        print_evaluation(result)
        typer.echo(f"saved in {folder}; {folder / METRICS}")


_Measure = Callable[["Dataset", Path, "Progress"], "Evaluation"]


def _of_checkpoint(where: str, engine: str, masks: bool, again: bool, seen: tuple[bool, bool]) -> tuple[_Measure, str]:
    """What measures a checkpoint on one data set, and its name. seen: whether people it knows are allowed, or left
    out."""
    from hemobench.evaluation.run import check_measurable, check_seen
    from hemobench.evaluation.run import evaluate as measure
    from hemobench.inference.checkpoint import open_checkpoint

    opened = open_checkpoint(where)

    def run(dataset: Dataset, folder: Path, progress: Progress) -> Evaluation:
        check_measurable(opened, dataset)
        kept = check_seen(opened, dataset, allow=seen[0], leave_out=seen[1])
        return measure(opened, kept, folder, engine=engine, masks=masks, again=again, progress=progress)

    return run, opened.config.name


def _of_predictions(where: Path, name: str | None, ids: str | None, missing: str, again: bool) -> tuple[_Measure, str]:
    """What measures a folder of predictions on one data set, and its name."""
    from hemobench.compare.run_task import slug
    from hemobench.predictions.folder import check_missing, open_predictions
    from hemobench.predictions.measure import evaluate_predictions

    check_missing(missing)
    if not where.is_dir():
        raise UserError(f"no folder {where}; expected predictions:FOLDER with masks or tables; check the path")

    def run(dataset: Dataset, folder: Path, progress: Progress) -> Evaluation:
        predictions = open_predictions(where, dataset, name=name, ids=ids, missing=missing)
        return evaluate_predictions(predictions, dataset, folder, again=again, progress=progress)

    return run, slug(name or where.resolve().name)


def _refuse(given: Mapping[str, object], meant: str) -> None:
    """Raise UserError for options that were given and are for something else."""
    for option, value in given.items():
        if value:
            raise UserError(f"{option}; expected it with {meant} alone; leave it out")


def column_options(
    spec: str, image_column: str | None, patient_column: str | None, labels: Sequence[str]
) -> dict[str, str]:
    """The column options as the opener of a data set calls them.

    Raises: UserError for data sets whose tables have fixed columns, and for a label that names no class.

    >>> column_options("image-folder:here", "id", None, ["any=hemorrhage"])
    {'id_column': 'id', 'any_column': 'hemorrhage'}
    """
    name, _ = parse_spec(spec)
    given = {key: value for key, value in (("image", image_column), ("patient", patient_column)) if value is not None}
    if (given or labels) and name not in _COLUMN_OPTIONS:
        raise UserError(
            f"columns for data set '{name}'; expected them for {' or '.join(_COLUMN_OPTIONS)} alone; leave them out"
        )
    options = {_COLUMN_OPTIONS[name][key]: value for key, value in given.items()}
    for text in labels:
        kind, equals, column = text.partition("=")
        if not equals or not column:
            raise UserError(f"label '{text}'; expected CLASS=COLUMN such as any=hemorrhage; correct it")
        if kind not in CLASSES:
            raise unknown_name("class", kind, CLASSES)
        if name != "image-folder":
            raise UserError(f"--label for data set '{name}'; expected its table's own names of types; rename columns")
        options[f"{kind}_column"] = column
    return options


def result_folders(output: Path, specs: Sequence[str]) -> list[Path]:
    """`output` itself for one data set, else a folder in it for each.

    >>> [path.as_posix() for path in result_folders(Path("out"), ["ct-ich:A", "phantom", "ct-ich:B"])]
    ['out/ct-ich', 'out/phantom', 'out/ct-ich-2']
    """
    if len(specs) == 1:
        return [output]
    names: list[str] = []
    for spec in specs:
        name, _ = parse_spec(spec)
        number = 1 + sum(earlier == name or earlier.startswith(f"{name}-") for earlier in names)
        names.append(name if number == 1 else f"{name}-{number}")
    return [output / name for name in names]


def print_evaluation(result: Evaluation, console: Console | None = None) -> None:
    """The table on a terminal, tab-separated lines elsewhere, with what a reader must know around it."""
    console = console or Console()
    kind = "PHANTOM patients" if result.phantom else "patients"
    people = f"{result.patients} {kind}" if result.unit == "patient" else "unknown patients"
    slices = f", {result.slices} slices" if result.slices else ""
    told = result.checkpoint
    title = (
        f"{told['name']} ({told['sha256'][:12]}) on {result.data}: {people}, {result.studies} "
        f"{'images' if result.unit == 'image' else 'studies'}{slices}"
    )
    rows = [_row(name, score) for name, score in result.metrics.items()]
    rows += [_row(f"{name} of slice position, no image", score) for name, score in result.position.items()]
    if console.is_terminal:
        table = Table(*HEADINGS, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    else:
        typer.echo(title)
        for row in (HEADINGS, *rows):
            typer.echo("\t".join(row))
    typer.echo(f"intervals: 95%, from 1000 draws of {result.unit}s")
    for note in result.notes:
        typer.echo(note)
    if result.left_out:
        typer.echo(f"{len(result.left_out)} cases gave no answer, the first: {result.left_out[0]}")
    typer.echo(_speed_line(result.speed))


def _row(name: str, score: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = (_number(bound) for bound in score["ci"])
    return name, _number(score["mean"]), f"{low} to {high}", str(score["n"]), str(score["undefined"] or "")


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def _speed_line(speed: Mapping[str, Any]) -> str:
    seconds, before = float(speed["seconds"]), int(speed["cases_before"])
    done = f"{speed['slices'] or speed['cases']} {'slices' if speed['slices'] else 'cases'}"
    rate = (speed["slices"] or speed["cases"]) / seconds if seconds else 0.0
    earlier = f"; {before} cases were answered before" if before else ""
    return f"{done} in {seconds:.1f} s, {rate:.1f} a second, reading included ({speed['engine']}){earlier}"
