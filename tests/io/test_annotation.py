"""Text beside the head: drawn with Pillow in several sizes, and what must not be taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hemobench.io.annotation import burned_in_text


def head(side: int = 512) -> Image.Image:
    """A skull about a brain, and the arc of a head rest below it, as thin as it is long."""
    picture = Image.new("L", (side, side))
    draw = ImageDraw.Draw(picture)
    ring = [side * 0.25, side * 0.15, side * 0.75, side * 0.8]
    draw.ellipse(ring, fill=102, outline=255, width=side // 50)
    draw.arc([side * 0.1, side * 0.4, side * 0.9, side * 0.95], 20, 160, fill=180, width=max(2, side // 150))
    return picture


def written(text: str, size: int, place: tuple[float, float], grey: int = 255, side: int = 512) -> NDArray[np.uint8]:
    picture = head(side)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(picture).text((place[0] * side, place[1] * side), text, fill=grey, font=font)
    return np.asarray(picture)


@pytest.mark.parametrize("size", [11, 14, 20, 30])
@pytest.mark.parametrize("text", ["DOE^JANE 4711", "Miller, J.", "1962-03-04"])
@pytest.mark.parametrize("place", [(0.01, 0.01), (0.01, 0.92)])
def test_text_in_the_corners_is_found(text: str, size: int, place: tuple[float, float]) -> None:
    assert burned_in_text(written(text, size, place))
    assert burned_in_text(written(text, size, place, grey=160))


def test_a_small_picture_has_small_text() -> None:
    assert burned_in_text(written("J MILLER", 10, (0.02, 0.02), side=256))


@pytest.mark.parametrize("side", [40, 128, 512, 1024])
def test_a_head_on_its_rest_has_no_text(side: int) -> None:
    assert not burned_in_text(np.asarray(head(side)))


def test_a_letter_for_the_side_names_nobody() -> None:
    assert not burned_in_text(written("R", 24, (0.02, 0.45)))


def test_text_on_the_head_is_not_looked_for() -> None:
    assert not burned_in_text(written("JANE", 14, (0.45, 0.5)))


def test_pictures_without_anything() -> None:
    for grey in (0, 255):
        assert not burned_in_text(np.full((200, 200), grey, dtype=np.uint8))


def test_specks_are_no_letters() -> None:
    """Single bright pixels, as noise leaves them in air."""
    picture = np.array(head())
    rows, columns = np.random.default_rng(0).integers(0, 512, (2, 400))
    picture[rows, columns] = 255
    assert not burned_in_text(picture)
