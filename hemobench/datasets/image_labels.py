"""Labels of a folder of pictures: from a table whose columns are found by name, or from the folders' names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hemobench.datasets.tables import read_header, read_rows, whole
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES

_ENDINGS = (".png", ".jpg", ".jpeg")
# What people call the columns, in lower case without blanks, dashes and underscores.
_NAMES = {
    "id": ("image", "id", "imageid", "file", "filename", "name", "path", "picture", "slice", "sopinstanceuid"),
    "patient": ("patient", "patientid", "patientnumber", "patientname", "subject", "subjectid", "case", "caseid"),
    "any": ("any", "hemorrhage", "haemorrhage", "ich", "bleed", "bleeding", "label", "target", "class"),
    "epidural": ("epidural", "edh", "epiduralhemorrhage"),
    "intraparenchymal": ("intraparenchymal", "iph", "intraparenchymalhemorrhage", "intracerebral"),
    "intraventricular": ("intraventricular", "ivh", "intraventricularhemorrhage"),
    "subarachnoid": ("subarachnoid", "sah", "subarachnoidhemorrhage"),
    "subdural": ("subdural", "sdh", "subduralhemorrhage"),
}
_YES = ("1", "true", "yes", "positive")
_NO = ("0", "false", "no", "negative")
_BLEEDING_FOLDERS = ("hemorrhage", "haemorrhage", "hemorrhagic", "bleed", "bleeding", "ich", "positive", "yes", "any",
                     "multi", "multiple", "abnormal")  # fmt: skip
_NORMAL_FOLDERS = ("normal", "healthy", "negative", "no", "none", "nohemorrhage", "nohaemorrhage", "nonhemorrhage",
                   "noich", "control")  # fmt: skip


@dataclass(frozen=True)
class PictureLabels:
    """What is known of one picture. types: five 0/1, or None where nobody says which; bleeds: 0 or 1."""

    types: tuple[int, ...] | None
    bleeds: int
    patient: str | None = None


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; None where there is none."""

    id: str
    patient: str | None
    any: str | None
    types: tuple[str | None, ...]

    @staticmethod
    def roles() -> tuple[str, ...]:
        """What columns stand for, in the order of the options."""
        return ("id", "patient", "any", *SUBTYPES)


