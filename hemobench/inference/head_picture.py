"""One slice as numbers by which a head is told from other pictures: its frame, outline, skull, inside and grain.

Grey is relative (what is brightest counts as white), lengths are in shares of the outlined piece, so that window,
matrix, margin and field of view matter little. Which numbers make a head is `headlike`'s to say.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

_Grey = NDArray[np.float32]
_Mask = NDArray[np.bool_]

SIDE = 128
"""Pixels of the longer side at which all but the grain is looked at."""
_BRIGHTEST = 99.7  # percentile that counts as white
_DARK = 0.08
_LEAST_PIXELS = 30
# Shells of the outlined piece, by depth in radii of a circle of its area.
_SHELLS = (0.0, 0.06, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.01)
_RIM, _DIRECTIONS, _NEAR = 0.25, 24, 0.3
# Grey from which on something may be skull: the brightest of these that still encloses most.
_WHITES = (0.45, 0.6, 0.75, 0.9)
_LEAST_ENCLOSED = 0.1
_BINS = 10


def features_of(grey: NDArray[np.floating]) -> dict[str, float]:
    """Numbers of a picture (rows, columns) of grey in 0..1, by name; always the same names, all of them finite."""
    whole = np.clip(np.asarray(grey, dtype=np.float32), 0, 1)
    small = _shrunk(whole)
    top = float(np.percentile(small, _BRIGHTEST))
    shown = np.clip(small / (top if top > 1e-3 else 1.0), 0, 1.2)
    piece = _main_piece(shown)
    found = {"top": top, **_frame(shown, piece)}
    if piece.sum() < _LEAST_PIXELS:
        piece = np.ones_like(piece)
    depth = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1] / np.sqrt(piece.sum() / np.pi)
    found |= _profile(shown, piece, depth)
    found |= _inside(shown, piece, depth)
    found |= _symmetry(shown, piece)
    found |= _grain(whole)
    counts = np.histogram(np.clip(shown[piece], 0, 1), bins=_BINS, range=(0, 1))[0] / piece.sum()
    found |= {f"grey_{number}": float(share) for number, share in enumerate(counts)}
    return {name: float(value) if np.isfinite(value) else 0.0 for name, value in found.items()}


def _shrunk(grey: _Grey) -> _Grey:
    height, width = grey.shape
    factor = SIDE / max(height, width)
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize(size, method), dtype=np.float32)


def _main_piece(shown: _Grey) -> _Mask:
    """The largest piece that is not dark, without holes, and without what hangs on it by a thread."""
    piece = _filled(_largest(ndimage.binary_opening(shown > _DARK)))
    core = _largest(ndimage.binary_opening(piece, iterations=3))
    return core if core.sum() > 0.5 * piece.sum() else piece


def _frame(shown: _Grey, piece: _Mask) -> dict[str, float]:
    """How the piece lies in its picture, and its outline."""
    around, side = shown[~piece], max(2, min(shown.shape) // 16)
    edge = np.concatenate([piece[0], piece[-1], piece[:, 0], piece[:, -1]])
    ends = (slice(None, side), slice(-side, None))
    corners = [float(np.median(shown[rows, columns])) for rows in ends for columns in ends]
    outline = _outline(piece)
    return {
        "touching": float(edge.mean()),
        "corners": float(np.mean(corners)),
        "share": float(piece.mean()),
        "around": float(around.mean()) if around.size else 1.0,
        "around_sd": float(around.std()) if around.size else 1.0,
        **dict(zip(("box", "ellipse", "aspect", "elongation", "tilt"), outline, strict=True)),
    }


def _outline(piece: _Mask) -> tuple[float, float, float, float, float]:
    """Share of its box, overlap with the ellipse of its moments, log of height over width, of axes, and tilt."""
    rows, columns = np.nonzero(piece)
    if len(rows) < _LEAST_PIXELS:
        return 0.0, 0.0, 0.0, 1.0, 0.0
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    spread = np.cov(np.stack([rows, columns]).astype(float)) + 1e-6 * np.eye(2)
    lengths, axes = np.linalg.eigh(spread)
    away = np.indices(piece.shape).reshape(2, -1) - np.array([[rows.mean()], [columns.mean()]])
    ellipse = ((away * (np.linalg.inv(spread) @ away)).sum(axis=0) <= 4).reshape(piece.shape)
    overlap = np.count_nonzero(ellipse & piece) / np.count_nonzero(ellipse | piece)
    elongation = np.sqrt(lengths[1] / lengths[0])
    return len(rows) / (height * width), overlap, float(np.log(height / width)), elongation, abs(axes[0, 1])


def _profile(shown: _Grey, piece: _Mask, depth: NDArray[np.float64]) -> dict[str, float]:
    """Mean grey and spread from the outline inwards, by shells."""
    found: dict[str, float] = {}
    mean = spread = 0.0
    for number, (low, high) in enumerate(itertools.pairwise(_SHELLS)):
        shell = shown[piece & (depth > low) & (depth <= high)]
        if shell.size > 3:
            mean, spread = float(shell.mean()), float(shell.std())
        found |= {f"shell_{number}": mean, f"shell_sd_{number}": spread}
    return found


def _inside(shown: _Grey, piece: _Mask, depth: NDArray[np.float64]) -> dict[str, float]:
    """The skull as what is bright and encloses the most, what is within it, and how far round a bright rim goes."""
    enclosed = _enclosed(shown, piece)
    share = enclosed.sum() / piece.sum()
    skull = share >= _LEAST_ENCLOSED
    if not skull:
        enclosed = piece & (depth > _RIM)
        enclosed = enclosed if enclosed.sum() >= _LEAST_PIXELS else piece
    outline = _outline(enclosed)
    inner = ndimage.binary_erosion(enclosed, iterations=2)
    inner = inner if inner.sum() >= _LEAST_PIXELS else enclosed
    values, steep = shown[inner], ndimage.gaussian_gradient_magnitude(shown, 1)[inner]
    low, first, middle, third, high = np.percentile(values, (5, 25, 50, 75, 95))
    rim = piece & (depth <= _RIM)
    bright = float(np.percentile(shown[rim], 90)) if rim.any() else 0.0
    return {
        "enclosed": share,
        "skull": float(skull),
        **dict(zip(("in_box", "in_ellipse", "in_aspect", "in_elongation"), outline[:4], strict=True)),
        "in_grey": middle,
        "in_iqr": third - first,
        "in_low": middle - low,
        "in_high": high - middle,
        "in_smooth_sd": float(ndimage.gaussian_filter(shown, 2)[inner].std()),
        "in_black": float((values < 0.04).mean()),
        "in_white": float((values > 0.9).mean()),
        "in_steep": float(steep.mean()),
        "in_steepest": float(np.percentile(steep, 95)),
        "rim": bright,
        "rim_over": bright - middle,
        **_round(shown, piece, depth, middle),
    }


def _enclosed(shown: _Grey, piece: _Mask) -> _Mask:
    best = np.zeros_like(piece)
    for white in _WHITES:
        wall = ndimage.binary_closing(np.pad((shown >= white) & piece, 4), iterations=2)[4:-4, 4:-4]
        held = _largest(ndimage.binary_opening(_filled(wall) & ~wall))
        if held.sum() > 1.05 * best.sum():
            best = held
    return best


def _round(shown: _Grey, piece: _Mask, depth: NDArray[np.float64], middle: float) -> dict[str, float]:
    """The brightest of the rim in each direction from the middle."""
    rows, columns = np.nonzero(piece)
    angle = np.arctan2(rows - rows.mean(), columns - columns.mean())
    direction = ((angle + np.pi) / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS
    near = depth[piece] < _NEAR
    most = np.zeros(_DIRECTIONS)
    np.maximum.at(most, direction[near], shown[piece][near])
    covered = float((most > middle + 0.5 * (1 - middle)).mean())
    return {"round_low": float(np.percentile(most, 10)), "round": float(np.median(most)), "round_share": covered}


def _symmetry(shown: _Grey, piece: _Mask) -> dict[str, float]:
    box = ndimage.find_objects(piece.astype(int))[0]
    part, mask = ndimage.gaussian_filter(shown, 1.5)[box], piece[box]
    alike = np.count_nonzero(mask & mask[:, ::-1]) / np.count_nonzero(mask | mask[:, ::-1])
    return {"mirror": _alike(part, part[:, ::-1]), "upside": _alike(part, part[::-1]), "mirror_outline": alike}


def _grain(whole: _Grey) -> dict[str, float]:
    """Neighbouring pixels that are neither black nor white: how often they are equal, how alike, how many levels."""
    high = float(whole.max())
    between = (whole > 0.02) & (whole < 0.98 * high) if high > 0 else np.zeros(whole.shape, dtype=bool)
    pair = between[:, 1:] & between[:, :-1]
    share = float(between.mean())
    if np.count_nonzero(pair) <= 50:
        return {"equal": 1.0, "alike": 1.0, "step": 0.0, "levels": 0.0, "between": share}
    one, other = whole[:, 1:][pair], whole[:, :-1][pair]
    step = np.abs(one - other)
    return {
        "equal": float((step < 1e-4).mean()),
        "alike": _alike(one, other),
        "between": share,
        "step": float(np.median(step)) / max(1e-3, float(whole[between].std())),
        "levels": len(np.unique(np.round(whole[between] * 255))) / 255,
    }


def _alike(one: _Grey, other: _Grey) -> float:
    """Correlation; 1 for what is of one grey."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) if one.std() > 1e-6 else 1.0


def _largest(mask: _Mask) -> _Mask:
    pieces, count = ndimage.label(mask)
    if not count:
        return np.zeros_like(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def _filled(mask: _Mask) -> _Mask:
    filled = ndimage.binary_fill_holes(mask)
    assert filled is not None
    return np.asarray(filled)
