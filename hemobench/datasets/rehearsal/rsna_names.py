"""Names as RSNA 2019 has them, made from a phantom's id: every layout of that lineage calls one patient the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_PATIENT_DIGITS, _STUDY_DIGITS, _IMAGE_DIGITS = 8, 10, 9


def rsna_patient(patient_id: str) -> str:
    """Patient id, ID_ and 8 hexadecimal digits.

    >>> rsna_patient("phantom-2021-00000")
    'ID_bac3e9c4'
    """
    return "ID_" + _digits("patient", patient_id)[:_PATIENT_DIGITS]


def rsna_study(patient_id: str) -> str:
    """Study id, ID_ and 10 hexadecimal digits; a phantom patient has one study."""
    return "ID_" + _digits("study", patient_id)[:_STUDY_DIGITS]


def rsna_series(patient_id: str) -> str:
    """Series id, ID_ and 10 hexadecimal digits."""
    return "ID_" + _digits("series", patient_id)[:_STUDY_DIGITS]


def rsna_images(patient_id: str, count: int) -> Sequence[str]:
    """Names of the images of a study from its lowest slice up: ID_ and 9 hexadecimal digits, in no order."""
    return ["ID_" + _digits("image", patient_id, str(number))[:_IMAGE_DIGITS] for number in range(count)]


def rsna_scan(patient_id: str) -> str:
    """What BHSD and MBH-Seg call the scan: patient and study."""
    return f"{rsna_patient(patient_id)}_{rsna_study(patient_id)}"


def _digits(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
