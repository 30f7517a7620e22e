"""Which scans a command line means: files, DICOM folders, and folders of them, each with a name of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemobench.errors import UserError
from hemobench.io.archive import file_entry
from hemobench.io.dicom_headers import NoDicomError, looks_like_dicom, read_instance

# Files with other names count where they are DICOM, which often has names without ending.
SCAN_ENDINGS = (
    ".nii",
    ".nii.gz",
    ".mgz",
    ".mgh",
    ".png",
    ".jpg",
    ".jpeg",
    ".npz",
    ".npy",
    ".zip",
    ".dcm",
    ".ima",
)
# What lies beside scans, of ours and of others, and is none.
_MASKS = ("mask", "label_map")
# A folder with this file is an answer of `predict`.
CLAIM_FILE = "resume.json"
_HEAD_BYTES = 352
_LONGEST_NAME = 80
_MOST_PARENTS = 4


@dataclass(frozen=True)
class Listing:
    """Scans in the order in which they were named, and how many entries of folders were left out as no scans."""

    scans: tuple[Path, ...]
    left_out: int


def list_scans(given: Sequence[Path], output: Path) -> Listing:
    """Every scan that `given` names, once.

    A file is a scan. So is a folder with DICOM in it, and one whose subfolders hold the DICOM of a single study. Any
    other folder is searched: its files with a scan's ending and its folders, by these rules. Masks, answers of
    `predict` and `output` are left out. What holds no scan is listed as it is, for the reader to refuse.
    """
    found: dict[Path, Path] = {}
    left_out = 0
    for path in given:
        inside, others = _scans_in(path, output.resolve()) if path.is_dir() else ([path], 0)
        left_out += others
        for scan in inside or [path]:
            found.setdefault(scan.resolve(), scan)
    return Listing(tuple(found.values()), left_out)


def _scans_in(folder: Path, output: Path) -> tuple[list[Path], int]:
    if folder.resolve() == output or (folder / CLAIM_FILE).is_file():
        return [], 1
    files, folders = _entries(folder)
    if any(_is_dicom(path) for path in files):
        return [folder], 0
    found = [path for path in files if path.name.lower().endswith(SCAN_ENDINGS) and scan_name(path) not in _MASKS]
    left_out = len(files) - len(found)
    if not found and folders and _is_one_study(folder):
        return [folder], 0
    for each in folders:
        inside, others = _scans_in(each, output)
        found += inside
        left_out += others
    return found, left_out


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in a folder by name, hidden ones left out; links to folders may lead in circles and are too."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise UserError(
            f"cannot read folder {folder} ({error.strerror}); expected one of scans; check its rights"
        ) from error
    paths = [folder / name for name in names]
    folders = [path for path in paths if path.is_dir() and not path.is_symlink()]
    return [path for path in paths if path.is_file()], folders


def _is_dicom(path: Path) -> bool:
    try:
        return looks_like_dicom(file_entry(path).head(_HEAD_BYTES))
    except UserError:
        return False  # the reader says what is wrong with it


def _is_one_study(folder: Path) -> bool:
    """Whether the folders in it that hold DICOM belong to one study, as the series of a patient do."""
    studies = set()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        first = next((path for name in sorted(names) if _is_dicom(path := Path(parent, name))), None)
        if first is not None:
            # Anonymous files may have no study: then each folder is its own.
            studies.add(_study_of(first) or parent)
            if len(studies) > 1:
                return False
    return len(studies) == 1


def _study_of(path: Path) -> str:
    try:
        instance = read_instance(file_entry(path))
    except (UserError, NoDicomError):
        return ""
    return "" if instance is None else instance.study_uid


def scan_name(path: Path) -> str:
    """A scan's name without its ending.

    >>> scan_name(Path("ward/head.v2.nii.gz")), scan_name(Path("ward/series"))
    ('head.v2', 'series')
    """
    lower = path.name.lower()
    ending = max((one for one in SCAN_ENDINGS if lower.endswith(one)), key=len, default="")
    return path.name[: len(path.name) - len(ending)] or path.name


def folder_names(scans: Iterable[Path]) -> list[str]:
    """A folder name for each scan: its own; where several would be the same, its parents' in front, or its ending.

    >>> folder_names([Path("a/ct.nii"), Path("b/ct.nii"), Path("b/head ct.zip"), Path("b/x.npz"), Path("b/x.png")])
    ['a-ct', 'b-ct', 'head_ct', 'x.npz', 'x.png']
    """
    labels = [_Label(path.resolve()) for path in scans]
    for _ in range(_MOST_PARENTS):
        alike: dict[str, list[_Label]] = {}
        for label in labels:
            alike.setdefault(label.text().casefold(), []).append(label)
        for group in alike.values():
            side_by_side = len({label.path.parent for label in group}) == 1
            for label in group if len(group) > 1 else ():
                label.with_ending |= side_by_side
                label.parents += not side_by_side
    return [label.text() for label in labels]


@dataclass
class _Label:
    """A scan's name, as long as it must be to be told from others."""

    path: Path
    parents: int = 0
    with_ending: bool = False

    def text(self) -> str:
        folders = self.path.parts[1:-1]
        own = self.path.name if self.with_ending else scan_name(self.path)
        whole = "-".join([*folders[max(0, len(folders) - self.parents) :], own])
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in whole)
        return safe[-_LONGEST_NAME:].lstrip("._-") or "scan"
