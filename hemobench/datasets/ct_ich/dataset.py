"""PhysioNet CT-ICH v1.0 (Hssayeni et al. 2020): JPEG pictures of each slice in a brain and a bone window, slice labels.

What the pictures are (seen in a public copy): 650x650 grey, the scan in rows 9..640 and columns 11..642, black around
it; anterior up; picture 1 is the lowest slice. Which side is the patient's right cannot be told from them; the
radiological convention (right on the left) is assumed. They carry no millimetres, so the geometry is nominal: slices of
5 mm, and a field of view of 250 mm over the 632 pixels of the scan. `Case.spacing_known` is False: volumes in mL mean
little here. A slice that is left out leaves no gap: its neighbours count as adjacent.

Hounsfield units come back from the two pictures: 0.47 HU a step inside the brain window (-20..100 HU), 12.5 HU outside,
up to 2300 HU, with JPEG noise of one to three steps on top and more beside edges. Black and nearly black in the bone
window (below -870 HU) becomes air, -1000.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import CT_ICH
from hemobench.datasets.ct_ich.labels import (
    SliceRow,
    TypedBlood,
    read_slice_rows,
    signature_of,
    type_blood,
)
from hemobench.datasets.ct_ich.nifti import is_nifti_copy, open_ct_ich_nifti
from hemobench.errors import UserError
from hemobench.io.pictures import read_grey
from hemobench.labels import SUBTYPES
from hemobench.views.windows import WINDOWS, hu_from_grey
from hemobench.volume import AIR_HU, Volume, display_affine

PICTURES = "Patients_CT"
LABELS_CSV = "hemorrhage_diagnosis.csv"
MASK_ENDING = "_HGE_Seg"
SLICE_MM = 5.0
PIXEL_MM = 250.0 / 632.0
# JPEG blurs the ends of the grey scale: these many levels next to black and white count as saturated.
_SATURATED_LEVELS = 2
# Inside the brain window the two agree to a few steps of the coarser one; farther apart it is ringing at an edge.
_AGREEMENT_HU = 60.0
# A bone picture off by more than this was made with another level (patient 50 is, by 93 HU) and is shifted back.
_SHIFT_HU = 25.0
_SHIFT_PIXELS = 100_000


@dataclass(frozen=True)
class _Files:
    """Slice numbers that have a picture, by window, and those that have a mask, of one patient's folder."""

    brain: frozenset[int]
    bone: frozenset[int]
    masks: frozenset[int]


def open_ct_ich(path: Path | None) -> Dataset:
    """The copy under `path` (which holds Patients_CT/ and hemorrhage_diagnosis.csv), one Case a patient.

    A copy of v1.3.1, with ct_scans/, is opened by `open_ct_ich_nifti` instead. Nothing is decoded. A slice is used when
    it has labels and both pictures; every other one is named in the warnings.
    Where a slice has a mask its blood gets the slice's type, as `type_blood` tells.
    Raises UserError for a folder of another layout and for a CSV that cannot be understood.
    """
    if path is not None and is_nifti_copy(path):
        return open_ct_ich_nifti(path)
    root = _checked_root(path)
    rows, warnings = read_slice_rows(root / LABELS_CSV)
    listing = _list_files(root)
    folders = _files_by_patient(listing)
    any_masks = any(files.masks for files in folders.values())
    cases = []
    for patient in sorted(set(rows) | set(folders)):
        usable = _usable_slices(patient, rows.get(patient, {}), folders.get(patient), warnings)
        if usable:
            masks = folders[patient].masks & set(usable) if any_masks else None
            cases.append(_case(root, patient, usable, masks, signature_of(rows.get(patient, {}))))
    if not cases:
        raise UserError(f"{root} has no slice with labels and both pictures; expected CT-ICH v1.0; copy it again")
    return Dataset(CT_ICH, tuple(cases), _fingerprint(root / LABELS_CSV, listing), tuple(warnings))


