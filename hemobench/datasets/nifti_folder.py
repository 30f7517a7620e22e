"""Anybody's own NIfTI scans: images, with masks, with a table of labels and patients, or with several of these.

Files are found by patterns relative to the folder, without the ending .nii or .nii.gz: `{study}` and `{patient}` stand
for names, `*` for anything inside one name. By default `images/{study}`, `masks/{study}` and `labels.csv`. Options may
be given behind the path (`nifti-folder:PATH,images={patient}/{study}/ct,mask_ids=types`) or be kept in a file
`hemobench.json` in the folder; those behind the path win.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import NIFTI_FOLDER
from hemobench.datasets.nifti_pairs import (
    binary,
    checked_folder,
    fingerprint,
    printable,
    read_pair,
    stem_of,
    typed,
    unmatched,
)
from hemobench.datasets.nifti_table import TableRow, read_table, with_scans
from hemobench.errors import UserError, unknown_name
from hemobench.io.nifti import read_nifti
from hemobench.io.values import as_hounsfield
from hemobench.labels import slice_labels_from_label_map

SETTINGS_FILE = "hemobench.json"
MASK_IDS = ("blood", "types", "ventricles")
ANY_ALONE = "labels say whether there is blood, not which type: the types' metrics are undefined"
_MOST_WILDCARDS = 3


@dataclass(frozen=True)
class Settings:
    """Where things are. mask_ids: "blood" for binary masks, "types" for ids 1..5, "ventricles" for binary masks of the
    ventricles, blood in them included. `lineage` names the collection that the scans come from, where other data sets
    have the same patients (e.g. rsna)."""

    images: str = "images/{study}"
    masks: str = "masks/{study}"
    labels: str = "labels.csv"
    study_column: str = "study"
    patient_column: str = "patient_id"
    slice_column: str = "slice"
    mask_ids: str = "blood"
    lineage: str = NIFTI_FOLDER.lineage


def open_nifti_folder(
    path: Path | None,
    *,
    images: str | None = None,
    masks: str | None = None,
    labels: str | None = None,
    study_column: str | None = None,
    patient_column: str | None = None,
    slice_column: str | None = None,
    mask_ids: str | None = None,
    lineage: str | None = None,
) -> Dataset:
    """The scans under `path`, one Case a scan; options as in `Settings`.

    The table needs the study column; with the slice column it has a row a slice (0 is the lowest), without it a row a
    study; the five types by their names, `any`, the patient column, or several of these. What has no counterpart is in
    the warnings.
    Raises UserError where nothing matches, and for a table or settings that cannot be understood.
    """
    root = checked_folder(path, NIFTI_FOLDER, "images/{study}.nii.gz, and masks/{study}.nii.gz or labels.csv")
    given = {
        "images": images,
        "masks": masks,
        "labels": labels,
        "study_column": study_column,
        "patient_column": patient_column,
        "slice_column": slice_column,
        "mask_ids": mask_ids,
        "lineage": lineage,
    }
    settings = replace(_kept_settings(root), **{key: value for key, value in given.items() if value is not None})
    if settings.mask_ids not in MASK_IDS:
        raise unknown_name("mask_ids", settings.mask_ids, MASK_IDS)
    files = list(_files(root))
    scans, drawn = _matching(root, files, settings.images, "images"), _matching(root, files, settings.masks, "masks")
    if not scans:
        seen = f"{len(files)} NIfTI files" + (f", the first {printable(files[0])}" if files else "")
        raise UserError(
            f"{root} has no scan {printable(settings.images)}.nii.gz ({seen}); expected some; say "
            "nifti-folder:PATH,images=PATTERN"
        )
    table = root / settings.labels
    warnings: list[str] = []
    rows: dict[str, TableRow] = {}
    if table.is_file():
        columns = (settings.study_column, settings.patient_column, settings.slice_column)
        rows = with_scans(read_table(table, columns, warnings), scans, table, bool(drawn), warnings)
    if not table.is_file() and labels is not None:
        raise UserError(f"no table {table}; expected a CSV with column {settings.study_column}; check the path")
    defects, notes = _defects(scans, drawn, rows, settings)
    warnings += defects
    cases = tuple(_case(name, scan, drawn.get(name), rows.get(name), settings) for name, scan in scans.items())
    used = [scan for _, scan in scans.values()] + [mask for name, (_, mask) in drawn.items() if name in scans]
    listed = sorted(rows.items(), key=lambda pair: pair[0])
    marks = fingerprint(root, [*used, *([table] if rows else [])], repr(settings), repr(listed))
    return Dataset(NIFTI_FOLDER, cases, marks, tuple(warnings), notes=tuple(notes))


def load_scan(
    image_path: Path,
    mask_path: Path | None,
    mask_ids: str,
    study: tuple[int, ...] | None,
    slices: tuple[tuple[int, ...], ...] | None,
    bleeds: int | None = None,
    slices_bleed: tuple[int, ...] | None = None,
) -> Loaded:
    """One scan with its mask and labels: slices from the table, else from a mask of types; of the study otherwise.

    bleeds, slices_bleed: whether there is blood of any type, where the table says no more.
    """
    remarks: list[str] = []
    label_map = blood = ventricles = slice_labels = any_labels = None
    if mask_path is None:
        image = read_nifti(image_path)
    else:
        image, ids, remarks = read_pair(image_path, mask_path)
        if mask_ids == "types":
            label_map = typed(ids, mask_path)
            slice_labels = slice_labels_from_label_map(label_map)
        elif mask_ids == "ventricles":
            ventricles = binary(ids, mask_path)
        else:
            blood = binary(ids, mask_path)
    # As `read_scan` takes it, so that a scan gets one answer however it comes.
    voxels, lines = as_hounsfield(np.asarray(image.voxels))
    if lines:
        image = image.with_voxels(voxels)
        remarks += [f"{image_path}: {line}" for line in lines]
    for rows in (slices, slices_bleed):
        if rows is not None and len(rows) != image.shape[0]:
            raise UserError(
                f"{image_path} has {image.shape[0]} slices, the table {len(rows)}; expected a row a "
                "slice; correct the table"
            )
    if slices is not None:
        slice_labels = np.array(slices, dtype=np.uint8)
    if slices_bleed is not None:
        any_labels = np.array(slices_bleed, dtype=np.uint8)
    return Loaded(
        image,
        label_map,
        slice_labels,
        tuple(remarks),
        blood_mask=blood,
        study_labels=study,
        any_labels=any_labels,
        study_any=bleeds,
        ventricles=ventricles,
    )


def _case(
    name: str,
    scan: tuple[str | None, Path],
    mask: tuple[str | None, Path] | None,
    row: TableRow | None,
    settings: Settings,
) -> Case:
    patient = (row.patient if row is not None else None) or scan[0] or name
    study = slices = bleeds = slices_bleed = None
    if row is not None:
        study, bleeds = row.study, row.bleeds
        slices_bleed = tuple(row.slices_bleed[number] for number in sorted(row.slices_bleed)) or None
        if row.slices:
            slices = tuple(row.slices[number] for number in sorted(row.slices))
            study = tuple(max(column) for column in zip(*slices, strict=True))
    load = partial(
        load_scan, scan[1], mask[1] if mask else None, settings.mask_ids, study, slices, bleeds, slices_bleed
    )
    return Case(patient, name, NIFTI_FOLDER.name, settings.lineage, study, load)


def _defects(
    scans: dict[str, tuple[str | None, Path]],
    drawn: dict[str, tuple[str | None, Path]],
    rows: dict[str, TableRow],
    settings: Settings,
) -> tuple[list[str], list[str]]:
    """Warnings about what has no counterpart, and a note where patients or types are unknown."""
    warnings = unmatched(drawn, scans, f"mask of {{}}: no scan {settings.images}; mask left out")
    if drawn:
        warnings += unmatched(scans, drawn, f"{{}}: no mask {settings.masks}")
    if rows:
        warnings += unmatched(rows, scans, f"{settings.labels}: {{}} is no scan {settings.images}; row left out")
        warnings += unmatched(scans, rows, f"{{}}: not in {settings.labels}; no labels")
    gaps = [
        name
        for name, row in rows.items()
        for numbers in (row.slices, row.slices_bleed)
        if sorted(numbers) != list(range(len(numbers)))
    ]
    if gaps:
        raise UserError(
            f"{settings.labels} does not number the slices of {printable(gaps[0])} 0, 1, 2 ...; expected "
            "each once, 0 the lowest; correct it"
        )
    known = "{patient}" in settings.images or any(row.patient for row in rows.values())
    notes = [] if known else ["no patient ids: each scan counts as a patient of its own"]
    if any(row.bleeds is not None or row.slices_bleed for row in rows.values()):
        notes.append(ANY_ALONE)
    return warnings, notes


def _kept_settings(root: Path) -> Settings:
    """Settings from the folder's own file; it may name files in this folder only."""
    path = root / SETTINGS_FILE
    if not path.is_file():
        return Settings()
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        kind = type(error).__name__
        raise UserError(f"{path} is no JSON ({kind}); expected an object of options; correct it") from error
    known = [field.name for field in fields(Settings)]
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise UserError(f'{path} is no object of texts; expected options like {{"mask_ids": "types"}}; correct it')
    for key in document:
        if key not in known:
            raise unknown_name(f"option in {path}", printable(key[:40]), known)
    table = PurePosixPath(document.get("labels", ""))
    if table.is_absolute() or ".." in table.parts:
        shown = printable(str(table)[:80])
        raise UserError(f"{path} has labels '{shown}'; expected a file in this folder; move it here")
    return Settings(**document)


