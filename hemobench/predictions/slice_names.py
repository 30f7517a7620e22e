"""Data sets whose slices have names of their own, by which challenges' tables call them: RSNA 2019."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hemobench.case import Case, Dataset
from hemobench.datasets.rsna.dataset import KNOWN_REPAIRS, load_rsna
from hemobench.datasets.rsna.index import images_of
from hemobench.datasets.slice_stack import read_stack


def slice_names(dataset: Dataset) -> dict[str, int]:
    """The case (its place) of each named slice; empty where slices have no names."""
    return {name: number for number, case in enumerate(dataset.cases) for name in _names(case)}


def names_in_order(case: Case) -> list[str] | None:
    """Names of a case's slices from the lowest up, as `Case.load` stacks them; None where they have none.

    Reads the files: which slices are stacked, and where, is known from them alone.
    """
    images = list(_names(case))
    if not images:
        return None
    assert isinstance(case.load, partial)
    folder: Path = case.load.args[0]
    order = read_stack([folder / f"{name}.dcm" for name in images], KNOWN_REPAIRS).order
    return [images[number] for number in order]


def _names(case: Case) -> Iterator[str]:
    if isinstance(case.load, partial) and case.load.func is load_rsna:
        _, index, first, last = case.load.args
        yield from (name for name, _ in images_of(index, first, last))
