"""Whose image a DICOM file is, read by worker processes: this module imports little, so that they start fast."""

from __future__ import annotations

import os

import pydicom

from hemobench.io.dicom_headers import BROKEN_DICOM, quiet

ENDING = ".dcm"
_TAGS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]
Header = tuple[str, str, str, str, str]


def read_headers(folder: str, files: list[str]) -> list[Header]:
    """For each file: name without ending, patient, study, series, and what is wrong ("" where nothing is)."""
    rows = []
    with quiet():
        for file in files:
            name = file[: -len(ENDING)]
            try:
                path = os.path.join(folder, file)
                dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
                patient, study, series = (str(dataset.get(tag, "") or "").strip() for tag in _TAGS)
            except BROKEN_DICOM as error:
                rows.append((name, "", "", "", f"header cannot be read ({type(error).__name__})"))
                continue
            whole = patient and study and series
            rows.append((name, patient, study, series, "" if whole else f"header lacks one of {', '.join(_TAGS)}"))
    return rows
