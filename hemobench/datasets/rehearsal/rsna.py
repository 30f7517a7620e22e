"""Phantoms in the layout of RSNA 2019: one folder of DICOM slices of all patients, one CSV of six lines an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Loaded
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient, rsna_series, rsna_study
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import CLASSES, with_any

TABLE, IMAGES = "stage_2_train.csv", "stage_2_train"
# Ways of RSNA's sites; patients take turns. The third lost the sign of its values, the others pad outside the circle.
CODINGS = (
    Coding(),
    Coding(signed=True, padding=-2000),
    Coding(bits=12, signed=False, intercept=0, wrapped=True),
    Coding(bits=12, signed=False, padding=0),
    Coding(signed=True, padding=-2000, declared=False),
)
_REPEATED = 4


def write_rsna(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`stage_2_train.csv` and `stage_2_train/ID_*.dcm`; four images stand in the CSV twice, as in the real one.

    "real" damages the last image of the first study, and the CSV names an image that is not there.
    """
    rows: dict[str, NDArray[np.uint8]] = {}
    for number, (patient_id, loaded) in enumerate(studies):
        written = write_study(root / IMAGES, patient_id, loaded, CODINGS[number % len(CODINGS)])
        rows.update(written)
        if quirks == "real" and not number:
            damaged = root / IMAGES / f"{list(written)[-1]}.dcm"
            damaged.write_bytes(damaged.read_bytes()[:-1000])
            rows["ID_000000000"] = np.zeros(len(CLASSES), dtype=np.uint8)
    # The real table is in no order that would keep a patient's images together.
    names = sorted(rows)
    with replacing(root / TABLE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write("ID,Label\n")
        for name in [*names, *names[:_REPEATED]]:
            file.writelines(f"{name}_{kind},{label}\n" for kind, label in zip(CLASSES, rows[name], strict=True))


def write_study(folder: Path, patient_id: str, loaded: Loaded, coding: Coding) -> dict[str, NDArray[np.uint8]]:
    """Write the slices of one study; its images from the lowest up, with their labels (6,) by CLASSES."""
    if loaded.slice_labels is None:
        raise UserError(f"{patient_id} has no slice labels; expected CT phantoms; build from 'phantom'")
    names = rsna_images(patient_id, loaded.image.shape[0])
    patient, study, series = rsna_patient(patient_id), rsna_study(patient_id), rsna_series(patient_id)
    for index, name in enumerate(names):
        write_slice(folder / f"{name}.dcm", loaded.image, index, Names(patient, study, series, name), coding)
    return dict(zip(names, with_any(loaded.slice_labels), strict=True))
