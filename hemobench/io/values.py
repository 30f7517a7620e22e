"""Voxels that are no plain Hounsfield units: what they are is seen from where the brain lies among them.

Brain is the landmark: 20 to 45 HU, a narrow peak that nothing else in a head comes near, with air 1,030 HU below it.
Wherever such a peak is found, there are Hounsfield units to be had; MR has no peak so narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.io.polarity import TURNED, Polarity, polarity_of
from hemobench.views.windows import Window, get_window
from hemobench.volume import AIR_HU

_Voxels = NDArray[np.float32]
_Values = NDArray[np.floating]

_BRAIN_HU = 32.0
_AIR_BELOW_HU = -300.0
_LEAST_AIR = 0.005
_AIR_WITHIN_HU, _AIR_COUNTS_HU = 10.0, 5.0
# The usual ones (scanners store HU + 1024), then those of data sets that keep HU in unsigned PNG or NIfTI.
_OFFSETS = (1024, 1000, 32768, 8192, 4096, 2048, 2000)
_UNSIGNED = 65536
_PEAK_OVER_FLANKS = 3.0
_LEAST_PEAK = 0.02
_LEAST_VALUES = 200
_SAMPLE = 2**16
_MOST_VALUE = 1e6  # of any unit; floats beyond it are damage, and overflow
# White pieces from this share of the slice's largest on are skull.
_BONE_HU, _LEAST_BONE_PIECE = 600.0, 0.1
_SQUARE = np.ones((3, 3), dtype=bool)
# Brain alone or within a window. Room for blood, oedema and calcium, none for the width of MR's tissues.
_MEDIAN_HU = (15.0, 50.0)
# No scanner makes tissue without noise; what has one value is drawn, and says nothing.
_NOISE_HU, _MOST_IQR_HU, _MOST_IQR_BARE_HU = 1.0, 30.0, 21.0
_MEDIAN_PART_HU, _MOST_IQR_PART_HU, _MOST_WINDOW_HU = (10.0, 60.0), 45.0, 200.0
# Of brain alone the brightest half percent: sinuses, falx and calcium, and the skull's edge. Dark MR ends before.
_BRIGHTEST_HU = (56.0, 400.0)
_LEAST_OUTSIDE, _LEAST_WHITE, _MOST_WHITE = 0.05, 0.03, 0.6
# What greys are usually made with; their spread tells one from another.
_DISPLAYS = (get_window("brain"), get_window("subdural"), Window("soft tissue", 40, 400))
_LEAST_IQR_HU, _USUAL_IQR_HU = 7.0, 14.0
# Measured: of three CTs 0.45 to 0.64 of the tissue, of a T1 0.12.
_NARROW, _LEAST_IN_PEAK, _LEAST_BONE = 0.03, 0.35, 0.05


def as_hounsfield(voxels: _Voxels) -> tuple[_Voxels, tuple[str, ...]]:
    """Voxels (D, H, W) in S-P-L that ought to be HU of a head CT, as HU, and a line for each thing that was put right.

    Recognised are HU + 1024, + 1000 and their like, negative values that wrapped round in 16 bits, swapped black and
    white, HU cut to a window such as 0..100 (with a skull, or of the brain alone), and display greys (0..255 or 0..1).
    Whatever else it is comes back as it is, the same array, without a line: plain HU, MR, and what cannot be told.
    Voxels must be finite.
    """
    moved = moved_to_hounsfield(voxels)
    if moved is not None:
        return moved[0], (moved[1],)
    if np.mean(sampled(voxels) < _AIR_BELOW_HU) >= _LEAST_AIR or float(voxels.max()) > _MOST_VALUE:
        return voxels, ()
    turned = _turned_round(voxels)
    looked_at = voxels if turned is None else turned
    cut = _cut_to_window(looked_at)
    if cut is None:
        # What is swapped and no CT is left to whoever reads MR.
        return voxels, ()
    return cut[0], (cut[1],) if turned is None else (TURNED, cut[1])


def moved_to_hounsfield(voxels: NDArray[np.floating | np.integer]) -> tuple[_Voxels, str] | None:
    """HU and a line, for voxels that an offset, a sign or a wrap in 16 bits keeps from being HU; None for others.

    The brain's peak decides, not the sign: scanners' padding makes HU + 1024 negative in places.
    """
    some = sampled(voxels)
    if some.size < _LEAST_VALUES or not -_AIR_BELOW_HU <= np.ptp(some) <= _MOST_VALUE:
        return None
    corner = _corner(voxels)
    found: list[tuple[float, _Move]] = []
    for move in _moves(some, corner):
        distance = _distance_to_head(move.of(some))
        # What is bright at the corners is no head in air, and black and white are swapped only where air says so too.
        outside_hu = float(move.of(corner))
        if distance is not None and outside_hu < (-_AIR_BELOW_HU if move.sign > 0 else _AIR_BELOW_HU):
            # Between 1,000 and 1,024, where brain itself is 24 HU wide, air has a say.
            found.append((distance - (_AIR_COUNTS_HU if abs(outside_hu - AIR_HU) < _AIR_WITHIN_HU else 0.0), move))
    if not found:
        return None
    move = min(found, key=lambda pair: pair[0])[1]
    return move.of(np.asarray(voxels, dtype=np.float32)), move.line


def looks_like_brain(voxels: NDArray[np.floating | np.integer]) -> bool:
    """Whether voxels without air are HU of a head or brain all the same: by the spread of what is no background."""
    some = sampled(voxels)
    return _is_brain(_tissue(some, _outside_value(some)), _has_skull(some))


def is_ct_without_units(voxels: NDArray[np.floating | np.integer]) -> bool:
    """Whether values are a CT's in a unit that cannot be told: most of the tissue within 3% of one value, and bone.

    For what is neither Hounsfield units nor turned into them: windows about bone, whole ranges squeezed to 0..255 or
    0..1. In MR a tenth of the tissue has one value; what has no second, brighter tissue is not judged.
    """
    some = sampled(voxels)
    above = _tissue(some, _outside_value(some)) - some.min()
    tissue = above[above > 0.1 * np.ptp(some)]
    if tissue.size < _LEAST_VALUES or np.ptp(some) > _MOST_VALUE:
        return False
    counts, edges = np.histogram(tissue, bins=200)
    peak = float(edges[int(np.argmax(np.convolve(counts, np.ones(5), mode="same")))])
    narrow = np.mean(np.abs(tissue - peak) <= _NARROW * peak) >= _LEAST_IN_PEAK
    return bool(narrow and np.mean(tissue > 1.25 * peak) >= _LEAST_BONE)


def sampled(voxels: NDArray[np.floating | np.integer]) -> NDArray[np.float64]:
    """Some voxels of (D, H, W), evenly spread over every slice, as float64 (n,): fast for any size."""
    step = max(1, math.ceil(math.sqrt(voxels.size / _SAMPLE)))
    return np.asarray(voxels[:, ::step, ::step], dtype=np.float64).ravel()


@dataclass(frozen=True)
class _Move:
    """HU = sign * voxel + add, after voxels from `wrap_from` on were taken for negative ones."""

    line: str
    add: float = 0.0
    sign: float = 1.0
    wrap_from: float = math.inf

    def of(self, voxels: _Values) -> _Voxels:
        wrapped = voxels if math.isinf(self.wrap_from) else voxels - _UNSIGNED * (voxels >= self.wrap_from)
        return np.asarray(self.sign * wrapped + self.add, dtype=np.float32)


def _moves(some: _Values, corner: _Values) -> Iterator[_Move]:
    for offset in _OFFSETS:
        yield _Move(f"values are Hounsfield units + {offset}, by where the brain lies; {offset} was taken off", -offset)
    if some.max() >= _UNSIGNED / 2:
        yield _Move("values below 0 had wrapped round to 65,535; they were taken back", wrap_from=_UNSIGNED / 2)
    # Plain negatives, 12 and 16 bits of HU + 1024, and any other constant, by the air in the corners.
    for constant in dict.fromkeys((0.0, 3071.0, 64511.0, float(corner) - 1000, float(corner) - 1024)):
        yield _Move(TURNED, constant, sign=-1.0)


def _corner(voxels: NDArray[np.floating | np.integer]) -> _Voxels:
    """The median value (an array of no axes) of the four corners of all slices."""
    side = max(1, min(voxels.shape[1:]) // 32)
    ends = (slice(None, side), slice(-side, None))
    corners = [voxels[:, rows, columns].ravel() for rows in ends for columns in ends]
    return np.asarray(np.median(np.concatenate(corners)), dtype=np.float32)


def _distance_to_head(hu: _Values) -> float | None:
    """How far (HU) the brain's peak is from where it belongs, for values of a head in air; None where there is none."""
    brain = _share(hu, 10, 60)
    flanks = max(_share(hu, -60, -10), _share(hu, 100, 150))
    if brain < _LEAST_PEAK or brain < _PEAK_OVER_FLANKS * flanks or brain * hu.size < _LEAST_VALUES:
        return None
    if np.mean(hu < _AIR_BELOW_HU) < _LEAST_AIR:
        return None
    near = np.rint(hu[(hu > -10) & (hu <= 80)]).astype(np.int64) + 10
    smooth = np.convolve(np.bincount(near, minlength=91), np.ones(5), mode="same")
    return abs(float(np.argmax(smooth)) - 10 - _BRAIN_HU)


