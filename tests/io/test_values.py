"""Values that are no plain HU: each is made of a head whose HU are known, and has to come back to them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from hemobench.io import read_scan
from hemobench.io.scan import NO_AIR
from hemobench.io.values import as_hounsfield, is_ct_without_units, looks_like_brain, moved_to_hounsfield

RADIUS = np.hypot(*((np.mgrid[:96, :96] - 47.5) / np.array([42, 34])[:, None, None]))
BRAIN = np.broadcast_to(RADIUS < 0.8, (6, 96, 96))
AIR = np.broadcast_to(RADIUS >= 1, (6, 96, 96))
BONE = np.broadcast_to((RADIUS >= 0.82) & (RADIUS < 0.95), (6, 96, 96))


def head(seed: int = 0) -> NDArray[np.float32]:
    """Air, scalp of fat, a skull of 250 to 1,500 HU, brain of 22 to 42 HU with noise of 4 HU, ventricles, a bleed."""
    rng = np.random.default_rng(seed)
    hu = np.full((6, 96, 96), -1000.0)
    hu[:, RADIUS < 1] = -80
    hu[:, (RADIUS >= 0.8) & (RADIUS < 0.95)] = 30
    hu[BONE] = rng.uniform(250, 1500, np.count_nonzero(BONE))
    hu[BRAIN] = rng.uniform(22, 42, np.count_nonzero(BRAIN))
    hu[:, RADIUS < 0.15] = 8
    hu[2:4, 60:68, 40:50] = 68
    hu += rng.normal(0, 4, hu.shape)
    return np.rint(hu).astype(np.float32)


HU = head()


@pytest.mark.parametrize("offset", [1024, 1000, 32768, 8192])
def test_an_offset_is_taken_off_exactly(offset: int) -> None:
    hu, (line,) = as_hounsfield(HU + offset)
    np.testing.assert_array_equal(hu, HU)
    assert f"+ {offset}" in line


@pytest.mark.parametrize("offset", [1024, 1000])
@pytest.mark.parametrize("brain", [-10, 10])
def test_dark_and_bright_brains_have_their_own_offset(offset: int, brain: int) -> None:
    """Brain of 22 or 42 HU in the mean: air tells 1,000 and 1,024 apart where brain fits both."""
    stored = np.where(BRAIN, HU + brain, HU)
    np.testing.assert_array_equal(as_hounsfield(stored + np.float32(offset))[0], stored)


def test_padding_below_0_does_not_hide_the_offset() -> None:
    stored = HU + 1024
    stored[:, RADIUS > 1.2] = -2000
    hu, lines = as_hounsfield(stored)
    np.testing.assert_array_equal(hu[BRAIN], HU[BRAIN])
    assert "+ 1024" in lines[0]


@pytest.mark.parametrize("swapped", [-HU, 3071 - HU, 64511 - HU, HU.max() - HU], ids=["0", "12", "16", "own range"])
def test_swapped_values_are_turned_round(swapped: NDArray) -> None:
    hu, (line,) = as_hounsfield(swapped.astype(np.float32))
    # Where the constant is found by the air, it is right to the noise of the corners' median.
    np.testing.assert_allclose(hu, HU, atol=1)
    assert "swapped" in line


def test_what_wrapped_round_in_16_bits_is_taken_back() -> None:
    hu, (line,) = as_hounsfield(HU.astype(np.int16).view(np.uint16).astype(np.float32))
    np.testing.assert_array_equal(hu, HU)
    assert "wrapped" in line


@pytest.mark.parametrize("low_high", [(0, 80), (0, 100), (-20, 120), (-50, 150)])
def test_a_window_of_hu_gets_air_and_bone_back(low_high: tuple[int, int]) -> None:
    hu, (line,) = as_hounsfield(np.clip(HU, *low_high))
    np.testing.assert_array_equal(hu[BRAIN], np.clip(HU, *low_high)[BRAIN])
    assert (hu[AIR] == -1000).mean() > 0.99
    assert (hu[BONE] == 600).mean() > 0.99
    assert f"({low_high[0]} to {low_high[1]}, median of tissue 3" in line
    assert "bone" in line


def test_a_slice_of_the_base_has_the_window_s_own_units() -> None:
    """Much muscle and little brain: its spread is no brain's, and 0..100 are HU all the same."""
    rng = np.random.default_rng(0)
    base = HU[:1].copy()
    base[:, RADIUS < 0.75] = rng.uniform(30, 75, base[:, RADIUS < 0.75].shape)
    hu, (line,) = as_hounsfield(np.clip(base, 0, 100))
    np.testing.assert_array_equal(hu[0, RADIUS < 0.75], base[0, RADIUS < 0.75])
    assert "without air" in line


