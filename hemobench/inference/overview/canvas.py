"""A dark page to draw on with PIL: text in Pillow's own font, bars, swatches, pictures. Pixels, origin at top left."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

PAGE: Colour = (16, 18, 22)
PANEL: Colour = (27, 30, 36)
RULE: Colour = (52, 57, 66)
TEXT: Colour = (234, 237, 241)
MUTED: Colour = (160, 167, 178)
FAINT: Colour = (108, 115, 127)

_BOLD_STROKE = 0.45  # the font has one weight
_SPACE = 0.32  # of the size, between words
_ELLIPSIS = "..."
# What Pillow's font has not, and how it is said in letters that it has.
_SPELLED = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "→": "->",
        "µ": "u",
        "²": "2",
        "³": "3",
        "…": "...",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "ß": "ss",
        "æ": "ae",
        "ø": "o",
        "ł": "l",
    }
)


def plain(text: str) -> str:
    """The text on one line in ASCII, which is what the font has: accents dropped, signs spelled, the rest `?`.

    >>> plain("naïve ≥ 3 mm — über")
    'naive >= 3 mm - uber'
    """
    spelled = unicodedata.normalize("NFKD", " ".join(text.split()).translate(_SPELLED))
    bare = "".join(letter for letter in spelled if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode("ascii")


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it.

    >>> mixed((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    red, green, blue = (round(one + share * (two - one)) for one, two in zip(colour, other, strict=True))
    return red, green, blue


class Canvas:
    """A page of a given width that is as long as what was drawn on it, once `finished`."""

    def __init__(self, width: int, longest: int) -> None:
        self.width = width
        self._image = Image.new("RGB", (width, longest), PAGE)
        self._draw = ImageDraw.Draw(self._image)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        colour: Colour = TEXT,
        *,
        anchor: str = "la",
        bold: bool = False,
        limit: float | None = None,
    ) -> float:
        """Write one line and give its width. `anchor` is Pillow's; beyond `limit` pixels it ends in an ellipsis."""
        shown = plain(text) if limit is None else shortened(text, size, limit)
        self._write(x, y, shown, size, anchor, fill=colour, stroke_width=_BOLD_STROKE if bold else 0)
        return text_width(shown, size)

    def outlined_text(self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str = "la") -> None:
        """A line that stays readable on a picture."""
        self._write(x, y, plain(text), size, anchor, fill=colour, stroke_width=2, stroke_fill=(0, 0, 0))

    def fill(self, box: Box, colour: Colour, radius: int = 0) -> None:
        """A filled box (left, top, right, bottom), right and bottom not included; empty ones draw nothing."""
        left, top, right, bottom = box
        if right > left and bottom > top:
            self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), radius, fill=colour)

    def frame(self, box: Box, colour: Colour, width: int = 1) -> None:
        """The border of a box, drawn inside it."""
        left, top, right, bottom = box
        self._draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=width)

    def rule(self, left: int, right: int, y: int, colour: Colour = RULE) -> None:
        """A horizontal hairline."""
        self._draw.line((left, y, right - 1, y), fill=colour)

    def tick(self, x: int, top: int, bottom: int, colour: Colour = TEXT, width: int = 1) -> None:
        """A vertical mark."""
        self._draw.rectangle((x - width // 2, top, x - width // 2 + width - 1, bottom - 1), fill=colour)

    def curve(self, points: Sequence[tuple[float, float]], colour: Colour, width: int = 2) -> None:
        """A line through points; one point alone is a dot."""
        if len(points) > 1:
            self._draw.line(list(points), fill=colour, width=width, joint="curve")
        for x, y in points[:1] if len(points) == 1 else ():
            self._draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)

    def picture(self, x: int, y: int, rgb: NDArray[np.uint8]) -> None:
        """Put a picture (H, W, 3) with its top left corner at (x, y)."""
        self._image.paste(Image.fromarray(rgb), (x, y))

    def _write(self, x: float, y: float, text: str, size: int, anchor: str, **style: Any) -> None:
        """Word by word, because the font's own space is too narrow to read."""
        x -= text_width(text, size) * {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]]
        for word in text.split():
            self._draw.text((x, y), word, font=_font(size), anchor=f"l{anchor[1]}", **style)
            x += _word_width(word, size) + _SPACE * size

    def finished(self, height: int) -> Image.Image:
        """The page cut to its height."""
        return self._image.crop((0, 0, self.width, height))


def text_width(text: str, size: int) -> float:
    """Pixels that a line takes."""
    words = plain(text).split()
    return sum(_word_width(word, size) for word in words) + _SPACE * size * max(0, len(words) - 1)


def shortened(text: str, size: int, limit: float) -> str:
    """A line of at most `limit` pixels, its end replaced by an ellipsis where it is longer."""
    whole = plain(text)
    if text_width(whole, size) <= limit:
        return whole
    kept = whole
    while kept and text_width(kept + _ELLIPSIS, size) > limit:
        kept = kept[:-1]
    return kept.rstrip() + _ELLIPSIS


def wrapped(text: str, size: int, limit: float, most_lines: int) -> list[str]:
    """A text in lines of at most `limit` pixels; what does not fit into `most_lines` ends in an ellipsis."""
    lines: list[str] = []
    words = plain(text).split()
    while words:
        if len(lines) == most_lines - 1:
            return [*lines, shortened(" ".join(words), size, limit)]
        count = len(words)
        while count > 1 and text_width(" ".join(words[:count]), size) > limit:
            count -= 1
        lines.append(shortened(" ".join(words[:count]), size, limit))
        words = words[count:]
    return lines


def _word_width(word: str, size: int) -> float:
    return float(_font(size).getlength(word))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
