"""Phantoms in the layout of CT-ICH v1.0: JPEG slices of 650x650 in two windows, JPEG masks, a table with a BOM."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.case import Loaded
from hemobench.datasets.ct_ich.dataset import LABELS_CSV, MASK_ENDING, PICTURES
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.agreement import agreed_ids
from hemobench.labels import SUBTYPES
from hemobench.views.windows import to_grey_uint8

SIDE = 650
SCAN_ROWS, SCAN_COLUMNS = (9, 641), (11, 643)  # where the scan lies in the official pictures, black around it
JPEG_QUALITY = 95
SHIFTED_HU = 93.0
_FIRST_PATIENT, _GAP = 49, range(59, 66)
# The order of the official table, which is not that of SUBTYPES.
COLUMN_TYPES = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural")
COLUMNS = (
    "PatientNumber",
    "SliceNumber",
    *(name.capitalize() for name in COLUMN_TYPES),
    "No_Hemorrhage",
    "Fracture_Yes_No",
)


def write_ct_ich(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """Write `Patients_CT/049/{brain,bone}/1.jpg`, a mask of every slice that bleeds, and the table.

    "real" has what the official copy has: a slice of the table without pictures, and bone pictures of the second
    patient made with a level 93 HU off.
    """
    rows: list[Sequence[int]] = []
    for number, (patient, (_, loaded)) in enumerate(zip(patient_numbers(), studies, strict=False)):
        hu, ids = official_slices(loaded)
        rows += table_rows(patient, loaded)
        folder = root / PICTURES / f"{patient:03d}"
        shift_hu = SHIFTED_HU if quirks == "real" and number == 1 else 0.0
        for index, (plane, plane_ids) in enumerate(zip(hu, ids, strict=True), start=1):
            if quirks == "real" and number == 0 and index == 1:
                continue
            _save(to_grey_uint8(plane, "brain-ct-ich"), folder / "brain" / f"{index}.jpg")
            _save(to_grey_uint8(plane - shift_hu, "bone-ct-ich"), folder / "bone" / f"{index}.jpg")
            if plane_ids.any():
                _save(np.where(plane_ids > 0, 255, 0).astype(np.uint8), folder / "brain" / f"{index}{MASK_ENDING}.jpg")
    write_table(root / LABELS_CSV, rows)


def patient_numbers() -> Iterable[int]:
    """49, 50, … without 59 to 65, which the official data set does not have."""
    number = _FIRST_PATIENT
    while True:
        if number not in _GAP:
            yield number
        number += 1


def official_slices(loaded: Loaded) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Hounsfield units and ids of a CT phantom's slices in the official pictures' frame, (D, 650, 650); air around."""
    agreed, _ = agreed_ids(loaded)
    hu = np.full((loaded.image.shape[0], SIDE, SIDE), -1000.0, dtype=np.float32)
    ids = np.zeros(hu.shape, dtype=np.uint8)
    for plane, plane_ids, source, source_ids in zip(hu, ids, loaded.image.voxels, agreed, strict=True):
        box = (slice(*SCAN_ROWS), slice(*SCAN_COLUMNS))
        plane[box] = _resized(source, Image.Resampling.BILINEAR)
        plane_ids[box] = _resized(source_ids, Image.Resampling.NEAREST)
    return hu, ids


def table_rows(patient: int, loaded: Loaded) -> list[Sequence[int]]:
    """Rows of one patient, slices counted from 1."""
    rows: list[Sequence[int]] = []
    for number, types in enumerate(agreed_ids(loaded)[1], start=1):
        flags = [int(types[SUBTYPES.index(name)]) for name in COLUMN_TYPES]
        rows.append((patient, number, *flags, int(not any(flags)), 0))
    return rows


def write_table(path: Path, rows: Iterable[Sequence[int]]) -> None:
    """Write the table of slice labels, in UTF-8 with a byte-order mark like the official one."""
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _resized(plane: NDArray[np.generic], how: Image.Resampling) -> NDArray[np.float32]:
    size = (SCAN_COLUMNS[1] - SCAN_COLUMNS[0], SCAN_ROWS[1] - SCAN_ROWS[0])
    return np.asarray(Image.fromarray(np.asarray(plane, dtype=np.float32)).resize(size, how), dtype=np.float32)


def _save(grey: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path, quality=JPEG_QUALITY)
