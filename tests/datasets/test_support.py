"""The first lines about a copy: capped, the leak first, and a command that shows all."""

from __future__ import annotations

import shlex

from hemobench.case import Dataset
from hemobench.datasets.opening import dataset_info, parse_spec
from hemobench.datasets.support import first_lines


def dataset(warnings: int, notes: int = 0) -> Dataset:
    told = tuple(f"warning {number}" for number in range(warnings)), tuple(f"note {number}" for number in range(notes))
    return Dataset(dataset_info("zeta"), (), "f", told[0], notes=told[1])


def test_few_lines_are_all_shown() -> None:
    assert first_lines(dataset(0), "zeta:copy") == []
    assert first_lines(dataset(1, 2), "zeta:copy") == ["warning 0", "note 0", "note 1"]


def test_many_are_counted_and_the_command_is_named() -> None:
    lines = first_lines(dataset(4000, 2), "zeta:copy")
    assert lines == ["warning 0", "warning 1", "warning 2", "and 3999 more; `hemobench data check zeta:copy` lists all"]


def test_the_command_can_be_pasted_into_a_shell() -> None:
    spec = "zeta:my copy,protocol=paper"
    command = first_lines(dataset(9), spec)[-1].split("`")[1]
    assert shlex.split(command) == ["hemobench", "data", "check", spec]
    assert parse_spec(shlex.split(command)[-1])[1].name == "my copy"
