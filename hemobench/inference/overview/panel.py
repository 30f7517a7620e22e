"""The words and numbers of the overview: what was called, types with their bars, lesions, remarks, models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import hemobench
from hemobench.inference.overview.canvas import (
    FAINT,
    MUTED,
    PAGE,
    PANEL,
    RULE,
    TEXT,
    Canvas,
    Colour,
    mixed,
    text_width,
    wrapped,
)
from hemobench.inference.overview.profile import Profile
from hemobench.inference.overview.style import (
    ANY_COLOUR,
    CALLED,
    CAUTION,
    NOTHING_CALLED,
    TYPE_COLOURS,
    VENTRICLE_COLOUR,
    counted,
    millilitres,
)
from hemobench.inference.report import BORDERLINE, LIKELY, UNLIKE, UNLIKELY, Lesion, Source, StudyReport, Ventricles
from hemobench.inference.study_sentence import verdict_of, worth_in_words
from hemobench.inference.ventricle_measures import readings
from hemobench.labels import SUBTYPES
from hemobench.volume import slice_number

_PAD = 18
CARD_GAP = 14
_MOST_LESIONS = 10
_MOST_WARNINGS = 6
_WARNING_LINES = 3
_GRADE_COLOURS = {UNLIKELY: NOTHING_CALLED, BORDERLINE: CAUTION, LIKELY: CALLED, UNLIKE: CAUTION}
_KINDS = {
    "dicom": "DICOM",
    "nifti": "NIfTI",
    "mgz": "MGZ",
    "picture": "picture",
    "npz": "NumPy array",
    "volume": "memory",
}


class Panel:
    """A column of cards, each below the one before; `bottom` is where the next one begins."""

    def __init__(self, canvas: Canvas, left: int, top: int, width: int) -> None:
        self.canvas, self.left, self.right, self.bottom = canvas, left, left + width, top

    def findings(self, report: StudyReport, shown: Sequence[int]) -> None:
        """What was called and measured; `shown` are the slices that the page has as pictures."""
        self._verdict(report)
        if report.study.probabilities or report.volume_ml:
            self._types(report)
        self._along_the_scan(Profile(report), shown)
        if report.lesions:
            self._lesions(report)
        if report.ventricle_map is not None and report.ventricles is not None:
            self._ventricles(report.ventricles)

    def _open_card(self, height: int, title: str = "") -> tuple[int, int, int]:
        """Paint a card and give left, right and first line's top of what it holds."""
        box = (self.left, self.bottom, self.right, self.bottom + height)
        self.canvas.fill(box, PANEL, radius=8)
        top = self.bottom + _PAD
        if title:
            self.canvas.text(self.left + _PAD, top - 2, title.upper(), 13, MUTED)
            top += 24
        self.bottom += height + CARD_GAP
        return self.left + _PAD, self.right - _PAD, top

    def _verdict(self, report: StudyReport) -> None:
        headline, detail, colour = verdict(report)
        limit = self.right - self.left - 2 * _PAD - 8
        lines = wrapped(detail, 17, limit, 5)
        doubt = wrapped(doubt_of(report.source), 15, limit - 16, 4) if report.source.doubts else []
        height = 2 * _PAD + 34 + 23 * len(lines) + (8 + 20 * len(doubt) if doubt else 0)
        top = self.bottom
        left, right, y = self._open_card(height)
        self.canvas.fill((self.left, top, self.left + 6, top + height), colour)
        self.canvas.text(left + 4, y - 2, headline, 28, TEXT, bold=True, limit=right - left)
        for number, line in enumerate(lines):
            self.canvas.text(left + 4, y + 38 + 23 * number, line, 17, MUTED)
        y += 46 + 23 * len(lines)
        for number, line in enumerate(doubt):
            self.canvas.text(left + 20, y + 20 * number, line, 15, TEXT)
        if doubt:
            self.canvas.fill((left + 4, y, left + 8, y + 20 * len(doubt)), CAUTION)

    def _types(self, report: StudyReport) -> None:
        """One row a class: swatch, name, bar with the threshold's tick, probability, call, volume."""
        names = ("any", *SUBTYPES)
        shares = 18 if (report.volume_ml or {}).get("total", 0.0) > 0 else 0
        left, right, y = self._open_card(2 * _PAD + 24 + 30 * len(names) - 4 + shares, "types")
        canvas, bar_left, bar_right = self.canvas, left + 166, right - 172
        if report.study.calls:
            canvas.text(bar_left, y - 22, "probability, tick: threshold", 12, FAINT)
        if report.volume_ml is not None:
            canvas.text(right, y - 22, "mL", 12, FAINT, anchor="ra")
        for number, name in enumerate(names):
            middle = y + 14 + 30 * number
            colour = TYPE_COLOURS.get(name, ANY_COLOUR)
            canvas.fill((left, middle - 7, left + 14, middle + 7), colour, radius=3)
            canvas.text(left + 24, middle, name, 16, TEXT, anchor="lm", bold=name == "any")
            self._bar(report, name, (bar_left, middle - 6, bar_right, middle + 6), colour)
            volume = None if report.volume_ml is None else report.volume_ml.get("total" if name == "any" else name, 0.0)
            if volume is not None:
                shade = TEXT if volume > 0 else FAINT
                canvas.text(right, middle, millilitres(volume), 16, shade, anchor="rm")
        self._shares(report, (left, y + 30 * len(names) + 8, right, y + 30 * len(names) + 16))

    def _bar(self, report: StudyReport, name: str, box: tuple[int, int, int, int], colour: Colour) -> None:
        left, top, right, bottom = box
        probability = report.study.probabilities.get(name)
        self.canvas.fill(box, mixed(PANEL, RULE, 0.7), radius=3)
        if probability is None or not math.isfinite(probability):
            self.canvas.text(right + 10, (top + bottom) / 2, "no classifier", 13, FAINT, anchor="lm")
            return
        call = report.study.calls.get(name)
        positive = call is not None and call.positive
        # As on the page: types are tagged by the rule of the sentence that leads, and the others keep their bars.
        tagged = positive if name == "any" else name in verdict_of(report).named
        shade = colour if tagged else mixed(colour, PANEL, 0.55)
        length = round(min(1.0, max(0.0, probability)) * (right - left))
        self.canvas.fill((left, top, left + length, bottom), shade, radius=3 if length > 6 else 0)
        if call is not None:
            self.canvas.tick(left + round(min(1.0, call.threshold) * (right - left)), top - 5, bottom + 5, TEXT, 2)
        middle = (top + bottom) / 2
        self.canvas.text(right + 10, middle, f"{probability:.2f}", 16, TEXT if tagged else MUTED, anchor="lm")
        if tagged:
            word = "called" if positive else "outlined"
            wide = round(text_width(word, 13)) + 12
            self.canvas.fill((right + 50, top - 4, right + 50 + wide, bottom + 4), colour, radius=4)
            self.canvas.text(right + 56, middle, word, 13, PAGE, anchor="lm")

    def _shares(self, report: StudyReport, box: tuple[int, int, int, int]) -> None:
        """The volume by type, as one bar of coloured pieces."""
        left, top, right, bottom = box
        total = (report.volume_ml or {}).get("total", 0.0)
        if report.volume_ml is None or total <= 0:
            return
        begin = float(left)
        for name in SUBTYPES:
            end = begin + report.volume_ml.get(name, 0.0) / total * (right - left)
            self.canvas.fill((round(begin), top, round(end), bottom), TYPE_COLOURS[name])
            begin = end

    def _along_the_scan(self, profile: Profile, shown: Sequence[int]) -> None:
        if profile.height:
            left, right, y = self._open_card(2 * _PAD + 28 + profile.height, "along the scan")
            profile.draw(self.canvas, left, right, y + 4, shown)

    def _lesions(self, report: StudyReport) -> None:
        shown, rest = report.lesions[:_MOST_LESIONS], report.lesions[_MOST_LESIONS:]
        left, right, y = self._open_card(2 * _PAD + 24 + 20 + 25 * len(shown) + (24 if rest else 0), "lesions")
        columns = (
            ("", left, "la"),
            ("type", left + 30, "la"),
            ("mL", left + 222, "ra"),
            ("ABC/2", left + 290, "ra"),
            ("slices", left + 374, "ra"),
            ("prob.", right, "ra"),
        )
        for name, x, anchor in columns:
            self.canvas.text(x, y - 2, name, 12, FAINT, anchor=anchor)
        for number, lesion in enumerate(shown):
            top = y + 18 + 25 * number
            colour = TYPE_COLOURS[lesion.subtype]
            for (_, x, anchor), value in zip(columns, _lesion_cells(lesion), strict=True):
                self.canvas.text(x, top, value, 15, colour if value == str(lesion.number) else TEXT, anchor=anchor)
        if rest:
            told = f"and {len(rest)} smaller, in report.json"
            if all(lesion.volume_ml is not None for lesion in rest):
                total = sum(lesion.volume_ml or 0.0 for lesion in rest)
                told = f"and {len(rest)} smaller of {millilitres(total)} mL together, in report.json"
            self.canvas.text(left + 30, y + 20 + 25 * len(shown), told, 14, MUTED)

    def _ventricles(self, found: Ventricles) -> None:
        """One row a measure: its value, what it needs to be understood, and what it was held against."""
        rows = readings(found, millilitres)
        left, right, y = self._open_card(2 * _PAD + 24 + max(1, len(rows)) * 24, "ventricles")
        self.canvas.text(right, y - 22, "held against", 12, FAINT, anchor="ra")
        for number, row in enumerate(rows):
            top = y + 24 * number
            self.canvas.text(left, top, row.name, 15, MUTED)
            x = left + 118 + self.canvas.text(left + 118, top, row.value, 15, TEXT)
            self.canvas.text(x + 8, top + 1, row.remark, 13, MUTED)
            self.canvas.text(right, top + 1, row.validated_on, 13, FAINT, anchor="ra")
        if not rows:
            self.canvas.text(left, y, "outlined; the scan has no millimetres", 15, MUTED)

    def scan(self, source: Source) -> None:
        """What was read, and the remarks of intake and pipeline."""
        width = self.right - self.left
        left, _, y = self._open_card(scan_height(source, width), "scan")
        for number, line in enumerate(scan_lines(source)):
            self.canvas.text(left, y + 21 * number, line, 15, TEXT, limit=width - 2 * _PAD)
        y += 52
        for remark in _remarks(source, width):
            self.canvas.fill((left, y + 5, left + 5, y + 10), CAUTION)
            for line in remark:
                self.canvas.text(left + 16, y, line, 14, MUTED)
                y += 18
            y += 6

    def models(self, report: StudyReport) -> None:
        """Which weights took part, and how long it took."""
        left, right, y = self._open_card(models_height(report), "models")
        for number, model in enumerate(report.model):
            top = y + 44 * number
            revision = f" @ {model.revision[:8]}" if model.revision else ""
            self.canvas.text(left, top, f"{model.role}: {model.name}{revision}", 15, TEXT, limit=right - left)
            self.canvas.text(
                left, top + 19, f"weights {model.sha256[:8]}, {model.engine}", 13, FAINT, limit=right - left
            )
        total = report.timing_s.get("total")
        took = "" if total is None else f", read and analysed in {total:.1f} s"
        self.canvas.text(left, y + 44 * len(report.model), f"hemobench {hemobench.__version__}{took}", 14, MUTED)


