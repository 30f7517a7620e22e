"""A data set that a command names, opened under a progress bar, with what is odd about it said first."""

from __future__ import annotations

from typing import Any

import typer

from hemobench.datasets.opening import Dataset, open_dataset, parse_spec
from hemobench.progress import reporting_progress


def opened(spec: str, **options: Any) -> Dataset:
    """`open_dataset` with its progress and its warnings on stderr. Raises: UserError as it does."""
    from hemobench.datasets.support import first_lines  # here: it loads what `--help` should not pay for

    with reporting_progress(f"opening {parse_spec(spec)[0]}") as progress:
        dataset = open_dataset(spec, progress=progress, **options)
    for line in first_lines(dataset, spec):
        typer.echo(f"warning: {line}", err=True)
    return dataset
