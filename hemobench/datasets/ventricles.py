"""The paper's ventricle volumes: T1 scans of OASIS-1 with a mask of the ventricles, pairs of npz or npy files.

`OAS1_0082_MR.npz` is a scan and `OAS1_0082_MRseg.npz` its mask, array `arr_0`, shape (176, 208, 176), 1 mm. The files
carry no geometry. Their axes are taken as OASIS-1's atlas-space scans have them: right, anterior, superior, so the
identity is the affine. Which side is the patient's right cannot be told from the arrays. As everywhere, cases come in
S-P-L: array (x, y, z) stands in the volume at [z, 207 - y, 175 - x] when nothing is cut.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import VENTRICLES
from hemobench.errors import UserError, unknown_name
from hemobench.io.archive import file_entry, zip_entries
from hemobench.io.arrays import load_member
from hemobench.volume import Volume

CROPS = ("none", "paper")
SHAPE = (176, 208, 176)
# In the arrays' own axes: it leaves (80, 120, 120).
PAPER_CROP = ((42, 41, 24), (122, 161, 144))
MASK_ENDING = "seg"
_ENDINGS = (".npz", ".npy")
_SUBJECT = re.compile(r"OAS\d_\d+")


def open_ventricles(path: Path | None, *, crop: str = "none") -> Dataset:
    """The pairs under `path`, one Case a scan; a file without its partner is named and left out.

    crop: "paper" cuts [42:122, 41:161, 24:144] from the arrays, (80, 120, 120); in S-P-L that is (120, 120, 80).
    Raises UserError for a folder without pairs and for another crop.
    """
    if crop not in CROPS:
        raise unknown_name("crop", crop, CROPS)
    root = _checked_root(path)
    warnings: list[str] = []
    scans, masks, digest = _list(root, warnings)
    warnings += [f"{_name(scans[stem], root)}: no {stem}{MASK_ENDING}; scan left out" for stem in scans.keys() - masks]
    warnings += [f"{_name(masks[stem], root)}: no {stem}; mask left out" for stem in masks.keys() - scans]
    cases = []
    for stem in sorted(scans.keys() & masks):
        subject = _SUBJECT.match(stem)
        cases.append(
            Case(
                patient_id=subject.group() if subject else stem,
                study_id=stem,
                dataset=VENTRICLES.name,
                lineage=VENTRICLES.lineage,
                study_labels=None,
                load=partial(load_ventricles, scans[stem], masks[stem], crop),
            )
        )
    if not cases:
        raise UserError(
            f"{root} has no pair X.npz and X{MASK_ENDING}.npz (or npy); expected OASIS-1 scans and masks; "
            "check the path"
        )
    fingerprint = hashlib.sha256(f"{crop} {digest}".encode()).hexdigest()
    return Dataset(VENTRICLES, tuple(cases), fingerprint, tuple(sorted(warnings)))


def load_ventricles(scan: Path, mask: Path, crop: str) -> Loaded:
    """Decode one pair: T1 without unit, and 1 where the mask is above 0. UserError where the two do not fit."""
    voxels, marked = read_plain_array(scan), read_plain_array(mask)
    if voxels.ndim != 3 or voxels.shape != marked.shape:
        raise UserError(
            f"{mask} has shape {marked.shape}, the scan {voxels.shape}; expected one shape of three axes; "
            "check the pair"
        )
    remarks = []
    if voxels.shape != SHAPE:
        remarks.append(f"{scan}: shape {voxels.shape}, not {SHAPE}; axes are taken as right, anterior, superior")
    inside = marked > 0
    values = marked[inside]
    if values.size and values.min() != values.max():
        remarks.append(f"{mask}: more than two values in a mask; all above 0 count as ventricle")
    start, stop = PAPER_CROP if crop == "paper" else ((0, 0, 0), voxels.shape)
    if any(end > size for end, size in zip(stop, voxels.shape, strict=True)):
        raise UserError(f"{scan} has shape {voxels.shape}; expected {SHAPE} for the paper's crop; leave crop out")
    box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
    turned = _displayed(voxels[box], np.float32)
    if not np.isfinite(turned).all():
        raise UserError(f"{scan} has voxels that are NaN or infinite; expected numbers; replace them by 0")
    image = Volume(turned, _display_affine(start, stop), "MR")
    return Loaded(image, _displayed(inside[box], np.uint8), None, tuple(remarks))


def _displayed(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Right, anterior, superior turned to S-P-L, as a copy of another type; slab by slab, which suits the caches."""
    right, anterior, superior = array.shape
    turned = np.empty((superior, anterior, right), dtype=dtype)
    with np.errstate(over="ignore"):
        for row in range(anterior):
            turned[:, anterior - 1 - row, :] = array[::-1, row, :].T
    return turned


def _display_affine(start: Sequence[int], stop: Sequence[int]) -> NDArray[np.float64]:
    """Index in S-P-L of the box [start, stop) to the place in the array, which is the place in millimetres."""
    affine = np.array([[0, 0, -1, stop[0] - 1], [0, -1, 0, stop[1] - 1], [1, 0, 0, start[2]], [0, 0, 0, 1]])
    return affine.astype(np.float64)


def read_plain_array(path: Path) -> NDArray[Any]:
    """The array of an npy file, or `arr_0` (or the only one) of an npz; pickles are refused, sizes checked first."""
    if not zipfile.is_zipfile(path):
        return load_member(file_entry(path), path)
    members = {entry.name: entry for entry in zip_entries(path)}
    if "arr_0.npy" not in members and len(members) != 1:
        raise UserError(f"{path} has the arrays {', '.join(sorted(members))[:200]}; expected arr_0; save it again")
    return load_member(members.get("arr_0.npy") or next(iter(members.values())), path)


def _checked_root(path: Path | None) -> Path:
    if path is None:
        raise UserError("ventricles without a path; expected the folder of the npz pairs; say ventricles:PATH")
    if not path.is_dir():
        raise UserError(f"no folder {path}; expected the one that holds the npz pairs; check the path")
    return path


def _list(root: Path, warnings: list[str]) -> tuple[dict[str, Path], dict[str, Path], str]:
    """Scans and masks by the scan's stem, and a digest of names and sizes."""
    scans: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        # npz before npy, which then counts as the second of its name.
        for name in sorted(names, key=lambda name: (name.rpartition(".")[0], name.endswith(".npy"))):
            path = Path(folder, name)
            if path.suffix not in _ENDINGS or not path.is_file():
                continue
            digest.update(f"{_name(path, root)}\0{path.stat().st_size}\n".encode())
            is_mask = path.stem.endswith(MASK_ENDING)
            group, stem = (masks, path.stem.removesuffix(MASK_ENDING)) if is_mask else (scans, path.stem)
            if group.setdefault(stem, path) != path:
                warnings.append(f"{_name(path, root)}: also there as {_name(group[stem], root)}; left out")
    return scans, masks, digest.hexdigest()


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