def _share(values: _Values, low: float, high: float) -> float:
    return float(np.count_nonzero((values > low) & (values <= high)) / values.size)


def _turned_round(voxels: _Voxels) -> _Voxels | None:
    """Voxels without air reflected within their range, where most of the middle slices are swapped."""
    low, high = float(voxels.min()), float(voxels.max())
    if low == high or np.mean(voxels == high) < _LEAST_OUTSIDE:
        return None
    depth = voxels.shape[0]
    middle = sorted({round(depth * place) for place in (0.35, 0.45, 0.55, 0.65)} & set(range(depth))) or [0]
    swapped = [polarity_of((voxels[d] - low) * (255 / (high - low))) is Polarity.SWAPPED for d in middle]
    return np.asarray(low + high - voxels, dtype=np.float32) if 2 * sum(swapped) > len(swapped) else None


def _cut_to_window(voxels: _Voxels) -> tuple[_Voxels, str] | None:
    """HU, with air outside, of voxels that a window or a brain mask left no air; None where they are no such CT."""
    some = sampled(voxels)
    low, high = float(voxels.min()), float(voxels.max())
    if low == high or _corner(voxels) == high:
        # White corners that `_turned_round` did not know for swapped.
        return None
    outside, white = _outside_value(some), _has_skull(some)
    tissue = _tissue(some, outside)
    in_hu = white and _is_hu_window(low, high)
    if _is_brain(tissue, white) or (in_hu and _is_part_of_head(tissue)):
        shown = f"{low:.0f} to {high:.0f}, median of tissue {np.median(tissue):.0f}"
        hu, what = voxels, f"values ({shown}) are a CT's without air: cut to a window, or the brain alone"
    else:
        shows_greys = white and not in_hu and outside == low
        window = _window_of((tissue - low) / (high - low)) if shows_greys else None
        if window is None:
            return None
        hu = (voxels - low) * np.float32(window.width_hu / (high - low)) + np.float32(window.low_hu)
        outside = float(hu.min())
        what = (
            f"values ({low:g} to {high:g}) are greys of a CT's display and no Hounsfield units; by the brain's grey, "
            f"black to white was taken as {window.low_hu:g} to {window.high_hu:g} HU"
        )
    completed = _in_air(hu, outside)
    if white:
        return _with_bone(completed, float(hu.max())), f"{what}; the outside was taken as air, white as bone"
    return completed, f"{what}; the outside was taken as air"


