"""What is odd about a CT is told, and nothing is odd about a head."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.inference.plausible import doubts_about
from hemobench.io.remarks import Grade, grade_of
from hemobench.volume import Volume, display_affine


def a_head(depth: int = 24, side: int = 120) -> np.ndarray:
    """HU of half an ellipsoid of noisy brain in a skull, 192 x 160 mm at 2 mm, whole at its top."""
    z, y, x = np.ogrid[:depth, :side, :side]
    middle = (side - 1) / 2
    radius = np.sqrt(((y - middle) / 48) ** 2 + ((x - middle) / 40) ** 2 + (z / (depth - 0.5)) ** 2)
    noise = np.random.default_rng(0).normal(0, 4, radius.shape)
    return np.where(radius < 0.9, 34 + noise, np.where(radius < 1, 900, -1000 + noise)).astype(np.float32)


def told(voxels: np.ndarray, spacing: tuple[float, float, float] = (5.0, 2.0, 2.0)) -> list[str]:
    return doubts_about(Volume(voxels, display_affine(voxels.shape, spacing)), spacing_known=True)


def test_nothing_is_odd_about_a_head_or_a_few_slices_of_it() -> None:
    assert told(a_head()) == []
    assert told(a_head()[:4]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu + 24, "soft tissue is 58 HU"),
        (lambda hu: hu - 1024, "values may be shifted or scaled"),
        (lambda hu: hu * 10, "hardly a value lies"),
        (lambda hu: hu / 16, "the lowest value is -64 HU"),
        (lambda hu: np.where(hu > 500, 40_000, hu), "values reach 40000 HU"),
        (lambda hu: hu[:13], "uppermost slice still shows a full head"),
        (lambda hu: np.where(np.arange(len(hu))[:, None, None] == 9, 0, hu), "1 slice within the scan hold"),
        (lambda hu: hu[[*range(8), 7, 7, *range(10, len(hu))]], "2 slices show the very picture"),
    ],
)
def test_what_is_odd_is_told(change: object, words: str) -> None:
    assert any(words in line for line in told(change(a_head()))), told(change(a_head()))  # type: ignore[operator]


def test_millimetres_that_no_head_has_are_doubted() -> None:
    assert any("192 x 160 mm" not in line and "measures" in line for line in told(a_head(), (5.0, 0.2, 0.2)))
    assert any("measures" in line for line in told(a_head(), (5.0, 2.0, 0.9)))
    assert any("cover 24 mm" in line for line in told(a_head(), (1.0, 2.0, 2.0)))
    assert doubts_about(Volume(a_head(), display_affine((24, 120, 120), (1.0, 0.2, 0.2))), spacing_known=False) == []


def test_a_slice_of_one_value_is_a_part_unseen() -> None:
    hu = a_head()
    hu[9] = 0
    hu[-1] = -1000  # air above is none
    assert [grade_of(line) for line in told(hu)] == [Grade.PART]
