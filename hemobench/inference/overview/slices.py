"""Slices of a scan as pictures for people: cut to the head, in true proportions, the label map as tint and outline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from hemobench.inference.overview.canvas import Colour
from hemobench.inference.overview.style import TYPE_COLOURS, VENTRICLE_COLOUR
from hemobench.inference.report import StudyReport
from hemobench.labels import LABEL_IDS
from hemobench.views.windows import to_grey_uint8
from hemobench.volume import GREY, Volume

WINDOW = "brain"
# What a display of MR, which has no unit, spreads over its greys.
MR_PERCENTILES = (0.5, 99.5)
_TINT = 0.32
_OUTLINE_BLUR_PIXELS = 0.7
# For finding the head: every how many pixels is looked at, and from which grey on there is something.
_HEAD_STEP = 4
_HEAD_SLICES = 24
_HEAD_GREY = 26
_HEAD_MARGIN = 0.05
# Of a slice's pixels, below which it shows air and no head.
_AIR_SHARE = 0.01
# Half of the widest stroke of burned-in letters.
_LETTER_PIXELS = 3

BLOOD_COLOURS: Mapping[int, Colour] = {number: TYPE_COLOURS[name] for name, number in LABEL_IDS.items()}
VENTRICLE_COLOURS: Mapping[int, Colour] = {1: VENTRICLE_COLOUR}
RGB = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SlicePictures:
    """Draws slices of `volume` (D, H, W) with `label_map` (D, H, W) of ids on top in `colours`, keyed by id.

    `ventricles` (D, H, W), a mask, are drawn below it as a line alone, so that what is in them is seen.
    """

    volume: Volume
    label_map: NDArray[np.integer] | None
    colours: Mapping[int, Colour]
    ventricles: NDArray[np.integer] | None = None

    def axial(self, index: int, width: int, height: int, *, labels: bool = True, window: str = WINDOW) -> RGB:
        """Slice `index`, cut to the head and fitted into (height, width, 3), black around it; CT through `window`."""
        rows, columns = self.head
        _, row_mm, column_mm = self.volume.spacing_mm
        grey = self.grey(self.volume.voxels[index, rows, columns], window)
        place = (index, rows, columns) if labels else None
        return self._fitted(grey, place, row_mm / column_mm, width, height)

    def coronal(self, row: int, width: int, height: int) -> RGB:
        """The plane through `row`, the top of the head up, fitted like `axial`."""
        columns = self.head[1]
        depth_mm, _, column_mm = self.volume.spacing_mm
        grey = self.grey(self.volume.voxels[::-1, row, columns])
        return self._fitted(grey, (slice(None, None, -1), row, columns), depth_mm / column_mm, width, height)

    @cached_property
    def head(self) -> tuple[slice, slice]:
        """Rows and columns of the box around the head, with a margin; the whole slice where nothing stands out."""
        depth = self.volume.shape[0]
        chosen = np.unique(np.linspace(0, depth - 1, min(depth, _HEAD_SLICES)).astype(int))
        coarse = self.volume.voxels[chosen][:, ::_HEAD_STEP, ::_HEAD_STEP]
        shown = (self.grey(coarse) > _HEAD_GREY).max(axis=0)
        # Opened first, so that the couch and the tube's shadow fall off.
        parts, count = ndimage.label(ndimage.binary_opening(shown, iterations=2))
        if count == 0:
            return slice(None), slice(None)
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        rows, columns = ndimage.find_objects(parts)[largest - 1]
        _, height, width = self.volume.shape
        return _widened(rows, height), _widened(columns, width)

    @cached_property
    def head_aspect(self) -> float:
        """Height of the head's box over its width, in millimetres."""
        rows, columns = self.head
        _, row_mm, column_mm = self.volume.spacing_mm
        _, height, width = self.volume.shape
        return len(range(height)[rows]) * row_mm / (len(range(width)[columns]) * column_mm)

    @cached_property
    def span(self) -> tuple[int, int]:
        """First and last slice that show more than air."""
        coarse = self.volume.voxels[:, ::_HEAD_STEP, ::_HEAD_STEP]
        filled = (self.grey(coarse) > _HEAD_GREY).mean(axis=(1, 2)) > _AIR_SHARE
        shown = np.flatnonzero(filled)
        return (int(shown[0]), int(shown[-1])) if len(shown) else (0, self.volume.shape[0] - 1)

    @cached_property
    def _mr_range(self) -> tuple[float, float]:
        low, high = np.percentile(self.volume.voxels[::2, ::_HEAD_STEP, ::_HEAD_STEP], MR_PERCENTILES)
        return float(low), float(max(high, low + 1e-6))

    def grey(self, voxels: NDArray[Any], window: str = WINDOW) -> NDArray[np.uint8]:
        """Voxels of the volume as greys 0..255, CT through `window`."""
        if self.volume.modality == "CT":
            return to_grey_uint8(voxels, window)
        low, high = (0.0, 1.0) if self.volume.modality == GREY else self._mr_range
        scaled = (np.asarray(voxels, dtype=np.float32) - low) * np.float32(255 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)

    def _fitted(
        self, grey: NDArray[np.uint8], place: tuple[Any, ...] | None, pixel_aspect: float, width: int, height: int
    ) -> RGB:
        """A plane as RGB; place: where it lies in the label map and the ventricles, None where they stay away."""
        rows, columns = grey.shape
        scale = min(width / columns, height / (rows * pixel_aspect))
        size = max(1, round(columns * scale)), max(1, round(rows * pixel_aspect * scale))
        resized = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS)
        rgb = np.repeat(np.asarray(resized, dtype=np.float32)[..., None], 3, axis=-1)
        inside = None if place is None or self.ventricles is None else self.ventricles[place] > 0
        if inside is not None and inside.any():
            rgb = _tinted(rgb, inside, VENTRICLE_COLOUR, tint=0.0)
        labels = None if place is None or self.label_map is None else self.label_map[place]
        for number, colour in self.colours.items():
            if labels is not None and np.any(labels == number):
                rgb = _tinted(rgb, labels == number, colour)
        page = np.zeros((height, width, 3), dtype=np.uint8)
        top, left = (height - size[1]) // 2, (width - size[0]) // 2
        page[top : top + size[1], left : left + size[0]] = np.rint(rgb)
        return page


