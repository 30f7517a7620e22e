"""Two slices that were mixed up are named; slices in order never are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from hemobench.io import read_scan
from hemobench.io.slice_order import exchanged

GE_HEAD_CT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ge-head-ct"


def cap(count: int = 24, size: int = 128) -> np.ndarray:
    """Slices of half a ball in air with a rod through it that drifts to the right: each is like its neighbours."""
    z, y, x = np.ogrid[:count, :size, :size]
    middle = (size - 1) / 2
    inside = (y - middle) ** 2 + (x - middle) ** 2 < 55.0**2 - (2.0 * z) ** 2
    rod = abs(x - 30 - 2 * z) < 4
    noise = np.random.default_rng(0).normal(0, 5, (count, size, size))
    return np.where(inside, np.where(rod, 90, 35), -1000) + noise


@pytest.mark.parametrize(("first", "second"), [(3, 17), (10, 11), (0, 6), (20, 23)])
def test_two_exchanged_slices_are_found(first: int, second: int) -> None:
    slices = cap()
    assert exchanged(slices) is None
    slices[[first, second]] = slices[[second, first]]
    assert exchanged(slices) == (first, second)


def test_slices_that_are_all_alike_say_nothing() -> None:
    slices = np.random.default_rng(1).normal(0, 5, (20, 128, 128)) + cap()[12]
    assert exchanged(slices) is None
    assert exchanged(np.full((9, 128, 128), -1000.0)) is None
    assert exchanged(cap(3)) is None


@pytest.mark.skipif(not GE_HEAD_CT.is_dir(), reason="no real head CT here")
def test_a_real_head_is_in_order_and_mixed_up_files_are_told(tmp_path: Path) -> None:
    assert not any("exchanged" in line for line in read_scan(GE_HEAD_CT).warnings)
    for path in GE_HEAD_CT.glob("*.dcm"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first, second = (pydicom.dcmread(GE_HEAD_CT / name) for name in ("08.dcm", "15.dcm"))
    first.PixelData, second.PixelData = second.PixelData, first.PixelData
    first.save_as(tmp_path / "08.dcm")
    second.save_as(tmp_path / "15.dcm")
    assert any("look exchanged" in line for line in read_scan(tmp_path).warnings)
