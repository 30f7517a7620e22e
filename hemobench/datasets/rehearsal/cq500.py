"""Phantoms in the layout of CQ500: reads of three radiologists, and a folder of several DICOM series a study."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from hemobench.case import Loaded
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import SUBTYPES
from hemobench.volume import Volume

TABLE = "reads.csv"
# The table's order, not ours.
_FINDINGS = (
    "ICH",
    "IPH",
    "IVH",
    "SDH",
    "EDH",
    "SAH",
    "BleedLocation-Left",
    "BleedLocation-Right",
    "ChronicBleed",
    "Fracture",
    "CalvarialFracture",
    "OtherFracture",
    "MassEffect",
    "MidlineShift",
)
_COLUMN_OF = dict(zip(SUBTYPES, ("EDH", "IPH", "IVH", "SAH", "SDH"), strict=True))
_READERS = ("R1", "R2", "R3")


def write_cq500(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`reads.csv` and `CQ500CT0 CQ500CT0/Unknown Study/<series>/CT000000.dcm`: thick, thin and a localiser.

    One reader of three misses or adds a type in some studies; the majority is the phantom's. "real" names a study that
    has no folder.
    """
    random = np.random.default_rng(seed)
    rows = []
    for number, (patient_id, loaded) in enumerate(studies):
        types = _types(patient_id, loaded)
        rows.append(_read(number, types, random))
        folder = root / f"CQ500CT{number} CQ500CT{number}" / "Unknown Study"
        _write_series(folder / "CT Plain", patient_id, loaded.image)
        _write_series(folder / "CT Plain Thin", patient_id, _thinner(loaded.image))
        _write_series(folder / "CT Localizer", patient_id, _localiser(loaded.image))
    if quirks == "real":
        rows.append(_read(len(rows), dict.fromkeys(SUBTYPES, 0), random))
    header = ["name", "Category", *(f"{reader}:{finding}" for reader in _READERS for finding in _FINDINGS)]
    with replacing(root / TABLE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="0")
        writer.writeheader()
        writer.writerows(rows)


def _types(patient_id: str, loaded: Loaded) -> dict[str, int]:
    if loaded.slice_labels is None:
        raise UserError(f"{patient_id} has no slice labels; expected CT phantoms; build from 'phantom'")
    return dict(zip(SUBTYPES, loaded.slice_labels.max(axis=0).tolist(), strict=True))


def _read(number: int, types: dict[str, int], random: np.random.Generator) -> dict[str, str]:
    """A row of the table; one reader may differ from the others in one type."""
    row = {"name": f"CQ500-CT-{number}", "Category": f"B{1 + number % 2}"}
    dissenter, disputed = random.integers(2 * len(_READERS)), SUBTYPES[random.integers(len(SUBTYPES))]
    for place, reader in enumerate(_READERS):
        seen = {**types, disputed: 1 - types[disputed]} if place == dissenter else types
        row[f"{reader}:ICH"] = str(int(any(seen.values())))
        row.update({f"{reader}:{_COLUMN_OF[name]}": str(value) for name, value in seen.items()})
    return row


def _write_series(folder: Path, patient_id: str, volume: Volume) -> None:
    study, series = _uid(patient_id), _uid(f"{patient_id}/{folder.name}")
    names = [
        Names(patient_id, study, series, _uid(f"{patient_id}/{folder.name}/{index}"))
        for index in range(volume.shape[0])
    ]
    for index, name in enumerate(names):
        # File names run from the top down, against the positions.
        path = folder / f"CT{volume.shape[0] - 1 - index:06d}.dcm"
        write_slice(path, volume, index, name, Coding(), folder.name.removeprefix("CT ").upper())


def _thinner(volume: Volume) -> Volume:
    """Twice the slices at half the distance, each value kept."""
    affine = volume.affine.copy()
    affine[:3, 0] /= 2
    affine[:3, 3] = volume.to_world([-0.25, 0, 0])
    return Volume(np.repeat(volume.voxels, 2, axis=0), affine)


def _localiser(volume: Volume) -> Volume:
    """One slice that is no part of the scan."""
    middle = volume.shape[0] // 2
    return volume.cropped((middle, 0, 0), (middle + 1, *volume.shape[1:]))


def _uid(text: str) -> str:
    """A valid UID made from a text (of the UUID kind, 2.25)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"
