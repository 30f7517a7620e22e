"""The overview's card along the scan: probabilities slice by slice, and which slices each lesion takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.inference.overview.canvas import FAINT, MUTED, PANEL, RULE, TEXT, Canvas, Colour, mixed
from hemobench.inference.overview.style import ANY_COLOUR, MOST_MARKED, TYPE_COLOURS, VENTRICLE_COLOUR
from hemobench.inference.report import StudyReport
from hemobench.labels import SUBTYPES
from hemobench.volume import slice_number

_CURVE_HEIGHT = 92
_ROW = 17
_SPAN = 5
_LABELS_WIDTH = 128
_EMPTY: Colour = mixed(PANEL, RULE, 0.5)


@dataclass(frozen=True, eq=False)
class Curve:
    """A value from 0 to 1 for each slice (NaN where there is none), and what 1 stands for."""

    name: str
    values: NDArray[np.float64]
    colour: Colour
    top: str


class Profile:
    """What the card shows of a report: measured first (`height`), then drawn."""

    def __init__(self, report: StudyReport) -> None:
        self.count = report.source.shape[0]
        self.curve = _curve(report)
        self.rows = [(name, values) for name in SUBTYPES if np.isfinite(values := _by_slice(report, name)).any()]
        self.lesions = report.lesions[:MOST_MARKED]

    @property
    def height(self) -> int:
        """Pixels it takes; 0 where there is nothing to show along the scan."""
        if self.count == 1 or self.curve is None:
            return 0
        return _CURVE_HEIGHT + 8 + _ROW * len(self.rows) + self._spans_height + 34

    @property
    def _spans_height(self) -> int:
        return max(_ROW, _SPAN * len(self.lesions)) + 6 if self.lesions else 0

    def draw(self, canvas: Canvas, left: int, right: int, top: int, shown: Sequence[int]) -> None:
        """Draw it; `shown` are the slices that the page has as pictures."""
        assert self.curve is not None
        edges = np.rint(np.linspace(left + _LABELS_WIDTH, right, self.count + 1)).astype(int)
        y = _draw_curve(canvas, left, edges, top, self.curve) + 8
        for name, values in self.rows:
            _draw_row(canvas, left, edges, y, name, values)
            y += _ROW
        if self.lesions:
            self._draw_spans(canvas, left, edges, y + 4)
            y += self._spans_height
        for index in shown:
            canvas.tick((int(edges[index]) + int(edges[index + 1])) // 2, y + 3, y + 8, FAINT)
        canvas.text(int(edges[0]), y + 20, f"slice {slice_number(0)}", 13, FAINT, anchor="lm")
        canvas.text((int(edges[0]) + right) / 2, y + 20, "tick: shown", 13, FAINT, anchor="mm")
        canvas.text(right, y + 20, str(slice_number(self.count - 1)), 13, FAINT, anchor="rm")

    def _draw_spans(self, canvas: Canvas, left: int, edges: NDArray[np.int_], top: int) -> None:
        canvas.text(left, top + self._spans_height / 2 - 4, "lesions", 14, MUTED, anchor="lm")
        offset = top + (self._spans_height - 6 - _SPAN * len(self.lesions)) // 2
        for number, lesion in enumerate(self.lesions):
            y = offset + _SPAN * number
            box = (int(edges[lesion.first_slice]), y, int(edges[lesion.last_slice + 1]), y + 3)
            canvas.fill(box, TYPE_COLOURS[lesion.subtype])


def _curve(report: StudyReport) -> Curve | None:
    """The probability of any blood, without one the area of the ventricles, None where neither is there."""
    values = _by_slice(report, "any")
    if np.isfinite(values).any():
        return Curve("any", values, ANY_COLOUR, "1")
    outlined = report.label_map if report.ventricles_alone else report.ventricle_map
    if outlined is None:
        return None
    area = np.count_nonzero(outlined.voxels, axis=(1, 2)).astype(np.float64)
    unit = "voxels"
    if report.source.pixel_mm is not None:
        row_mm, column_mm = report.source.pixel_mm
        area *= row_mm * column_mm / 100
        unit = "cm2"
    peak = max(float(area.max()), 1e-6)
    return Curve("area", area / peak, VENTRICLE_COLOUR, f"{peak:.3g} {unit}")


def _by_slice(report: StudyReport, name: str) -> NDArray[np.float64]:
    values = np.full(report.source.shape[0], np.nan)
    for finding in report.slices:
        values[finding.index] = finding.probabilities.get(name, np.nan)
    return values


def _draw_curve(canvas: Canvas, left: int, edges: NDArray[np.int_], top: int, curve: Curve) -> int:
    """A bar for each slice; gives the bottom."""
    bottom = top + _CURVE_HEIGHT
    first, last = int(edges[0]), int(edges[-1])
    for share in (0.0, 0.5, 1.0):
        canvas.rule(first, last, round(bottom - share * (_CURVE_HEIGHT - 1)))
    canvas.text(left, (top + bottom) / 2, curve.name, 14, TEXT, anchor="lm")
    canvas.text(first - 8, bottom - 6, "0", 12, FAINT, anchor="rm")
    canvas.text(first - 8, top + 6, curve.top, 12, FAINT, anchor="rm")
    gap = 1 if (last - first) / len(curve.values) > 4 else 0
    for index in np.flatnonzero(np.isfinite(curve.values)):
        level = min(1.0, max(0.0, float(curve.values[index])))
        box = (int(edges[index]) + gap, round(bottom - level * _CURVE_HEIGHT), int(edges[index + 1]), bottom)
        canvas.fill(box, mixed(mixed(curve.colour, PANEL, 0.55), curve.colour, level))
    return bottom


def _draw_row(
    canvas: Canvas, left: int, edges: NDArray[np.int_], top: int, name: str, values: NDArray[np.float64]
) -> None:
    """A type's row, whose cells glow with its probability."""
    bottom = top + _ROW - 3
    canvas.text(left, (top + bottom) / 2, name, 14, MUTED, anchor="lm")
    canvas.fill((int(edges[0]), top, int(edges[-1]), bottom), _EMPTY)
    for index in np.flatnonzero(np.isfinite(values)):
        level = min(1.0, max(0.0, float(values[index])))
        canvas.fill((int(edges[index]), top, int(edges[index + 1]), bottom), mixed(_EMPTY, TYPE_COLOURS[name], level))
