"""Letters that stand in a picture outside the head: names, dates and numbers that were burnt in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TEXT_OUTSIDE = "text stands in the picture outside the head; see that it names nobody before pictures are passed on"
# Of 0..255: what is not black, and what a letter is at least, small type being dimmed at its edges.
_SOLID, _INK = 24, 90
_LEAST_SIDE = 64
_LEAST_HEIGHT = 5
_MOST_HEIGHT = 0.08  # of the picture's height
# Ears and folds of skin lie close to the head.
_HEAD_MARGIN = 0.02
# So many letters in a row: a single L or R for the side names nobody, and bits of a head rest make no row.
_LEAST_LETTERS = 4
_LETTER_WIDTH = 0.7  # in heights
_MOST_GAP = 1.2  # between letters of a row, in heights
_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class _Mark:
    """A bright piece: its box in pixels, [start, stop), and for how many letters it counts."""

    top: int
    bottom: int
    left: int
    right: int
    letters: int

    @property
    def height(self) -> int:
        return self.bottom - self.top


def burned_in_text(grey: NDArray[np.floating | np.integer]) -> bool:
    """Whether a row of letters stands outside the head in a picture (rows, columns) of grey 0..255.

    Letters are bright pieces of letter height, at least four side by side on one line; touching ones count by their
    strokes. What lies in the head or within 2% of the picture's side of it is not looked at, and smooth pieces (head
    rest, table, cables) have no strokes. Pictures below 64 pixels a side have no legible text.
    """
    if min(grey.shape) < _LEAST_SIDE:
        return False
    outside = ~_head(grey)
    pieces, _ = ndimage.label((grey >= _INK) & outside, structure=_TOUCHING)
    most = max(2 * _LEAST_HEIGHT, round(_MOST_HEIGHT * grey.shape[0]))
    marks = [
        mark
        for number, box in enumerate(ndimage.find_objects(pieces), start=1)
        if (mark := _mark(box, pieces[box] == number, most)) is not None
    ]
    return _in_rows(marks)


def _head(grey: NDArray[np.floating | np.integer]) -> NDArray[np.bool_]:
    """The largest piece that is not black, filled, and a margin about it."""
    pieces, count = ndimage.label(grey > _SOLID)
    if count == 0:
        return np.zeros(grey.shape, dtype=bool)
    filled = ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))
    assert filled is not None
    margin = max(2, round(_HEAD_MARGIN * max(grey.shape)))
    return np.asarray(ndimage.maximum_filter(filled, size=2 * margin + 1))


def _mark(box: tuple[slice, slice], shape: NDArray[np.bool_], most: int) -> _Mark | None:
    height, width = shape.shape
    if not _LEAST_HEIGHT <= height <= most:
        return None
    # How often ink begins along a row: a word has many strokes, a rest or a cable one or two.
    strokes = int((np.diff(shape, axis=1, prepend=False) & shape).sum(axis=1).max())
    if width > height and strokes >= max(3.0, 1.2 * width / height):
        letters = round(width / (_LETTER_WIDTH * height))
    elif width <= 1.6 * height:
        letters = 1
    else:
        return None
    return _Mark(box[0].start, box[0].stop, box[1].start, box[1].stop, letters)


def _in_rows(marks: list[_Mark]) -> bool:
    """Whether enough marks of like height stand side by side on one line."""
    ordered = sorted(marks, key=lambda mark: mark.left)
    for first, start in enumerate(ordered):
        last, letters = start, start.letters
        for mark in ordered[first + 1 :]:
            if mark.left - last.right > _MOST_GAP * max(mark.height, last.height):
                # Marks are sorted by their left edges, so none that follows is nearer.
                break
            if _on_one_line(last, mark):
                last, letters = mark, letters + mark.letters
        if letters >= _LEAST_LETTERS:
            return True
    return False


def _on_one_line(one: _Mark, other: _Mark) -> bool:
    lower, higher = sorted((one.height, other.height))
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return higher <= 2 * lower and shared >= 0.6 * lower
