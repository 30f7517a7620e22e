"""A contact sheet: a panel for each case of a data set, what the networks said of it beside what its labels say.

The page holds nothing of a patient but the picture and the name that its maker gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.inference.overview.canvas import FAINT, MUTED, PAGE, PANEL, TEXT, Canvas, Colour, text_width, wrapped
from hemobench.inference.overview.frame import MARGIN, draw_footer, draw_header, draw_swatches
from hemobench.inference.overview.page import PAGE_WIDTH
from hemobench.inference.overview.panel import verdict
from hemobench.inference.overview.slices import RGB, WINDOW, SlicePictures, fullest_slice, pictures_of
from hemobench.inference.overview.style import (
    CAUTION,
    TYPE_COLOURS,
    VENTRICLE_COLOUR,
    counted,
    millilitres,
)
from hemobench.inference.report import NOTICE, ModelUsed, StudyReport, Ventricles
from hemobench.inference.study_sentence import verdict_of
from hemobench.labels import SUBTYPES
from hemobench.volume import slice_number

COLUMNS = 3
LABELS = ", labels"
_GUTTER = 20
_GAP = 4
_ASPECT = 1.2
_HEAD, _LINE, _PAD = 40, 21, 10
_TEXT_LINES = 4
_MOST_NOTES = 4


@dataclass(frozen=True, eq=False)
class Truth:
    """What a case's labels say. bleeds: None where nobody said. types: those that are present. slices: (D,) bool, where
    labels are of slices. label_map: (D, H, W) ids, or 1 for ventricles; volume_ml of it, where millimetres are known.
    """

    bleeds: bool | None = None
    types: tuple[str, ...] = ()
    slices: NDArray[np.bool_] | None = None
    label_map: NDArray[np.uint8] | None = None
    volume_ml: float | None = None


@dataclass(frozen=True, eq=False)
class SheetPanel:
    """One case, drawn: its name, two pictures of (height, width, 3), the networks' and the labels' words below them."""

    name: str
    headline: str
    colour: Colour
    pictures: tuple[tuple[RGB, str], tuple[RGB, str]]
    lines: tuple[tuple[str, Colour], ...]
    bleeds: bool | None
    mark: str
    window: str
    threshold: float | None
    ventricles: bool = False


def sheet_panel(report: StudyReport, truth: Truth, name: str) -> SheetPanel:
    """The panel of an analysed scan, which it does not keep: the slice with the largest outline, else the likeliest.

    Left the slice as it is, or outlined as labelled where the labels are of voxels; right as the networks outlined it.
    """
    pictures = pictures_of(report)
    index = shown_slice(report)
    width = ((PAGE_WIDTH - 2 * MARGIN - (COLUMNS - 1) * _GUTTER) // COLUMNS - _GAP) // 2
    height = round(width * _ASPECT)
    left, said = pictures.axial(index, width, height, labels=False), f"slice {slice_number(index)}"
    if truth.label_map is not None:
        labelled = SlicePictures(pictures.volume, truth.label_map, pictures.colours)
        left, said = labelled.axial(index, width, height), f"slice {slice_number(index)}{LABELS}"
    maps = (pictures.label_map, pictures.ventricles)
    outlined = any(one is not None and bool(one[index].any()) for one in maps)
    right = pictures.axial(index, width, height), "outlined" if outlined else "nothing outlined"
    headline, _, colour = verdict(report)
    probability = report.study.probabilities.get("any")
    return SheetPanel(
        name=name,
        headline=headline + ("" if probability is None else f", {probability:.2f}"),
        colour=colour,
        pictures=((left, said), right),
        lines=(*_network_lines(report), (_label_words(truth, index), MUTED)),
        bleeds=truth.bleeds,
        mark=_disagreement(report, truth),
        threshold=report.study.calls["any"].threshold if "any" in report.study.calls else None,
        window=f"{WINDOW} window" if report.source.modality == "CT" else "grey levels of the scan",
        ventricles=report.ventricles is not None,
    )


def shown_slice(report: StudyReport) -> int:
    """Where most blood is outlined, else most of the ventricles; without any outline where blood is likeliest; without
    either the middle."""
    if report.label_map is not None:
        fullest = fullest_slice(np.asarray(report.label_map.voxels))
        if fullest is not None:
            return fullest
    if report.ventricle_map is not None and report.ventricle_map.voxels.any():
        return fullest_slice(np.asarray(report.ventricle_map.voxels)) or 0
    known = [one for one in report.slices if "any" in one.probabilities]
    if known:
        return max(known, key=lambda one: one.probabilities["any"]).index
    return report.source.shape[0] // 2


def draw_sheet(
    panels: Sequence[SheetPanel], title: str, models: Sequence[ModelUsed], notes: Sequence[str] = ()
) -> Image.Image:
    """One page, RGB: panels with blood by their labels, then those without, then those that nobody labelled.

    notes: lines that a reader must know, above the pictures.
    """
    groups = [
        (words, [one for one in panels if one.bleeds is bleeds])
        for words, bleeds in (("labelled with haemorrhage", True), ("labelled without", False), ("not labelled", None))
    ]
    rows = sum(-(-len(group) // COLUMNS) for _, group in groups)
    canvas = Canvas(PAGE_WIDTH, 400 + 24 * (len(notes) + len(models)) + rows * (_panel_height() + _GUTTER) + 40 * 3)
    y = _legend(canvas, draw_header(canvas, title), panels, notes)
    for words, group in groups:
        if not group:
            continue
        if any(one.bleeds is not None for one in panels):
            canvas.text(MARGIN, y, f"{words}: {len(group)}".upper(), 13, MUTED)
            y += 26
        for number, panel in enumerate(group):
            wide = _panel_width()
            x = MARGIN + number % COLUMNS * (wide + _GUTTER)
            _draw_panel(canvas, panel, (x, y + number // COLUMNS * (_panel_height() + _GUTTER)))
        y += -(-len(group) // COLUMNS) * (_panel_height() + _GUTTER) + 4
    for model in models:
        revision = f" @ {model.revision[:8]}" if model.revision else ""
        words = f"{model.role}: {model.name}{revision}, weights {model.sha256[:8]}, {model.engine}"
        canvas.text(MARGIN, y, words, 14, MUTED, limit=PAGE_WIDTH - 2 * MARGIN)
        y += 21
    return canvas.finished(draw_footer(canvas, NOTICE, y + 10))


def _panel_width() -> int:
    return (PAGE_WIDTH - 2 * MARGIN - (COLUMNS - 1) * _GUTTER) // COLUMNS


def _panel_height() -> int:
    return _HEAD + round((_panel_width() - _GAP) // 2 * _ASPECT) + _TEXT_LINES * _LINE + 2 * _PAD


def _legend(canvas: Canvas, top: int, panels: Sequence[SheetPanel], notes: Sequence[str]) -> int:
    labelled = any(words.endswith(LABELS) for panel in panels for _, words in panel.pictures[:1])
    left = "with what was labelled" if labelled else "the slice as it is"
    windows = " or ".join(dict.fromkeys(panel.window for panel in panels))
    words = f"{windows}; left {left}, right with what the networks outlined"
    x = MARGIN + canvas.text(MARGIN, top + 8, words, 14, MUTED, anchor="lm") + 22
    entries = list(TYPE_COLOURS.items()) if any(panel.colour != VENTRICLE_COLOUR for panel in panels) else []
    entries += [("ventricles", VENTRICLE_COLOUR)] if any(panel.ventricles for panel in panels) else []
    x = draw_swatches(canvas, x, top + 8, entries)
    thresholds = sorted({f"{panel.threshold:.2f}" for panel in panels if panel.threshold is not None})
    if thresholds:
        told = f"haemorrhage is called from {' or '.join(thresholds)} on"
        canvas.text(x + 4, top + 8, told, 14, MUTED, anchor="lm", limit=PAGE_WIDTH - MARGIN - x - 4)
    y = top + 28
    for note in notes[:_MOST_NOTES]:
        for line in wrapped(note, 14, PAGE_WIDTH - 2 * MARGIN - 16, 2):
            canvas.fill((MARGIN, y + 5, MARGIN + 5, y + 10), CAUTION)
            canvas.text(MARGIN + 16, y, line, 14, MUTED)
            y += 21
    return y + 10


def _draw_panel(canvas: Canvas, panel: SheetPanel, corner: tuple[int, int]) -> None:
    x, y = corner
    wide = _panel_width()
    canvas.fill((x, y, x + wide, y + _panel_height()), PANEL, radius=6)
    canvas.fill((x, y, x + 6, y + _HEAD), panel.colour)
    middle, end = y + _HEAD // 2, x + wide - _PAD
    if panel.mark:
        end -= round(text_width(panel.mark, 13)) + 12
        canvas.fill((end, middle - 10, x + wide - _PAD, middle + 10), CAUTION, radius=4)
        canvas.text(end + 6, middle, panel.mark, 13, PAGE, anchor="lm")
    begin = x + 18 + canvas.text(x + 18, middle, panel.name, 17, MUTED, anchor="lm", limit=150) + 12
    canvas.text(begin, middle, panel.headline, 17, TEXT, anchor="lm", bold=True, limit=end - 8 - begin)
    y += _HEAD
    for number, (picture, words) in enumerate(panel.pictures):
        left = x + number * (picture.shape[1] + _GAP)
        canvas.picture(left, y, picture)
        canvas.outlined_text(left + 8, y + 6, words, 14, TEXT if number == 0 else MUTED)
        canvas.outlined_text(left + 8, y + picture.shape[0] // 2, "R", 13, FAINT, anchor="lm")
    y += panel.pictures[0][0].shape[0] + _PAD
    for line, colour in text_of(panel, wide - 24):
        canvas.text(x + 12, y, line, 15, colour)
        y += _LINE


def text_of(panel: SheetPanel, limit: float) -> list[tuple[str, Colour]]:
    """The lines below the pictures, as many as there is room for: what is long takes the room that others leave."""
    found: list[tuple[str, Colour]] = []
    for number, (words, colour) in enumerate(panel.lines, start=1):
        room = _TEXT_LINES - len(found) - (len(panel.lines) - number)
        found += [(line, colour) for line in wrapped(words, 15, limit, room)]
    return found


def _network_lines(report: StudyReport) -> list[tuple[str, Colour]]:
    """Which types are named, and how much is outlined."""
    return [(_type_words(report), TEXT), (_outline_words(report), TEXT)]


def _type_words(report: StudyReport) -> str:
    if report.ventricles is not None and not report.looked_for_blood:
        return "haemorrhage was not looked for"
    known = [(report.study.probabilities[name], name) for name in SUBTYPES if name in report.study.probabilities]
    if not known:
        return "no network here makes a call"
    named = verdict_of(report).named
    if named:
        return "types named: " + ", ".join(f"{name} {report.study.probabilities[name]:.2f}" for name in named)
    probability, name = max(known)
    return f"no type named; likeliest {name} {probability:.2f}"


def _outline_words(report: StudyReport) -> str:
    if report.ventricles is not None and not report.looked_for_blood:
        return _ventricle_words(report.ventricles)
    beside = "" if report.ventricles is None else f"; {_ventricle_words(report.ventricles)}"
    return _blood_words(report) + beside


def _ventricle_words(found: Ventricles) -> str:
    if found.volume_ml is None:
        return "ventricles outlined" if found.voxels else "no ventricles outlined"
    return f"ventricles: {millilitres(found.volume_ml)} mL outlined"


def _blood_words(report: StudyReport) -> str:
    if not report.lesions:
        return "nothing outlined" if report.label_map is not None else "no network here outlines"
    if report.volume_ml is not None:
        amount = f"{millilitres(report.volume_ml['total'])} mL in {counted(len(report.lesions), 'lesion')}"
        parts = [(report.volume_ml[name], name) for name in SUBTYPES if report.volume_ml[name] > 0]
        return f"outlined: {amount} ({', '.join(f'{name} {millilitres(ml)}' for ml, name in sorted(parts)[::-1])})"
    slices = {one for each in report.lesions for one in range(each.first_slice, each.last_slice + 1)}
    named = ", ".join(name for name in SUBTYPES if any(one.subtype == name for one in report.lesions))
    return f"outlined: {counted(len(report.lesions), 'lesion')} ({named}) in {counted(len(slices), 'slice')}"


def _label_words(truth: Truth, index: int) -> str:
    """What the labels say, of the study and of the slice that is shown."""
    if truth.bleeds is None:
        volume = "" if truth.volume_ml is None else f" {millilitres(truth.volume_ml)} mL"
        return f"labels: ventricles{volume}" if truth.label_map is not None else "labels: none"
    if not truth.bleeds:
        return "labels: no haemorrhage"
    words = "labels: " + (", ".join(truth.types) or "haemorrhage of a type not named")
    if truth.volume_ml is not None:
        words += f", {millilitres(truth.volume_ml)} mL"
    if truth.slices is not None and len(truth.slices) > 1:
        words += f"; {int(truth.slices.sum())} of {len(truth.slices)} slices"
        words += ", this one too" if truth.slices[index] else ", not this one"
    return words


def _disagreement(report: StudyReport, truth: Truth) -> str:
    call = report.study.calls.get("any")
    if call is None or truth.bleeds is None or call.positive == truth.bleeds:
        return ""
    return "missed" if truth.bleeds else "false alarm"