def scan_height(source: Source, width: int) -> int:
    """Pixels that the card about the scan takes."""
    remarks = _remarks(source, width)
    lines = sum(map(len, remarks))
    return 2 * _PAD + 66 + (18 * lines + 6 * len(remarks) + 8 if remarks else 0)


def models_height(report: StudyReport) -> int:
    """Pixels that the card about the models takes."""
    return 2 * _PAD + 42 + 44 * len(report.model)


def _remarks(source: Source, width: int) -> list[list[str]]:
    """The scan's warnings in lines that fit into a card."""
    limit = width - 2 * _PAD - 16
    remarks = [wrapped(line, 14, limit, _WARNING_LINES) for line in source.warnings[:_MOST_WARNINGS]]
    more = len(source.warnings) - len(remarks)
    return [*remarks, [f"and {more} more, in report.json"]] if more > 0 else remarks


def doubt_of(source: Source) -> str:
    """What makes an answer most doubtful, for the place where the call is read."""
    more = source.doubts - 1
    line = source.warnings[0][:1].upper() + source.warnings[0][1:]
    return f"{line}. And {more} more below." if more else f"{line}."


def verdict(report: StudyReport) -> tuple[str, str, Colour]:
    """Headline, what stands below it, and the colour of its mark. The colour of no call is no colour of all-clear."""
    said = verdict_of(report)
    headline, _, detail = (part.strip() for part in said.sentence.replace(";", ",").partition(","))
    detail = f"{detail[:1].upper()}{detail[1:]}." if detail else ""
    if said.grade is None or "any" not in report.study.probabilities:
        colour = NOTHING_CALLED if report.ventricles is None else VENTRICLE_COLOUR
        return headline, detail, _GRADE_COLOURS.get(said.grade or "", colour)
    chance, threshold = report.study.probabilities["any"], report.study.calls["any"].threshold
    parts = [detail, f"Probability {chance:.2f}, called from {threshold:.2f} on.", worth_in_words(report)]
    return headline, " ".join(part for part in parts if part), _GRADE_COLOURS[said.grade]


