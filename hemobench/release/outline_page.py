"""outlines.png and its words: how well bleeds of each size are outlined, and how far volumes are off. Numbers alone, so
it may be of patients: no picture of any."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.inference.checkpoint import OUTLINES_PICTURE
from hemobench.inference.overview.canvas import FAINT, MUTED, RULE, TEXT, Canvas, Colour
from hemobench.metrics.volumetry import BlandAltman, bland_altman
from hemobench.release.curves import even_ticks
from hemobench.training.result import CaseScores

_WIDTH, _HEIGHT = 960, 360
_TOP, _BOTTOM, _LEFT, _GUTTER, _RIGHT = 48, 52, 58, 80, 20
_DOT: Colour = (86, 180, 233)
_LINE: Colour = (230, 159, 0)
SIZES_ML = (0.0, 2.0, 5.0, 15.0, math.inf)
_SMALLEST_ML = 0.1


@dataclass(frozen=True)
class OutlinePage:
    """Sections of a card in Markdown, and the files that they show."""

    sections: tuple[str, ...]
    files: Mapping[str, bytes]


def outline_page(scores: CaseScores) -> OutlinePage:
    """The page of cases' scores, which hold `dice_any`, `volume_ml_true_any`, `volume_ml_pred_any`, ..."""
    true, found = (scores.values[f"volume_ml_{kind}_any"] for kind in ("true", "pred"))
    dice, bleeding = scores.values["dice_any"], true > 0
    agreement = bland_altman(found[bleeding], true[bleeding])
    buffer = io.BytesIO()
    _drawn(true[bleeding], found[bleeding], dice[bleeding], agreement).save(buffer, format="PNG", optimize=True)
    lines = ["| blood | patients | mean Dice | median Dice | nothing of it found |", "|---|---|---|---|---|"]
    for low, high in itertools.pairwise(SIZES_ML):
        own = bleeding & (true > low) & (true <= high)
        if own.any():
            size = f"above {low:g} mL" if math.isinf(high) else f"{low:g} to {high:g} mL"
            missed = int(np.nansum(scores.values["missed_any"][own]))
            lines.append(f"| {size} | {own.sum()} | {dice[own].mean():.2f} | {np.median(dice[own]):.2f} | {missed} |")
    healthy = ~bleeding
    clean = found[healthy]
    words = (
        f"{int((clean > 0).sum())} of {int(healthy.sum())} patients without blood have something outlined, "
        f"{np.median(clean):.1f} mL in the median and {clean.max():.1f} mL at most. "
        if healthy.any()
        else ""
    )
    return OutlinePage(
        (
            "## By size\n\n"
            + "\n".join(lines)
            + f"\n\n{words}Volumes: {agreement.bias:+.1f} mL in the mean, limits of "
            f"agreement {agreement.low:+.1f} to {agreement.high:+.1f} mL (Bland and Altman 1986). Where a data set "
            "has no millimetres, they are those of a head of average length.\n\n"
            f"![Dice by size of the bleed, and volumes against the truth]({OUTLINES_PICTURE})",
        ),
        {OUTLINES_PICTURE: buffer.getvalue()},
    )


def _drawn(
    true_ml: NDArray[np.float64], found_ml: NDArray[np.float64], dice: NDArray[np.float64], agreement: BlandAltman
) -> Image.Image:
    canvas = Canvas(_WIDTH, _HEIGHT)
    wide = (_WIDTH - _LEFT - _RIGHT - _GUTTER) // 2
    sizes = np.log10(np.maximum(true_ml, _SMALLEST_ML))
    marks = [(math.log10(size), f"{size:g}") for size in (0.1, 0.3, 1, 3, 10, 30, 100, 300)]
    inside = [mark for mark in marks if sizes.min() - 0.5 <= mark[0] <= sizes.max() + 0.5]
    _chart(canvas, (_LEFT, wide), "Dice", "true mL", sizes, dice, inside, (0.0, 1.0), ())
    means, differences = (true_ml + found_ml) / 2, found_ml - true_ml
    ticks = even_ticks(0.0, float(means.max()), 5)
    lines = (agreement.low, agreement.bias, agreement.high)
    reach = [value for value in (*differences, *lines) if math.isfinite(value)]
    _chart(
        canvas,
        (_LEFT + wide + _GUTTER, wide),
        "outlined less true, mL",
        "mean of both, mL",
        means,
        differences,
        [(tick, f"{tick:g}") for tick in ticks],
        (min(reach), max(reach)),
        lines,
    )
    return canvas.finished(_HEIGHT)


def _chart(
    canvas: Canvas,
    across: tuple[int, int],
    title: str,
    axis: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    marks: Sequence[tuple[float, str]],
    reach: tuple[float, float],
    lines: Sequence[float],
) -> None:
    left, right = across[0], across[0] + across[1]
    bottom = _HEIGHT - _BOTTOM
    ticks = even_ticks(*reach, 5)
    low, high = ticks[0], ticks[-1]
    first = min([mark for mark, _ in marks] + [float(x.min())])
    last = max([mark for mark, _ in marks] + [float(x.max())])

    def place(along: float, up: float) -> tuple[float, float]:
        share = (along - first) / max(last - first, 1e-12)
        return left + share * (right - left), bottom - (up - low) / max(high - low, 1e-12) * (bottom - _TOP)

    for tick in ticks:
        at = round(place(first, tick)[1])
        canvas.rule(left, right, at, RULE)
        canvas.text(left - 8, at, f"{tick:g}", 12, FAINT, anchor="rm")
    for mark, words in marks:
        canvas.text(place(mark, low)[0], bottom + 10, words, 12, FAINT, anchor="ma")
    canvas.text(right, bottom + 28, axis, 12, MUTED, anchor="ra")
    canvas.text(left, _TOP - 34, title, 15, TEXT, bold=True)
    for value in lines:
        if math.isfinite(value):
            canvas.curve([place(first, value), place(last, value)], _LINE)
    for along, up in zip(x.tolist(), y.tolist(), strict=True):
        at_x, at_y = (round(value) for value in place(along, up))
        canvas.fill((at_x - 4, at_y - 4, at_x + 4, at_y + 4), _DOT, radius=4)
