"""PhysioNet CT-ICH v1.3.1 (Hssayeni et al. 2020): one NIfTI scan a patient, binary masks, slice labels.

Layout: `ct_scans/049.nii`, `masks/049.nii`, `hemorrhage_diagnosis_raw_ct.csv`; 75 patients, 59 to 65 do not exist.
Slice number n of the table is index n - 1 of a file's third axis. `Patient_demographics.csv` is not read: nothing in it
is needed. Geometry is real here, unlike in v1.0. A mask's grid is the scan's; where its affine says otherwise but its
shape agrees, the scan's affine counts.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import CT_ICH
from hemobench.datasets.ct_ich.labels import SliceRow, TypedBlood, read_slice_rows, type_blood
from hemobench.errors import UserError
from hemobench.io.nifti import Space, read_label_map_with_remarks, read_nifti_with_space, read_space
from hemobench.labels import SUBTYPES
from hemobench.volume import LABEL_MAP, Volume

SCANS = "ct_scans"
MASKS = "masks"
LABELS_CSV = "hemorrhage_diagnosis_raw_ct.csv"
_ENDINGS = (".nii", ".nii.gz")


def is_nifti_copy(path: Path) -> bool:
    """Whether a folder is in the layout of v1.3.1."""
    return (path / SCANS).is_dir()


def open_ct_ich_nifti(root: Path) -> Dataset:
    """The copy under `root`, one Case a patient; only headers are read.

    A scan without labels for each of its slices is named and left out, as are labels without a scan. Masks get their
    types from the slices, as `type_blood` tells; a scan without a mask has slice labels only.
    """
    rows, warnings = read_slice_rows(root / LABELS_CSV)
    scans, masks = _files(root / SCANS, warnings), _files(root / MASKS, warnings)
    warnings += [f"{MASKS}/{masks[patient].name}: no scan of it; left out" for patient in sorted(masks.keys() - scans)]
    cases = []
    for patient in sorted(set(rows) | set(scans)):
        if patient not in scans:
            warnings.append(f"{SCANS}/{patient:03d}.nii: {len(rows[patient])} slices in {LABELS_CSV} but not on disk")
            continue
        labels = _labels_of(scans[patient], rows.get(patient, {}), warnings)
        if labels is None:
            continue
        if patient not in masks and masks:
            warnings.append(f"{MASKS}/{scans[patient].name}: no mask of this scan; slice labels only")
        cases.append(_case(patient, scans[patient], masks.get(patient), labels))
    if not cases:
        raise UserError(f"{root} has no scan with labels; expected CT-ICH v1.3.1; copy it again")
    return Dataset(CT_ICH, tuple(cases), _fingerprint(root, [*scans.values(), *masks.values()]), tuple(warnings))


def load_ct_ich_nifti(scan: Path, mask: Path | None, labels: tuple[tuple[int, ...], ...]) -> Loaded:
    """Decode one patient. `labels` are the types of slice 1, 2, … along the file's third axis."""
    image, space = read_nifti_with_space(scan)
    order = _positions(image, space, scan)
    slice_labels = np.zeros((len(order), len(SUBTYPES)), dtype=np.uint8)
    slice_labels[order] = labels
    if mask is None:
        return Loaded(image, None, slice_labels)
    blood, remarks = _read_mask(mask, image, space)
    names = [""] * len(order)
    for number, position in enumerate(order, start=1):
        names[position] = f"{mask} slice {number}"
    typed: TypedBlood = type_blood(blood, slice_labels, names, LABELS_CSV)
    return Loaded(image, typed.label_map, slice_labels, (*remarks, *typed.remarks), typed.blood_mask)


def _positions(image: Volume, space: Space, path: Path) -> NDArray[np.int64]:
    """Where in the S-P-L volume each index of the file's third axis is."""
    numbers = np.arange(space.shape[2])
    corners = np.stack([np.zeros_like(numbers), np.zeros_like(numbers), numbers, np.ones_like(numbers)], axis=-1)
    order = np.rint(image.to_index((corners @ space.affine.T)[:, :3])[:, 0]).astype(np.int64)
    if sorted(order.tolist()) != list(range(image.shape[0])):
        raise UserError(
            f"{path} has no slices along its third axis (shape {space.shape}); expected axial ones; copy it again"
        )
    return order


def _read_mask(path: Path, image: Volume, space: Space) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Blood (D, H, W) on the image's grid, and what was odd about the mask's."""
    own = read_space(path)
    if own.shape != space.shape:
        raise UserError(f"{path} has shape {own.shape}; expected the scan's {space.shape}; copy it again")
    marked, rounded = read_label_map_with_remarks(path)
    remarks = tuple(f"{path}: {line}" for line in rounded)
    if np.allclose(own.affine, space.affine, atol=1e-3):
        return np.asarray(marked.voxels > 0), remarks
    in_file_order = marked.reoriented(Volume(np.zeros(own.shape, np.uint8), own.affine, LABEL_MAP).orientation)
    placed = Volume(in_file_order.voxels, space.affine, LABEL_MAP).reoriented()
    elsewhere = f"{path}: another affine than its scan's; the scan's is used"
    return np.asarray(placed.voxels > 0), (*remarks, elsewhere)


def _files(folder: Path, warnings: list[str]) -> dict[int, Path]:
    """Files of a folder by patient number."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = path.name.partition(".")[0]
        if path.name.startswith("."):
            continue
        if not path.name.endswith(_ENDINGS) or not stem.isdecimal():
            warnings.append(f"{folder.name}/{path.name}: no NIfTI file named by a patient's number; left out")
        elif found.setdefault(int(stem), path) != path:
            warnings.append(f"{folder.name}/{path.name}: also there as {found[int(stem)].name}; left out")
    return found


def _labels_of(scan: Path, rows: dict[int, SliceRow], warnings: list[str]) -> tuple[tuple[int, ...], ...] | None:
    """Types of slices 1, 2, … of a scan, or None where some are unknown or the scan cannot be read."""
    place = f"{SCANS}/{scan.name}"
    try:
        count = read_space(scan).shape[2]
    except UserError as error:
        warnings.append(f"{place}: {error}; scan left out")
        return None
    unknown = [number for number in range(1, count + 1) if number not in rows]
    surplus = sorted(number for number in rows if number > count)
    if unknown:
        warnings.append(f"{place}: slices {_some(unknown)} not in {LABELS_CSV}; scan left out")
        return None
    if surplus:
        warnings.append(f"{place}: {count} slices, {LABELS_CSV} has labels of {_some(surplus)} too; those left out")
    return tuple(rows[number].labels for number in range(1, count + 1))


def _some(numbers: list[int], limit: int = 10) -> str:
    more = f" and {len(numbers) - limit} more" if len(numbers) > limit else ""
    return ", ".join(map(str, numbers[:limit])) + more


def _case(patient: int, scan: Path, mask: Path | None, labels: tuple[tuple[int, ...], ...]) -> Case:
    return Case(
        patient_id=f"{patient:03d}",
        study_id=f"{patient:03d}",
        dataset=CT_ICH.name,
        lineage=CT_ICH.lineage,
        study_labels=tuple(max(column) for column in zip(*labels, strict=True)),
        load=partial(load_ct_ich_nifti, scan, mask, labels),
    )


def _fingerprint(root: Path, files: list[Path]) -> str:
    """SHA-256 over the labels and the files' paths and sizes; voxels are not read."""
    digest = hashlib.sha256((root / LABELS_CSV).read_bytes())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()
