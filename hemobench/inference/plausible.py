"""Whether a CT could be of a head as it says: where its values lie, how large it is, whether all of it is there.

Limits are far outside of what 63 patients of CT-ICH, a GE head and phantoms have: a line here means that something is
wrong with the file, or that it is no adult's head.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.io.remarks import part
from hemobench.volume import Volume

_LEAST_SLICES = 5
_EVERY = 4  # rows and columns looked at
# Soft tissue, and where its most common value lies: brain, 20 to 50 HU in all of those heads.
_SOFT_HU = (-150.0, 200.0)
_BRAIN_HU = (12.0, 54.0)
_BIN_HU = 5.0
_LEAST_SOFT = 200
_TISSUE_HU = -300.0
# Air as a scanner shows it, noise and clipping included, is below; the extended CT scale ends at 30,710 HU.
_CUT_AIR_HU, _NO_AIR_HU, _MOST_HU = -700.0, -50.0, 31_000.0
# The larger of length and breadth, head rest included, and the smaller, in mm; and how far a scan of a whole head
# reaches at least.
_SIZES_MM = (110.0, 330.0)
_LEAST_SIDE_MM = 80.0
_LEAST_COVER_MM = 70.0
# Of the largest slice's tissue: a scan that ends at the vertex ends with less.
_FULL_SLICE = 0.7


def doubts_about(volume: Volume, *, spacing_known: bool) -> list[str]:
    """Lines about a CT (D, H, W) in S-P-L and HU; none for a few slices, of which nothing can be expected."""
    voxels = np.asarray(volume.voxels)
    lines = _about_range(voxels)
    if len(voxels) < _LEAST_SLICES:
        return lines
    coarse = voxels[:, ::_EVERY, ::_EVERY]
    lines += _about_brain(coarse)
    lines += _about_slices(voxels)
    tissue = coarse > _TISSUE_HU
    areas = tissue.mean(axis=(1, 2))
    if spacing_known and areas.max() > 0:
        lines += _about_size(volume, tissue[int(areas.argmax())])
    if areas[-1] >= _FULL_SLICE * areas.max() > 0:
        lines.append("the uppermost slice still shows a full head; what lies above it was not scanned, or is not here")
    return lines


def _about_range(voxels: NDArray[np.floating]) -> list[str]:
    """Lines for values that end where a head's do not. Where there is no air at all, others say so."""
    low, high = float(voxels[:, ::2, ::2].min()), float(voxels.max())
    lines = []
    if _CUT_AIR_HU < low <= _NO_AIR_HU:
        lines.append(f"the lowest value is {low:.0f} HU, where air has -1000; values may be cut off or scaled")
    if high > _MOST_HU:
        lines.append(f"values reach {high:.6g} HU, which no CT has; the file may be damaged")
    return lines


def _about_brain(coarse: NDArray[np.floating]) -> list[str]:
    soft = coarse[(coarse > _SOFT_HU[0]) & (coarse < _SOFT_HU[1])]
    if soft.size < _LEAST_SOFT or soft.size < 0.01 * coarse.size:
        return ["hardly a value lies between -150 and 200 HU, where brain and blood do; these may be no HU at all"]
    counts, edges = np.histogram(soft, bins=round((_SOFT_HU[1] - _SOFT_HU[0]) / _BIN_HU), range=_SOFT_HU)
    peak = float(edges[int(np.convolve(counts, np.ones(3), mode="same").argmax())]) + _BIN_HU / 2
    if _BRAIN_HU[0] <= peak <= _BRAIN_HU[1]:
        return []
    return [
        f"the most common value of soft tissue is {peak:.0f} HU, where brain has 20 to 50; values may be shifted "
        "or scaled, or this is no head"
    ]


def _about_slices(voxels: NDArray[np.floating]) -> list[str]:
    """Lines for slices within the scan that hold nothing, or the same picture as the one below."""
    empty = np.array([float(one.min()) == float(one.max()) for one in voxels])
    filled = np.flatnonzero(~empty)
    inside = int(empty[filled[0] : filled[-1]].sum()) if len(filled) else 0
    same = sum(np.array_equal(one, other) for one, other in itertools.pairwise(voxels))
    same -= int((empty[:-1] & empty[1:]).sum())
    lines: list[str] = []
    if inside:
        lines.append(part(f"{_slices(inside)} within the scan hold one value alone; a bleed may be unseen there"))
    # Most of them, and the scan was put on a finer grid, or drawn.
    if 0 < same < len(voxels) / 2:
        lines.append(f"{_slices(same)} show the very picture of the slice below; others may be missing in their place")
    return lines


def _about_size(volume: Volume, tissue: NDArray[np.bool_]) -> list[str]:
    depth_mm, row_mm, column_mm = volume.spacing_mm
    parts, count = ndimage.label(tissue)
    if count == 0:
        return []
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    length, breadth = (
        (int(np.ptp(np.flatnonzero(largest.any(axis=axis)))) + 1) * _EVERY * size
        for axis, size in ((1, row_mm), (0, column_mm))
    )
    lines = []
    if not _SIZES_MM[0] <= max(length, breadth) <= _SIZES_MM[1] or min(length, breadth) < _LEAST_SIDE_MM:
        lines.append(
            f"the head measures {length:.0f} x {breadth:.0f} mm by the file, where heads have some 190 x 150; "
            "millimetres and volumes are doubtful"
        )
    cover = volume.shape[0] * depth_mm
    if cover < _LEAST_COVER_MM:
        lines.append(
            f"the slices cover {cover:.0f} mm, less than a head has; what lies beyond was not looked at, or "
            "the distance between slices is wrong"
        )
    return lines


def _slices(count: int) -> str:
    return "1 slice" if count == 1 else f"{count} slices"
