"""Phantoms in Zeta's layout: renders in four windows through the bone colour map, label table, polygons, flags."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.case import Loaded
from hemobench.datasets.polygons import trace_polygons
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.agreement import agreed_ids
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient
from hemobench.datasets.zeta.index import FLAGGED, LABELS_CSV, PATIENTS_CSV, RENDERS, WINDOW_FOLDERS
from hemobench.datasets.zeta.picture_files import HU_WINDOWS
from hemobench.io.bone_map import bone_map
from hemobench.labels import SUBTYPES, slice_labels_from_label_map
from hemobench.views.windows import to_grey_uint8

SIDE = 512
JPEG_QUALITY = 92
LACKING = 3  # pictures without a window in a "real" copy
_ABSENT_ROWS = 20
_STAMP = "2020-11-16_21.31.26.148"
_DETECTION_COLUMNS = (
    "Case ID",
    "Origin",
    "URL",
    "Labeling State",
    "All Labels",
    "Total Reads",
    "Total Qualified Reads",
    "Majority Label",
    "Number of ROIs",
    "Correct Label",
    "Difficulty",
    "Agreement",
    "Comments",
    "Internal Notes",
)
_ROI_COLUMNS = (
    "Case ID",
    "Origin",
    "URL",
    "Labeling State",
    "All Annotations",
    "Number of Annotations",
    "ROI",
    "Number of ROIs",
    "Difficulty",
)
# What an empty list of polygons looks like in one file or another.
_EMPTY = ("[]", "[[]]", "[[], []]", "")
_UNFINISHED = ("Ready", "In Progress")


def write_zeta(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """Write every slice as one of Zeta's pictures of 512x512.

    Always: both schemas of location files, the Subdural one twice, empty values, unfinished rows, labels of pictures
    that are not there, a flagged picture. "clean": patients.csv, `multi` and `brain_window`. "real": no patients.csv,
    `multiple hemorrhage` and `bone_window`, and LACKING pictures lack a window.
    """
    rng = np.random.default_rng(seed)
    labels: list[tuple[object, ...]] = []
    patients: list[tuple[object, ...]] = []
    located: dict[str, list[tuple[object, ...]]] = {name: [] for name in SUBTYPES}
    for patient_id, loaded in studies:
        hu, ids = official_slices(loaded)
        names = rsna_images(patient_id, len(hu))
        for name, plane, plane_ids, types in zip(names, hu, ids, slice_labels_from_label_map(ids), strict=True):
            _write_renders(root, name, plane, _folder(types, quirks), quirks)
            labels.append((name, int(types.max()), *types.tolist()))
            patients.append((name, rsna_patient(patient_id)))
            for number, subtype in enumerate(SUBTYPES, start=1):
                located[subtype] += _location_rows(subtype, name, plane_ids == number, rng)
    flagged = rsna_images("flagged", 1)[0]
    _write_renders(root, flagged, np.full((SIDE, SIDE), -1000.0), "normal", quirks)
    labels.append((flagged, 0, 0, 0, 0, 0, 0))
    patients.append((flagged, rsna_patient("flagged")))
    (root / FLAGGED).write_text(f"{flagged}.jpg\n", encoding="utf-8")
    labels += [(name, 0, 0, 0, 0, 0, 0) for name in rsna_images("absent", _ABSENT_ROWS)]
    _write_csv(root / LABELS_CSV, ("Image", "any", *SUBTYPES), labels)
    if quirks == "clean":
        _write_csv(root / PATIENTS_CSV, ("Image", "PatientID"), patients)
    else:
        _remove_windows(root)
    _write_locations(root, located)


def official_slices(loaded: Loaded) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Hounsfield units and ids of a CT phantom's slices at 512x512: units by linear interpolation, ids by nearest."""
    agreed, _ = agreed_ids(loaded)
    hu = np.stack([_resized(plane, Image.Resampling.BILINEAR) for plane in loaded.image.voxels])
    ids = np.stack([_resized(plane, Image.Resampling.NEAREST) for plane in agreed])
    return hu, ids.astype(np.uint8)


