"""Masks that cannot be of blood are named by `data check`, and no others."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import NIFTI_FOLDER, VENTRICLES
from hemobench.datasets.check import check_dataset
from hemobench.datasets.odd_masks import IN_AIR, IN_BONE, INVERTED, TOO_LARGE, oddity_of
from hemobench.volume import GREY, Volume, display_affine

AFFINE = display_affine((6, 64, 64), (5.0, 3.0, 3.0))
ROWS, COLUMNS = np.mgrid[:64, :64] - 31.5
RADIUS = np.broadcast_to(np.hypot(ROWS, COLUMNS), (6, 64, 64))


def head(*, blood_hu: float = 65.0) -> tuple[np.ndarray, np.ndarray]:
    """Brain to a radius of 24 pixels, bone to 28, air around; a clot of radius 6 within three slices."""
    hu = np.where(RADIUS < 24, 32.0, np.where(RADIUS < 28, 1000.0, -1000.0)).astype(np.float32)
    clot = (np.hypot(ROWS - 8, COLUMNS) < 6)[None] & (np.arange(6) % 2 == 0)[:, None, None]
    return np.where(clot, np.float32(blood_hu), hu), clot


def in_air(clot: np.ndarray) -> np.ndarray:
    """The clot moved to a corner, 37 pixels from the middle."""
    return np.roll(clot, (18, 26), axis=(1, 2))


def found(hu: np.ndarray, mask: np.ndarray, modality: str = "CT") -> str | None:
    return oddity_of(Loaded(Volume(hu, AFFINE, modality), None, None, blood_mask=mask), NIFTI_FOLDER)


def test_masks_that_cannot_be_of_blood() -> None:
    hu, clot = head()
    assert found(hu, clot) is None
    assert found(hu, np.zeros_like(clot)) is None
    assert found(hu, ~clot) == INVERTED
    assert found(hu, in_air(clot)) == IN_AIR
    assert found(hu, (RADIUS >= 24) & (RADIUS < 28) & (ROWS > 15)) == IN_BONE
    assert found(hu, RADIUS < 24) == TOO_LARGE
    # Of the head's radius of 28: 13 is 22% of its area, 15 is 29%.
    assert found(hu, RADIUS < 13) is None
    assert found(hu, RADIUS < 15) == TOO_LARGE


def test_what_cannot_be_told_is_not_named() -> None:
    hu, clot = head()
    assert found(hu, ~clot, "MR") is None
    few = np.zeros_like(clot)
    few[0, 0, :5] = True
    assert found(hu, few) is None
    ventricles = Loaded(Volume(hu, AFFINE), None, None, blood_mask=RADIUS < 24)
    assert oddity_of(ventricles, VENTRICLES) is None


def test_pictures_have_black_for_air_and_white_for_blood_and_bone() -> None:
    hu, clot = head(blood_hu=90)
    for shown, modality in ((hu.clip(0, 80), "CT"), (hu.clip(0, 80) / 80, GREY)):
        assert found(shown, clot, modality) is None
        assert found(shown, in_air(clot), modality) == IN_AIR
        assert found(shown, RADIUS < 24, modality) == TOO_LARGE


def loaded(name: str) -> Loaded:
    hu, clot = head()
    moved = in_air(clot)
    return Loaded(Volume(hu, AFFINE), None, None, blood_mask=clot if name == "fine" else moved)


@pytest.mark.parametrize(("names", "shown"), [(("a",), "a"), (("a", "b", "c", "d", "e"), "a, b, c and 2 more")])
def test_one_line_a_kind_with_some_of_the_names(names: tuple[str, ...], shown: str) -> None:
    cases = tuple(Case(name, name, "made", "made", None, partial(loaded, name)) for name in (*names, "fine"))
    count = "1 mask" if len(names) == 1 else f"{len(names)} masks"
    assert check_dataset(Dataset(NIFTI_FOLDER, cases, "f", ())).odd_masks == (f"{count} {IN_AIR}: {shown}",)