def test_the_brain_alone_stands_in_air() -> None:
    stripped = np.where(BRAIN, np.clip(HU, 0, 100), 0).astype(np.float32)
    stripped[2, 40, 40] = 97  # calcium
    stripped[:, 20:60, 47] += 30  # the falx, and a sinus
    hu, (line,) = as_hounsfield(stripped)
    assert (hu[~BRAIN] == -1000).mean() > 0.99
    # Fluid of 0 HU inside stays what it is.
    np.testing.assert_array_equal(hu[BRAIN & (stripped > 0)], stripped[BRAIN & (stripped > 0)])
    assert "brain alone" in line


@pytest.mark.parametrize(("low", "high"), [(0, 80), (-20, 180)])
@pytest.mark.parametrize("white", [255, 1.0])
def test_display_greys_are_brought_to_their_window(low: int, high: int, white: float) -> None:
    greys = (np.clip(HU, low, high) - low) / (high - low) * white
    hu, (line,) = as_hounsfield(greys.astype(np.float32))
    np.testing.assert_allclose(hu[BRAIN], np.clip(HU, low, high)[BRAIN], atol=0.01)
    assert f"{low} to {high} HU" in line


def test_a_swapped_window_is_turned_round_first() -> None:
    hu, lines = as_hounsfield(80 - np.clip(HU, 0, 80))
    np.testing.assert_array_equal(hu[BRAIN], np.clip(HU, 0, 80)[BRAIN])
    assert "swapped" in lines[0]
    assert "without air" in lines[1]


def mr(scale: float) -> NDArray[np.float32]:
    """White and grey matter and fluid in a T1's proportions, with its spread, in noise; scale is white matter."""
    rng = np.random.default_rng(1)
    values = np.abs(rng.normal(0, 0.02, HU.shape))
    tissue = rng.choice([0.3, 0.7, 1.0], p=[0.15, 0.45, 0.4], size=HU.shape) * rng.normal(1, 0.08, HU.shape)
    return (np.where(RADIUS < 0.9, tissue, values) * scale).astype(np.float32)


@pytest.mark.parametrize(
    "voxels",
    [HU, head(3) - 24, mr(110), mr(400), mr(1050), mr(3000), -mr(400), np.full((2, 9, 9), 40), np.zeros((1, 40, 40))],
)
def test_plain_hu_mr_and_what_cannot_be_told_stay(voxels: NDArray) -> None:
    given = voxels.astype(np.float32)
    hu, lines = as_hounsfield(given)
    assert hu is given
    assert lines == ()


def test_what_a_ct_is_by_its_spread_alone() -> None:
    inside = np.clip(HU, 0, 100)[:, 16:80, 20:76]
    assert looks_like_brain(inside)
    assert not looks_like_brain(mr(110))
    whole = np.rint((np.clip(HU, -1000, 2000) + 1000) / 3000 * 255)
    assert is_ct_without_units(whole)
    assert not is_ct_without_units(mr(110))
    # One tissue and nothing brighter: not judged.
    assert not is_ct_without_units(np.where(RADIUS < 1, 400, 0) + np.zeros(HU.shape))


@pytest.mark.parametrize("most", [1e30, np.finfo(np.float32).max])
@pytest.mark.filterwarnings("error")
def test_damaged_floats_overflow_nothing(most: float) -> None:
    damaged = np.clip(HU, 0, 100)
    damaged[0, :40] = most
    damaged[1, :40] = -most
    for voxels in (damaged, np.abs(damaged)):
        assert as_hounsfield(voxels)[0] is voxels
        assert not looks_like_brain(voxels)
        assert not is_ct_without_units(voxels)


def test_a_single_slice_of_levels_may_be_integers() -> None:
    moved = moved_to_hounsfield((HU[:1] + 1024).astype(np.int32))
    assert moved is not None
    np.testing.assert_array_equal(moved[0], HU[:1])
    assert moved_to_hounsfield(np.zeros((1, 40, 40), dtype=np.int32)) is None


def test_files_are_read_so(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image((HU.T + 1024).astype(np.uint16), np.diag([-2, -2, 5, 1])), tmp_path / "a.nii.gz")
    np.savez(tmp_path / "a.npz", image=(HU + 1024).astype(np.uint16), spacing_mm=(5, 2, 2))
    for name in ("a.nii.gz", "a.npz"):
        scan = read_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.volume.voxels, HU)
        assert sum("+ 1024" in line for line in scan.warnings) == 1
        assert NO_AIR not in scan.warnings
