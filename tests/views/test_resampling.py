"""Resampling along axes, against scipy, torch's own anti-aliasing and values worked out by hand."""

from __future__ import annotations

import numpy as np
import torch

from hemobench.views.resampling import AxisGrid, grid_around, resample
from hemobench.volume import Volume


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def test_halving_averages_with_a_triangle() -> None:
    line = np.array([0, 0, 0, 8, 0, 0, 0, 0], dtype=np.float32)[None, None]
    grid = AxisGrid((1, 1, 2), (0, 0, 0.5), (1, 1, 4))
    # Samples at 0.5, 2.5, 4.5, 6.5; distances of voxel 3: 2.5, 0.5, 1.5, 3.5, weights 1 - d / 2, four voxels a row.
    np.testing.assert_allclose(resample(line, grid)[0, 0], [0, 8 * 0.75 / 2, 8 * 0.25 / 2, 0], atol=1e-6)


def test_pictures_shrink_as_torch_shrinks_them() -> None:
    pictures = _noise(3, 50, 64)
    ours = resample(pictures, grid_around((3, 50, 64), (1, 1, 1), (1, 24.5, 31.5), (1, 2.5, 2), (3, 20, 32)))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(pictures)[:, None], size=(20, 32), mode="bilinear", antialias=True, align_corners=False
    )[:, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_finer_grids_interpolate_linearly_as_scipy_does() -> None:
    volume = Volume(_noise(6, 7, 9), np.diag([4.0, 1.0, 1.5, 1.0]))
    grid = grid_around(volume.shape, volume.spacing_mm, (2.5, 3, 4), (1.5, 0.7, 1.1), (14, 8, 10))
    expected = volume.resampled_to(grid.affine_on(volume), grid.shape, fill=0.0).voxels
    np.testing.assert_allclose(resample(volume.voxels, grid), expected, atol=1e-4)


def test_outside_stands_the_fill_and_edges_are_repeated() -> None:
    line = np.array([1, 2, 3], dtype=np.float32)[None, None]
    found = resample(line, AxisGrid((1, 1, 0.5), (0, 0, -1.0), (1, 1, 9)), fill=-7)
    np.testing.assert_allclose(found[0, 0], [-7, 1, 1, 1.5, 2, 2.5, 3, 3, -7], atol=1e-6)


def test_there_and_back_is_the_same_place() -> None:
    volume = Volume(_noise(5, 12, 10), np.array([[0, 0.1, 2, 5], [0, 1.5, 0.1, -9], [3.0, 0, 0, 1], [0, 0, 0, 1]]))
    grid = grid_around(volume.shape, volume.spacing_mm, (2, 6, 4), (5, 2, 2), (4, 8, 7))
    back = grid.inverse(volume.shape)
    inner = Volume(np.zeros(grid.shape), grid.affine_on(volume))
    np.testing.assert_allclose(back.affine_on(inner), volume.affine, atol=1e-9)
    box = back.part((1, 2, 3), (4, 9, 8))
    stretched = _noise(2, *grid.shape)
    np.testing.assert_allclose(resample(stretched, box), resample(stretched, back)[:, 1:4, 2:9, 3:8], atol=1e-5)