def _outside_value(some: _Values) -> float | None:
    """The one value of the background: 0 of what was masked, or the lowest of what was cut; None without background."""
    for value in (0.0, float(some.min())):
        if np.mean(some == value) >= _LEAST_OUTSIDE:
            return value
    return None


def _has_skull(some: _Values) -> bool:
    """Whether a part of what is above the lowest value has the highest: bone, where a window cut it."""
    above = some[some > some.min()]
    return bool(above.size and _LEAST_WHITE <= np.mean(above == above.max()) <= _MOST_WHITE)


def _tissue(some: _Values, outside: float | None) -> _Values:
    inner = some[(some > some.min()) & (some < some.max())]
    return inner if outside is None else inner[inner != outside]


def _is_brain(tissue: _Values, white: bool) -> bool:
    if tissue.size < _LEAST_VALUES:
        return False
    first, median, third, most = np.percentile(tissue, (25, 50, 75, 99.5))
    spread = third - first
    if not (_MEDIAN_HU[0] <= median <= _MEDIAN_HU[1] and spread >= _NOISE_HU):
        return False
    if white:
        return bool(spread <= _MOST_IQR_HU)
    return bool(spread <= _MOST_IQR_BARE_HU and _BRIGHTEST_HU[0] <= most <= _BRIGHTEST_HU[1])


