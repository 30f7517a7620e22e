"""Traces of pictures' travels, held against Pillow's own JPEG and against what must not change."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hemobench.picture_artefacts import burnt_in, coarser, jpeg_traces


def scene(height: int = 64, width: int = 80) -> np.ndarray:
    generator = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width]
    smooth = 110 + 60 * np.sin(x / 9) * np.cos(y / 13)
    disc = 70 * ((y - 30) ** 2 + (x - 40) ** 2 < 220)
    return np.clip(smooth + disc + generator.normal(0, 6, (height, width)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [25, 60, 90])
@pytest.mark.parametrize("size", [(64, 80), (61, 77)])
def test_jpeg_traces_are_those_of_a_jpeg_file(quality: int, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    expected = np.asarray(Image.open(file), dtype=np.float32)
    found = jpeg_traces(torch.from_numpy(pixels)[None, None].float() / 255, quality)[0, 0].numpy() * 255
    # Pillow rounds to whole grey levels, its transform is in whole numbers (now and then a coefficient falls on the
    # other side of a half), and it pads a broken block in its own way.
    inner = np.s_[: size[0] // 8 * 8, : size[1] // 8 * 8]
    apart = np.abs(found - expected)[inner]
    assert apart.mean() < 0.6
    assert np.median(apart) < 0.4
    assert np.abs(found - pixels).mean() > 2.5


def test_coarser_pictures_keep_their_mean_and_lose_their_detail() -> None:
    image = torch.from_numpy(scene())[None, None].float() / 255
    coarse = coarser(image, 0.25)
    assert coarse.shape == image.shape
    assert float(coarse.mean()) == pytest.approx(float(image.mean()), abs=0.01)
    assert float(torch.diff(coarse).abs().mean()) < 0.5 * float(torch.diff(image).abs().mean())
    torch.testing.assert_close(coarser(image, 1.0), image)


def test_letters_are_bright_lie_near_an_edge_and_in_every_channel() -> None:
    for seed in range(20):
        dark = torch.zeros(3, 160, 160)
        marked = burnt_in(dark, torch.Generator().manual_seed(seed))
        assert torch.equal(marked[0], marked[2])
        ink = marked[0] > 0
        assert 10 < int(ink.sum()) < 0.15 * ink.numel()
        assert float(marked[0][ink].min()) >= 0.6
        rows = torch.nonzero(ink.any(1)).flatten()
        assert int(rows.max()) < 60 or int(rows.min()) > 100


def test_volumes_are_degraded_plane_by_plane() -> None:
    plane = torch.from_numpy(scene())[None, None].float() / 255
    volume = torch.stack([plane[0], 1 - plane[0]], dim=1)[None]
    torch.testing.assert_close(jpeg_traces(volume, 40)[0, :, 0], jpeg_traces(plane, 40)[0])
    torch.testing.assert_close(coarser(volume, 0.5)[0, :, 1], coarser(1 - plane, 0.5)[0])
