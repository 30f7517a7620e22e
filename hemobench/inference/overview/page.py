"""overview.png: one page that shows a report. Slices with what was outlined, probabilities along the scan, numbers.

The page names no file and holds nothing of a patient header.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hemobench.errors import UserError
from hemobench.inference.lesions import lesion_voxels
from hemobench.inference.overview.canvas import FAINT, MUTED, TEXT, Canvas, mixed, text_width
from hemobench.inference.overview.frame import MARGIN, draw_footer, draw_header, draw_swatches
from hemobench.inference.overview.panel import CARD_GAP, Panel, models_height, scan_height
from hemobench.inference.overview.slices import RGB, WINDOW, even_slices, fullest_slice, pictures_of
from hemobench.inference.overview.style import MOST_MARKED, TYPE_COLOURS, VENTRICLE_COLOUR
from hemobench.inference.report import Lesion, StudyReport
from hemobench.io.atomic import replacing
from hemobench.volume import slice_number

PAGE_WIDTH = 1640
_PANEL_WIDTH = 500
_LONGEST = 6000
_TALLEST = 820  # of one picture alone
_GAP = 6
_GUTTER = 24
_TILES, _TILES_BELOW_DETAIL = 20, 24
_COLUMNS, _COLUMNS_BELOW_DETAIL = 5, 6
# Coronal planes of fewer slices show steps and no anatomy.
_LEAST_CORONAL = 12
_ASPECTS = (0.8, 1.35)


@dataclass(frozen=True)
class _Marked:
    """A lesion and the slice where it is largest."""

    lesion: Lesion
    index: int


def write_overview(report: StudyReport, path: Path) -> None:
    """Draw `draw_overview` into a PNG file, which appears whole or not at all."""
    if path.suffix.lower() != ".png":
        raise UserError(f"output {path}; expected a name ending in .png; rename it")
    page = draw_overview(report)
    with replacing(path) as temporary:
        page.save(temporary, format="PNG")


def draw_overview(report: StudyReport) -> Image.Image:
    """One page, RGB, `PAGE_WIDTH` pixels wide and as long as the report needs.

    Left the pictures: slices evenly through the head, among them every lesion's largest one, and above them the place
    with most of it at a larger size, plain and outlined. Right what was called and measured. Raises UserError for a
    report that was read back and so has no scan.
    """
    if report.scan is None:
        raise UserError("report without its scan; expected one that analyse gave; analyse the scan again")
    canvas = Canvas(PAGE_WIDTH, _LONGEST)
    top = draw_header(canvas, "study overview")
    panel = Panel(canvas, PAGE_WIDTH - MARGIN - _PANEL_WIDTH, top, _PANEL_WIDTH)
    gallery = _Gallery(canvas, report, top, panel.left - _GUTTER)
    panel.findings(report, gallery.draw())
    return canvas.finished(draw_footer(canvas, report.notice, _place_facts(canvas, report, panel, gallery)))


def _place_facts(canvas: Canvas, report: StudyReport, panel: Panel, gallery: _Gallery) -> int:
    """Put the cards about scan and models where the page stays shortest; gives its bottom."""
    whole = gallery.right - gallery.left
    half = (whole - _GUTTER) // 2
    under = [Panel(canvas, gallery.left, gallery.bottom, width) for width in (whole, half)]
    beside = Panel(canvas, gallery.right - half, gallery.bottom, half)
    choices = ((panel, panel), (under[0], panel), (under[1], beside))
    ends = [_bottom(report, scan, models) for scan, models in choices]
    scan, models = choices[ends.index(min(ends))]
    scan.scan(report.source)
    models.models(report)
    return max(panel.bottom, gallery.bottom, min(ends))


def _bottom(report: StudyReport, scan: Panel, models: Panel) -> int:
    """Where the lower of both cards would end: the scan's in one column, the models' in another or below it."""
    scan_end = scan.bottom + scan_height(report.source, scan.right - scan.left)
    begin = scan_end if models is scan else models.bottom
    return max(scan_end, begin + models_height(report)) + CARD_GAP


class _Gallery:
    """The left side: what the colours mean, the detail, the montage, from top to bottom."""

    def __init__(self, canvas: Canvas, report: StudyReport, top: int, right: int) -> None:
        assert report.scan is not None
        self.canvas, self.report, self.bottom = canvas, report, top
        self.left, self.right = MARGIN, right
        self.pictures = pictures_of(report)
        self.volume, self.labels = self.pictures.volume, self.pictures.label_map
        self.aspect = min(max(self.pictures.head_aspect, _ASPECTS[0]), _ASPECTS[1])
        self.marked = _largest_slices(report)
        outlined = [one for one in (self.labels, self.pictures.ventricles) if one is not None and one.any()]
        # What is shown at a larger size: of blood where there is some, else of the ventricles.
        self.outlined = outlined[0] if outlined else None
        self.fullest = None if self.outlined is None else fullest_slice(self.outlined)

    def draw(self) -> list[int]:
        """Draw all of it; gives the slices that are shown."""
        self._legend()
        single = self.volume.shape[0] == 1
        if single or self.fullest is not None:
            self._detail(0 if self.fullest is None else self.fullest)
        return [0] if single else self._montage()

    def _legend(self) -> None:
        """Window and colours, in a line above the pictures."""
        greys = "grey levels of the picture" if self.report.source.modality == "grey" else "grey levels of the scan"
        window = f"{WINDOW} window" if self.report.source.modality == "CT" else greys
        x = self.left + self.canvas.text(self.left, self.bottom + 8, window, 14, MUTED, anchor="lm") + 22
        of_blood = self.labels is not None and not self.report.ventricles_alone
        entries = list(TYPE_COLOURS.items()) if of_blood else []
        entries += [("ventricles", VENTRICLE_COLOUR)] if self.report.ventricles is not None else []
        draw_swatches(self.canvas, x, self.bottom + 8, entries)
        self.bottom += 26

    def _detail(self, index: int) -> None:
        """One slice at a larger size: plain, with what was outlined, and the coronal plane through it."""
        known = self.report.source.spacing_mm is not None
        with_coronal = known and self.fullest is not None and self.volume.shape[0] >= _LEAST_CORONAL
        count = 1 if self.fullest is None else 3 if with_coronal else 2
        whole = self.right - self.left
        width = (whole - (count - 1) * _GAP) // count
        if count == 1:
            width = min(width, round(_TALLEST / self.aspect))
        height = round(width * self.aspect)
        first = self.left + (whole - count * width - (count - 1) * _GAP) // 2
        name = f"slice {slice_number(index)}"
        drawn: list[tuple[RGB, str]] = [(self.pictures.axial(index, width, height, labels=False), name)]
        if self.fullest is not None:
            drawn.append((self.pictures.axial(index, width, height), f"{name}, outlined"))
        if with_coronal and self.outlined is not None:
            row = int(np.argmax(np.count_nonzero(self.outlined[index], axis=1)))
            drawn.append((self.pictures.coronal(row, width, height), f"coronal, row {row}"))
        for number, (picture, caption) in enumerate(drawn):
            x = first + number * (width + _GAP)
            self.canvas.picture(x, self.bottom, picture)
            self.canvas.outlined_text(x + 10, self.bottom + 8, caption, 16, TEXT)
            self.canvas.outlined_text(x + 10, self.bottom + height // 2, "R", 16, MUTED, anchor="lm")
        self.bottom += height + 16

    def _montage(self) -> list[int]:
        """Tiles in rows; gives the slices that they show."""
        below = self.fullest is not None
        most = _TILES_BELOW_DETAIL if below else _TILES
        first, last = self.pictures.span
        wanted = [one.index for one in self.marked]
        shown = even_slices(min([first, *wanted]), max([last, *wanted]), most, wanted)
        columns = min(len(shown), _COLUMNS_BELOW_DETAIL if below else _COLUMNS)
        width = (self.right - self.left - (columns - 1) * _GAP) // columns
        # Few slices would be huge: half the side is as large as one need be.
        width = min(width, (self.right - self.left - _GAP) // 2)
        height = round(width * self.aspect)
        for number, index in enumerate(shown):
            x = self.left + (number % columns) * (width + _GAP)
            y = self.bottom + (number // columns) * (height + _GAP)
            self.canvas.picture(x, y, self.pictures.axial(index, width, height))
            self._captions(index, (x, y, x + width, y + height))
        rows = -(-len(shown) // columns)
        self.bottom += rows * (height + _GAP) + 12
        return shown

    def _captions(self, index: int, box: tuple[int, int, int, int]) -> None:
        """Number of the slice, its probability, and the lesions that are largest on it, with a frame."""
        left, top, right, bottom = box
        here = [one.lesion for one in self.marked if one.index == index]
        self.canvas.outlined_text(left + 7, top + 5, str(slice_number(index)), 15, TEXT)
        finding = next((one for one in self.report.slices if one.index == index), None)
        if finding is not None and "any" in finding.probabilities:
            shade = mixed(FAINT, TEXT, min(1.0, finding.probabilities["any"]))
            self.canvas.outlined_text(right - 7, top + 5, f"{finding.probabilities['any']:.2f}", 14, shade, "ra")
        x = left + 7.0
        for lesion in here:
            name = f"#{lesion.number}"
            if x + text_width(name, 14) < right:
                self.canvas.outlined_text(x, bottom - 6, name, 14, TYPE_COLOURS[lesion.subtype], "ld")
            x += text_width(name, 14) + 8
        if here:
            self.canvas.frame(box, TYPE_COLOURS[here[0].subtype], 2)


def _largest_slices(report: StudyReport) -> list[_Marked]:
    """The largest lesions with the slice where each has most voxels."""
    if report.label_map is None or not report.lesions:
        return []
    voxels = [index for _, index in lesion_voxels(report.label_map)]
    return [
        _Marked(lesion, int(np.bincount(index[:, 0]).argmax()))
        for lesion, index in zip(report.lesions[:MOST_MARKED], voxels, strict=False)
    ]
