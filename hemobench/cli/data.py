"""`hemobench data`: which data sets are known, what is wrong with a copy, and phantoms written to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hemobench.cli.progress import reporting_progress
from hemobench.datasets.check import Report, check_dataset
from hemobench.datasets.registry import Dataset, dataset_info, known_datasets, open_dataset
from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES

_PRODUCTS = {"phantom": "ct", "phantom-t1": "t1"}

app = typer.Typer(help="Data sets: list what is known, check a copy, build phantoms.", add_completion=False)


@app.command("list")
def list_datasets() -> None:
    """List the known data sets: a table on a terminal, tab-separated lines elsewhere."""
    headings = ("name", "title", "tasks", "labels", "size", "licence", "where")
    rows: list[tuple[str, ...]] = []
    for info in map(dataset_info, known_datasets()):
        rows.append((info.name, info.title, ", ".join(info.tasks), info.labels, info.size, info.licence, info.where))
    _print_rows(headings, rows)


@app.command("check")
def check(
    data: Annotated[str, typer.Argument(metavar="NAME:PATH", help="For example ct-ich:FOLDER.")],
) -> None:
    """Read every file of a copy, count cases, slices and types, and name each defect with its file.

    Exit code 1 when a case cannot be read, 2 when the copy as a whole cannot.
    """
    with reporting_progress(f"listing {data.partition(':')[0]}") as progress:
        dataset = open_dataset(data, progress=progress)
    with reporting_progress(f"checking {dataset.info.name}") as progress:
        report = check_dataset(dataset, progress)
    _print_report(dataset, report)
    if report.unreadable:
        raise typer.Exit(1)


@app.command("build")
def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="phantom (CT) or phantom-t1 (MRI).")],
    output: Annotated[Path, typer.Option(help="New or empty folder, or one to complete.")],
    patients: Annotated[int, typer.Option(min=1, help="Number of patients.")] = 100,
    slices: Annotated[int, typer.Option(min=1, help="Slices of each scan.")] = 32,
    matrix: Annotated[int, typer.Option(min=32, help="Rows and columns of a slice.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same patients.")] = 2021,
    anatomy: Annotated[Path | None, typer.Option(help="Folder of label maps to take anatomies from.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
) -> None:
    """Generate phantom patients and write them as NIfTI files with their labels."""
    if name not in _PRODUCTS:
        raise unknown_name("product to build", name, _PRODUCTS)
    if anatomy is not None and not anatomy.is_dir():
        raise UserError(f"no folder {anatomy}; expected one of label maps; check the path")
    # Here, not above: `data list` should not pay for loading the generator.
    from hemobench.datasets.phantom import build_folder

    product = _PRODUCTS[name]
    with reporting_progress(f"making {name} patients") as progress:
        build_folder(
            output,
            patients=patients,
            slices=slices,
            matrix=matrix,
            seed=seed,
            product=product,
            anatomy=anatomy,
            jobs=jobs,
            progress=progress,
        )
    typer.echo(f"{patients} patients written to {output}")


def _print_report(dataset: Dataset, report: Report) -> None:
    phantom = " (phantom)" if dataset.info.phantom else ""
    typer.echo(f"{dataset.info.name}: {dataset.info.title}{phantom}")
    typer.echo(f"{report.cases} cases, {report.patients} patients, {report.slices} slices, {report.label_maps} masks")
    typer.echo(f"fingerprint {dataset.fingerprint}")
    if report.slices_with or report.patients_with:
        rows: list[tuple[str, ...]] = []
        for name in CLASSES:
            counts = [table[name] if table else None for table in (report.slices_with, report.patients_with)]
            rows.append((name, *("-" if count is None else str(count) for count in counts)))
        _print_rows(("type", "slices", "patients"), rows)
    for title, lines in (
        ("left out or inconsistent", report.warnings),
        ("noticed while reading", report.remarks),
        ("cannot be read", report.unreadable),
    ):
        if lines:
            typer.echo(f"{title}: {len(lines)}")
            for line in lines:
                typer.echo(f"  {line}")
    if not (report.warnings or report.remarks or report.unreadable):
        typer.echo("no defects")


def _print_rows(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    console = Console()
    if console.is_terminal:
        table = Table(*headings)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    else:
        for row in (headings, *rows):
            typer.echo("\t".join(row))
