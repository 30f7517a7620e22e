"""What both versions of PhysioNet CT-ICH share: the table of slice labels, and binary masks typed by it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.tables import read_rows, whole
from hemobench.errors import UserError
from hemobench.labels import LABEL_IDS, SUBTYPES

_TYPES = tuple(name.capitalize() for name in SUBTYPES)
_COLUMNS = ("PatientNumber", "SliceNumber", *_TYPES, "No_Hemorrhage")


@dataclass(frozen=True)
class SliceRow:
    """One line of the table: five 0/1 in the order of SUBTYPES, and whether it says "no haemorrhage"."""

    patient: int
    number: int
    labels: tuple[int, ...]
    normal: bool


@dataclass(frozen=True, eq=False)
class TypedBlood:
    """Masks of a study after its slices' labels: a label map, or blood of unknown type, or neither, and why."""

    label_map: NDArray[np.uint8] | None
    blood_mask: NDArray[np.bool_] | None
    remarks: tuple[str, ...]


def read_slice_rows(path: Path) -> tuple[dict[int, dict[int, SliceRow]], list[str]]:
    """Rows by patient and slice number, and what is inconsistent in them.

    Raises UserError, naming the line, for a table that cannot be understood.
    """
    rows: dict[int, dict[int, SliceRow]] = {}
    warnings = []
    for line, fields in read_rows(path, _COLUMNS):
        row = _parse(fields, line, path)
        where = f"{path.name}: patient {row.patient} slice {row.number}"
        if row.normal == any(row.labels):
            warnings.append(f"{where}: No_Hemorrhage is {int(row.normal)} against its types; the types are used")
        earlier = rows.setdefault(row.patient, {}).get(row.number)
        if earlier is not None:
            warnings.append(f"{where}: listed twice; a type counts when either line has it")
            row = SliceRow(row.patient, row.number, tuple(map(max, row.labels, earlier.labels)), row.normal)
        rows[row.patient][row.number] = row
    return rows, warnings


def signature_of(rows: Mapping[int, SliceRow]) -> str:
    """`Case.signature` of a patient: a digest of the rows that the table has for them, whichever pictures there are.
    "" where nothing bleeds: such rows say the number of slices alone, which many patients share."""
    if not any(any(row.labels) for row in rows.values()):
        return ""
    text = ";".join(f"{row.number}:{''.join(map(str, row.labels))}" for _, row in sorted(rows.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def type_blood(
    blood: NDArray[np.bool_], slice_labels: NDArray[np.uint8], names: Sequence[str], table: str
) -> TypedBlood:
    """Ids for binary masks (D, H, W) by the types (D, 5) of their slices; `names` are the slices' masks in remarks.

    Blood of a slice with one type gets that type. Where a slice has several, their one mask cannot be told apart, and
    the study keeps its blood without types. A slice whose mask and labels contradict each other leaves the study
    without masks, because they would be a guess; the remarks name it.
    """
    # Slice by slice, because that stops at the first bleeding pixel and reads whole lines of memory.
    bleeding = [bool(plane.any()) for plane in blood]
    counts = slice_labels.sum(axis=1)
    remarks = []
    for name, bleeds, count in zip(names, bleeding, counts, strict=True):
        if bleeds and not count:
            remarks.append(f"{name}: blood in the mask, none in {table}")
        elif count and not bleeds:
            remarks.append(f"{name}: no blood in the mask or no mask, some in {table}")
    if remarks:
        return TypedBlood(None, None, tuple(remarks))
    if np.any(counts > 1):
        return TypedBlood(None, blood, ())
    label_map = np.zeros(blood.shape, dtype=np.uint8)
    for index in np.flatnonzero(counts):
        label = LABEL_IDS[SUBTYPES[int(slice_labels[index].argmax())]]
        np.multiply(blood[index], np.uint8(label), out=label_map[index])
    return TypedBlood(label_map, None, ())


def _parse(fields: Sequence[str], line: int, path: Path) -> SliceRow:
    try:
        patient, number, *values = (int(whole(text)) for text in fields)
    except ValueError as error:
        raise UserError(f"{path} line {line} has a field that is no whole number; expected one; correct it") from error
    if not set(values) <= {0, 1}:
        raise UserError(f"{path} line {line} has labels {values}; expected 0 and 1; correct them")
    if patient < 0 or number < 1:
        raise UserError(f"{path} line {line} has patient {patient} and slice {number}; expected counts; correct them")
    return SliceRow(patient, number, tuple(values[:-1]), bool(values[-1]))