def _files(root: Path) -> Iterator[str]:
    """Paths of NIfTI files relative to `root`, sorted by folder and name."""
    for place, folders, names in os.walk(root):
        folders.sort()
        inside = Path(place).relative_to(root)
        yield from ((inside / name).as_posix() for name in sorted(names) if stem_of(name) is not None)


def _matching(root: Path, files: list[str], pattern: str, option: str) -> dict[str, tuple[str | None, Path]]:
    """(patient or None, path) of the files that a pattern matches, by patient and study as far as it names them."""
    expression = _expression(pattern, option)
    found: dict[str, tuple[str | None, Path]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        match = expression.fullmatch(f"{folder}/{stem_of(name)}" if folder else str(stem_of(name)))
        if match is None:
            continue
        groups = match.groupdict()
        patient = groups.get("patient")
        study = "/".join(part for part in (patient, groups.get("study")) if part)
        if study in found:
            raise UserError(
                f"{root / file} and {found[study][1].name} are both {option} of {printable(study)}; "
                f"expected one; make {option}={printable(pattern)} narrower"
            )
        found[study] = (patient, root / file)
    return found


def _expression(pattern: str, option: str) -> re.Pattern[str]:
    """The pattern as a regular expression. Raises UserError where it names no study or patient."""
    bare = pattern.removesuffix(".gz").removesuffix(".nii")
    text, named = "", set()
    for part in re.split(r"(\{study\}|\{patient\}|\*)", bare):
        if part == "*":
            text += "[^/]*"
        elif part in ("{study}", "{patient}"):
            name = part[1:-1]
            text += f"(?P={name})" if name in named else f"(?P<{name}>[^/]+?)"
            named.add(name)
        else:
            text += re.escape(part)
    # Every wildcard of a name multiplies the ways to match it.
    busiest = max(component.count("*") + component.count("{") for component in bare.split("/"))
    if busiest > _MOST_WILDCARDS:
        raise UserError(
            f"{option}={printable(pattern[:80])} has {busiest} wildcards in one name; expected at most "
            f"{_MOST_WILDCARDS}; simplify it"
        )
    if not named:
        raise UserError(
            f"{option}={printable(pattern[:80])} has no {{study}}; expected a pattern such as "
            f"{option}/{{study}}; put it where the scan's name stands"
        )
    return re.compile(text)
