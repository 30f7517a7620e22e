"""Zeta's Hemorrhage Segmentation Project: RSNA slices rendered in four windows, a label table, polygons for some.

Layout: `renders/<class>/<window>/ID_….jpg`, `hemorrhage-labels.csv`, `Results_….csv` (where the blood is),
`flagged.txt` (pictures to leave out), and `patients.csv` (`Image,PatientID`) that a user may add from RSNA's DICOM
headers. Each picture is a case of one slice. Without `patients.csv` the patients are unknown: pictures of one person
are on both sides of any split, which the data set says in its warnings and in `Dataset.leaky`.

Labels are the table's; a class folder that contradicts it is named. Protocols:

- "hounsfield": units recombined from the brain, subdural and bone windows; a picture that lacks one is left out.
- "max-contrast": `max_contrast_window` as grey in 0..1.
- "paper": that, as the paper did it: (R+G+B)/3, every fourth row and column, `images_per_class` (1000; the paper also
  took 1600) of each of six classes, none normal. Folder and table must agree on the class.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from hemobench.case import Case, Dataset
from hemobench.datasets.catalogue import ZETA
from hemobench.datasets.zeta.index import (
    CLASS_NAMES,
    FLAGGED,
    LABELS_CSV,
    PATIENTS_CSV,
    RENDERS,
    ROLES,
    WINDOW_FOLDERS,
    Pictures,
    collection_paused,
    list_pictures,
    read_flagged,
    read_labels,
    read_patients,
)
from hemobench.datasets.zeta.locations import Locations, Outline, read_locations
from hemobench.datasets.zeta.picture_files import HU_WINDOWS, Rendering, load_zeta, read_rgb
from hemobench.errors import UserError, unknown_name
from hemobench.io.bone_map import is_bone_coloured
from hemobench.labels import SUBTYPES

PROTOCOLS = ("hounsfield", "max-contrast", "paper")
GRAYS = ("invert-bone", "mean")
LEAK_WARNING = (
    f"no {PATIENTS_CSV}: patients are unknown, so a split by picture leaks (slices of one person are on both sides); "
    f"add {PATIENTS_CSV} (Image,PatientID) from RSNA's DICOM headers"
)
# So many pictures are looked at to tell a plain copy from a coloured one.
_SAMPLES = 8


def open_zeta(
    path: Path | None,
    *,
    protocol: str = "hounsfield",
    gray: str | None = None,
    outlines: str = "best",
    images_per_class: int = 1000,
    seed: int = 2021,
) -> Dataset:
    """The copy under `path`, one Case a picture.

    protocol: see the module. gray: "invert-bone" undoes the renders' colour map, "mean" is (R+G+B)/3; by default the
    paper's protocol takes the mean and the others the inverse. outlines: which polygons count, "best", "correct",
    "majority" or "all" (`read_locations`). images_per_class and seed: of the paper's random draw. Raises UserError for
    a folder of another layout, tables that cannot be understood and options of other values.
    """
    gray = _checked_gray(protocol, gray)
    if images_per_class < 1:
        raise UserError(f"images_per_class is {images_per_class}; expected at least 1; the paper took 1000 and 1600")
    with collection_paused():
        return _opened(_checked_root(path), protocol, gray, outlines, images_per_class, seed)


def _opened(root: Path, protocol: str, gray: str, outlines: str, images_per_class: int, seed: int) -> Dataset:
    pictures = list_pictures(root)
    types, rows = read_labels(root / LABELS_CSV, pictures.found, pictures.warnings)
    if rows > len(types):
        pictures.notes.append(f"{LABELS_CSV}: {rows - len(types)} rows of pictures that are not in this copy")
    patients = read_patients(root / PATIENTS_CSV, pictures.found) if (root / PATIENTS_CSV).is_file() else None
    located = read_locations(_tables(root, "Results_*.csv"), types, outlines)
    needed = _needed_roles(pictures, protocol)
    usable = _usable(root, pictures, types, needed, strict=protocol == "paper")
    if patients is not None:
        usable = _with_patient(usable, patients, pictures)
    if protocol == "paper":
        usable = _drawn(pictures, usable, images_per_class, seed)
    if not usable:
        raise UserError(
            f"{root} has no picture that '{protocol}' can use; expected {RENDERS}/ and {LABELS_CSV} of one "
            "copy; check it, or try another protocol"
        )
    pictures.warnings += located.warnings
    if gray == "invert-bone" and not _coloured(pictures, usable, needed[-1]):
        pictures.notes.append("the pictures have no colours of the bone map; their grey is used as it is")
        gray = "plain"
    cases = _cases(pictures, usable, types, patients, located, protocol, gray)
    if patients is None:
        pictures.warnings.insert(0, LEAK_WARNING)
    return Dataset(
        ZETA,
        cases,
        _fingerprint(root, pictures, (protocol, gray, outlines, images_per_class, seed)),
        tuple(pictures.warnings),
        leaky=patients is None,
        notes=tuple(pictures.notes + located.notes),
    )


def _checked_gray(protocol: str, gray: str | None) -> str:
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    chosen = gray or ("mean" if protocol == "paper" else "invert-bone")
    if chosen not in GRAYS:
        raise unknown_name("gray", chosen, GRAYS)
    if (protocol, chosen) == ("hounsfield", "mean"):
        raise UserError(
            "gray 'mean' with protocol 'hounsfield'; expected 'invert-bone', because the mean of the "
            "colours is not the window's grey; leave gray out or take protocol 'max-contrast'"
        )
    return chosen


def _checked_root(path: Path | None) -> Path:
    layout = f"the folder that holds {RENDERS}/ and {LABELS_CSV}"
    if path is None:
        raise UserError(f"zeta without a path; expected {layout}; say zeta:PATH")
    if not path.is_dir():
        raise UserError(f"no folder {path}; expected {layout}; check the path")
    missing = [name for name in (f"{RENDERS}/", LABELS_CSV) if not (path / name).exists()]
    if missing:
        raise UserError(f"{path} has no {' and no '.join(missing)}; expected {layout}; check the path")
    if not (path / RENDERS).is_dir():
        raise UserError(f"{path / RENDERS} is no folder; expected one folder a class in it; check the path")
    return path


def _tables(root: Path, pattern: str) -> list[Path]:
    """Files beside renders/ or one folder deeper; renders/ itself holds too many to look through."""
    folders = [root, *sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name != RENDERS)]
    return [path for folder in folders for path in sorted(folder.glob(pattern)) if path.is_file()]


def _needed_roles(pictures: Pictures, protocol: str) -> tuple[str, ...]:
    """Windows that every picture must have, out of those that the copy has at all."""
    if protocol != "hounsfield":
        return ("max-contrast",)
    held = {role for folder in pictures.folders for role, _ in folder.windows}
    needed = tuple(role for role in HU_WINDOWS if role in held)
    if not needed:
        raise UserError(
            "no brain, subdural or bone window in renders/; expected one of them for Hounsfield units; "
            "take protocol 'max-contrast'"
        )
    for role in set(HU_WINDOWS) - set(needed):
        pictures.warnings.append(
            f"{RENDERS}/*/{WINDOW_FOLDERS[role]}: no such folder; Hounsfield units that only this "
            "window shows are cut off"
        )
    return needed


def _usable(root: Path, pictures: Pictures, types: dict[str, int], needed: tuple[str, ...], strict: bool) -> list[str]:
    """Ids of pictures with labels, the windows that the protocol needs, and no flag; sorted. Defects are named.

    `strict` leaves out those whose class folder contradicts the table.
    """
    flagged = {name for path in _tables(root, FLAGGED) for name in read_flagged(path)} & set(pictures.found)
    if flagged:
        pictures.notes.append(f"{FLAGGED}: {len(flagged)} pictures left out, as it says")
    needed_bits = sum(1 << ROLES.index(role) for role in needed)
    held = {role for folder in pictures.folders for role, _ in folder.windows}
    held_bits = sum(1 << ROLES.index(role) for role in held)
    lacking: list[str] = []
    usable = []
    folder_types = [{bits for bits in range(32) if class_of_types(bits) == folder.name} for folder in pictures.folders]
    for picture in sorted(pictures.found):
        number, bits = pictures.found[picture]
        if picture in flagged:
            continue
        if bits == held_bits and types.get(picture, -1) in folder_types[number]:
            # Nothing to say, as for nearly all.
            usable.append(picture)
            continue
        place = f"{RENDERS}/{pictures.folders[number].path.name}"
        if bits & held_bits != held_bits:
            missing = ", ".join(WINDOW_FOLDERS[role] for role in ROLES if held_bits & ~bits & 1 << ROLES.index(role))
            fate = "picture left out" if bits & needed_bits != needed_bits else "not needed here"
            lacking.append(f"{place}/*/{picture}{pictures.ending}: no {missing}; {fate}")
        if picture not in types:
            pictures.warnings.append(f"{place}/*/{picture}{pictures.ending}: not in {LABELS_CSV}; picture left out")
        elif bits & needed_bits == needed_bits and (_folder_agrees(pictures, picture, types, strict) or not strict):
            usable.append(picture)
    if lacking:
        pictures.warnings += [f"{len(lacking)} pictures lack a window", *lacking]
    return usable


def class_of_types(types: int) -> str:
    """One of CLASS_NAMES for the five types as bits.

    >>> [class_of_types(bits) for bits in (0, 1, 16, 3)]
    ['normal', 'epidural', 'subdural', 'multiple']
    """
    count = types.bit_count()
    return "normal" if not count else "multiple" if count > 1 else SUBTYPES[types.bit_length() - 1]


def _folder_agrees(pictures: Pictures, picture: str, types: dict[str, int], strict: bool) -> bool:
    folder = pictures.folders[pictures.found[picture][0]]
    by_table = class_of_types(types[picture])
    if by_table == folder.name:
        return True
    fate = "picture left out" if strict else "the table is used"
    place = f"{RENDERS}/{folder.path.name}/*/{picture}{pictures.ending}"
    pictures.warnings.append(f"{place}: {by_table} in {LABELS_CSV}; {fate}")
    return False


def _with_patient(usable: list[str], patients: dict[str, str], pictures: Pictures) -> list[str]:
    orphans = [picture for picture in usable if picture not in patients]
    if not orphans:
        return usable
    pictures.warnings += [f"{picture}: not in {PATIENTS_CSV}; picture left out" for picture in orphans]
    return [picture for picture in usable if picture in patients]


def _drawn(pictures: Pictures, usable: Iterable[str], images_per_class: int, seed: int) -> list[str]:
    """The paper's random draw: so many pictures of each class folder but `normal`."""
    groups: dict[str, list[str]] = {name: [] for name in CLASS_NAMES if name != "normal"}
    for picture in usable:
        name = pictures.folders[pictures.found[picture][0]].name
        if name in groups:
            groups[name].append(picture)
    chosen = []
    for name, members in groups.items():
        if len(members) < images_per_class:
            pictures.warnings.append(f"{name}: {len(members)} pictures for {images_per_class} a class; all are taken")
        # A generator of its own for each class, so that one class's number does not change the others' draw.
        chosen += random.Random(f"{seed} {name}").sample(members, min(images_per_class, len(members)))
    return sorted(chosen)