def max_contrast(hu: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Grey of one slice with its histogram spread evenly, as fastai's `hist_scaled` does: no units come back."""
    bins = np.unique(np.quantile(np.clip(hu, -1000, 2000), np.linspace(0, 1, 101)))
    return np.rint(255 * np.interp(hu, bins, np.linspace(0, 1, len(bins)))).astype(np.uint8)


def _resized(plane: NDArray[np.generic], how: Image.Resampling) -> NDArray[np.float32]:
    picture = Image.fromarray(np.asarray(plane, dtype=np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), how), dtype=np.float32)


def _folder(types: NDArray[np.uint8], quirks: str) -> str:
    if types.sum() > 1:
        return "multi" if quirks == "clean" else "multiple hemorrhage"
    return SUBTYPES[int(types.argmax())] if types.any() else "normal"


def _write_renders(root: Path, name: str, hu: NDArray[np.floating], folder: str, quirks: str) -> None:
    for role, window_folder in WINDOW_FOLDERS.items():
        grey = max_contrast(hu) if role == "max-contrast" else to_grey_uint8(hu, HU_WINDOWS[role])
        place = root / RENDERS / folder / ("bone_window" if (role, quirks) == ("brain", "real") else window_folder)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bone_map()[grey]).save(place / f"{name}.jpg", quality=JPEG_QUALITY)


def _location_rows(
    subtype: str, name: str, mask: NDArray[np.bool_], rng: np.random.Generator
) -> list[tuple[object, ...]]:
    """Rows of one picture in one type's file; a few pictures without blood have an unfinished or empty row."""
    case, origin, url = int(rng.integers(10**7)), f"{name}.jpg", f"https://example.org/{name}.jpg"
    polygons = [[{"x": round(x, 6), "y": round(y, 6)} for x, y in points.tolist()] for points in trace_polygons(mask)]
    if not polygons:
        if rng.random() > 0.1:
            return []
        empty, state = str(rng.choice(_EMPTY)), str(rng.choice(_UNFINISHED))
        if subtype == "intraventricular":
            return [(case, origin, url, state, empty, 0, empty, 0, "")]
        return [(case, origin, url, state, "[]", 0, 0, empty, 0, empty, "", "", "", "")]
    if subtype == "intraventricular":
        front, count = (case, origin, url, "Labeled", json.dumps(polygons), 1), len(polygons)
        return [(*front, json.dumps(polygon), count, 0.5) for polygon in polygons]
    gold = bool(rng.random() < 0.5)
    reads = str(np.array([json.dumps(polygons)] * 2, dtype=object))
    correct = str(polygons) if gold else str(rng.choice(_EMPTY))
    state = "Gold Standard" if gold else "Labeled"
    return [
        (case, origin, url, state, reads, 3, 2, json.dumps(polygon), len(polygons), correct, 0.5, 1.0, "", "")
        for polygon in polygons
    ]


def _write_locations(root: Path, located: dict[str, list[tuple[object, ...]]]) -> None:
    for subtype, rows in located.items():
        columns = _ROI_COLUMNS if subtype == "intraventricular" else _DETECTION_COLUMNS
        title = f"Results_{subtype.capitalize()} Hemorrhage Detection_{_STAMP}"
        for ending in ("", " (1)") if subtype == "subdural" else ("",):
            _write_csv(root / f"{title}{ending}.csv", columns, rows)


def _remove_windows(root: Path) -> None:
    """Take the subdural window away from the first pictures by name."""
    pictures = sorted((root / RENDERS).glob(f"*/{WINDOW_FOLDERS['subdural']}/*.jpg"), key=lambda path: path.name)
    for path in pictures[:LACKING]:
        path.unlink()


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
