from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hemobench.errors import UserError
from hemobench.inference.intake import take_in
from hemobench.io import read_scan
from hemobench.io.nifti import write_nifti
from hemobench.io.scan import NO_AIR
from hemobench.volume import GREY, Volume, display_affine

SHAPE = (12, 60, 60)


def head(background: float, tissue: float, spread: float = 0.0) -> NDArray[np.float32]:
    """A block of tissue in a background, with noise."""
    voxels = np.full(SHAPE, background, dtype=np.float32)
    voxels[2:10, 10:50, 12:48] = tissue
    return voxels + np.random.default_rng(0).normal(0, spread, SHAPE).astype(np.float32)


@pytest.mark.parametrize(
    ("voxels", "modality"),
    [
        (head(-1000, 40), "CT"),
        (head(-100, 40), "CT"),  # clipped at -100 HU
        (head(0, 400), "MR"),
        (head(0, 400, spread=10), "MR"),  # negative noise, as after interpolation
        (head(-0.7, 1.5), "MR"),  # normalised to mean 0
    ],
)
def test_a_nifti_is_ct_where_it_has_air(voxels: NDArray[np.float32], modality: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(Volume(voxels, display_affine(SHAPE, (5, 2, 2))), path)
    taken = take_in(path)
    assert taken.modality == modality
    assert any("taken as MR" in line for line in taken.warnings) == (modality == "MR")


def test_the_reader_s_guess_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(Volume(head(0, 400), display_affine(SHAPE, (5, 2, 2))), path)
    assert NO_AIR in read_scan(path).warnings
    assert NO_AIR not in take_in(path).warnings
    # Said again where somebody insists.
    assert NO_AIR in take_in(path, modality="CT").warnings


def test_an_array_file_is_looked_at_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=head(0, 400), spacing_mm=np.array([5.0, 2.0, 2.0]))
    assert take_in(tmp_path / "a.npz").modality == "MR"


def test_a_volume_in_memory_says_itself_what_it_is() -> None:
    assert take_in(Volume(head(0, 400), display_affine(SHAPE, (5, 2, 2)))).modality == "CT"


def test_a_picture_becomes_grey_of_a_head_of_average_size(tmp_path: Path) -> None:
    levels = np.zeros((200, 160), dtype=np.uint8)
    levels[20:181, 30:130] = 102  # 161 rows of head
    Image.fromarray(levels).save(tmp_path / "slice.png")
    taken = take_in(tmp_path / "slice.png")
    assert taken.modality == GREY
    np.testing.assert_allclose(np.unique(taken.volume.voxels), [0, 0.4], atol=1e-6)
    # The longer side of the head is taken for 194 mm; the box counts in steps of two pixels.
    assert taken.volume.spacing_mm[1] == pytest.approx(194 / 161, rel=0.02)
    assert taken.volume.spacing_mm[1] == pytest.approx(taken.volume.spacing_mm[2])
    # The scan stays as it was read: writers need its own grid.
    assert taken.scan.volume.modality == "CT"
    assert taken.scan.volume.spacing_mm[1] == pytest.approx(250 / 200)
    assert any("no volume in mL" in line for line in taken.warnings)


def test_a_grey_volume_stays_as_it_is() -> None:
    grey = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    taken = take_in(Volume(grey, display_affine((3, 4, 5), (5, 1, 1)), GREY))
    np.testing.assert_array_equal(taken.volume.voxels, grey)
    assert [one.split(":")[0] for one in taken.warnings] == ["this does not look like a head CT"]


def ct() -> NDArray[np.float32]:
    """Air, a ring of bone, and brain of 20 to 45 HU."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :60] - 29.5
    radius = np.hypot(rows / 26, columns / 22)
    hu = np.where(radius < 1, rng.uniform(300, 1500, SHAPE), -1000.0)
    return np.rint(np.where(radius < 0.85, rng.uniform(20, 45, SHAPE), hu)).astype(np.float32)


@pytest.mark.parametrize(
    "stored",
    [ct() + 1024, np.clip(ct(), 0, 100), np.clip(ct(), 0, 100)[:, 12:48, 14:46], 80 - np.clip(ct(), 0, 80), -ct()],
    ids=["offset", "cut", "cut, no background", "swapped window", "swapped"],
)
def test_a_ct_that_lacks_air_is_still_a_ct_and_says_what_it_looked_like(stored: NDArray, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=stored, spacing_mm=np.array([5.0, 2.0, 2.0]))
    taken = take_in(tmp_path / "a.npz")
    assert taken.modality == "CT"
    assert taken.warnings != ()
    assert not any("taken as MR" in line for line in taken.warnings)
    middle = taken.volume.voxels[6, 20:40, 20:40]
    assert 20 <= np.median(middle) <= 45


def test_mr_is_as_stored_where_somebody_insists(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.clip(ct(), 0, 100), spacing_mm=np.array([5.0, 2.0, 2.0]))
    taken = take_in(tmp_path / "a.npz", modality="MR")
    assert taken.modality == "MR"
    assert taken.volume.voxels.min() == 0


def test_a_picture_of_hounsfield_units_is_a_ct(tmp_path: Path) -> None:
    Image.fromarray((np.kron(ct()[6], np.ones((2, 2))) + 1024).astype(np.uint16)).save(tmp_path / "a.png")
    assert take_in(tmp_path / "a.png").modality == "CT"


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.zeros(SHAPE), "every voxel of the scan is 0"),
        (np.full(SHAPE, 1024), "every voxel of the scan is 1024"),
        ((head(0, 1) == 1).astype(np.uint8), "as in a mask"),
        (np.rint((ct().clip(-1000, 2000) + 1000) / 3000 * 255), "export the CT with its rescale slope"),
    ],
    ids=["zeros", "constant", "mask", "unit lost"],
)
def test_values_that_are_no_scan_are_refused_in_one_line(voxels: NDArray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", voxels)
    with pytest.raises(UserError, match=words) as caught:
        take_in(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_black_picture_is_refused(tmp_path: Path) -> None:
    Image.new("L", (200, 200)).save(tmp_path / "black.png")
    with pytest.raises(UserError, match="every voxel"):
        take_in(tmp_path / "black.png")
