"""One entry for every kind of scan: what a file is, is seen from its first bytes and not from its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hemobench.errors import UserError
from hemobench.io.archive import file_entry, folder_entries, zip_entries
from hemobench.io.arrays import read_array
from hemobench.io.dicom import read_dicom
from hemobench.io.dicom_headers import looks_like_dicom
from hemobench.io.nifti import read_nifti_scan
from hemobench.io.pictures import read_picture
from hemobench.io.scan import Scan

ACCEPTED = "a DICOM folder, file or zip, NIfTI, MGZ, PNG, JPEG, npz or npy"
HEAD_BYTES = 352
_NIFTI_MAGIC = (b"n+1\0", b"ni1\0")
_ONE_FILE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".png", ".jpg", ".jpeg", ".npz", ".npy")


def read_scan(path: Path, *, series: str | None = None) -> Scan:
    """Read a scan of any kind that hemobench knows, in orientation S-P-L.

    `path` is a DICOM folder (with subfolders), file or zip, or a NIfTI, MGZ, PNG, JPEG, npz or npy file. `series`
    chooses a DICOM series by its number, as the warnings name it, or by SeriesInstanceUID; by default the head scan is
    chosen. Raises UserError, one line, for anything that cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, series)
    if not path.exists():
        raise UserError(f"no scan {path}; expected {ACCEPTED}; check the path")
    if not path.is_file():
        raise UserError(f"{path} is no regular file; expected {ACCEPTED}; check the path")
    entry = file_entry(path)
    kind = kind_of(entry.head(HEAD_BYTES), path)
    if kind == "zip":
        return _read_zip(path, series)
    if kind == "dicom":
        # The directory file of a disc stands for the folder that it lists.
        is_directory = path.name.upper() == "DICOMDIR"
        return _read_folder(path.parent, series) if is_directory else read_dicom(path, [entry], series=series)
    if series is not None:
        raise UserError(f"series '{series}' of {path}; expected a DICOM folder or zip to choose from; leave it out")
    return _READERS[kind](path)


def kind_of(head: bytes, path: Path) -> str:
    """What a file is by its first `HEAD_BYTES`: "dicom", "zip", "nifti", "picture" or "npz" (npy too).

    `path` is for its ending, which tells an npz from another zip, and for messages. Raises UserError for other kinds.
    """
    if head[:4] == b"PK\x03\x04" or head[:4] == b"PK\x05\x06":
        return "npz" if path.suffix.lower() == ".npz" else "zip"
    if head[:6] == b"\x93NUMPY":
        return "npz"
    if head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff":
        return "picture"
    # Before NIfTI: the preamble of a DICOM file may hold anything, and scanners write TIFF headers into it.
    if looks_like_dicom(head):
        return "dicom"
    if head[:2] == b"\x1f\x8b" or head[344:348] in _NIFTI_MAGIC or head[4:8] == b"n+2\0" or head[:4] == b"\0\0\0\x01":
        return "nifti"
    raise UserError(f"{path} is none of the kinds that are read; expected {ACCEPTED}; convert it")


_READERS: dict[str, Callable[[Path], Scan]] = {"nifti": read_nifti_scan, "npz": read_array, "picture": read_picture}


def _read_folder(folder: Path, series: str | None) -> Scan:
    entries = folder_entries(folder)
    if not entries:
        raise UserError(f"{folder} is empty; expected {ACCEPTED}; check the path")
    others = [entry for entry in entries if re.search(r"\.(nii|nii\.gz|mgz)$", entry.name, re.IGNORECASE)]
    if others and not any(looks_like_dicom(entry.head(HEAD_BYTES)) for entry in entries):
        if len(others) == 1 and series is None:
            return read_nifti_scan(others[0].path)
        raise UserError(f"{folder} holds {len(others)} scans and no DICOM; expected one; give the file itself")
    return read_dicom(folder, entries, series=series)


def _read_zip(path: Path, series: str | None) -> Scan:
    entries = zip_entries(path)
    if not entries:
        raise UserError(f"{path} is an empty archive; expected a zip of a DICOM series; check the path")
    if all(entry.name.lower().endswith(_ONE_FILE_ENDINGS) for entry in entries):
        raise UserError(f"{path} is a zip without DICOM; expected a DICOM series; unpack it and give the scan itself")
    return read_dicom(path, entries, series=series)
