"""Outlines to masks and back. A pixel belongs to an outline when its centre does, by the even-odd rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def paint_polygon(mask: NDArray[np.bool_], points: NDArray[np.floating]) -> None:
    """Set the pixels of `mask` (rows, columns) in a closed polygon: `points` (n, 2) are x, y as fractions of width and
    height.

    Pixel (i, j) is inside when ((j + 0.5) / width, (i + 0.5) / height) is, even-odd where the outline crosses itself;
    what lies outside the picture is cut off. The time goes with the polygon's size, not with the picture's.

    >>> mask = np.zeros((2, 4), dtype=bool)
    >>> paint_polygon(mask, np.array([[0, 0], [0.5, 0], [0.5, 1], [0, 1]]))
    >>> mask.astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0]]
    """
    rows, columns = mask.shape
    # In units in which pixel centres are whole numbers.
    x = np.asarray(points[:, 0], dtype=np.float64) * columns - 0.5
    y = np.asarray(points[:, 1], dtype=np.float64) * rows - 0.5
    left, right = (int(np.clip(np.ceil(edge), 0, columns)) for edge in (x.min(), x.max()))
    x2, y2 = np.append(x[1:], x[0]), np.append(y[1:], y[0])
    # Every edge from its upper end, so that one walked there and back crosses a row at the very same place.
    turned = y2 < y
    x, x2, y, y2 = (np.where(turned, a, b) for a, b in ((x2, x), (x, x2), (y2, y), (y, y2)))
    first = np.clip(np.ceil(y), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(y2), 0, rows).astype(np.int64)
    top, bottom = int(first.min()), int(last.max())
    if bottom <= top or right <= left:
        return
    counts = last - first  # rows whose centres the edge crosses; a horizontal edge crosses none
    edges = np.repeat(np.arange(len(x)), counts)
    row = np.arange(len(edges)) - (np.cumsum(counts) - counts)[edges] + first[edges]
    slope = (x2[edges] - x[edges]) / (y2[edges] - y[edges])
    column = np.clip(np.ceil(x[edges] + (row - y[edges]) * slope), left, right).astype(np.int64)
    height, width = bottom - top, right - left
    crossings = np.bincount((row - top) * (width + 1) + column - left, minlength=height * (width + 1))
    inside = np.cumsum(crossings.reshape(height, width + 1)[:, :width], axis=1) % 2 == 1
    mask[top:bottom, left:right] |= inside


def trace_polygons(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Outlines of a mask (rows, columns) along the edges of its pixels, one a connected piece: [(n, 2) x, y fractions].

    Holes hang on their outline by a bridge that is walked there and back, so `paint_polygon` gives the mask again.
    """
    rows, columns = mask.shape
    pieces, count = ndimage.label(mask)
    polygons = []
    for box, number in zip(ndimage.find_objects(pieces), range(1, count + 1), strict=True):
        rings = _rings(pieces[box] == number)
        joined = list(rings[0])
        for ring in rings[1:]:
            # Out to the hole, around it, back to where the outline began.
            joined += [rings[0][0], *ring, ring[0], rings[0][0]]
        corners = np.array(joined, dtype=np.float64)
        corners += (box[0].start, box[1].start)
        polygons.append(np.stack([corners[:, 1] / columns, corners[:, 0] / rows], axis=1))
    return polygons


def _rings(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed paths of corners (row, column) around a piece: the outer one first, then its holes."""
    onward = _border(np.pad(mask, 1))
    rings = []
    while onward:
        start = min(onward)
        ring, corner, direction = [start], start, None
        while True:
            targets = onward[corner]
            following = targets.pop()
            if not targets:
                del onward[corner]
            step = (following[0] - corner[0], following[1] - corner[1])
            if direction is not None and step == direction:
                ring.pop()
            ring.append(following)
            corner, direction = following, step
            if corner == start:
                break
        rings.append(ring[:-1])
    return rings


def _border(padded: NDArray[np.bool_]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Edges between inside and outside, each by the corner it starts from; the inside lies on the right hand."""
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inside = padded[1:-1, 1:-1]
    for neighbour, begin, end in (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (1, 0)),
        (padded[1:-1, :-2], (1, 0), (0, 0)),
    ):
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            edge_start = (row + begin[0], column + begin[1])
            onward.setdefault(edge_start, []).append((row + end[0], column + end[1]))
    return onward
