"""Single DICOM slices to a volume that keeps each of them: for data sets whose labels belong to slices.

`hemobench.io` brings any series to an even grid and may interpolate between slices to do so; here slice d of the volume
is one file, so that its label stays true. A tilted gantry needs no interpolation either: the affine is sheared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.archive import file_entry
from hemobench.io.dicom_headers import Instance, NoDicomError, quiet, read_instance
from hemobench.io.dicom_pixels import REPAIRS, read_pixels
from hemobench.volume import Volume

# The scale of 12-bit CT; metal and broken files go beyond it.
HU_RANGE = (-1024.0, 3071.0)
_USUAL_STEP_MM = 5.0
# Of a pixel's step: half a degree, or 1% of the spacing.
_SAME_STEP = 0.01
# No CT has slices closer than this: two of them are at one place, written with other last digits.
_SAME_PLACE_MM = 0.05
_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stack:
    """Volume in S-P-L, the position in the given paths of each slice (D,), and remarks about files left out."""

    volume: Volume
    order: NDArray[np.int64]
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Slice:
    """One file: its place in the given paths, its geometry in L-P-S mm and its HU (R, C)."""

    number: int
    path: Path
    position: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    thickness_mm: float
    hu: NDArray[np.float32]


def read_stack(paths: Sequence[Path], expected_repairs: frozenset[str] = frozenset()) -> Stack:
    """The axial slices in these files, from the lowest up, as HU within `HU_RANGE`.

    A file that is damaged, of another size or direction than most, or at the place of another one is left out with a
    remark. `expected_repairs` are keys of `hemobench.io.dicom_pixels.REPAIRS` that the data set is known for and that
    make no remark. Raises UserError where no slice is left.
    """
    with quiet():
        slices, remarks, repairs = _read_all(paths)
    slices = _alike(slices, remarks)
    if not slices:
        reason = f" ({remarks[0]})" if remarks else ""
        raise UserError(f"none of {len(paths)} slices can be used{reason}; expected whole DICOM images; copy again")
    normal = np.cross(slices[0].across, slices[0].down)
    normal *= np.sign(normal[2]) / np.linalg.norm(normal)
    slices = _without_repeats(sorted(slices, key=lambda one: float(one.position @ normal)), normal, remarks)
    heights = np.array([one.position @ normal for one in slices])
    steps = np.diff(heights)
    if len(steps) and steps.max() > 1.1 * np.median(steps) + 0.05:
        remarks.append(
            f"{slices[0].path}: steps between the study's slices are {steps.min():.1f} to "
            f"{steps.max():.1f} mm; taken as even, nothing is interpolated"
        )
    remarks += [f"{path}: {REPAIRS[key]}" for path, key in repairs if key not in expected_repairs]
    voxels = np.stack([one.hu for one in slices])
    volume = Volume(voxels, _affine(slices, normal)).reoriented()
    if volume.shape[0] != len(slices):
        raise UserError(f"{slices[0].path} is not axial; expected slices across the head; leave the study out")
    return Stack(volume, np.array([one.number for one in slices]), tuple(remarks))


def _read_all(paths: Sequence[Path]) -> tuple[list[_Slice], list[str], list[tuple[Path, str]]]:
    slices, remarks, repairs = [], [], []
    for number, path in enumerate(paths):
        try:
            instance = _read_header(path)
            geometry = _geometry(instance, path)
            pixels = read_pixels(instance)
        except UserError as error:
            remarks.append(f"{error}; slice left out")
            continue
        repairs += [(path, key) for key in sorted(pixels.repairs)]
        hu = np.clip(pixels.hu[0], *HU_RANGE, out=pixels.hu[0])
        slices.append(_Slice(number, path, *geometry, hu))
    return slices, remarks, repairs


def _read_header(path: Path) -> Instance:
    try:
        instance = read_instance(file_entry(path))
    except NoDicomError:
        instance = None
    if instance is None:
        raise UserError(f"{path} holds no DICOM picture; expected a CT slice; copy it again")
    return instance


def _geometry(
    instance: Instance, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Position, step along a row, step down a column (L-P-S mm), and thickness."""
    frame = instance.frames[0]
    if len(instance.frames) != 1 or instance.samples != 1:
        raise UserError(
            f"{path} has {len(instance.frames)} frames of {instance.samples} samples; expected one slice; copy it again"
        )
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        raise UserError(f"{path} does not say where it lies; expected position, orientation, spacing; copy it again")
    # Plain numbers: numpy's calls on three of them would be a tenth of the time of reading a slice.
    across, down = frame.orientation[:3], frame.orientation[3:]
    normal = (
        across[1] * down[2] - across[2] * down[1],
        across[2] * down[0] - across[0] * down[2],
        across[0] * down[1] - across[1] * down[0],
    )
    size = math.hypot(*normal)
    if not (size > 1e-6 and min(frame.spacing) > 0) or abs(normal[2]) < 0.5 * size:
        raise UserError(f"{path} is not axial; expected slices across the head; leave the study out")
    place = np.array(frame.position), np.array(across) * frame.spacing[1], np.array(down) * frame.spacing[0]
    return *place, instance.thickness_mm or _USUAL_STEP_MM


def _alike(slices: list[_Slice], remarks: list[str]) -> list[_Slice]:
    """Those of the size and direction that most have, directions and spacings within `_SAME_STEP` of one of them.

    Never by rounding to a grid: scanners write the sixth decimal anew for each slice, and one of them lies on its edge.
    """
    if not slices:
        return slices
    sizes = np.array([one.hu.shape for one in slices])
    steps = np.array([(*one.across, *one.down) for one in slices])
    pixel_mm = np.linalg.norm(steps[:, :3], axis=1)
    apart = np.abs(steps[:, None] - steps[None]).max(axis=-1)
    alike = (sizes[:, None] == sizes[None]).all(axis=-1) & (apart <= _SAME_STEP * pixel_mm[:, None])
    usual = alike[int(alike.sum(axis=1).argmax())]
    remarks += [
        f"{one.path}: size, spacing or direction unlike its study's other slices; slice left out"
        for one, kept in zip(slices, usual, strict=True)
        if not kept
    ]
    return [one for one, kept in zip(slices, usual, strict=True) if kept]


def _without_repeats(slices: list[_Slice], normal: NDArray[np.float64], remarks: list[str]) -> list[_Slice]:
    kept = slices[:1]
    for one in slices[1:]:
        if float((one.position - kept[-1].position) @ normal) < _SAME_PLACE_MM:
            remarks.append(f"{one.path}: at the place of {kept[-1].path.name}; slice left out")
        else:
            kept.append(one)
    return kept


def _affine(slices: list[_Slice], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Index (d, row, column) -> RAS+ mm; the step from slice to slice is the mean one, tilt and all."""
    first, last = slices[0], slices[-1]
    step = (last.position - first.position) / (len(slices) - 1) if len(slices) > 1 else normal * first.thickness_mm
    affine = np.eye(4)
    affine[:3] = np.stack([step, first.down, first.across, first.position], axis=1) * _TO_RAS[:, None]
    return affine
