"""Swapped black and white: turned round where a head says so, and nothing else taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hemobench.io.polarity import Polarity, polarity_of

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