def scan_lines(source: Source) -> tuple[str, str]:
    """What the scan is, in two lines without any name.

    >>> scan_lines(Source("dicom", 31, "CT", (31, 512, 512), (5.0, 0.4883, 0.4883), ()))
    ('CT from DICOM, 31 files', '31 slices of 512 x 512, voxels 5 x 0.488 x 0.488 mm')
    """
    kind = _KINDS.get(source.kind, source.kind)
    what = f"{source.modality} from {kind}" if source.modality != "grey" else f"Grey {kind}"
    depth, height, width = source.shape
    spacing = "no millimetres known"
    if source.spacing_mm is not None:
        spacing = f"voxels {' x '.join(f'{size:.3g}' for size in source.spacing_mm)} mm"
    elif source.pixel_mm is not None:
        spacing = f"pixels {' x '.join(f'{size:.3g}' for size in source.pixel_mm)} mm, thickness not known"
    return f"{what}, {counted(source.files, 'file')}", f"{counted(depth, 'slice')} of {height} x {width}, {spacing}"


def _lesion_cells(lesion: Lesion) -> tuple[str, ...]:
    slices = f"{slice_number(lesion.first_slice)}-{slice_number(lesion.last_slice)}"
    if lesion.first_slice == lesion.last_slice:
        slices = str(slice_number(lesion.first_slice))
    volumes = ("-" if one is None else millilitres(one) for one in (lesion.volume_ml, lesion.abc2_ml))
    return str(lesion.number), lesion.subtype, *volumes, slices, f"{lesion.mean_probability:.2f}"