def _coloured(pictures: Pictures, usable: list[str], role: str) -> bool:
    """Whether a few of the copy's pictures have the bone map's colours, or none of them tells."""
    told = False
    for picture in usable[:: max(1, len(usable) // _SAMPLES)][:_SAMPLES]:
        folder = dict(pictures.folders[pictures.found[picture][0]].windows)[role]
        try:
            rgb = read_rgb(folder / f"{picture}{pictures.ending}")
        except UserError:
            # A damaged picture says nothing about the others; loading it names it.
            continue
        if is_bone_coloured(rgb):
            return True
        # Black and white look the same in both.
        told = told or bool(np.mean((rgb > 32) & (rgb < 224)) > 0.02)
    return not told


def _cases(
    pictures: Pictures,
    usable: list[str],
    types: dict[str, int],
    patients: dict[str, str] | None,
    located: Locations,
    protocol: str,
    gray: str,
) -> tuple[Case, ...]:
    renderings = [Rendering(folder.windows, pictures.ending, protocol, gray) for folder in pictures.folders]
    # Hundreds of thousands of cases share these.
    labels = [tuple(bits >> bit & 1 for bit in range(len(SUBTYPES))) for bits in range(2 ** len(SUBTYPES))]
    nothing_drawn: tuple[Outline, ...] | None = () if located.outlines else None
    cases = []
    for picture in usable:
        bits = types[picture]
        drawn = located.outlines.get(picture) if bits else nothing_drawn
        load = partial(load_zeta, renderings[pictures.found[picture][0]], picture, bits, drawn)
        patient = picture if patients is None else patients[picture]
        cases.append(Case(patient, picture, ZETA.name, ZETA.lineage, labels[bits], load, spacing_known=False))
    return tuple(cases)


def _fingerprint(root: Path, pictures: Pictures, options: tuple[object, ...]) -> str:
    """SHA-256 over the tables, the pictures' names and sizes, and the options; the pictures are not read."""
    digest = hashlib.sha256(f"{options} {pictures.digest}".encode())
    for path in [*_tables(root, "*.csv"), *_tables(root, FLAGGED)]:
        with path.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()
