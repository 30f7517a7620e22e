"""DICOM Segmentation objects, ours and others', as label maps in the patient's millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from hemobench.errors import UserError
from hemobench.io.dicom_headers import BROKEN_DICOM, quiet
from hemobench.labels import LABEL_IDS, UNTYPED
from hemobench.predictions.ids import IDS_FILE, IdMap
from hemobench.volume import LABEL_MAP, Volume

_BLOOD_WORDS = ("haemorrhage", "hemorrhage", "haematoma", "hematoma", "bleed", "blood")
# Of fractional segments, from which share on a voxel is in.
_HALF = 0.5
# Slices may lie this share of a step beside an even grid.
_UNEVEN = 0.1
_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_MOST_VOXELS = 512**3


def read_dicom_seg(path: Path, ids: IdMap | None) -> Volume:
    """A SEG as a label map of our ids, on the grid of its own frames; frames that are not there are empty.

    What a segment is, is told by `ids` (by the segment's number) where it is given, else by its words: one of the five
    types, or haemorrhage, haematoma, blood. Raises UserError for another object, for segments that neither tells, and
    for frames that lie on no even grid.
    """
    try:
        with quiet():
            dataset = dcmread(path)
            _check_seg(dataset, path)
            meanings = {int(one.SegmentNumber): _meaning(one, ids, path) for one in dataset.SegmentSequence}
            return _label_map(dataset, meanings, path)
    except UserError:
        raise  # another object, or a segment that nobody can name
    except BROKEN_DICOM as error:
        raise UserError(
            f"{path} cannot be read as a DICOM SEG ({type(error).__name__}); expected a whole one with "
            "positions; write it again, or as NIfTI"
        ) from error


def seg_header(path: Path, ids: IdMap | None) -> tuple[list[str], set[int]]:
    """What a SEG's header calls its study and patient, and the ids of ours that its segments have. Raises UserError as
    `read_dicom_seg` does."""
    try:
        with quiet():
            dataset = dcmread(path, stop_before_pixels=True)
            _check_seg(dataset, path)
            names = [str(dataset.get(one)) for one in ("StudyInstanceUID", "StudyID", "PatientID") if dataset.get(one)]
            return names, {_meaning(one, ids, path) for one in dataset.get("SegmentSequence", [])}
    except UserError:
        raise  # another object, or a segment that nobody can name
    except BROKEN_DICOM as error:
        raise UserError(
            f"{path} cannot be read as DICOM ({type(error).__name__}); expected a whole DICOM SEG; write "
            "it again, or leave it out of the folder"
        ) from error


def _check_seg(dataset: Dataset, path: Path) -> None:
    if dataset.get("SOPClassUID") != SegmentationStorage:
        raise UserError(
            f"{path} is a DICOM file but no segmentation; expected a DICOM SEG or NIfTI; leave it out of the folder"
        )


def _meaning(segment: Dataset, ids: IdMap | None, path: Path) -> int:
    number = int(segment.SegmentNumber)
    if ids is not None:
        return int(ids.apply(np.asarray([number]), path)[0])
    codes = [
        item
        for name in ("SegmentedPropertyTypeCodeSequence", "AnatomicRegionSequence")
        for item in segment.get(name, [])
    ]
    words = " ".join([str(segment.get("SegmentLabel", "")), *(str(code.get("CodeMeaning", "")) for code in codes)])
    words = words.lower()
    named = [label for name, label in LABEL_IDS.items() if name in words]
    if len(named) == 1:
        return named[0]
    if any(word in words for word in _BLOOD_WORDS):
        return UNTYPED
    raise UserError(
        f"{path} has a segment {number} whose words name no haemorrhage; expected some; say what it stands "
        f"for in {IDS_FILE} or with --ids, by its number"
    )


def _label_map(dataset: Dataset, meanings: dict[int, int], path: Path) -> Volume:
    frames = np.asarray(dataset.pixel_array)
    frames = frames[None] if frames.ndim == 2 else frames
    filled = frames >= _HALF * int(dataset.get("MaximumFractionalValue", 1) or 1)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    own = dataset.PerFrameFunctionalGroupsSequence
    positions = np.asarray([_group(one, shared, "PlanePositionSequence").ImagePositionPatient for one in own], float)
    across, down = np.asarray(
        _group(own[0], shared, "PlaneOrientationSequence").ImageOrientationPatient, float
    ).reshape(2, 3)
    measures = _group(own[0], shared, "PixelMeasuresSequence")
    between = float(measures.get("SpacingBetweenSlices", 0) or measures.get("SliceThickness", 0) or 1)
    places, step = _places(positions, np.cross(across, down), between, path)
    rows, columns = filled.shape[1:]
    if (places.max() + 1) * rows * columns > _MOST_VOXELS:
        raise UserError(
            f"{path} spans {places.max() + 1} slices of {rows} x {columns}; expected at most "
            f"{_MOST_VOXELS:,} voxels; write it as NIfTI on the scan's grid"
        )
    labels = np.zeros((int(places.max()) + 1, rows, columns), dtype=np.uint8)
    for frame, group, place in zip(filled, own, places, strict=True):
        number = int(_group(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        if meanings[number]:
            labels[place][frame] = meanings[number]
    row_mm, column_mm = (float(size) for size in measures.PixelSpacing)
    affine = np.eye(4)
    # Pixel spacing is between rows, then between columns; a row's own direction is across.
    affine[:3, :3] = _TO_RAS @ np.stack([step, down * row_mm, across * column_mm], axis=1)
    affine[:3, 3] = _TO_RAS @ positions[np.argmin(places)]
    return Volume(labels, affine, LABEL_MAP).reoriented()


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """A frame's functional group, or the one that all frames share."""
    sequence = own.get(name) or shared.get(name)
    if not sequence:
        raise ValueError(f"no {name}")
    return sequence[0]  # type: ignore[no-any-return]


def _places(
    positions: NDArray[np.float64], normal: NDArray[np.float64], between: float, path: Path
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place (N,) of each frame on an even grid from the lowest along the normal, and the grid's step (3,) in mm, which
    is not along the normal where the gantry was tilted."""
    normal = normal / np.linalg.norm(normal)
    heights = positions @ normal
    distinct = np.unique(np.round(heights, 3))
    gaps = np.diff(distinct)
    # The header's distance is that of the series where it is given; frames without anything may be left out.
    spacing = between if not gaps.size or gaps.min() >= (1 - _UNEVEN) * between else float(gaps.min())
    exact = (heights - heights.min()) / spacing
    places = np.rint(exact).astype(np.intp)
    last = int(places.max())
    if last == 0:
        return places, normal * spacing
    first, final = positions[np.argmin(places)], positions[np.argmax(places)]
    step = (final - first) / last
    away = np.linalg.norm(positions - first - places[:, None] * step, axis=1)
    if away.max() > _UNEVEN * spacing:
        raise UserError(
            f"{path} has frames that lie {away.max():.1f} mm beside an even grid of {spacing:.1f} mm; "
            "expected even slices; write it as NIfTI on the scan's grid"
        )
    return places, step
