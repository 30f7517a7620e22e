"""A scan as the bytes that the browser draws from: one deflated block a slice, the slice to be seen first at the front.

Voxels become codes by a piecewise linear table (1 HU apart where tissue and blood are, coarser in bone and fat, one
code for all air), each code is predicted from its neighbours by the median edge detector of JPEG-LS (Weinberger et al.
2000, IEEE Trans. Image Process. 9:1309), and the difference is folded to a number without sign and written as a plane
of low bytes and one of high bytes. The codes come back exactly; what is lost is what the table rounds.
"""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import LABEL_IDS
from hemobench.volume import GREY, Volume

# Stretches of the table for HU: (first HU, end HU, step). Below the first is air, one code; above the last, metal.
_AIR_BELOW_HU = -900
_HU_STRETCHES = ((-900, -200, 10), (-200, 200, 1), (200, 1000, 4), (1000, 3100, 10))
# The bottom of the usual CT scale, as what air is shown.
_AIR_SHOWN_HU = -1000
_MR_LEVELS = 2048
_GREY_LEVELS = 256
# 180 slices of 512 x 512: 94 MB in the browser as 16-bit codes. More is reduced in the plane by a whole factor.
MAX_VOXELS = 180 * 512 * 512
_THREADS = 2
# What is denser than this belongs to the body, or at least is worth seeing: fat and skin, not air, foam and blankets.
_BODY_ABOVE_HU = -200.0
# Of what is shown, in scans without HU.
_BODY_SHARE = 0.1
# A row or column with less of it holds a wire or a star of metal, and no part of a head.
_LEAST_OF_A_LINE = 0.04


@dataclass(frozen=True)
class Stretch:
    """`count` codes in a row: the value of the first of them and the step from one to the next."""

    count: int
    first: float
    step: float


