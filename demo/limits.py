"""What an upload may be. Sizes and kinds are looked at before anything of it is read into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hemobench.errors import UserError
from hemobench.io.archive import file_entry
from hemobench.io.reading import ACCEPTED, HEAD_BYTES, kind_of

MIB = 1024**2
# 512 slices of 512 x 512 as int16 are 256 MiB; the largest multi-frame DICOM and float NIfTI fit as well.
MOST_FILE_BYTES = 512 * MIB
MOST_BYTES = 1024 * MIB
MOST_FILES = 2000
# What people drop by mistake, by the first bytes.
_KNOWN_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"NRRD", "an NRRD volume"),
    (b"\x89HDF", "an HDF5 file"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"{", "a JSON or text file"),
)


def check_upload(paths: Sequence[Path]) -> None:
    """Raise UserError, one line without any file's name, for an upload that is too large or of no kind that is read.

    One file may be of any kind that `hemobench.io.read_scan` reads; several must be DICOM, one other scan or the
    pictures of one, among which files of other kinds are let pass for the reader to leave out.
    """
    if not paths:
        raise UserError(f"nothing was uploaded; expected {ACCEPTED}; choose or drop a file")
    if len(paths) > MOST_FILES:
        raise UserError(f"{len(paths):,} files; expected at most {MOST_FILES:,}; upload one series, or a zip of it")
    sizes = [_size_of(path) for path in paths]
    if max(sizes) > MOST_FILE_BYTES:
        raise UserError(f"a file of {_mib(max(sizes))}; expected at most {_mib(MOST_FILE_BYTES)}; crop or compress it")
    if sum(sizes) > MOST_BYTES:
        raise UserError(f"{_mib(sum(sizes))} in all; expected at most {_mib(MOST_BYTES)}; upload the head series alone")
    kinds = [_kind_of(path) for path in paths]
    if len(paths) == 1:
        if kinds[0] not in READABLE:
            raise UserError(f"the file is {kinds[0]}; expected {ACCEPTED}; convert it")
    elif "dicom" not in kinds and not _is_one_scan(kinds):
        found = ", ".join(sorted({_WORDS.get(kind, kind) for kind in kinds}))
        raise UserError(
            f"{len(paths)} files without DICOM ({found}); expected one scan, its DICOM files, or its "
            "pictures; upload scans one after the other"
        )


READABLE = ("dicom", "zip", "nifti", "picture", "npz")
_WORDS = {"zip": "a zip", "nifti": "NIfTI", "picture": "a picture", "npz": "an array"}


def _is_one_scan(kinds: Sequence[str]) -> bool:
    """Whether files are one scan in one file, or pictures of slices, whatever lies beside."""
    volumes = sum(kind in ("nifti", "npz", "zip") for kind in kinds)
    return "zip" not in kinds if volumes == 1 else volumes == 0 and "picture" in kinds


def _size_of(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(
            "the upload is no longer here; expected it within the time that scans are kept; upload it again"
        ) from error
    if size == 0:
        raise UserError(f"an empty file; expected {ACCEPTED}; copy or export it again")
    return size


def _kind_of(path: Path) -> str:
    """One of `READABLE`, or in words what else it is."""
    head = file_entry(path).head(HEAD_BYTES)
    try:
        return kind_of(head, path)
    except UserError:
        return next((words for start, words in _KNOWN_OTHERS if head.startswith(start)), "of none of the kinds read")


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MB" if size >= MIB else f"{size:,} bytes"
