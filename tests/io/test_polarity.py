"""Swapped black and white: turned round where a head says so, and nothing else taken for it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hemobench.io.polarity import PAGE_BLACKENED, PAGE_UNSURE, Polarity, polarity_of, without_page

ROWS, COLUMNS = np.mgrid[:256, :256] - 127.5
# In half lengths of the head, so that 1 is its edge.
RADIUS = np.hypot(ROWS / 105, COLUMNS / 85)


def head(brain: int = 102, skull: int = 255, scalp: int = 120) -> NDArray[np.uint8]:
    """Scalp, skull and brain in black, as the brain window shows them; ventricles in the middle."""
    grey = np.zeros((256, 256), dtype=np.uint8)
    grey[RADIUS < 1] = scalp
    grey[RADIUS < 0.95] = skull
    grey[RADIUS < 0.85] = brain
    grey[RADIUS < 0.2] = 20
    return grey


BONE = head(brain=76, skull=160, scalp=80)  # as the bone window shows them
FRAMED = np.pad(head(), 30, constant_values=255)
ROUND = np.where(np.hypot(ROWS, COLUMNS) < 127, head(), 255)  # white around the round field of view
CUT = head()[60:-60, 70:-70]  # inside the skull


def noisy(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.clip(grey + np.random.default_rng(0).normal(0, 8, grey.shape), 0, 255)


@pytest.mark.parametrize("picture", [head(), noisy(head()), BONE, FRAMED, ROUND, CUT, head()[22:-22, 42:-42]])
def test_usual_pictures_are_not_turned(picture: NDArray) -> None:
    assert polarity_of(picture) is not Polarity.SWAPPED


@pytest.mark.parametrize("picture", [head(), BONE, FRAMED])
def test_usual_pictures_raise_no_doubt(picture: NDArray) -> None:
    assert polarity_of(picture) is Polarity.USUAL


@pytest.mark.parametrize(
    "picture", [head(), noisy(head()), BONE, head()[22:-22, 42:-42]], ids=["head", "noise", "bone", "cut close"]
)
def test_swapped_pictures_are_known(picture: NDArray) -> None:
    assert polarity_of(255 - picture) is Polarity.SWAPPED
    # In a white frame as well, and with letters in a corner.
    assert polarity_of(np.pad(255 - picture, 30, constant_values=255)) is Polarity.SWAPPED
    written = 255 - picture
    written[:20, :40:3] = 0
    assert polarity_of(written) is Polarity.SWAPPED


def test_an_open_skull_is_swapped_too() -> None:
    grey = head()
    grey[(RADIUS < 0.95) & (RADIUS >= 0.85) & (COLUMNS > 40)] = 102
    assert polarity_of(255 - grey) is Polarity.SWAPPED


def test_white_corners_without_a_skull_are_in_doubt() -> None:
    grey = np.full((200, 200), 255, dtype=np.uint8)
    grey[50:150, 60:140][np.hypot(*(np.mgrid[:100, :80] - np.array([50, 40])[:, None, None])) < 38] = 100
    assert polarity_of(grey) is Polarity.UNSURE
    assert polarity_of(np.full((200, 200), 255, dtype=np.uint8)) is Polarity.UNSURE
    assert polarity_of(np.full((8, 8), 255, dtype=np.uint8)) is Polarity.USUAL


def on_page(*pictures: NDArray[np.uint8], caption: bool = True) -> NDArray[np.uint8]:
    """Pictures of 256 by 256 below each other on a white page, each with letters below."""
    page = np.full((60 + 320 * len(pictures), 500), 250, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        top = 40 + 320 * number
        page[top : top + 256, 90:346] = picture
        if caption:
            page[top + 266 : top + 274, 90:340:7] = 10
    return page


@pytest.mark.parametrize("picture", [head(), noisy(head()).astype(np.uint8), BONE])
@pytest.mark.parametrize("caption", [False, True])
def test_a_white_page_around_a_picture_is_turned_black(picture: NDArray, caption: bool) -> None:
    found, line = without_page(on_page(picture, caption=caption))
    assert line == PAGE_BLACKENED
    expected = np.zeros((380, 500), dtype=np.uint8)
    expected[42:294, 92:344] = picture[2:-2, 2:-2]
    np.testing.assert_array_equal(found, expected)


def test_a_page_that_was_saved_as_jpeg_leaves_no_bright_edge() -> None:
    stream = io.BytesIO()
    Image.fromarray(on_page(head())).save(stream, "JPEG", quality=60)
    found, line = without_page(np.asarray(Image.open(stream)))
    assert line == PAGE_BLACKENED
    outside = np.ones(found.shape, dtype=bool)
    outside[40:296, 90:346] = RADIUS >= 1.05
    assert found[outside].max() < 60


def test_pages_without_one_clear_picture_are_in_doubt_and_stay() -> None:
    text = np.full((400, 300), 255, dtype=np.uint8)
    text[40:44, 30:250], text[60:64, 30:240] = 0, 0
    bright = np.full((256, 256), 150, dtype=np.uint8)
    for page in (on_page(head(), head()), text, on_page(bright)):
        found, line = without_page(page)
        assert line == PAGE_UNSURE
        assert found is page


@pytest.mark.parametrize("picture", [head(), noisy(head()), BONE, ROUND, CUT, head()[22:-22, 42:-42], 255 - head()])
def test_pictures_without_a_page_stay(picture: NDArray) -> None:
    found, line = without_page(picture)
    assert found is picture
    assert line is None


def test_lines_on_a_white_page_have_no_skull() -> None:
    # Two pixels wide: there is no rim that is not the middle as well.
    page = np.full((256, 256), 255, dtype=np.uint8)
    page[20:236, 127:129] = page[127:129, 20:236] = 90
    assert polarity_of(page) is Polarity.UNSURE
