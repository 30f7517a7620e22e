"""Colours and words that the parts of the overview share."""

from __future__ import annotations

from collections.abc import Mapping

from hemobench.inference.overview.canvas import Colour
from hemobench.io.masks import LABEL_COLOURS
from hemobench.labels import LABEL_IDS

TYPE_COLOURS: Mapping[str, Colour] = {name: LABEL_COLOURS[number - 1] for name, number in LABEL_IDS.items()}
ANY_COLOUR: Colour = (233, 236, 240)
VENTRICLE_COLOUR: Colour = (64, 205, 220)
CALLED: Colour = (235, 87, 87)
# Neither green nor blue: no colour of an all-clear.
NOTHING_CALLED: Colour = (122, 134, 150)
CAUTION: Colour = (255, 205, 92)
RESEARCH_ONLY = "RESEARCH USE ONLY - not a diagnosis"
# How many lesions have their largest slice marked, and a line along the scan.
MOST_MARKED = 12


def millilitres(volume_ml: float) -> str:
    """A volume in the digits that matter.

    >>> [millilitres(one) for one in (0.0, 0.123, 3.14159, 42.42, 123.4)]
    ['0', '0.12', '3.1', '42.4', '123']
    """
    if volume_ml == 0:
        return "0"
    return f"{volume_ml:.2f}" if volume_ml < 1 else f"{volume_ml:.1f}" if volume_ml < 100 else f"{volume_ml:.0f}"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "slice"), counted(3, "slice")
    ('1 slice', '3 slices')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
