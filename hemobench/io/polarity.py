"""What white around a head means: black and white are swapped (the skull is dark then), or the picture is on a page."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.io.remarks import mended

TURNED = "black and white were swapped (white around the head, the skull dark); they were turned round"
UNSURE = (
    "the corners of the picture are white, as where black and white are swapped, but no dark skull was found; it was "
    "taken as it is"
)
PAGE_BLACKENED = "the picture stands on a white page; the page was turned black"
PAGE_UNSURE = (
    "white surrounds what is shown, as of a page, and it is not clear which part is the picture; it was taken as it is"
)
_WHITE = 200
# Of the grey that half of a head has: below it is a swapped skull, in the brain window as in the bone window.
_SKULL_BELOW = 0.75
_CORNER_SHARE = 0.05
_LEAST_CORNERS = 3  # text may stand in the fourth
# Of its box: a head fills about 0.8, a picture in a white frame all.
_FRAMED_FROM = 0.95
_LEAST_ENCLOSED = 0.25
# A picture on a page: of the page's area, and of the picture's what is beside it (letters are less).
_LEAST_OF_PAGE, _LEAST_PICTURE, _MOST_BESIDE = 0.05, 48, 0.05
# Around a head is air. Next to white, JPEG and scaling leave some pixels grey.
_EDGE_BELOW, _EDGE_PIXELS = 100, 2
_LEAST_SIDE = 16
# The skull lies within this share of the way to a head's middle.
_RIM, _DARKER_BY = 0.25, 40


class Polarity(Enum):
    USUAL = "usual"
    SWAPPED = "swapped"
    UNSURE = "unsure"


def polarity_of(grey: NDArray[np.floating | np.integer]) -> Polarity:
    """Polarity of a picture (rows, columns) of grey 0..255 of a head.

    SWAPPED needs both: white in three corners or more, and a dark skull, as dark pixels that enclose a quarter or more
    of what is not white or as a rim darker than the middle. A white frame is looked into: it says nothing of the
    picture in it. White corners without a dark skull (a picture cut to the skull) are UNSURE.
    """
    if min(grey.shape) < _LEAST_SIDE or _white_corners(grey) < _LEAST_CORNERS:
        return Polarity.USUAL
    rest = _beside_white_corners(grey)
    if not rest.any():
        return Polarity.UNSURE
    box, piece = _largest_piece(rest)
    if piece.shape != grey.shape and piece.mean() >= _FRAMED_FROM:
        return polarity_of(grey[box])
    return Polarity.SWAPPED if _has_dark_skull(grey, rest) else Polarity.UNSURE


def without_page(
    grey: NDArray[np.floating | np.uint8],
) -> tuple[NDArray[np.floating | np.uint8], str | None]:
    """A picture of usual polarity with a white page around it black, and a line; a doubt where that is not clear.

    White in three corners, and a dark rectangle that nothing else on the page comes near in size, are a page. Whatever
    else comes back as it is: a head whose white does not surround a rectangle is for `polarity_of` to judge.
    """
    if min(grey.shape) < _LEAST_SIDE or _white_corners(grey) < _LEAST_CORNERS:
        return grey, None
    rest = _beside_white_corners(grey)
    if not rest.any():
        return grey, None
    box, piece = _largest_piece(rest)
    if piece.shape == grey.shape or piece.mean() < _FRAMED_FROM:
        return grey, None
    picture = grey[box]
    rest[box] = False
    beside = _largest_piece(rest)[1].sum() if rest.any() else 0
    large = piece.size >= _LEAST_OF_PAGE * grey.size and min(piece.shape) >= _LEAST_PICTURE
    edge = np.concatenate(
        [picture[_EDGE_PIXELS], picture[-1 - _EDGE_PIXELS], picture[:, _EDGE_PIXELS], picture[:, -1 - _EDGE_PIXELS]]
    )
    if not large or beside > _MOST_BESIDE * piece.size or np.median(edge) >= _EDGE_BELOW:
        return grey, PAGE_UNSURE
    inner = (slice(_EDGE_PIXELS, -_EDGE_PIXELS),) * 2
    blackened = np.zeros_like(grey)
    blackened[box][inner] = picture[inner]
    return blackened, mended(PAGE_BLACKENED)


def _beside_white_corners(grey: NDArray[np.floating | np.integer]) -> NDArray[np.bool_]:
    """What is not part of the white that holds a corner."""
    pieces, count = ndimage.label(grey >= _WHITE)
    corners = pieces[[0, 0, -1, -1], [0, -1, 0, -1]]
    return np.asarray(~np.isin(pieces, corners[corners > 0])) if count else np.ones(grey.shape, dtype=bool)


def _has_dark_skull(grey: NDArray[np.floating | np.integer], rest: NDArray[np.bool_]) -> bool:
    """Whether a dark ring encloses a good part of `rest`, or its rim is darker than its middle; and no white ring."""
    box, piece = _largest_piece(rest)
    shown, head = grey[box], _filled(piece)
    size = np.count_nonzero(head)
    dark = (shown < _SKULL_BELOW * np.median(shown[piece])) & piece
    within = _filled(ndimage.binary_closing(dark, iterations=max(1, min(grey.shape) // 128))) & ~dark
    if np.count_nonzero(_filled((shown >= _WHITE) & within) & (shown < _WHITE)) >= _LEAST_ENCLOSED * size:
        # A skull that is white, in a picture with white around its round field of view.
        return False
    if np.count_nonzero(within) >= _LEAST_ENCLOSED * size:
        return True
    depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1]
    rim, middle = shown[head & (depth <= _RIM * depth.max())], shown[depth > 0.5 * depth.max()]
    # A piece of a few pixels' width has no rim beside its middle, and is no head.
    return bool(rim.size and np.percentile(rim, 25) < np.median(middle) - _DARKER_BY)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    filled = ndimage.binary_fill_holes(mask)
    assert filled is not None
    return np.asarray(filled)


def _white_corners(grey: NDArray[np.floating | np.integer]) -> int:
    rows, columns = (max(2, round(_CORNER_SHARE * side)) for side in grey.shape)
    patches = (grey[:rows, :columns], grey[:rows, -columns:], grey[-rows:, :columns], grey[-rows:, -columns:])
    return sum(bool(np.median(patch) >= _WHITE) for patch in patches)


def _largest_piece(mask: NDArray[np.bool_]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Box of the largest piece, and the piece in it."""
    pieces, _ = ndimage.label(mask)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    rows, columns = ndimage.find_objects(pieces)[largest - 1]
    return (rows, columns), pieces[rows, columns] == largest
