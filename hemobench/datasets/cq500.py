"""CQ500 (Chilamkurthy et al. 2018): head CTs with several series each, read by three radiologists.

`reads.csv` has a row a study, with columns R1:ICH, R1:IPH, ... of each reader; a type counts when two of three saw it.
`CQ500-CT-1` is the folder `CQ500CT1 CQ500CT1`, with a folder a series below. Labels are of the study: no slice has its
own. Patients are not named: each study is taken for one.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import CQ500
from hemobench.datasets.nifti_pairs import checked_folder, csv_rows, few, fingerprint, printable, zero_or_one
from hemobench.errors import UserError
from hemobench.io import read_scan
from hemobench.io.archive import file_entry
from hemobench.io.dicom_headers import Instance, NoDicomError, read_instance
from hemobench.io.dicom_series import is_sharp_kernel

TABLE = "reads.csv"
READERS = ("R1", "R2", "R3")
# Their columns in the order of our types.
COLUMNS = ("EDH", "IPH", "IVH", "SAH", "SDH")
SERIES = ("thick", "thin")
_LAYOUT = f"{TABLE} and folders like 'CQ500CT1 CQ500CT1'"
_THICK_MM = 5.0
_FEWEST_SLICES = 8
_SAME_THICKNESS_MM = 0.02
_NAME = re.compile(r"CQ500-CT-(\d+)")
_FOLDER = re.compile(r"CQ500CT(\d+)(?: CQ500CT\1)?")
_ENHANCED = re.compile(r"POST|(?<!PRE )(?<!PRE-)(?<!NON )(?<!NON-)CONTRAST|ANGIO|CTA")


def open_cq500(path: Path | None, *, series: str = "thick") -> Dataset:
    """The copy under `path`, one Case a study. `series`: "thick" for the one nearest to 5 mm, "thin" for the thinnest.

    Nothing is decoded. Studies without a folder or without a row, and those in which the readers agree on blood but not
    on a type, are named in the warnings and left out. Raises UserError for another layout or a table that cannot be
    understood.
    """
    root = checked_folder(path, CQ500, _LAYOUT)
    if series not in SERIES:
        raise UserError(f"series '{printable(series)}'; expected {' or '.join(SERIES)}; choose one")
    if not (root / TABLE).is_file():
        raise UserError(f"{root} has no {TABLE}; expected {_LAYOUT}; get it ({CQ500.where})")
    labels, warnings = _read_labels(root / TABLE)
    folders = _study_folders(root)
    missing = [
        f"CQ500-CT-{number}: in {TABLE} but no folder 'CQ500CT{number} CQ500CT{number}'; left out"
        for number in sorted(set(labels) - set(folders))
    ]
    unread = [f"{folders[number].name}: not in {TABLE}; left out" for number in sorted(set(folders) - set(labels))]
    cases, files = [], [root / TABLE]
    for number in sorted(set(labels) & set(folders)):
        types = labels[number]
        if types is None:
            continue
        name = f"CQ500-CT-{number}"
        load = partial(load_cq500, folders[number], series, types)
        cases.append(Case(name, name, CQ500.name, CQ500.lineage, types, load))
        files += [file for found in _series_folders(folders[number]).values() for file in found]
    if not cases:
        raise UserError(f"{root} has no study with labels and a folder; expected {_LAYOUT}; copy it again")
    marks = fingerprint(root, files, series)
    return Dataset(CQ500, tuple(cases), marks, tuple(warnings + few(missing) + few(unread)))


def load_cq500(folder: Path, series: str, labels: tuple[int, ...]) -> Loaded:
    """One study: its plain head series of the thickness asked for, with the labels of the study."""
    chosen = choose_series(folder, series)
    scan = read_scan(chosen)
    remarks = tuple(f"{chosen}: {line}" for line in scan.warnings)
    return Loaded(scan.volume, None, None, remarks, study_labels=labels)


def choose_series(folder: Path, series: str) -> Path:
    """The series folder to read: without contrast agent, of a soft kernel and of enough slices, as far as there is one.

    Raises UserError for a study without a readable series.
    """
    candidates: list[tuple[tuple[bool, ...], float, int, Path]] = []
    for place, files in _series_folders(folder).items():
        first = _first_header(files)
        if first is None:
            continue
        thickness = first.thickness_mm or _THICK_MM
        enhanced = first.contrast or bool(_ENHANCED.search(place.name.upper()))
        sharp = is_sharp_kernel(first.kernel) or "BONE" in place.name.upper()
        unlike = abs(thickness - _THICK_MM) if series == "thick" else thickness
        rank = (len(files) < _FEWEST_SLICES, first.modality != "CT", enhanced, sharp)
        candidates.append((rank, unlike, -len(files), place))
    if not candidates:
        raise UserError(f"{folder} has no DICOM series; expected folders of CT slices; copy the study again")
    best = min(rank for rank, *_ in candidates)
    fitting = [one for one in candidates if one[0] == best]
    nearest = min(unlike for _, unlike, *_ in fitting)
    # Headers write 0.625 as 0.62 or 0.63: of equally thick ones that with most slices, then the first by name.
    return min(
        (fewest, place.as_posix(), place)
        for _, unlike, fewest, place in fitting
        if unlike <= nearest + _SAME_THICKNESS_MM
    )[2]


def _first_header(files: list[Path]) -> Instance | None:
    """The header of the first file that is a DICOM picture."""
    for file in files:
        try:
            instance = read_instance(file_entry(file))
        except (UserError, NoDicomError):
            # The reader names what it leaves out; here another file of the series says as much.
            continue
        if instance is not None:
            return instance
    return None


def _series_folders(folder: Path) -> dict[Path, list[Path]]:
    """Folders below a study that hold DICOM files, each with its files, sorted."""
    found = {}
    for place, _, names in os.walk(folder):
        files = sorted(Path(place, name) for name in names if name.lower().endswith(".dcm") and name[0] != ".")
        if files:
            found[Path(place)] = files
    return dict(sorted(found.items()))


def _study_folders(root: Path) -> dict[int, Path]:
    """Folders by the study's number, directly under `root` or one level down (as some unpack it)."""
    inside = [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    places = [
        *inside,
        *(
            inner
            for folder in inside
            if not _FOLDER.fullmatch(folder.name)
            for inner in sorted(folder.iterdir())
            if inner.is_dir()
        ),
    ]
    matches = ((_FOLDER.fullmatch(place.name), place) for place in places)
    return {int(match[1]): place for match, place in matches if match}


def _read_labels(table: Path) -> tuple[dict[int, tuple[int, ...] | None], list[str]]:
    """Five 0/1 by study number, None where a majority sees blood but none of its types; and what is odd."""
    needed = ["name", *(f"{reader}:{column}" for reader in READERS for column in ("ICH", *COLUMNS))]
    labels: dict[int, tuple[int, ...] | None] = {}
    untyped, warnings = [], []
    for line, fields in csv_rows(table, needed):
        match = _NAME.fullmatch(fields["name"])
        if match is None:
            shown = printable(fields["name"][:40])
            raise UserError(f"{table} line {line} names '{shown}'; expected CQ500-CT-<number>; correct it")
        number = int(match[1])
        if number in labels:
            raise UserError(f"{table} line {line} has CQ500-CT-{number} again; expected a row a study; delete one")
        votes = {
            column: sum(zero_or_one(fields, f"{reader}:{column}", line, table) for reader in READERS)
            for column in ("ICH", *COLUMNS)
        }
        types = tuple(int(votes[column] >= 2) for column in COLUMNS)
        labels[number] = types
        if votes["ICH"] >= 2 and not any(types):
            labels[number] = None
            untyped.append(f"CQ500-CT-{number}: two readers saw blood, no two the same type; left out")
        elif votes["ICH"] < 2 and any(types):
            warnings.append(f"CQ500-CT-{number}: two readers saw a type, but no two saw blood; the type is used")
    return labels, few(untyped) + few(warnings)
