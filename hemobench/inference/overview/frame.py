"""What stands above and below every page of results: whose page it is, what its colours mean, what it is not for."""

from __future__ import annotations

from collections.abc import Iterable

from hemobench.inference.overview.canvas import FAINT, MUTED, PAGE, TEXT, Canvas, Colour, text_width
from hemobench.inference.overview.style import CAUTION, RESEARCH_ONLY

MARGIN = 28
SIDES = "Seen from the feet: the patient's right (R) is on the left. Slices count from 1 at the lower end."


def draw_header(canvas: Canvas, what: str) -> int:
    """The project's name, what the page is, and that it is no diagnosis; gives where the page goes on."""
    right = canvas.width - MARGIN
    wide = round(text_width(RESEARCH_ONLY, 16)) + 28
    canvas.text(MARGIN, 30, "hemobench", 26, TEXT, anchor="lm", bold=True)
    left = MARGIN + text_width("hemobench", 26) + 14
    canvas.text(left, 32, what, 17, MUTED, anchor="lm", limit=right - wide - 16 - left)
    canvas.fill((right - wide, 14, right, 46), CAUTION, radius=6)
    canvas.text(right - wide + 14, 30, RESEARCH_ONLY, 16, PAGE, anchor="lm", bold=True)
    return 64


def draw_swatches(canvas: Canvas, x: float, middle: int, entries: Iterable[tuple[str, Colour]]) -> float:
    """Names with their colours in one line; gives where it ends."""
    for name, colour in entries:
        canvas.fill((round(x), middle - 6, round(x) + 12, middle + 6), colour, radius=3)
        x += 18 + canvas.text(x + 18, middle, name, 14, MUTED, anchor="lm") + 18
    return x


def draw_footer(canvas: Canvas, notice: str, top: int, sides: str = SIDES) -> int:
    """A rule with the notice below it, and which side is which; gives the page's end."""
    canvas.rule(MARGIN, canvas.width - MARGIN, top)
    canvas.text(MARGIN, top + 20, notice, 14, MUTED, anchor="lm")
    canvas.text(canvas.width - MARGIN, top + 20, sides, 14, FAINT, anchor="rm")
    return top + 40