def list_pictures(root: Path, mask_folder: Path | None, warnings: list[str]) -> dict[str, int]:
    """Sizes in bytes of the pictures under `root` by their path in it, without those of the masks' folder."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(folder, name) != mask_folder)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in _ENDINGS and not name.startswith("."):
                try:
                    found[path.relative_to(root).as_posix()] = path.stat().st_size
                except OSError:
                    warnings.append(f"{path.relative_to(root).as_posix()}: cannot be opened (a broken link); left out")
    return found


def find_columns(table: Path, given: Mapping[str, str | None]) -> Columns:
    """Columns by the names that are given, or else by what people call them.

    Raises UserError for a given column that is not there, two that could be meant, and a table without ids or labels.
    """
    header = read_header(table)
    chosen: dict[str, str | None] = {}
    for role in Columns.roles():
        name = given.get(role)
        if name is not None and name not in header:
            raise UserError(f"{table} has no column '{name}' (its columns: {', '.join(header)[:200]}); expected that "
                            f"of {role}; correct {role}_column")
        chosen[role] = name if name is not None else _guessed(table, header, role)
    types = tuple(chosen[name] for name in SUBTYPES)
    if chosen["id"] is None or (chosen["any"] is None and not any(types)):
        lacking = "pictures' ids" if chosen["id"] is None else "labels"
        option = "id_column" if chosen["id"] is None else "any_column, epidural_column …"
        raise UserError(f"{table} has no column of {lacking} that is known by its name (its columns: "
                        f"{', '.join(header)[:200]}); expected one; name it by {option}")
    return Columns(chosen["id"], chosen["patient"], chosen["any"], types)


def _guessed(table: Path, header: tuple[str, ...], role: str) -> str | None:
    for wanted in _NAMES[role]:
        matching = [name for name in header if _plain(name) == wanted]
        if len(matching) > 1:
            raise UserError(f"{table} has the columns {' and '.join(matching)}; expected one of {role}; name it by "
                            f"{role}_column")
        if matching:
            return matching[0]
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def read_picture_labels(table: Path, columns: Columns, warnings: list[str]) -> dict[str, PictureLabels]:
    """Labels by id as the table writes it. An id twice has a label when either row has it, and is named.

    Raises UserError, naming the line, for a label that is neither yes nor no and for an id without a patient.
    """
    all_names = (columns.id, columns.patient, columns.any, *columns.types)
    names = tuple(dict.fromkeys(name for name in all_names if name))
    labels: dict[str, PictureLabels] = {}
    for line, fields in read_rows(table, names):
        row = dict(zip(names, fields, strict=True))
        picture = row[columns.id].strip()
        patient = row[columns.patient].strip() if columns.patient else None
        if not picture or patient == "":
            missing = "id" if not picture else "patient"
            raise UserError(f"{table} line {line} has no {missing}; expected one; add it or take the line out")
        entry = _labels(row, columns, f"{table} line {line}", patient)
        if entry.types is not None and columns.any:
            told, typed = _yes(row[columns.any], f"{table} line {line}"), max(entry.types)
            if told < typed or (told > typed and all(columns.types)):
                warnings.append(f"{table.name} line {line}: {columns.any} of {picture} is {told} against its types")
        earlier = labels.get(picture)
        if earlier is not None:
            warnings.append(f"{table.name} line {line}: {picture} is listed twice; a label counts when either has it")
            if earlier.patient != patient:
                raise UserError(f"{table} line {line} gives {picture} a second patient; expected one; correct it")
            entry = _joined(entry, earlier)
        labels[picture] = entry
    return labels


def _labels(row: Mapping[str, str], columns: Columns, where: str, patient: str | None) -> PictureLabels:
    types = None
    if any(columns.types):
        types = tuple(_yes(row[name], where) if name else 0 for name in columns.types)
    bleeds = _yes(row[columns.any], where) if columns.any else 0
    return PictureLabels(types, max(bleeds, *(types or (0,))), patient)


def _joined(left: PictureLabels, right: PictureLabels) -> PictureLabels:
    types = None
    if left.types is not None and right.types is not None:
        types = tuple(map(max, left.types, right.types))
    return PictureLabels(types, max(left.bleeds, right.bleeds), left.patient)


def _yes(text: str, where: str) -> int:
    plain = whole(text).lower()
    if plain not in (*_YES, *_NO):
        raise UserError(f"{where} has label '{text[:40]}'; expected 0 or 1; correct it, or name the right column")
    return int(plain in _YES)


def match_pictures(
    root: Path, pictures: Mapping[str, int], labels: Mapping[str, PictureLabels], table: Path, warnings: list[str]
) -> dict[str, PictureLabels]:
    """Labels by the picture's path: the same path, file name, name without ending, or number. The rest is named."""
    places: dict[str, list[str]] = {}
    for picture in pictures:
        path = Path(picture)
        for key in dict.fromkeys((picture, path.name, path.stem, picture.rpartition(".")[0], _numbered(path.stem))):
            places.setdefault(key, []).append(picture)
    found: dict[str, PictureLabels] = {}
    for name, entry in labels.items():
        plain = name.replace("\\", "/").removeprefix("./")
        matching = next((places[key] for key in (plain, _numbered(plain)) if key in places), [])
        if not matching:
            warnings.append(f"{name}: in {table.name} but not on disk; left out")
        elif len(matching) > 1:
            warnings.append(f"{name}: {len(matching)} pictures have this name ({', '.join(matching[:3])}); left out")
        elif matching[0] in found:
            warnings.append(f"{matching[0]}: listed in {table.name} under two names; the first counts")
        else:
            found[matching[0]] = entry
    warnings += [f"{picture}: not in {table.name}; left out" for picture in pictures if picture not in found]
    return found


def _numbered(name: str) -> str:
    """A key under which 7, 07 and 007 are the same; other names stay."""
    return f"#{int(name)}" if name.isdecimal() and len(name) < 20 else name


def labels_of_folder(root: Path, pictures: Mapping[str, int], warnings: list[str]) -> dict[str, PictureLabels]:
    """Labels by the name of the first folder under `root` that the picture lies in."""
    found: dict[str, PictureLabels] = {}
    unknown: dict[str, int] = {}
    for picture in pictures:
        folder = picture.partition("/")[0] if "/" in picture else "."
        entry = labels_of_name(folder)
        if entry is None:
            unknown[folder] = unknown.get(folder, 0) + 1
        else:
            found[picture] = entry
    warnings += [f"{folder}/: no class of this name; {count} pictures left out" for folder, count in unknown.items()]
    return found


def labels_of_name(folder: str) -> PictureLabels | None:
    """What a class folder's name says, None where it says nothing.

    >>> labels_of_name("SDH"), labels_of_name("no_hemorrhage"), labels_of_name("batch 2")
    (PictureLabels(types=(0, 0, 0, 0, 1), bleeds=1, patient=None), PictureLabels(types=(0, 0, 0, 0, 0), bleeds=0, \
patient=None), None)
    """
    plain = _plain(folder)
    for position, subtype in enumerate(SUBTYPES):
        if plain in _NAMES[subtype]:
            return PictureLabels(tuple(int(index == position) for index in range(len(SUBTYPES))), 1)
    if plain in _NORMAL_FOLDERS:
        return PictureLabels((0,) * len(SUBTYPES), 0)
    return PictureLabels(None, 1) if plain in _BLEEDING_FOLDERS else None
