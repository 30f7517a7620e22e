"""`hemobench data`: known data sets, what is wrong with a copy, phantoms on disk, and a sheet of them to look at."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hemobench.datasets.check import Report, check_dataset
from hemobench.datasets.opening import Dataset, dataset_info, known_datasets, open_dataset
from hemobench.datasets.rehearsal import LAYOUTS, QUIRKS, get_layout
from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES
from hemobench.machine import CACHE_FOLDERS, cache_home
from hemobench.progress import reporting_progress

_PRODUCTS = {"phantom": "ct", "phantom-t1": "t1"}
DEFAULT_LAYOUT = "nifti"
_SHOWN = 20

app = typer.Typer(help="Data sets: list what is known, check a copy, build phantoms.", add_completion=False)


@app.command("list")
def list_datasets() -> None:
    """List the known data sets: a table on a terminal, tab-separated lines elsewhere."""
    headings = ("name", "title", "tasks", "labels", "size", "licence", "where", "citation")
    rows: list[tuple[str, ...]] = []
    for info in map(dataset_info, known_datasets()):
        described = (info.labels, info.size, info.licence, info.where, info.citation)
        rows.append((info.name, info.title, ", ".join(info.tasks), *described))
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
    layout: Annotated[str, typer.Option(help="nifti, or that of a data set to rehearse: zeta, ct-ich ...")] = "nifti",
    quirks: Annotated[str, typer.Option(help="real: with the defects of the official copies too.")] = "clean",
) -> None:
    """Generate phantom patients and write them as NIfTI files with their labels, or in a public data set's layout."""
    if name not in _PRODUCTS:
        raise unknown_name("product to build", name, _PRODUCTS)
    if anatomy is not None and not anatomy.is_dir():
        raise UserError(f"no folder {anatomy}; expected one of label maps; check the path")
    _check_layout(layout, quirks)
    # Here, not above: `data list` should not pay for loading the generator.
    from hemobench.datasets.phantom import PhantomSpec, build_folder
    from hemobench.datasets.rehearsal.build import build_layout

    product = _PRODUCTS[name]
    with reporting_progress(f"making {name} patients") as progress:
        if layout != DEFAULT_LAYOUT:
            spec = PhantomSpec(patients, slices, matrix, seed, product, str(anatomy) if anatomy else None)
            build_layout(output, get_layout(layout), spec, quirks=quirks, jobs=jobs, progress=progress)
            typer.echo(f"{patients} patients written to {output}; open it as {get_layout(layout).data_set}:{output}")
            return
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


@app.command("sheet")
def sheet(
    output: Annotated[Path, typer.Option(help="PNG file to write.")],
    anatomy: Annotated[Path | None, typer.Option(help="Folder of label maps to take anatomies from.")] = None,
    beside: Annotated[
        str | None, typer.Option(metavar="NAME:PATH", help="Real slices to put next to the phantoms: ct-ich:FOLDER.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, max=8, help="Phantoms in a row.")] = 4,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
) -> None:
    """Draw a contact sheet: phantoms of every type with their masks, look-alikes, and patients without bleed."""
    if anatomy is not None and not anatomy.is_dir():
        raise UserError(f"no folder {anatomy}; expected one of label maps; check the path")
    real = open_dataset(beside) if beside is not None else None
    from hemobench.datasets.phantom.contact_sheet import write_sheet

    write_sheet(output, anatomy=anatomy, beside=real, patients=patients, jobs=jobs)
    typer.echo(f"contact sheet written to {output}")


def _check_layout(layout: str, quirks: str) -> None:
    if layout not in (DEFAULT_LAYOUT, *LAYOUTS):
        raise unknown_name("layout", layout, (DEFAULT_LAYOUT, *LAYOUTS))
    if quirks not in QUIRKS:
        raise unknown_name("quirks", quirks, QUIRKS)


@app.command("cache")
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what can be made again.")] = False,
) -> None:
    """Show how much the cache holds, or delete it: decoded examples, phantom anatomies, indexes of large data sets."""
    total = 0
    for name in CACHE_FOLDERS:
        folder = cache_home() / name
        held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        total += held
        typer.echo(f"{name}\t{held / 1e6:.1f} MB")
        if clear:
            shutil.rmtree(folder, ignore_errors=True)
    typer.echo(f"{'deleted' if clear else 'total'}\t{total / 1e6:.1f} MB in {cache_home()}")


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
        ("by the data set's own rules", dataset.notes),
        ("left out or inconsistent", report.warnings),
        ("pictures that are there twice", report.twins),
        ("labels that contradict each other", report.contradictions),
        ("masks that do not fit what they lie on", report.odd_masks),
        ("noticed while reading", report.remarks),
        ("cannot be read", report.unreadable),
    ):
        if lines:
            typer.echo(f"{title}: {len(lines)}")
            for line in _shortened(lines):
                typer.echo(f"  {line}")
    inconsistent = report.warnings or report.twins or report.contradictions or report.odd_masks
    if not (inconsistent or report.remarks or report.unreadable):
        typer.echo("no defects")


def _shortened(lines: Sequence[str]) -> list[str]:
    """Lines about different files in the same words (numbers aside) are shown _SHOWN times, the others counted.

    >>> _shortened([f"{n}.png: mask of levels 0 and {n}" for n in range(25)])[-2:]
    ['19.png: mask of levels 0 and 19', 'and 5 more like 19.png: mask of levels 0 and 19']
    """
    alike: dict[str, list[str]] = {}
    for line in lines:
        file, colon, words = line.partition(": ")
        alike.setdefault(re.sub(r"\d+", "#", words) if colon else file, []).append(line)
    shown = []
    for some in alike.values():
        shown += some[:_SHOWN]
        if len(some) > _SHOWN:
            shown.append(f"and {len(some) - _SHOWN} more like {some[_SHOWN - 1]}")
    return shown


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