def _is_hu_window(low: float, high: float) -> bool:
    """Whether lowest and highest value are those of a brain window in HU, and not greys of 0..255 or 0..1."""
    return -_MOST_WINDOW_HU / 2 <= low <= 0 and _BRIGHTEST_HU[0] <= high <= _MOST_WINDOW_HU


def _is_part_of_head(tissue: _Values) -> bool:
    """`_is_brain` with more room, for slices of the base or the vertex alone, where muscle and bone's edges weigh."""
    if tissue.size < _LEAST_VALUES:
        return False
    first, median, third = np.percentile(tissue, (25, 50, 75))
    return bool(_MEDIAN_PART_HU[0] <= median <= _MEDIAN_PART_HU[1] and _NOISE_HU <= third - first <= _MOST_IQR_PART_HU)


def _window_of(tissue: _Values) -> Window | None:
    """The display window that makes brain of greys in 0..1, by the median and the spread; None where none does."""
    if tissue.size < _LEAST_VALUES:
        return None
    first, median, third = np.percentile(tissue, (25, 50, 75))
    fitting = []
    for window in _DISPLAYS:
        middle_hu, spread_hu = median * window.width_hu + window.low_hu, (third - first) * window.width_hu
        if _MEDIAN_HU[0] <= middle_hu <= _MEDIAN_HU[1] and _LEAST_IQR_HU <= spread_hu <= _MOST_IQR_HU:
            fitting.append((abs(math.log(spread_hu / _USUAL_IQR_HU)), window))
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _in_air(voxels: _Voxels, outside: float | None) -> _Voxels:
    """A copy of the voxels with air wherever the background's value reaches the edge of a slice.

    The networks learnt heads in air. On three bleeding patients cut to 0..100 the study's probability was 0.61, 1.00
    and 0.68 as scanned, 0.18, 0.14 and 0.11 with 0 outside, and 0.39, 0.89 and 0.49 with air; of the brain alone 0.06,
    0.03 and 0.01 with 0, and 0.43, 0.91 and 0.20 with air.
    """
    filled = np.array(voxels, dtype=np.float32)
    if outside is None:
        return filled
    for plane in filled:
        background = plane == outside
        # Without thin channels, by which cerebrospinal fluid cut to 0 hangs on the background.
        core = ndimage.binary_dilation(ndimage.binary_erosion(background, border_value=1), _SQUARE)
        pieces, _ = ndimage.label(core & background)
        edge = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
        plane[np.isin(pieces, edge[edge > 0])] = AIR_HU
    return filled


def _with_bone(voxels: _Voxels, white: float) -> _Voxels:
    """The voxels, changed in place, with bone where a slice's larger pieces are white.

    A skull cut to 80 HU looks like blood: of the same patients it made 0, 68 and 67 mL of 6, 34 and 4 as scanned, and
    with bone 6, 30 and 1. Small white pieces may be clots, and stay.
    """
    for plane in voxels:
        pieces, count = ndimage.label(plane == white, _SQUARE)
        if count:
            areas = np.bincount(pieces.ravel())
            areas[0] = 0
            plane[(areas >= _LEAST_BONE_PIECE * areas.max())[pieces] & (pieces > 0)] = _BONE_HU
    return voxels
