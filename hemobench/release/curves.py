"""training.png: the loss of a run and what it was chosen by, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from hemobench.inference.overview.canvas import FAINT, MUTED, RULE, TEXT, Canvas, Colour
from hemobench.training.config import EPOCH_MONITOR, LOSS_MONITOR, monitor_column

_WIDTH, _HEIGHT = 960, 320
_TOP, _BOTTOM, _LEFT, _GUTTER, _RIGHT = 62, 40, 58, 70, 20
_TRAIN: Colour = (230, 159, 0)
_VALIDATION: Colour = (86, 180, 233)
_TICKS = 5
Row = Mapping[str, float]


@dataclass(frozen=True)
class _Chart:
    """Lines of one scale: (name, colour, (epoch, value) of the epochs that have one)."""

    title: str
    lines: Sequence[tuple[str, Colour, Sequence[tuple[float, float]]]]


def draw_training(history: Sequence[Row], monitor: str, best_epoch: int) -> Image.Image | None:
    """Left the losses, right the monitor where it is another number; a mark at the epoch that was kept.

    history: one row an epoch, as `RunResult.history`. None where no epoch has a loss.
    """
    losses = _Chart(
        "loss",
        [
            (words, colour, points)
            for words, colour, name in (
                ("training", _TRAIN, "train_loss"),
                ("validation", _VALIDATION, LOSS_MONITOR),
            )
            if (points := _points(history, name))
        ],
    )
    watched = _points(history, monitor_column(monitor)) if monitor not in (LOSS_MONITOR, EPOCH_MONITOR) else []
    charts = [losses, *([_Chart(f"{monitor}, validation", [("", _VALIDATION, watched)])] if watched else [])]
    if not losses.lines:
        return None
    canvas = Canvas(_WIDTH, _HEIGHT)
    wide = (_WIDTH - _LEFT - _RIGHT - (len(charts) - 1) * _GUTTER) // len(charts)
    last = max(row["epoch"] for row in history)
    for number, chart in enumerate(charts):
        left = _LEFT + number * (wide + _GUTTER)
        _draw_chart(canvas, chart, (left, _TOP, left + wide, _HEIGHT - _BOTTOM), last, best_epoch)
    return canvas.finished(_HEIGHT)


def _points(history: Sequence[Row], name: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[name]) for row in history if math.isfinite(row.get(name, math.nan))]


def _draw_chart(
    canvas: Canvas, chart: _Chart, box: tuple[int, int, int, int], last_epoch: float, best_epoch: int
) -> None:
    left, top, right, bottom = box
    values = [value for _, _, points in chart.lines for _, value in points]
    ticks = even_ticks(min(values), max(values), _TICKS)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def place(epoch: float, value: float) -> tuple[float, float]:
        along = (epoch - 1) / max(1.0, last_epoch - 1) if last_epoch > 1 else 0.5
        return left + along * (right - left), bottom - (value - low) / max(high - low, 1e-12) * (bottom - top)

    for tick in ticks:
        y = round(place(1, tick)[1])
        canvas.rule(left, right, y, RULE)
        canvas.text(left - 8, y, f"{tick:.6g}", 12, FAINT, anchor="rm")
    x = left + canvas.text(left, top - 42, chart.title, 15, TEXT, bold=True) + 22
    for words, colour, points in chart.lines:
        canvas.curve([place(*point) for point in points], colour)
        if words:
            canvas.fill((round(x), top - 39, round(x) + 12, top - 27), colour, radius=3)
            x += 18 + canvas.text(x + 18, top - 40, words, 14, MUTED) + 18
    if best_epoch:
        at = round(place(best_epoch, low)[0])
        canvas.tick(at, top, bottom, FAINT)
        near_end = at > (left + right) / 2
        canvas.text(
            at + (-5 if near_end else 5),
            top - 14,
            f"kept: epoch {best_epoch}",
            12,
            FAINT,
            anchor="ra" if near_end else "la",
        )
    canvas.text(left, bottom + 10, "epoch 1", 12, FAINT)
    canvas.text(right, bottom + 10, f"{last_epoch:.0f}", 12, FAINT, anchor="ra")


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers, the first at or below `low`, the last at or above `high`, evenly apart.

    >>> even_ticks(0.13, 0.71, 5), even_ticks(3.0, 3.0, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8], [2.5, 3.0, 3.5])
    """
    if high <= low:
        half = 0.5 if abs(low) < 10 else abs(low) / 10
        return [low - half, low, low + half]
    exponent = math.floor(math.log10((high - low) / most)) - 1
    for step in (one * 10.0**power for power in range(exponent, exponent + 4) for one in (1, 2, 5)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first + 1 <= most:
            return [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    return [low, high]
