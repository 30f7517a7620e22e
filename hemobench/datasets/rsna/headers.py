"""Whose image a DICOM file is, read by worker processes: this module imports little, so that they start fast.

Three fields near the beginning of each of 752,803 files are wanted. A short walk over the elements finds them in the
two uncompressed little-endian codings, ten times faster than a general reader; where it meets anything else, pydicom
reads the file.
"""

from __future__ import annotations

import os
import struct

import pydicom

from hemobench.io.dicom_headers import BROKEN_DICOM, quiet

ENDING = ".dcm"
_TAGS = {0x00100020: "PatientID", 0x0020000D: "StudyInstanceUID", 0x0020000E: "SeriesInstanceUID"}
_LAST = max(_TAGS)
_HEAD_BYTES = 8192
_UNDEFINED_LENGTH = 0xFFFFFFFF
_EXPLICIT, _IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
# Value representations whose length takes four bytes after two of padding.
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
Header = tuple[str, str, str, str, str]


def read_headers(folder: str, files: list[str]) -> list[Header]:
    """For each file: name without ending, patient, study, series, and what is wrong ("" where nothing is)."""
    rows = []
    for file in files:
        name, path = file[: -len(ENDING)], os.path.join(folder, file)
        try:
            with open(path, "rb") as stream:
                found = walk(stream.read(_HEAD_BYTES))
            patient, study, series = found or _read_all(path)
        except BROKEN_DICOM as error:
            rows.append((name, "", "", "", f"header cannot be read ({type(error).__name__})"))
            continue
        whole = patient and study and series
        rows.append((name, patient, study, series, "" if whole else f"header lacks one of {', '.join(_TAGS.values())}"))
    return rows


def walk(head: bytes) -> tuple[str, str, str] | None:
    """Patient, study and series from the first bytes of a file; None where they are not all plainly there."""
    if head[128:132] != b"DICM":
        return None
    try:
        syntax, place = _meta(head)
        if syntax not in (_EXPLICIT, _IMPLICIT):
            return None
        found: dict[int, str] = {}
        while len(found) < len(_TAGS):
            tag, start, length = _element(head, place, syntax == _EXPLICIT)
            place = start + length
            if tag > _LAST or length == _UNDEFINED_LENGTH or place > len(head):
                return None
            if tag in _TAGS:
                found[tag] = head[start:place].decode("ascii").strip(" \0")
    except (struct.error, UnicodeDecodeError):
        return None
    patient, study, series = (found[tag] for tag in _TAGS)
    return (patient, study, series) if patient and study and series else None


def _meta(head: bytes) -> tuple[bytes, int]:
    """Transfer syntax, and where the data set begins."""
    place, syntax = 132, b""
    while head[place : place + 2] == b"\2\0":
        tag, start, length = _element(head, place, explicit=True)
        place = start + length
        if tag == 0x00020010:
            syntax = head[start:place].strip(b" \0")
    return syntax, place


def _element(head: bytes, place: int, explicit: bool) -> tuple[int, int, int]:
    """Tag, place of the value and its length."""
    group, element = struct.unpack_from("<HH", head, place)
    tag = group << 16 | element
    if not explicit:
        return tag, place + 8, struct.unpack_from("<I", head, place + 4)[0]
    if head[place + 4 : place + 6] in _LONG:
        return tag, place + 12, struct.unpack_from("<I", head, place + 8)[0]
    return tag, place + 8, struct.unpack_from("<H", head, place + 6)[0]


def _read_all(path: str) -> tuple[str, str, str]:
    with quiet():
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS.values()))
        patient, study, series = (str(dataset.get(tag, "") or "").strip() for tag in _TAGS.values())
    return patient, study, series
