"""The network's grid of a scan and the way back, on oblique anisotropic grids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hemobench.views.head_box import ASSUMED_HEAD_MM, assumed_scale
from hemobench.views.scan_grid import network_input, to_source
from hemobench.views.view import SegmentationView
from hemobench.volume import GREY, Volume

VIEW = SegmentationView("subtypes", (5.0, 2.0, 2.0), (8, 48, 32), "brain")
# Slices 4 mm apart, pixels 1.25 x 1.25 mm, tilted by 20 degrees about the left-right axis.
TILT = np.deg2rad(20)
AFFINE = np.array(
    [
        [0, 0, -1.25, 60],
        [4 * np.sin(TILT), -1.25 * np.cos(TILT), 0, 80],
        [4 * np.cos(TILT), 1.25 * np.sin(TILT), 0, -5],
        [0, 0, 0, 1],
    ]
)


def _head() -> Volume:
    """A smooth ellipsoid of 0 to 80 HU in air, off the centre of its plane."""
    d, h, w = np.indices((20, 110, 96))
    radius = np.sqrt(((d - 9.5) / 12) ** 2 + ((h - 60) / 38) ** 2 + ((w - 40) / 27) ** 2)
    return Volume(np.where(radius < 1, 80 * (1 - radius), -1000.0), AFFINE)


def test_the_grid_lies_where_its_affine_says() -> None:
    volume = _head()
    found = network_input(volume, VIEW)
    affine = found.grid.affine_on(volume)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), VIEW.spacing_mm)
    # Sampled by scipy at the world positions of the grid; the head is smooth, so averaging changes it little.
    positions = volume.to_index(
        Volume(np.zeros(found.grid.shape), affine).to_world(np.stack(np.indices(found.grid.shape), axis=-1))
    )
    expected = ndimage.map_coordinates(np.clip(volume.voxels / 80, 0, 1), np.moveaxis(positions, -1, 0), order=1)
    inner = np.s_[2:-2, 12:36, 10:24]
    assert np.abs(found.array[0] - expected)[inner].max() < 0.05


def test_the_plane_holds_the_head_and_all_slices() -> None:
    volume = _head()
    grid = network_input(volume, VIEW).grid
    assert grid.shape == (16, 64, 48)  # 20 x 4 mm by 5; head of 95 + 16 and 67 + 16 mm by 2, in steps of 16
    middle = [
        offset + ratio * (size - 1) / 2 for offset, ratio, size in zip(grid.offset, grid.ratio, grid.shape, strict=True)
    ]
    assert middle == pytest.approx([9.5, 60, 40], abs=1.0)
    assert network_input(volume, VIEW, crop=False).grid.shape == (16, 80, 64)


def test_a_deep_window_leaves_out_slices_beyond_the_head() -> None:
    voxels = np.full((60, 110, 96), -1000.0)
    voxels[10:26] = _head().voxels[2:18]
    volume = Volume(voxels, AFFINE)
    grid = network_input(volume, VIEW, deep=True).grid
    assert grid.shape == (16, 64, 48)  # 16 x 4 mm and twice 8 mm by 5; plane as above
    assert grid.offset[0] + grid.ratio[0] * (grid.shape[0] - 1) / 2 == pytest.approx(17.5)
    assert network_input(volume, VIEW, deep=True, crop=False).grid.shape[0] == 48
    thick = SegmentationView("subtypes", (5.0, 2.0, 2.0), (24, 48, 32), "brain")
    assert network_input(volume, thick, deep=True).grid.shape == (24, 64, 48)


def test_a_field_comes_back_to_its_place() -> None:
    volume = _head()
    found = network_input(volume, VIEW)
    d, h, w = np.indices(found.grid.shape).astype(np.float32)
    ramp = np.stack([d, h, w])
    back = to_source(ramp, found.grid, volume, fill=-1.0)
    assert back.shape == (3, *volume.shape)
    for index in ((3, 50, 33), (11, 70, 44)):
        place = [(i - o) / r for i, o, r in zip(index, found.grid.offset, found.grid.ratio, strict=True)]
        np.testing.assert_allclose(back[(slice(None), *index)], place, atol=1e-3)
    box = (slice(2, 9), slice(30, 60), slice(20, 50))
    np.testing.assert_allclose(to_source(ramp, found.grid, volume, box, -1.0), back[(slice(None), *box)], atol=1e-5)
    assert (back[:, :, 0, 0] == -1).all()


def test_a_picture_is_scaled_to_an_average_head() -> None:
    grey = np.zeros((1, 300, 200), dtype=np.float32)
    grey[0, 50:250, 30:180] = 0.5
    picture = Volume(grey, np.array([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]), GREY)
    scaled = assumed_scale(picture)
    assert scaled.spacing_mm == pytest.approx((1.0, ASSUMED_HEAD_MM / 200, ASSUMED_HEAD_MM / 200))
    assert network_input(scaled, VIEW).grid.shape[0] == 1
