"""Slices as they were acquired to one even, rectangular grid in millimetres.

Slices are ordered by position along their normal. Where the steps between them leave the normal (gantry tilt), each is
shifted within its plane; where the steps are uneven, slices are interpolated to an even spacing, so that one affine is
right for all of them. Both are linear interpolations along one axis. The grid grows by the rows that tilt shifts out,
so that nothing is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.dicom_headers import Frame, Instance
from hemobench.io.remarks import mended, part
from hemobench.io.scan import check_size
from hemobench.volume import AIR_HU, Volume

NOMINAL_PIXEL_MM = 0.5
NOMINAL_SLICE_MM = 5.0
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
# Two slices closer than this share of the usual step are one place.
_SAME_PLACE = 0.02
# Positions are often rounded; so far off an even grid, as share of the step, they still count as even.
_EVEN = 0.05
_ROUNDING_MM = 0.1
# Shifts below this many pixels come from rounding and are left.
_SMALLEST_SHIFT_PX = 0.1
# A step is usual when this share of all steps is like it.
_USUAL_SHARE = 0.1
_LIKE = 0.05
_ONE_PLACE_MM = 0.01
_MAX_GROWTH = 4
# A gap among uneven steps, in steps beside it, or in thicknesses.
_WIDER = 1.3
_FARTHEST_MM = 1e5
# A place this near to a slice, in steps, is on it.
_ON_SLICE = 1e-3
_FILL = {"CT": AIR_HU}

Slice = tuple[Instance, Frame]


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order, one orientation and size: `along_mm` (N) on the normal, `shift_mm` (N, 2) down and right.

    `origin` is the centre of the first slice's first pixel, `axes` (3, 3) the unit vectors normal, down, right, both in
    R-A-S; `spacing` is (row, column) in mm, the file's own where `plane_known`. `doubles` are slices left out because
    they lie where the slice of that place does.
    """

    slices: tuple[Slice, ...]
    along_mm: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness_mm: float
    spacing_known: bool
    warnings: tuple[str, ...]
    doubles: tuple[tuple[int, Slice], ...] = ()
    plane_known: bool = False

    def slice_affine(self, place: int) -> NDArray[np.float64]:
        """Affine (4, 4) from (0, row, column, 1) of one acquired slice to RAS+ mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * (self.thickness_mm, *self.spacing)
        affine[:3, 3] = self.origin + self.axes @ (self.along_mm[place], *self.shift_mm[place])
        return affine


def plane_of(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Origin (3) and unit axes (3, 3; columns normal, down, right) of a frame in R-A-S; None where it gives none."""
    return None if frame.position is None or frame.orientation is None else _plane(frame.position, frame.orientation)


