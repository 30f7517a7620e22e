"""The CT-ICH reader on the real copy beside the project, against the CSV and the folder read here by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.datasets.opening import open_dataset

COPY = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct-ich"
pytestmark = pytest.mark.skipif(not COPY.is_dir(), reason="the CT-ICH copy lies beside the project, if at all")
COLUMNS = ("Epidural", "Intraparenchymal", "Intraventricular", "Subarachnoid", "Subdural")


def rows() -> list[dict[str, str]]:
    with (COPY / "hemorrhage_diagnosis.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def picture(row: dict[str, str], window: str) -> Path:
    return COPY / "Patients_CT" / f"{int(row['PatientNumber']):03d}" / window / f"{row['SliceNumber']}.jpg"


def test_every_patient_is_a_case_and_every_missing_picture_is_named() -> None:
    dataset = open_dataset(f"ct-ich:{COPY}")
    assert [case.patient_id for case in dataset.cases] == sorted(p.name for p in (COPY / "Patients_CT").iterdir())
    patients = {case.patient_id for case in dataset.cases}
    missing = [r for r in rows() if f"{int(r['PatientNumber']):03d}" in patients and not picture(r, "brain").is_file()]
    assert missing
    for row in missing:
        named = [line for line in dataset.warnings if f"{int(row['PatientNumber']):03d}" in line]
        assert any(f"{row['SliceNumber']}.jpg" in line or f" {row['SliceNumber']}" in line for line in named)


@pytest.mark.parametrize("patient", ["071", "080"])
def test_labels_and_densities_of_a_patient(patient: str) -> None:
    case = next(c for c in open_dataset(f"ct-ich:{COPY}").cases if c.patient_id == patient)
    loaded = case.load()
    mine = [r for r in rows() if int(r["PatientNumber"]) == int(patient) and picture(r, "brain").is_file()]
    assert loaded.slice_labels is not None
    np.testing.assert_array_equal(loaded.slice_labels, [[int(r[c]) for c in COLUMNS] for r in mine])
    assert case.study_labels == tuple(loaded.slice_labels.max(axis=0))
    middle = len(mine) // 2
    grey = np.asarray(Image.open(picture(mine[middle], "brain")), np.float32)
    inside = (grey > 20) & (grey < 235)
    # Level 40, width 120: grey 0 is -20 HU and grey 255 is 100 HU.
    error = np.abs(loaded.image.voxels[middle][inside] - (grey[inside] / 255 * 120 - 20))
    # At the edge of bone the brain window's JPEG rings, and the bone window is believed: some pixels in a thousand.
    assert np.mean(error <= 0.5) > 0.995
