"""One entry for every kind of scan: what a file is, is seen from its first bytes and not from its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from hemobench.errors import UserError
from hemobench.io.archive import Entry, file_entry, folder_entries, zip_entries
from hemobench.io.arrays import read_array
from hemobench.io.dicom import read_dicom
from hemobench.io.dicom_headers import looks_like_dicom
from hemobench.io.nifti import read_nifti_scan
from hemobench.io.picture_stack import read_pictures
from hemobench.io.pictures import read_picture
from hemobench.io.remarks import note
from hemobench.io.scan import Scan

ACCEPTED = "a DICOM folder, file or zip, NIfTI, MGZ, PNG, JPEG, npz or npy"
HEAD_BYTES = 352
_NIFTI_MAGIC = (b"n+1\0", b"ni1\0")


def read_scan(path: str | Path, *, series: str | None = None) -> Scan:
    """A scan of any kind that hemobench knows, in orientation S-P-L.

    Args:
        path: A DICOM, NIfTI, MGZ, PNG, JPEG, npz or npy file, or a folder (with subfolders) or zip of DICOM, of one
            NIfTI or MGZ, or of one scan's pictures, which are stacked by their names.
        series: A DICOM series by its number, as the warnings name it, or by SeriesInstanceUID. None: the head scan.

    Returns:
        The scan: `volume` (D, H, W), float32 in Hounsfield units for CT, with its affine in mm, and `warnings`.

    Raises:
        HemobenchError: It cannot be read; in one line.
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
    return _read_many(folder, entries, series)


def _read_zip(path: Path, series: str | None) -> Scan:
    entries = zip_entries(path)
    if not entries:
        raise UserError(f"{path} is an empty archive; expected a zip of a DICOM series; check the path")
    return _read_many(path, entries, series)


def _read_many(path: Path, entries: Sequence[Entry], series: str | None) -> Scan:
    """DICOM where there is any; else the one NIfTI, MGZ or array; else pictures, as the slices of one scan."""
    kinds: dict[str, list[Entry]] = {"nifti": [], "npz": [], "picture": []}
    for entry in entries:
        kind = _kind_or_none(entry)
        if kind == "dicom":
            return read_dicom(path, entries, series=series)
        kinds.get(kind, []).append(entry)
    volumes, pictures = [*kinds["nifti"], *kinds["npz"]], kinds["picture"]
    if not volumes and not pictures:
        return read_dicom(path, entries, series=series)  # which says what is there instead
    if len(volumes) > 1:
        raise UserError(f"{path} holds {len(volumes)} scans and no DICOM; expected one; give the file itself")
    if series is not None:
        raise UserError(f"series '{series}' of {path}; expected a DICOM folder or zip to choose from; leave it out")
    if not volumes:
        return read_pictures(path, pictures)
    scan = _read_volume(path, volumes[0])
    if pictures:
        count = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
        scan = dataclasses.replace(scan, warnings=(*scan.warnings, note(f"{count} beside the scan left out")))
    return scan


def _read_volume(path: Path, entry: Entry) -> Scan:
    if entry.head(2) == b"PK" or entry.head(6) == b"\x93NUMPY":
        if entry.archive is not None:
            raise UserError(f"{path} holds an array inside; expected a scan; unpack it and give the array itself")
        return read_array(entry.path)
    return read_nifti_scan(path if entry.archive is not None else entry.path, entry)


def _kind_or_none(entry: Entry) -> str:
    try:
        return kind_of(entry.head(HEAD_BYTES), entry.path)
    except UserError:
        return ""
