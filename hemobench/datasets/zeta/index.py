"""Which of Zeta's pictures are on disk, in which windows, and what the tables say about them.

Nothing is decoded. Time and memory grow in proportion to the pictures on disk; of the label table, 752,803 rows in the
official one, only the rows of these pictures are kept.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hemobench.datasets.tables import read_rows, whole
from hemobench.datasets.zeta.locations import picture_id
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES

RENDERS = "renders"
LABELS_CSV = "hemorrhage-labels.csv"
PATIENTS_CSV = "patients.csv"
FLAGGED = "flagged.txt"
CLASS_NAMES = (*SUBTYPES, "multiple", "normal")
WINDOW_FOLDERS = {
    "brain": "brain_window",
    "subdural": "subdural_window",
    "bone": "brain_bone_window",
    "max-contrast": "max_contrast_window",
}
ROLES = tuple(WINDOW_FOLDERS)
_ALIAS = "bone_window"
_ENDINGS = ("jpg", "jpeg", "png")


@dataclass(frozen=True)
class ClassFolder:
    """A folder of renders/. name: of CLASS_NAMES. windows: role and folder of those that are there, in ROLES' order."""

    name: str
    path: Path
    windows: tuple[tuple[str, Path], ...]


@dataclass
class Pictures:
    """Pictures by id: number of their class folder and bits of the windows (in the order of ROLES) that have them."""

    folders: list[ClassFolder] = field(default_factory=list)
    found: dict[str, tuple[int, int]] = field(default_factory=dict)
    ending: str = ""
    digest: str = ""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def class_of_folder(name: str) -> str | None:
    """Class that a folder of renders/ stands for, None for another one.

    >>> [class_of_folder(name) for name in ("multi", "multiple hemorrhage", "epidural", "thumbnails")]
    ['multiple', 'multiple', 'epidural', None]
    """
    plain = name.lower().replace("_", " ").replace("-", " ").removesuffix(" hemorrhage")
    plain = "multiple" if plain == "multi" else plain
    return plain if plain in CLASS_NAMES else None


def list_pictures(root: Path) -> Pictures:
    """Walk renders/ once. A picture in two classes stays in the first; both places are named."""
    pictures = Pictures()
    digest = hashlib.sha256()
    names = sorted(entry.name for entry in os.scandir(root / RENDERS) if entry.is_dir())
    combinations: dict[tuple[int, int], tuple[int, int]] = {}
    for name in names:
        label = class_of_folder(name)
        if label is None:
            pictures.warnings.append(f"{RENDERS}/{name}: no class of this name; folder left out")
            continue
        folder = ClassFolder(label, root / RENDERS / name, _windows(root / RENDERS / name, pictures))
        number = len(pictures.folders)
        pictures.folders.append(folder)
        for role, path in folder.windows:
            bit = 1 << ROLES.index(role)
            files = _files(path, root, pictures)
            digest.update(f"{name}/{role} ".encode())
            digest.update("".join([f"{stem}\0{size}\n" for stem, size in files]).encode())
            for stem, _ in files:
                home, bits = pictures.found.get(stem, (number, 0))
                if home != number:
                    place = f"{RENDERS}/{name}/{path.name}/{stem}{pictures.ending}"
                    pictures.warnings.append(f"{place}: also in {pictures.folders[home].path.name}; left out here")
                    continue
                entry = (number, bits | bit)
                # One tuple for all pictures alike: there may be hundreds of thousands.
                pictures.found[stem] = combinations.setdefault(entry, entry)
    pictures.digest = digest.hexdigest()
    return pictures


def _windows(folder: Path, pictures: Pictures) -> tuple[tuple[str, Path], ...]:
    """Windows of a class folder; `bone_window` stands for brain_window, or for brain_bone_window where that is missing.

    Copies with `bone_window` have it in place of `brain_window`.
    """
    held = {entry.name.lower().replace(" ", "_"): Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()}
    windows = {role: held.pop(name) for role, name in WINDOW_FOLDERS.items() if name in held}
    if _ALIAS in held:
        role = next((role for role in ("brain", "bone") if role not in windows), None)
        if role is not None:
            windows[role] = held.pop(_ALIAS)
            pictures.notes.append(f"{RENDERS}/{folder.name}/{_ALIAS}: read as {WINDOW_FOLDERS[role]}")
    for name in sorted(held):
        pictures.warnings.append(f"{RENDERS}/{folder.name}/{name}: no window of this name; folder left out")
    return tuple((role, windows[role]) for role in ROLES if role in windows)


