"""Labels of a folder of pictures: from a table whose columns are found by name, or from the folders' names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hemobench.datasets.loose_ids import match_loosely
from hemobench.datasets.nifti_pairs import printable
from hemobench.datasets.tables import PLAIN, Layout, layout_of, read_header, read_rows
from hemobench.datasets.yes_no import crossed_columns, yes_or_no
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
_BLEEDING_FOLDERS = (
    "hemorrhage",
    "haemorrhage",
    "hemorrhagic",
    "bleed",
    "bleeding",
    "ich",
    "positive",
    "yes",
    "any",
    "multi",
    "multiple",
    "abnormal",
)
_NORMAL_FOLDERS = (
    "normal",
    "healthy",
    "negative",
    "no",
    "none",
    "nohemorrhage",
    "nohaemorrhage",
    "nonhemorrhage",
    "noich",
    "control",
)


@dataclass(frozen=True)
class PictureLabels:
    """What is known of one picture. types: five 0/1, or None where nobody says which; bleeds: 0 or 1."""

    types: tuple[int, ...] | None
    bleeds: int
    patient: str | None = None


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; None where there is none. layout: how the table is written."""

    id: str
    patient: str | None
    any: str | None
    types: tuple[str | None, ...]
    layout: Layout = PLAIN

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


def find_columns(table: Path, given: Mapping[str, str | None], warnings: list[str]) -> Columns:
    """Columns by the names that are given, or else by what people call them.

    Raises UserError for a given column that is not there, two that could be meant, and a table without ids or labels.
    """

    def fits(header: tuple[str, ...]) -> bool:
        try:
            return bool(_columns(table, header, given))
        except UserError:
            return False

    layout, odd = layout_of(table, fits) if table.is_file() else (PLAIN, [])
    warnings += odd
    return replace(_columns(table, read_header(table, layout), given), layout=layout)


def _columns(table: Path, header: tuple[str, ...], given: Mapping[str, str | None]) -> Columns:
    chosen: dict[str, str | None] = {}
    for role in Columns.roles():
        name = given.get(role)
        if name is not None and name not in header:
            raise UserError(
                f"{table} has no column '{name}' (its columns: {', '.join(header)[:200]}); expected that "
                f"of {role}; correct {role}_column"
            )
        chosen[role] = name if name is not None else _guessed(table, header, role)
    types = tuple(chosen[name] for name in SUBTYPES)
    if chosen["id"] is None or (chosen["any"] is None and not any(types)):
        lacking = "pictures' ids" if chosen["id"] is None else "labels"
        option = "id_column" if chosen["id"] is None else "any_column, epidural_column …"
        raise UserError(
            f"{table} has no column of {lacking} that is known by its name (its columns: "
            f"{', '.join(header)[:200]}); expected one; name it by {option}"
        )
    return Columns(chosen["id"], chosen["patient"], chosen["any"], types)


def _guessed(table: Path, header: tuple[str, ...], role: str) -> str | None:
    for wanted in _NAMES[role]:
        matching = [name for name in header if _plain(name) == wanted]
        if len(matching) > 1:
            raise UserError(
                f"{table} has the columns {' and '.join(matching)}; expected one of {role}; name it by {role}_column"
            )
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
    labelling = tuple(dict.fromkeys(name for name in (columns.any, *columns.types) if name))
    told_by = (fields for _, fields in read_rows(table, labelling, columns.layout))
    crossed = {name for name, so in zip(labelling, crossed_columns(told_by, len(labelling)), strict=True) if so}
    labels: dict[str, PictureLabels] = {}
    for line, fields in read_rows(table, names, columns.layout):
        row = dict(zip(names, fields, strict=True))
        picture = row[columns.id].strip()
        patient = row[columns.patient].strip() if columns.patient else None
        if not picture or patient == "":
            missing = "id" if not picture else "patient"
            raise UserError(f"{table} line {line} has no {missing}; expected one; add it or take the line out")
        truth = {name: _yes(row[name], f"{table} line {line}", name in crossed) for name in labelling}
        entry = _labels(truth, columns, patient)
        if entry.types is not None and columns.any:
            told, typed = truth[columns.any], max(entry.types)
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


def _labels(truth: Mapping[str, int], columns: Columns, patient: str | None) -> PictureLabels:
    types = None
    if any(columns.types):
        types = tuple(truth[name] if name else 0 for name in columns.types)
    bleeds = truth[columns.any] if columns.any else 0
    return PictureLabels(types, max(bleeds, *(types or (0,))), patient)


def _joined(left: PictureLabels, right: PictureLabels) -> PictureLabels:
    types = None
    if left.types is not None and right.types is not None:
        types = tuple(map(max, left.types, right.types))
    return PictureLabels(types, max(left.bleeds, right.bleeds), left.patient)


def _yes(text: str, where: str, crossed: bool) -> int:
    value = yes_or_no(text, crossed=crossed)
    if value is None:
        raise UserError(f"{where} has label '{text[:40]}'; expected 0 or 1; correct it, or name the right column")
    return value


def match_pictures(
    root: Path, pictures: Mapping[str, int], labels: Mapping[str, PictureLabels], table: Path, warnings: list[str]
) -> dict[str, PictureLabels]:
    """Labels by the picture's path: the same path, file name, name without ending, or number; of the ids that remain,
    what `match_loosely` finds, with a remark. The rest is named.

    Raises UserError where there are pictures and ids, and no id stands for one.
    """
    places: dict[str, list[str]] = {}
    for picture in pictures:
        path = Path(picture)
        for key in dict.fromkeys((picture, path.name, path.stem, picture.rpartition(".")[0], _numbered(path.stem))):
            places.setdefault(key, []).append(picture)
    plain = {name: name.replace("\\", "/").removeprefix("./") for name in labels}
    matching = {
        name: next((places[key] for key in (plain[name], _numbered(plain[name])) if key in places), [])
        for name in labels
    }
    taken = {one[0] for one in matching.values() if len(one) == 1}
    by_folder = any("/" in plain[name] for name, places in matching.items() if places)
    remaining = [name for name, places in matching.items() if not places]
    loose = match_loosely(remaining, pictures, taken, by_folder=by_folder)
    found: dict[str, PictureLabels] = {}
    for name, entry in labels.items():
        meant = [loose.names[name]] if name in loose.names else matching[name] or list(loose.unclear.get(name, ()))
        shown = printable(name[:60])
        if not meant:
            warnings.append(f"{shown}: in {table.name} but not on disk; left out")
        elif len(meant) > 1:
            warnings.append(f"{shown}: {len(meant)} pictures have this name ({', '.join(meant[:3])}); left out")
        elif name in loose.unclear:
            warnings.append(f"{shown}: {meant[0]} could be meant by another id of {table.name} too; left out")
        elif meant[0] in found:
            warnings.append(f"{meant[0]}: listed in {table.name} under two names; the first counts")
        else:
            found[meant[0]] = entry
    if labels and pictures and not found:
        example, picture = printable(next(iter(labels))[:60]), next(iter(pictures))
        raise UserError(
            f"{root} has no picture with labels: none of the {len(labels)} ids in {table.name} stands for "
            f"one picture (an id is '{example}', a picture '{picture}'); expected the pictures' names; "
            "correct them, or say id_column="
        )
    if loose.names:
        name, picture = next(iter(loose.names.items()))
        warnings.append(
            f"{table.name}: {len(loose.names)} ids were matched by what they have in common with a "
            f"picture's name ('{printable(name[:60])}' is {picture})"
        )
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