def _tinted(
    rgb: NDArray[np.float32], mask: NDArray[np.bool_], colour: Colour, tint: float = _TINT
) -> NDArray[np.float32]:
    """The picture with a mask of any resolution as a tint, and a full-coloured line where its border is."""
    size = (rgb.shape[1], rgb.shape[0])
    smooth = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    # Enlarged, a border is a ramp as wide as the enlargement: made steep again, so that lines stay thin.
    enlarged = max(1.0, size[0] / mask.shape[1], size[1] / mask.shape[0])
    steep = smooth.point([min(255, max(0, round(127.5 + enlarged * (level - 127.5)))) for level in range(256)])
    blurred = steep.filter(ImageFilter.GaussianBlur(_OUTLINE_BLUR_PIXELS))
    cover = np.asarray(blurred, dtype=np.float32)[..., None] / 255
    # 4 c (1 - c) is 1 on the border and falls to both sides: a smooth line of about two pixels.
    line = np.clip(1.5 * (4 * cover * (1 - cover)) - 0.25, 0, 1)
    strength = np.maximum(tint * cover, line)
    return np.asarray(rgb + strength * (np.asarray(colour, dtype=np.float32) - rgb), dtype=np.float32)


def _widened(span: slice, size: int) -> slice:
    """A span in coarse pixels as one in pixels of an axis of `size`, with a margin."""
    start, stop = span.start * _HEAD_STEP, span.stop * _HEAD_STEP
    margin = _HEAD_STEP + round(_HEAD_MARGIN * (stop - start))
    return slice(max(0, start - margin), min(size, stop + margin))


def pictures_of(report: StudyReport) -> SlicePictures:
    """Pictures of a report's scan with what was outlined. The report must have its scan."""
    assert report.scan is not None
    # The report knows better than a file that does not say what it is.
    modality = "MR" if report.source.modality == "MR" else report.scan.volume.modality
    volume = report.scan.volume.with_voxels(np.asarray(report.scan.volume.voxels), modality)
    if report.scan.burned_in:
        volume = head_alone(volume)
    labels = None if report.label_map is None else np.asarray(report.label_map.voxels)
    beside = None if report.ventricle_map is None else np.asarray(report.ventricle_map.voxels)
    return SlicePictures(volume, labels, VENTRICLE_COLOURS if report.ventricles_alone else BLOOD_COLOURS, beside)


def head_alone(volume: Volume) -> Volume:
    """The volume with all that is outside the head's outline as dark as its darkest voxel: text beside the head, which
    may name a patient, and the couch."""
    voxels = np.asarray(volume.voxels)
    pictures = SlicePictures(volume, None, {})
    kept = np.empty(voxels.shape, dtype=bool)
    for index, plane in enumerate(voxels):
        # Opened, letters fall off: their strokes are thinner than a scalp.
        shown = ndimage.binary_opening(pictures.grey(plane) > _HEAD_GREY, iterations=_LETTER_PIXELS)
        parts, count = ndimage.label(shown)
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:])) if count else 0
        outline = ndimage.binary_fill_holes(parts == largest) if count else np.zeros(plane.shape, dtype=bool)
        kept[index] = ndimage.binary_dilation(outline) if count else False
    return volume.with_voxels(np.where(kept, voxels, voxels.min()), volume.modality)


def fullest_slice(labels: NDArray[np.integer]) -> int | None:
    """The slice (of the first axis) with most labelled voxels, None where there are none."""
    areas = np.count_nonzero(labels, axis=(1, 2))
    return int(np.argmax(areas)) if areas.any() else None


def even_slices(first: int, last: int, count: int, wanted: Iterable[int] = ()) -> list[int]:
    """At most `count` slices from `first` to `last`, evenly chosen, each of `wanted` in the place of its nearest one.

    `wanted` are within the span; more of them than `count` are all kept.

    >>> even_slices(0, 30, 4), even_slices(0, 30, 4, wanted=[12, 22])
    ([0, 10, 20, 30], [0, 12, 22, 30])
    """
    kept = sorted(set(wanted))
    chosen = np.unique(np.rint(np.linspace(first, last, min(count, last - first + 1))).astype(int)).tolist()
    for index in kept:
        others = [one for one in chosen if one not in kept]
        if index not in chosen and others:
            chosen.remove(min(others, key=lambda one: abs(one - index)))
        if index not in chosen:
            chosen.append(index)
    return sorted(chosen)
