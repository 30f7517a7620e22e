"""The table of a folder of NIfTI scans: patients and labels, by study or by slice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from hemobench.datasets.loose_ids import match_loosely
from hemobench.datasets.nifti_pairs import csv_rows, few, printable, stem_of
from hemobench.datasets.tables import Layout, layout_of, whole
from hemobench.datasets.yes_no import crossed_columns, yes_or_no
from hemobench.errors import UserError
from hemobench.labels import CLASSES, SUBTYPES

_ANY = CLASSES[-1]


@dataclass
class TableRow:
    """What the table says of a study: its patient, types of the study, or types by slice from the lowest up; and
    whether there is blood of any type, of the study or by slice, where the table has a column for it."""

    patient: str | None
    study: tuple[int, ...] | None
    slices: dict[int, tuple[int, ...]]
    bleeds: int | None
    slices_bleed: dict[int, int] = field(default_factory=dict)


def read_table(table: Path, columns: tuple[str, str, str], warnings: list[str]) -> dict[str, TableRow]:
    """Rows by study as the table writes it, without the ending of a file. columns: names of study, patient and slice.

    Raises UserError, naming the line, for what cannot be understood and for a study or slice that stands twice.
    """
    study_column, patient_column, slice_column = columns

    def fits(header: tuple[str, ...]) -> bool:
        return study_column in header and any(name in header for name in (patient_column, _ANY, *SUBTYPES))

    layout, odd = layout_of(table, fits)
    warnings += odd
    crossed = _crossed(table, study_column, layout)
    rows: dict[str, TableRow] = {}
    for line, values in csv_rows(table, [study_column], layout):
        lacking = [name for name in SUBTYPES if name not in values]
        if lacking and len(lacking) < len(SUBTYPES):
            raise UserError(f"{table} has no column {', '.join(lacking)}; expected all five types or none; add them")
        types = None if lacking else tuple(_yes(values, name, line, table, crossed) for name in SUBTYPES)
        bleeds = _yes(values, _ANY, line, table, crossed) if _ANY in values else None
        study = stem_of(values[study_column]) or values[study_column]
        if bleeds is not None and types is not None:
            if bleeds != max(types):
                warnings.append(
                    f"{table.name} line {line}: {_ANY} of {printable(study[:60])} is {bleeds} against its "
                    "types, which count"
                )
            bleeds = None
        patient = values.get(patient_column) or None
        by_slice = slice_column in values
        known = study in rows
        row = rows.setdefault(study, TableRow(patient, None if by_slice else types, {}, None if by_slice else bleeds))
        number = whole(values.get(slice_column, ""))
        if by_slice and not re.fullmatch(r"\d{1,6}", number, re.ASCII):
            raise UserError(
                f"{table} line {line} has slice '{printable(number[:40])}'; expected a number from 0, the "
                "lowest slice; correct it"
            )
        again = int(number) in row.slices or int(number) in row.slices_bleed if by_slice else known
        if again or row.patient != patient:
            raise UserError(
                f"{table} line {line} has {printable(study)} again or with another patient; expected one "
                f"row a {'slice' if by_slice else 'study'}; delete one"
            )
        if by_slice and types is not None:
            row.slices[int(number)] = types
        if by_slice and bleeds is not None:
            row.slices_bleed[int(number)] = bleeds
    return rows


def _yes(values: Mapping[str, str], column: str, line: int, table: Path, crossed: Sequence[str]) -> int:
    value = yes_or_no(values[column], crossed=column in crossed)
    if value is None:
        shown = printable(values[column][:40])
        raise UserError(f"{table} line {line} has {column} '{shown}'; expected 0 or 1; correct it")
    return value


def _crossed(table: Path, study_column: str, layout: Layout) -> tuple[str, ...]:
    """The columns of labels that hold an x or nothing."""
    rows = (values for _, values in csv_rows(table, [study_column], layout))
    first = next(rows, None)
    if first is None:
        return ()
    names = [name for name in (*SUBTYPES, _ANY) if name in first]
    found = crossed_columns(([row[name] for name in names] for row in chain((first,), rows)), len(names))
    return tuple(name for name, crossed in zip(names, found, strict=True) if crossed)


def with_scans(
    rows: dict[str, TableRow], scans: Mapping[str, object], table: Path, has_masks: bool, warnings: list[str]
) -> dict[str, TableRow]:
    """The rows by the names of scans that they mean; what means none keeps its own name.

    Raises UserError for a table of which no row means a scan, where there are no masks: then nothing is known.
    """
    remaining = [name for name in rows if name not in scans]
    loose = match_loosely(remaining, scans, rows, by_folder=any("/" in name for name in rows if name in scans))
    if loose.names:
        name, scan = next(iter(loose.names.items()))
        warnings.append(
            f"{table.name}: {len(loose.names)} ids were matched by what they have in common with a scan's "
            f"name ('{printable(name[:60])}' is {printable(scan)})"
        )
    warnings += few(
        [
            f"{table.name}: {printable(name[:60])} could mean {', '.join(map(printable, several[:3]))}, or "
            "another row could mean it too"
            for name, several in loose.unclear.items()
        ]
    )
    found = {loose.names.get(name, name): row for name, row in rows.items()}
    if rows and not found.keys() & scans.keys():
        example, scan = printable(next(iter(rows))[:60]), printable(next(iter(scans))[:60])
        line = f"none of the {len(rows)} ids in {table.name} is a scan's (an id is '{example}', a scan '{scan}')"
        if not has_masks:
            raise UserError(f"{table.parent}: {line}; expected the scans' names; correct them, or say study_column=")
        warnings.append(line)
    return found