def _files(folder: Path, root: Path, pictures: Pictures) -> list[tuple[str, int]]:
    """(id, bytes) of each picture in a window's folder, sorted."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, _, ending = entry.name.rpartition(".")
            if ending.lower() not in _ENDINGS or not stem or stem[0] == ".":
                if not entry.name.startswith(".") and entry.name != "Thumbs.db":
                    pictures.warnings.append(f"{_place(entry.path, root)}: no JPEG or PNG; left out")
                continue
            pictures.ending = pictures.ending or f".{ending}"
            if not entry.name.endswith(pictures.ending):
                pictures.warnings.append(f"{_place(entry.path, root)}: the others end in {pictures.ending}; left out")
                continue
            files.append((stem, entry.stat().st_size))
    return sorted(files)


def _place(path: str, root: Path) -> str:
    return Path(path).relative_to(root).as_posix()


def read_labels(path: Path, wanted: Iterable[str], warnings: list[str]) -> tuple[dict[str, int], int]:
    """Types of the pictures in `wanted` as bits in the order of SUBTYPES, and the number of rows in the table.

    A picture listed twice has a type when either row has it; a row whose `any` contradicts its types counts by its
    types. Both are named in `warnings`. Raises UserError for a table that cannot be understood.
    """
    types = dict.fromkeys(wanted, -1)
    # There are few combinations of labels and very many rows.
    known: dict[tuple[str, ...], int] = {}
    rows = 0
    for line, fields in read_rows(path, ("Image", *SUBTYPES, "any")):
        rows += 1
        name = fields[0]
        if name not in types:
            name = picture_id(name)
            if name not in types:
                continue
        texts = fields[1:]
        bits = known.get(texts, -1)
        if bits < 0:
            bits = known[texts] = _bits(texts, line, path)
        if (bits & 31 != 0) != (bits > 31):
            warnings.append(f"{path.name} line {line}: any is {texts[-1]} against {name}'s types; the types are used")
        earlier = types[name]
        if earlier >= 0:
            warnings.append(f"{path.name} line {line}: {name} is listed twice; a type counts when either line has it")
        types[name] = bits & 31 if earlier < 0 else earlier | bits & 31
    return {name: bits for name, bits in types.items() if bits >= 0}, rows


def _bits(texts: tuple[str, ...], line: int, path: Path) -> int:
    """The five types and `any` as bits from the lowest up."""
    total = 0
    for bit, text in enumerate(texts):
        plain = whole(text)
        if plain not in ("0", "1"):
            raise UserError(f"{path} line {line} has label '{text[:40]}'; expected 0 or 1; correct it")
        total |= int(plain) << bit
    return total


def read_patients(path: Path, wanted: Collection[str]) -> dict[str, str]:
    """Patient of each picture in `wanted`, from `Image,PatientID`. Raises UserError where two rows disagree."""
    patients: dict[str, str] = {}
    # One text for all pictures of a patient.
    people: dict[str, str] = {}
    for line, (name, text) in read_rows(path, ("Image", "PatientID")):
        picture = name if name in wanted else picture_id(name)
        if picture not in wanted:
            continue
        patient = people.get(text) or people.setdefault(text, text.strip())
        if not patient:
            raise UserError(f"{path} line {line} has no PatientID; expected one for each picture; add it")
        if patients.setdefault(picture, patient) != patient:
            raise UserError(f"{path} line {line} gives {picture} a second patient; expected one; correct it")
    return patients


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection meanwhile: building hundreds of thousands of cases makes it walk all of them many times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_flagged(path: Path) -> set[str]:
    """Ids that flagged.txt lists, one a line, with or without a file ending."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} is no text in UTF-8; expected a picture's id in each line; save it again") from error
    return {picture_id(line) for line in text.splitlines() if line.strip()}
