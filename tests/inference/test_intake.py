from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

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
    assert taken.warnings == ()