@dataclass(frozen=True, eq=False)
class EncodedVolume:
    """The slices of a scan, coded and deflated, in order, and what their codes and places mean.

    `shape` (slices, rows, columns) and `affine` (index -> RAS+ mm) are those of what is streamed; `full_shape` is the
    scan's, `reduced` the whole factor between them in the plane. `shown` is the range of values to show at first in
    scans without HU, `body` the rows and columns [from, to) that hold more than air.
    """

    shape: tuple[int, int, int]
    full_shape: tuple[int, int, int]
    reduced: int
    affine: NDArray[np.float64]
    modality: str
    stretches: tuple[Stretch, ...]
    shown: tuple[float, float]
    body: tuple[tuple[int, int], tuple[int, int]]
    blocks: tuple[bytes, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Millimetres between neighbours along (slice, row, column) of what is streamed."""
        depth, height, width = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return depth, height, width


def encode_volume(volume: Volume) -> EncodedVolume:
    """The slow part: every slice of `volume` coded and deflated, two at a time.

    May run in a thread beside the analysis; the volume is not changed. Series of more than `MAX_VOXELS` voxels are
    averaged in the plane by a whole factor, and no slice is left out.
    """
    reduced = _factor(volume.shape)
    coder = _coder_for(volume)

    def coded(part: NDArray[np.float32]) -> tuple[bytes, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        averaged = _averaged(part, reduced)
        return _deflated(_residuals(coder.codes(averaged))), _lines_with(averaged > coder.body_above)

    with ThreadPoolExecutor(_THREADS) as pool:
        blocks, lines = zip(*pool.map(coded, volume.voxels), strict=True)
    depth, height, width = volume.shape
    return EncodedVolume(
        shape=(depth, -(-height // reduced), -(-width // reduced)),
        full_shape=volume.shape,
        reduced=reduced,
        affine=_reduced_affine(volume.affine, reduced),
        modality=volume.modality,
        stretches=coder.stretches,
        shown=coder.shown,
        body=(_stretch_of([rows for rows, _ in lines]), _stretch_of([columns for _, columns in lines])),
        blocks=blocks,
    )


def write_stream(encoded: EncodedVolume, label_map: Volume | None, path: Path, first_slice: int) -> dict[str, Any]:
    """Write label map and slices to `path`, nearest to `first_slice` first, and give the header the browser needs.

    The header is JSON-able: `shape`, `full_shape`, `reduced`, `spacing_mm`, `affine` (nested lists), `modality`,
    `stretches` ([count, first, step] each), `shown`, `body`, `labels` (None, or `start` and `shape` of the box that
    holds every label, and its `bytes`, which stand first in the file), `order` and `lengths` (the slices as they
    follow, and their bytes). Raises UserError for a label map of another shape than the scan's, and for a slice outside
    it.
    """
    depth = encoded.shape[0]
    if not 0 <= first_slice < depth:
        raise UserError(f"first slice {first_slice}; expected 0 to {depth - 1}; choose one of the scan's")
    if label_map is not None and label_map.shape != encoded.full_shape:
        raise UserError(f"label map of shape {label_map.shape}; expected {encoded.full_shape}; resample it to the scan")
    order = sorted(range(depth), key=lambda index: (abs(index - first_slice), index))
    labels, label_block = label_box(label_map, encoded.reduced)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(label_block)
        for index in order:
            stream.write(encoded.blocks[index])
    return {
        "shape": list(encoded.shape),
        "full_shape": list(encoded.full_shape),
        "reduced": encoded.reduced,
        "spacing_mm": list(encoded.spacing_mm),
        "affine": encoded.affine.tolist(),
        "modality": encoded.modality,
        "stretches": [[one.count, one.first, one.step] for one in encoded.stretches],
        "shown": list(encoded.shown),
        "body": [list(one) for one in encoded.body],
        "labels": labels,
        "order": order,
        "lengths": [len(encoded.blocks[index]) for index in order],
    }


def label_box(label_map: Volume | None, reduced: int) -> tuple[dict[str, Any] | None, bytes]:
    """Header (`start`, `shape`, `bytes`) and deflated bytes of the box that holds every label; (None, nothing) where
    there is none."""
    if label_map is None:
        return None, b""
    depths = np.flatnonzero(label_map.voxels.any(axis=(1, 2)))
    if not depths.size:
        return None, b""
    part = label_map.voxels[depths[0] : depths[-1] + 1].astype(np.uint8)
    if reduced > 1:
        part = np.stack([_reduced_labels(one, reduced) for one in part])
    rows = np.flatnonzero(part.any(axis=(0, 2)))
    columns = np.flatnonzero(part.any(axis=(0, 1)))
    box = np.ascontiguousarray(part[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    block = zlib.compress(box.tobytes(), 6)
    start = [int(depths[0]), int(rows[0]), int(columns[0])]
    return {"start": start, "shape": list(box.shape), "bytes": len(block)}, block


@dataclass(frozen=True, eq=False)
class _Coder:
    """Values to codes: value - low, divided by step, rounded; through `table` where the steps are not even."""

    low: float
    step: float
    table: NDArray[np.int16]
    stretches: tuple[Stretch, ...]
    shown: tuple[float, float]
    body_above: float

    def codes(self, part: NDArray[np.float32]) -> NDArray[np.int16]:
        """Codes (H, W) of one slice; what is no number counts as the lowest value."""
        place = part - np.float32(self.low)
        if self.step != 1.0:
            place *= np.float32(1.0 / self.step)
        np.rint(place, out=place)
        np.nan_to_num(place, copy=False, nan=0.0)
        np.clip(place, 0, self.table.size - 1, out=place)
        return self.table[place.astype(np.int32)]


def _coder_for(volume: Volume) -> _Coder:
    if volume.modality == "CT":
        return _hu_coder()
    if volume.modality == GREY:
        stretch = Stretch(_GREY_LEVELS, 0.0, 1.0)
        return _Coder(0.0, 1.0 / 255.0, np.arange(_GREY_LEVELS, dtype=np.int16), (stretch,), (0.0, 255.0), _BODY_SHARE)
    finite = volume.voxels[np.isfinite(volume.voxels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    step = (high - low) / (_MR_LEVELS - 1) or 1.0
    # A sample is enough to find where the tissue ends and the few brightest voxels begin.
    bright = float(np.percentile(finite[:: max(1, finite.size // 200_000)], 99.5)) if finite.size else high
    shown = (low, bright if bright > low else high)
    body_above = low + _BODY_SHARE * (shown[1] - low)
    table = np.arange(_MR_LEVELS, dtype=np.int16)
    return _Coder(low, step, table, (Stretch(_MR_LEVELS, low, step),), shown, body_above)


def _hu_coder() -> _Coder:
    """One entry a whole HU from just below the first stretch to the end of the last."""
    end = _HU_STRETCHES[-1][1]
    hu = np.arange(_AIR_BELOW_HU - 1, end + 1)
    table = np.zeros(hu.size, dtype=np.int16)
    stretches = [Stretch(1, float(_AIR_SHOWN_HU), 1.0)]
    used = 1
    for first, last, step in _HU_STRETCHES:
        inside = (hu >= first) & (hu < last)
        table[inside] = used + (hu[inside] - first) // step
        # A code of several HU stands for the middle of them.
        stretches.append(Stretch((last - first) // step, first + (step - 1) / 2, float(step)))
        used += (last - first) // step
    table[hu >= end] = used
    stretches.append(Stretch(1, float(end), 1.0))
    return _Coder(float(_AIR_BELOW_HU - 1), 1.0, table, tuple(stretches), (0.0, 80.0), _BODY_ABOVE_HU)


def _lines_with(body: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows (H,) and which columns (W,) of a slice's mask (H, W) hold a good part of body."""
    height, width = body.shape
    return (
        np.count_nonzero(body, axis=1) > _LEAST_OF_A_LINE * width,
        np.count_nonzero(body, axis=0) > _LEAST_OF_A_LINE * height,
    )


def _stretch_of(lines: list[NDArray[np.bool_]]) -> tuple[int, int]:
    """From the first to the end of the last line that is set in any slice; all of them where none is."""
    found = np.flatnonzero(np.any(lines, axis=0))
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, lines[0].size)