@lru_cache(maxsize=4096)  # asked for several times while series are grouped, ranked and ordered
def _plane(
    position: tuple[float, ...], orientation: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    right, down = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = math.hypot(*orientation[:3]), math.hypot(*orientation[3:])
    if not all(0.9 < length < 1.1 for length in lengths) or abs(right @ down) > 0.02:
        return None
    right, down = right / lengths[0], down / lengths[1]
    axes = np.stack((np.cross(right, down), down, right), axis=1) * _LPS_TO_RAS[:, None]
    origin = np.array(position) * _LPS_TO_RAS
    axes.flags.writeable = origin.flags.writeable = False
    return (origin, axes) if np.abs(origin).max() < _FARTHEST_MM else None


def known_spacing(frame: Frame) -> tuple[float, float] | None:
    """Pixel spacing (row, column) of a frame in mm, None where it is missing or absurd."""
    if frame.spacing is None or not all(0.01 < size < 20 for size in frame.spacing):
        return None
    return frame.spacing[0], frame.spacing[1]


def stack_slices(slices: Sequence[Slice]) -> Stack:
    """Order slices of one orientation and size by position; of those at one place the first is kept. Without positions
    the order is that of the instance numbers."""
    spacing = known_spacing(slices[0][1])
    warnings = [] if spacing else ["the pixel spacing is missing or absurd; millimetres and volumes are nominal"]
    thickness = slices[0][0].thickness_mm or NOMINAL_SLICE_MM
    ordered = sorted(slices, key=by_number)
    planes = [plane_of(frame) for _, frame in ordered]
    if any(plane is None for plane in planes):
        return _stack_by_number(ordered, spacing, thickness, warnings)
    origins = np.array([plane[0] for plane in planes if plane is not None])
    axes = next(plane[1] for plane in planes if plane is not None)
    placed = _by_location(origins, axes, ordered)
    if placed is not None:
        origins = placed
        warnings.append("all slices carry one position; they were placed by SliceLocation, and the lower end may be up")
    along = origins @ axes[:, 0]
    order = np.argsort(along, kind="stable")  # stable: of equal places the lowest number comes first
    steps = np.diff(along[order])
    usual = np.median(steps[steps > 0.01]) if (steps > 0.01).any() else thickness
    first = np.concatenate(([True], steps > max(0.01, _SAME_PLACE * usual)))
    kept, place = order[first], np.cumsum(first) - 1
    doubles = tuple((int(place[row]), ordered[order[row]]) for row in np.flatnonzero(~first))
    relative = (origins[kept] - origins[kept[0]]) @ axes
    if len(kept) == 1 and slices[0][0].thickness_mm is None:
        warnings.append("one slice, and its file does not say how thick it is")
    return Stack(
        slices=tuple(ordered[place] for place in kept),
        along_mm=relative[:, 0],
        shift_mm=relative[:, 1:],
        origin=origins[kept[0]],
        axes=axes,
        spacing=spacing or (NOMINAL_PIXEL_MM, NOMINAL_PIXEL_MM),
        thickness_mm=thickness,
        spacing_known=spacing is not None and (len(kept) > 1 or slices[0][0].thickness_mm is not None),
        warnings=tuple(warnings),
        doubles=doubles,
        plane_known=spacing is not None,
    )


def _by_location(
    origins: NDArray[np.float64], axes: NDArray[np.float64], ordered: Sequence[Slice]
) -> NDArray[np.float64] | None:
    """Origins (N, 3) by the slices' own locations where all positions are one and the same, and locations are not."""
    locations = [instance.location for instance, _ in ordered]
    known = [location for location in locations if location is not None]
    if len(ordered) < 2 or np.ptp(origins, axis=0).max() > _ONE_PLACE_MM or len(set(known)) < len(ordered):
        return None
    upwards = axes[:, 0] * (1.0 if axes[2, 0] >= 0 else -1.0)
    return np.asarray(origins + np.array(known)[:, None] * upwards)


def _stack_by_number(
    ordered: Sequence[Slice], spacing: tuple[float, float] | None, thickness: float, warnings: list[str]
) -> Stack:
    count = len(ordered)
    if count > 1:
        warnings.append(
            "slices carry no usable position; they were ordered by instance number, so that the lower end may be up "
            "and distances between slices are nominal"
        )
    else:
        warnings.append("the slice carries no usable position; it was taken as axial")
    return Stack(
        slices=tuple(ordered),
        along_mm=np.arange(count, dtype=np.float64) * thickness,
        shift_mm=np.zeros((count, 2)),
        origin=np.zeros(3),
        axes=np.array([[0.0, 0, -1], [0, -1, 0], [1, 0, 0]]),
        spacing=spacing or (NOMINAL_PIXEL_MM, NOMINAL_PIXEL_MM),
        thickness_mm=thickness,
        spacing_known=False,
        warnings=tuple(warnings),
        plane_known=spacing is not None,
    )


def to_volume(stack: Stack, pixels: NDArray[np.float32], modality: str) -> tuple[Volume, tuple[str, ...]]:
    """The even, rectangular volume of slices (N, R, C), in orientation S-P-L, and what was done to get there."""
    warnings: list[str] = []
    spacing = np.array(stack.spacing)
    offsets = stack.shift_mm / spacing
    first = np.zeros(2)
    tilted = bool(np.abs(offsets).max() > _SMALLEST_SHIFT_PX)
    if tilted:
        first = np.floor(offsets.min(axis=0) + 1e-6)
        warnings.append(_tilt_warning(stack))
    step, places = _even_places(stack, warnings)
    if tilted or places is not None:
        even = stack.along_mm if places is None else places
        pixels = _resampled(pixels, stack.along_mm, even, offsets - first if tilted else None, _FILL.get(modality, 0.0))
    affine = np.eye(4)
    affine[:3, :3] = stack.axes * (step, *stack.spacing)
    affine[:3, 3] = stack.origin + stack.axes[:, 1:] @ (first * spacing)
    return Volume(pixels, affine, modality).reoriented(), tuple(warnings)


def _resampled(
    pixels: NDArray[np.float32],
    along: NDArray[np.float64],
    places: NDArray[np.float64],
    offsets: NDArray[np.float64] | None,
    fill: float,
) -> NDArray[np.float32]:
    """Slices (N, R, C) at `along` (N), each moved down and right by its own (N, 2) offsets of at least 0 pixels, taken
    linearly at `places` (M) and held constant beyond the last. The result has the rows and columns that hold them all.
    """
    grown = np.zeros(2, dtype=int) if offsets is None else np.ceil(offsets.max(axis=0) - 1e-6).astype(int)
    shape = (pixels.shape[1] + int(grown[0]), pixels.shape[2] + int(grown[1]))
    check_size("the series, its tilt and gaps corrected,", (len(places), *shape))
    out = np.empty((len(places), *shape), dtype=np.float32)
    held: dict[int, NDArray[np.float32]] = {}  # of the slices that the next place may need as well

    def moved(number: int) -> NDArray[np.float32]:
        if offsets is None:
            return pixels[number]
        if number not in held:
            for passed in [old for old in held if old < number - 1]:
                del held[passed]
            held[number] = np.empty(shape, dtype=np.float32)
            _move_into(held[number], pixels[number], offsets[number], fill)
        return held[number]

    for target, where in zip(out, np.interp(places, along, np.arange(len(along))), strict=True):
        below = min(int(where + _ON_SLICE), len(along) - 1)
        weight = np.float32(where - below)
        if weight < _ON_SLICE and offsets is not None and below not in held:
            _move_into(target, pixels[below], offsets[below], fill)
        elif weight < _ON_SLICE:
            target[...] = moved(below)
        else:
            np.subtract(moved(below + 1), moved(below), out=target)
            target *= weight
            target += moved(below)
    return out


def _move_into(
    target: NDArray[np.float32], source: NDArray[np.float32], offset: NDArray[np.float64], fill: float
) -> None:
    """Put a slice (R, C) on a larger one, `offset` pixels down and right, `fill` around it."""
    down, right = offset.tolist()
    moved = _moved(source, down - math.floor(down), fill)
    moved = _moved(moved.T, right - math.floor(right), fill).T
    top, left = math.floor(down), math.floor(right)
    bottom, end = min(target.shape[0], top + moved.shape[0]), min(target.shape[1], left + moved.shape[1])
    target[:top], target[bottom:] = fill, fill
    target[top:bottom, :left], target[top:bottom, end:] = fill, fill
    target[top:bottom, left:end] = moved[: bottom - top, : end - left]


def _moved(source: NDArray[np.float32], part: float, fill: float) -> NDArray[np.float32]:
    """Rows (R, C) moved down by less than one: (R + 1, C), linear, with air beyond half a row from the end rows."""
    if part < 1e-4 or part > 1 - 1e-4:
        return source if part < 0.5 else np.concatenate((np.full_like(source[:1], fill), source))
    moved = np.empty((source.shape[0] + 1, source.shape[1]), dtype=np.float32)
    weight = np.float32(part)
    np.subtract(source[:-1], source[1:], out=moved[1:-1])
    moved[1:-1] *= weight
    moved[1:-1] += source[1:]
    moved[0] = source[0] if part <= 0.5 else fill
    moved[-1] = source[-1] if part >= 0.5 else fill
    return moved


def _even_places(stack: Stack, warnings: list[str]) -> tuple[float, NDArray[np.float64] | None]:
    """Step in mm of the even grid, and the places to interpolate at, None where the slices lie on it already."""
    along = stack.along_mm
    if len(along) == 1:
        return stack.thickness_mm, None
    mean = along[-1] / (len(along) - 1)
    if np.abs(along - mean * np.arange(len(along))).max() <= max(_EVEN * mean, min(_ROUNDING_MM, mean / 4)):
        return float(mean), None
    steps = np.diff(along)
    alike = np.array([(np.abs(steps - step) <= _LIKE * step).sum() for step in steps])
    usual = alike >= max(_USUAL_SHARE * len(steps), 2 if len(steps) > 4 else 1)
    step = (
        float(np.mean(steps[np.abs(steps - steps[usual].min()) <= _LIKE * steps[usual].min()]))
        if usual.any()
        else (float(np.median(steps)))
    )
    count = math.ceil(along[-1] / step - _EVEN) + 1
    if count > _MAX_GROWTH * len(along) + 8:
        raise UserError(
            f"{len(along)} slices span {along[-1]:.0f} mm, with a usual step of {step:.2f} mm; expected at least a "
            "quarter of the slices that takes; choose one series and leave stray slices out"
        )
    warnings.append(_gap_warning(stack, steps, step))
    return step, step * np.arange(count)


def _gap_warning(stack: Stack, steps: NDArray[np.float64], step: float) -> str:
    along = stack.along_mm
    multiples = np.rint(steps / step)
    # A step no longer than its slices are thick leaves nothing out: bases of skulls are scanned in thinner ones.
    thick = np.array([instance.thickness_mm or 0.0 for instance, _ in stack.slices])
    covered = np.maximum(np.maximum(thick[:-1], thick[1:]), step)
    wide = (multiples >= 2) & (steps > _WIDER * covered)
    if wide.any() and np.abs(steps - step * multiples).max() <= 2 * _EVEN * step:
        missing = int(np.maximum(np.rint(steps / covered)[wide] - 1, 1).sum())
        where = ", ".join(f"{place:.1f}" for place in along[:-1][wide][:5])
        return part(
            f"{plural(missing, 'slice')} missing (after {where} mm from the lowest); the gap was filled by "
            "interpolation, so that a bleed may be unseen there"
        )
    lost = _lost_by_number(stack, steps)
    if lost:
        return part(
            f"{plural(lost, 'slice')} missing by number, where the distance to the next is larger too; the gap was "
            "filled by interpolation, so that a bleed may be unseen there"
        )
    return (
        f"slices are unevenly spaced, {steps.min():.2f} to {steps.max():.2f} mm; they were interpolated to an even "
        f"{step:.2f} mm"
    )


def _lost_by_number(stack: Stack, steps: NDArray[np.float64]) -> int:
    """How many instance numbers are left out where the step (N - 1) is larger than those beside it; 0 where numbers do
    not follow the positions."""
    numbers = [instance.number for instance, _ in stack.slices]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return 0
    apart = np.diff(known)
    if not ((apart > 0).all() or (apart < 0).all()):
        return 0
    beside = np.maximum(np.concatenate(([0.0], steps[:-1])), np.concatenate((steps[1:], [0.0])))
    return int((np.abs(apart) - 1)[steps > _WIDER * beside].sum())


def _tilt_warning(stack: Stack) -> str:
    if len(stack.along_mm) > 1 and stack.along_mm[-1] > 0:
        # The slope of the line through all shifts, not of the ends alone.
        slopes = np.polyfit(stack.along_mm, stack.shift_mm, 1)[0]
        degrees = math.degrees(math.atan(float(np.linalg.norm(slopes))))
        if degrees >= 0.5:
            return mended(
                f"the gantry was tilted by {degrees:.1f} degrees; slices were shifted in their planes to correct it"
            )
    return mended("slices lie shifted against each other; they were moved in their planes to correct it")


def by_number(one: Slice) -> tuple[float, float, int, str]:
    instance, frame = one
    last = math.inf
    return (
        last if instance.acquisition is None else instance.acquisition,
        last if instance.number is None else instance.number,
        frame.index,
        instance.entry.name,
    )


def plural(number: int, noun: str) -> str:
    """A counted noun.

    >>> plural(1, "slice"), plural(3, "slice")
    ('1 slice', '3 slices')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
