"""Phantoms in the layout of CT-ICH v1.3.1: int16 NIfTI scans, binary masks, a table of slice labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hemobench.datasets.ct_ich.nifti import LABELS_CSV, MASKS, SCANS
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.agreement import agreed_ids
from hemobench.datasets.rehearsal.ct_ich import patient_numbers, table_rows, write_table
from hemobench.datasets.rehearsal.nifti_files import write_ids, write_scan

# Two header rows, and names in the official file: nothing in it is real here, and the reader does not open it.
_DEMOGRAPHICS = "Patient Number,Age,Gender,Type,,\n,(years),,Intraventricular,Intraparenchymal,Subarachnoid\n"


def write_ct_ich_nifti(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """Write `ct_scans/049.nii`, `masks/049.nii`, `hemorrhage_diagnosis_raw_ct.csv` and `Patient_demographics.csv`.

    Masks are 0 and 1 of all blood. "real": the first scan is in the table and not on disk.
    """
    rows: list[Sequence[int]] = []
    for number, (patient, (_, loaded)) in enumerate(zip(patient_numbers(), studies, strict=False)):
        rows += table_rows(patient, loaded)
        if quirks == "real" and not number:
            continue
        # Third axis from the lowest slice up, as the table counts.
        write_scan(loaded.image, root / SCANS / f"{patient:03d}.nii", orientation="RAS")
        write_ids(agreed_ids(loaded)[0] > 0, loaded.image, root / MASKS / f"{patient:03d}.nii", orientation="RAS")
    write_table(root / LABELS_CSV, rows)
    (root / "Patient_demographics.csv").write_text(_DEMOGRAPHICS, encoding="utf-8-sig")