def _residuals(codes: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Differences (H, W) from the median edge detector's prediction, folded: 0, -1, 1, -2 become 0, 1, 2, 3.

    Outside the slice stands code 0, so that the first row is predicted from the left and the first column from above.
    """
    left, above, corner = (np.zeros_like(codes) for _ in range(3))
    left[:, 1:] = codes[:, :-1]
    above[1:] = codes[:-1]
    corner[1:, 1:] = codes[:-1, :-1]
    predicted = left + above
    predicted -= corner
    np.clip(predicted, np.minimum(left, above), np.maximum(left, above), out=predicted)
    difference = codes - predicted
    return ((difference << 1) ^ (difference >> 15)).view(np.uint16)


def _deflated(residuals: NDArray[np.uint16]) -> bytes:
    low = (residuals & 0xFF).astype(np.uint8)
    high = (residuals >> 8).astype(np.uint8)
    # Noise has no repeats worth searching for: runs and Huffman codes alone are smaller than level 6, and far faster.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return packer.compress(low.tobytes()) + packer.compress(high.tobytes()) + packer.flush()


def _reduced_labels(part: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Labels (H, W) by blocks: whatever there is in a block, blood before the ventricles that it lies in."""
    highest = max(LABEL_IDS.values())
    blood, all_of_it = (_blocks(one, factor).max(axis=(1, 3)) for one in (np.where(part > highest, 0, part), part))
    return np.asarray(np.where(blood > 0, blood, all_of_it), dtype=np.uint8)


def _factor(shape: tuple[int, int, int]) -> int:
    """The least whole factor that brings a series to `MAX_VOXELS` when its slices are reduced by it.

    >>> _factor((40, 512, 512)), _factor((300, 512, 512))
    (1, 2)
    """
    depth, height, width = shape
    factor = 1
    while depth * -(-height // factor) * -(-width // factor) > MAX_VOXELS:
        factor += 1
    return factor


def _blocks(part: NDArray[Any], factor: int) -> NDArray[Any]:
    """One slice (H, W) as (rows, factor, columns, factor), its last row and column repeated where they do not fit."""
    height, width = part.shape
    padded = np.pad(part, ((0, -height % factor), (0, -width % factor)), mode="edge")
    return padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)


def _averaged(part: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    return part if factor == 1 else _blocks(part, factor).mean(axis=(1, 3), dtype=np.float32)


def _reduced_affine(affine: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    to_full = np.diag([1.0, factor, factor, 1.0])
    to_full[1:3, 3] = (factor - 1) / 2
    return np.asarray(affine @ to_full, dtype=np.float64)