def load_ct_ich(
    folder: Path, numbers: tuple[int, ...], labels: tuple[tuple[int, ...], ...], masks: frozenset[int] | None
) -> Loaded:
    """Decode one patient: `numbers` are picture names, `labels` their five types, `masks` those with a mask file."""
    brain = _read_pictures(folder / "brain", numbers)
    bone = _read_pictures(folder / "bone", numbers)
    if brain.shape != bone.shape:
        sizes = f"brain pictures {brain.shape[1:]}, bone pictures {bone.shape[1:]}"
        raise UserError(f"{folder} has {sizes}; expected one size; copy it again")
    shift_hu = bone_shift_hu(brain, bone)
    voxels = hu_from_windows(brain, bone, shift_hu)
    slice_labels = np.array(labels, dtype=np.uint8)
    typed = TypedBlood(None, None, ())
    if masks is not None:
        blood = _read_masks(folder, numbers, masks, voxels.shape)
        typed = type_blood(blood, slice_labels, [str(_mask_path(folder, number)) for number in numbers], LABELS_CSV)
    remarks = list(typed.remarks)
    if shift_hu:
        remarks.append(f"{folder / 'bone'}: made with another level, shifted by {shift_hu:.0f} HU to fit the brain's")
    affine = display_affine(voxels.shape, (SLICE_MM, PIXEL_MM, PIXEL_MM))
    return Loaded(Volume(voxels, affine), typed.label_map, slice_labels, tuple(remarks), typed.blood_mask)


def hu_from_windows(brain: NDArray[np.uint8], bone: NDArray[np.uint8], shift_hu: float = 0.0) -> NDArray[np.float32]:
    """Hounsfield units from the grey of both windows, arrays of one shape: the brain's where it is not saturated."""
    table = _hu_table(shift_hu).ravel()
    voxels = np.empty(brain.shape, dtype=np.float32)
    for index in np.ndindex(brain.shape[:-2]):
        pair = brain[index].astype(np.uint16)
        pair <<= 8
        pair |= bone[index]
        np.take(table, pair, out=voxels[index], mode="clip")
    return voxels


