"""HemSeg-200 and HemSeg-500 (Song et al. 2024): binary masks of IPH and IVH for scans of RSNA 2019.

`{train,val,test}/label/<scan>.nii.gz` are the masks; a `.jsonl` beside them says which RSNA patient and slices a scan
is: {"patient": "ID_00e394df", "scan_": "bf7891541c", "slice_list": ["fd503db37", ...]}. The scans are not given out:
they are rebuilt from RSNA's slices, whose folder is the option `rsna` (default: a folder `rsna` in this one).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import HEMSEG
from hemobench.datasets.nifti_pairs import binary, checked_folder, few, fingerprint, list_nifti, printable
from hemobench.datasets.rsna.dataset import IMAGES, KNOWN_REPAIRS
from hemobench.datasets.slice_stack import Stack, read_stack
from hemobench.errors import UserError
from hemobench.io.nifti import read_label_map_with_remarks

PARTS = ("train", "val", "test")
_LAYOUT = "{train,val,test}/label/<scan>.nii.gz and a .jsonl of their RSNA slices"
_KEY = re.compile(r"(?:ID_)?([0-9a-zA-Z]{1,32})")
# The converter that the masks were drawn on places slices by header too, but rounds and ignores tilt.
_SAME_PLACE_MM = 1.0


@dataclass(frozen=True)
class _Scan:
    """One line of the .jsonl, ids as RSNA has them."""

    patient: str
    study: str
    images: tuple[str, ...]


def open_hemseg(path: Path | None, *, rsna: Path | None = None) -> Dataset:
    """The copy under `path`, one Case a mask; `rsna` is RSNA's folder, or its `stage_2_train`.

    The official parts are in `Dataset.official_split`. A mask that the .jsonl does not name or whose slices are not all
    on disk is named in the warnings and left out; patients with scans in two official parts are named too. Raises
    UserError for another layout, a .jsonl that cannot be understood, and where no RSNA folder is found.
    """
    root = checked_folder(path, HEMSEG, _LAYOUT)
    masks = {part: list_nifti(root / part / "label") for part in PARTS}
    if not any(masks.values()):
        raise UserError(f"{root} has no masks; expected {_LAYOUT}; check the path, or get it ({HEMSEG.where})")
    tables = sorted(root.glob("*.jsonl"))
    if not tables:
        raise UserError(f"{root} has no .jsonl; expected annotion_file_info.jsonl of the authors; put it there")
    scans = {key: scan for table in tables for key, scan in _read_scans(table)}
    folder = _images_folder(root, rsna)
    cases: list[Case] = []
    lacking: list[str] = []
    people: dict[str, list[str]] = {part: [] for part in PARTS}
    for part, files in masks.items():
        for key, mask in files.items():
            problem = _problem(scans.get(_plain(key)), folder)
            if problem:
                lacking.append(f"{part}/label/{mask.name}: {problem}; scan left out")
                continue
            scan = scans[_plain(key)]
            load = partial(load_hemseg, folder, scan.images, mask)
            cases.append(Case(scan.patient, scan.study, HEMSEG.name, HEMSEG.lineage, None, load))
            people[part].append(scan.patient)
    if not cases:
        reason = f" ({lacking[0]})" if lacking else ""
        raise UserError(
            f"{root} has no scan with all of its slices in {folder}{reason}; expected RSNA's "
            f"{IMAGES}; say hemseg:PATH,rsna=FOLDER"
        )
    used = [mask for files in masks.values() for mask in files.values()]
    train, validation, test = (tuple(sorted(set(people[part]))) for part in PARTS)
    return Dataset(
        HEMSEG,
        tuple(cases),
        fingerprint(root, [*used, *tables], *(case.study_id for case in cases)),
        tuple(few(lacking) + _leaks(people)),
        official_split=(train, validation, test),
    )


def load_hemseg(folder: Path, images: tuple[str, ...], mask_path: Path) -> Loaded:
    """One scan from its RSNA slices, with its mask of blood of any type."""
    stack = read_stack([folder / f"{name}.dcm" for name in images], KNOWN_REPAIRS)
    mask, remarks = _mask_on(stack, mask_path)
    return Loaded(stack.volume, None, None, (*stack.remarks, *remarks), blood_mask=mask)


def _mask_on(stack: Stack, path: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """The mask laid on the stack slice by slice: both are the same slices in the order of their positions."""
    drawn, rounded = read_label_map_with_remarks(path)
    if drawn.shape != stack.volume.shape:
        raise UserError(
            f"{path} is {drawn.shape}, its RSNA slices {stack.volume.shape}; expected one grid; copy both again"
        )
    away_mm = float(np.abs(drawn.to_world([0, 0, 0]) - stack.volume.to_world([0, 0, 0])).max())
    remarks = [f"{path}: {line}" for line in rounded]
    if away_mm > _SAME_PLACE_MM:
        remarks.append(f"{path}: its header puts it {away_mm:.0f} mm from its slices; laid on them voxel for voxel")
    return binary(drawn.voxels, path), remarks


def _read_scans(path: Path) -> Iterator[tuple[str, _Scan]]:
    """(scan key, scan) of each line. Raises UserError naming the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise UserError(f"{path} is no text in UTF-8 ({kind}); expected JSON lines; copy it again") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            keys = [_plain(fields["patient"]), _plain(fields["scan_"] if "scan_" in fields else fields["scan"])]
            images = tuple(f"ID_{_plain(name)}" for name in fields["slice_list"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path} line {number} is '{printable(line[:60])}'; expected an object with patient, scan_ "
                "and slice_list, ids of RSNA; correct it"
            ) from error
        if not images:
            raise UserError(f"{path} line {number} has an empty slice_list; expected RSNA's image ids; correct it")
        yield keys[1], _Scan(f"ID_{keys[0]}", f"ID_{keys[1]}", images)


def _plain(key: object) -> str:
    """An RSNA id without ID_; ValueError for anything else, so that no name leads out of the folder."""
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        raise ValueError(key)
    return match[1]


def _problem(scan: _Scan | None, folder: Path) -> str:
    if scan is None:
        return "no line in the .jsonl"
    absent = [name for name in scan.images if not (folder / f"{name}.dcm").is_file()]
    return f"{len(absent)} of {len(scan.images)} slices are not in {folder.name} ({absent[0]}.dcm)" if absent else ""


def _images_folder(root: Path, rsna: Path | None) -> Path:
    given = root / "rsna" if rsna is None else rsna
    for folder in (given / IMAGES, given / "rsna-intracranial-hemorrhage-detection" / IMAGES, given):
        if folder.is_dir():
            return folder
    raise UserError(f"no RSNA images at {given}; expected the folder that holds {IMAGES}; say hemseg:PATH,rsna=FOLDER")


def _leaks(people: dict[str, list[str]]) -> list[str]:
    """Warnings for patients with scans in two official parts: that split leaks."""
    lines = []
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = sorted(set(people[first]) & set(people[second]))
        lines += [f"patient {name} has scans in {first} and in {second}: the official split leaks" for name in shared]
    return few(lines)
