"""Phantoms as a user's own folder: images, masks of types, a table of slices, and the settings file that says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.bhsd import types_of
from hemobench.datasets.rehearsal.nifti_files import write_ids, write_scan
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import SUBTYPES


def write_nifti_folder(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`images/`, `masks/`, `labels.csv` (a row a slice, with a byte-order mark, as Excel saves) and `hemobench.json`.

    "real" adds a row of a scan that is not there.
    """
    rows: list[list[object]] = []
    for number, (patient_id, loaded) in enumerate(studies):
        if loaded.slice_labels is None:
            raise UserError(f"{patient_id} has no slice labels; expected CT phantoms; build from 'phantom'")
        orientation = ("LPS", "RAS", "LAS")[number % 3]
        study = f"scan-{number:04d}"
        write_scan(loaded.image, root / "images" / f"{study}.nii.gz", orientation=orientation)
        ids = types_of(patient_id, loaded)
        write_ids(ids, loaded.image, root / "masks" / f"{study}.nii.gz", orientation=orientation)
        rows += [[study, patient_id, index, *types] for index, types in enumerate(loaded.slice_labels.tolist())]
    if quirks == "real":
        rows.append(["scan-none", "nobody", 0, 0, 0, 0, 0, 0])
    with replacing(root / "labels.csv") as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "patient_id", "slice", *SUBTYPES])
        writer.writerows(rows)
    with replacing(root / "hemobench.json") as temporary:
        temporary.write_text(json.dumps({"mask_ids": "types"}) + "\n", encoding="utf-8")