def bone_shift_hu(brain: NDArray[np.uint8], bone: NDArray[np.uint8]) -> float:
    """What to add to the bone picture's HU so that both agree in soft tissue; 0 where they already do."""
    # Enough pixels for a median, however many slices there are; neighbours say the same, JPEG's blocks above all.
    step = max(4, math.isqrt(brain.size // _SHIFT_PIXELS))
    thin = (..., slice(None, None, step), slice(None, None, step))
    grey, coarse = brain[thin], bone[thin]
    # Well inside both windows: neither edges nor the air around the head.
    tissue = (grey > 60) & (grey < 200) & (coarse > 20)
    if np.count_nonzero(tissue) < 100:
        return 0.0
    difference = hu_from_grey(grey[tissue], _BRAIN) - hu_from_grey(coarse[tissue], _BONE)
    shift = float(np.median(difference))
    return shift if abs(shift) > _SHIFT_HU else 0.0


_BRAIN, _BONE = WINDOWS["brain-ct-ich"], WINDOWS["bone-ct-ich"]


@lru_cache(maxsize=4)
def _hu_table(shift_hu: float) -> NDArray[np.float32]:
    """HU for each pair of grey levels, [brain, bone]: every rule below is applied once instead of at each pixel."""
    levels = np.arange(256)
    fine = hu_from_grey(levels, _BRAIN)[:, None]
    coarse = hu_from_grey(levels, _BONE)[None, :] + np.float32(shift_hu)
    black, white = _SATURATED_LEVELS + 1, 255 - _SATURATED_LEVELS
    coarse[:, :black] = AIR_HU
    table = np.where(np.abs(fine - coarse) <= _AGREEMENT_HU, fine, coarse)
    table[:black] = np.minimum(coarse, _BRAIN.low_hu)
    table[white:] = np.maximum(coarse, _BRAIN.high_hu)
    return np.ascontiguousarray(table, dtype=np.float32)


def _read_pictures(folder: Path, numbers: Iterable[int]) -> NDArray[np.uint8]:
    pictures = []
    for number in numbers:
        pictures.append(read_grey(folder / f"{number}.jpg"))
        if pictures[-1].shape != pictures[0].shape:
            sizes = f"{pictures[-1].shape}, the first {pictures[0].shape}"
            raise UserError(f"{folder / f'{number}.jpg'} is {sizes}; expected one size; copy it again")
    return np.stack(pictures)


def _read_masks(
    folder: Path, numbers: tuple[int, ...], masks: frozenset[int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Blood (D, H, W) by the mask pictures; slices without one have none."""
    blood = np.zeros(shape, dtype=bool)
    for position, number in enumerate(numbers):
        if number in masks:
            path = _mask_path(folder, number)
            # JPEG again: the mask's 0 and 255 come back blurred, the middle divides them.
            marked = read_grey(path) >= 128
            if marked.shape != shape[1:]:
                raise UserError(f"{path} is {marked.shape}; expected the slice's {shape[1:]}; copy it again")
            blood[position] = marked
    return blood


def _mask_path(folder: Path, number: int) -> Path:
    return folder / "brain" / f"{number}{MASK_ENDING}.jpg"


def _case(root: Path, patient: int, usable: dict[int, SliceRow], masks: frozenset[int] | None, signature: str) -> Case:
    labels = tuple(row.labels for row in usable.values())
    folder = root / PICTURES / f"{patient:03d}"
    return Case(
        patient_id=f"{patient:03d}",
        study_id=f"{patient:03d}",
        dataset=CT_ICH.name,
        lineage=CT_ICH.lineage,
        study_labels=tuple(max(column) for column in zip(*labels, strict=True)),
        load=partial(load_ct_ich, folder, tuple(usable), labels, masks),
        spacing_known=False,
        signature=signature,
    )


def _usable_slices(
    patient: int, rows: dict[int, SliceRow], files: _Files | None, warnings: list[str]
) -> dict[int, SliceRow]:
    """Rows of slices that have both pictures, by slice number; what is missing goes to `warnings`."""
    folder = f"{PICTURES}/{patient:03d}"
    if files is None:
        warnings.append(f"{folder}: no such folder; {LABELS_CSV} has {len(rows)} slices of it, left out")
        return {}
    if not rows:
        warnings.append(f"{folder}: not in {LABELS_CSV}; {len(files.brain | files.bone)} slices left out")
        return {}
    for number in sorted(set(rows) | files.brain | files.bone):
        missing = [window for window in ("brain", "bone") if number not in getattr(files, window)]
        if number not in rows:
            warnings.append(f"{folder}/*/{number}.jpg: not in {LABELS_CSV}; slice left out")
        elif missing:
            paths = " and ".join(f"{folder}/{window}/{number}.jpg" for window in missing)
            types = [name for name, present in zip(SUBTYPES, rows[number].labels, strict=True) if present]
            shown = f" (labelled {', '.join(types)})" if types else ""
            warnings.append(f"{paths}: in {LABELS_CSV}{shown} but not on disk; slice left out")
    for number in sorted(files.masks - set(rows)):
        warnings.append(f"{folder}/brain/{number}{MASK_ENDING}.jpg: mask of a slice not in {LABELS_CSV}; left out")
    return {number: rows[number] for number in sorted(set(rows) & files.brain & files.bone)}


def _checked_root(path: Path | None) -> Path:
    remedy = f"get it from {CT_ICH.where} and say ct-ich:PATH"
    if path is None:
        raise UserError(f"ct-ich without a path; expected the folder that holds {PICTURES}/; {remedy}")
    if not path.is_dir():
        raise UserError(f"no folder {path}; expected the one that holds {PICTURES}/; check the path, or {remedy}")
    missing = [name for name in (PICTURES, LABELS_CSV) if not (path / name).exists()]
    if missing:
        raise UserError(f"{path} has no {' and no '.join(missing)}; expected v1.0, or v1.3.1 with ct_scans/; {remedy}")
    return path


def _list_files(root: Path) -> dict[str, int]:
    """Sizes in bytes of the pictures, by path relative to `root`, sorted."""
    found = {}
    for folder, _, names in os.walk(root / PICTURES):
        relative = Path(folder).relative_to(root).as_posix()
        for name in names:
            if name.endswith(".jpg"):
                found[f"{relative}/{name}"] = os.stat(os.path.join(folder, name)).st_size
    return dict(sorted(found.items()))


def _files_by_patient(listing: Iterable[str]) -> dict[int, _Files]:
    groups: dict[int, dict[str, set[int]]] = {}
    for relative in listing:
        parts = relative.split("/")
        if len(parts) != 4 or not parts[1].isdigit() or parts[2] not in ("brain", "bone"):
            continue
        stem = parts[3].removesuffix(".jpg")
        kind = "masks" if stem.endswith(MASK_ENDING) else parts[2]
        number = stem.removesuffix(MASK_ENDING)
        if number.isdigit():
            group = groups.setdefault(int(parts[1]), {"brain": set(), "bone": set(), "masks": set()})
            group[kind].add(int(number))
    return {
        patient: _Files(frozenset(group["brain"]), frozenset(group["bone"]), frozenset(group["masks"]))
        for patient, group in groups.items()
    }


def _fingerprint(table: Path, listing: dict[str, int]) -> str:
    """SHA-256 over the labels and the pictures' paths and sizes; the pictures themselves are not read."""
    digest = hashlib.sha256(table.read_bytes())
    for relative, size in listing.items():
        digest.update(f"{relative}\0{size}\n".encode())
    return digest.hexdigest()
