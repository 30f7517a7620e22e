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
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import VENTRICLES
from hemobench.errors import UserError, unknown_name
from hemobench.io.archive import file_entry, zip_entries
from hemobench.io.arrays import as_image, load_member
from hemobench.volume import LABEL_MAP, Volume

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
        cases.append(Case(
            patient_id=subject.group() if subject else stem,
            study_id=stem,
            dataset=VENTRICLES.name,
            lineage=VENTRICLES.lineage,
            study_labels=None,
            load=partial(load_ventricles, scans[stem], masks[stem], crop),
        ))  # fmt: skip
    if not cases:
        raise UserError(f"{root} has no pair X.npz and X{MASK_ENDING}.npz (or npy); expected OASIS-1 scans and masks; "
                        "check the path")
    fingerprint = hashlib.sha256(f"{crop} {digest}".encode()).hexdigest()
    return Dataset(VENTRICLES, tuple(cases), fingerprint, tuple(sorted(warnings)))


def load_ventricles(scan: Path, mask: Path, crop: str) -> Loaded:
    """Decode one pair: T1 without unit, and 1 where the mask is above 0. UserError where the two do not fit."""
    voxels, marked = as_image(read_plain_array(scan), scan), as_image(read_plain_array(mask), mask)
    if voxels.ndim != 3 or voxels.shape != marked.shape:
        raise UserError(f"{mask} has shape {marked.shape}, the scan {voxels.shape}; expected one shape of three axes; "
                        "check the pair")
    remarks = []
    if voxels.shape != SHAPE:
        remarks.append(f"{scan}: shape {voxels.shape}, not {SHAPE}; axes are taken as right, anterior, superior")
    values = np.unique(marked)
    if len(values) > 2:
        remarks.append(f"{mask}: {len(values)} values in a mask; all above 0 count as ventricle")
    image = Volume(voxels, np.eye(4), "MR")
    label_map = image.with_voxels((marked > 0).astype(np.uint8), LABEL_MAP)
    if crop == "paper":
        if any(stop > size for stop, size in zip(PAPER_CROP[1], voxels.shape, strict=True)):
            raise UserError(f"{scan} has shape {voxels.shape}; expected {SHAPE} for the paper's crop; leave crop out")
        image, label_map = image.cropped(*PAPER_CROP), label_map.cropped(*PAPER_CROP)
    return Loaded(image.reoriented(), label_map.reoriented().voxels, None, tuple(remarks))


def read_plain_array(path: Path) -> NDArray[np.generic]:
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
