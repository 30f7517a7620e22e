"""What the scanner adds, on drawn objects: hardening, motion, holder, kernel, noise, scalp."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hemobench.datasets.phantom import artefacts
from hemobench.datasets.phantom.noise import smooth_noise, stream


def disc(size: int = 128, radius: float = 50.0, hu: float = 30.0) -> torch.Tensor:
    line = torch.arange(size) - (size - 1) / 2
    far = (line.reshape(-1, 1) ** 2 + line.reshape(1, -1) ** 2).sqrt()
    return torch.where(far < radius, hu, -1000.0)[None]


def test_beam_hardening_darkens_between_two_dense_blocks() -> None:
    hu = disc()
    hu[0, 56:72, 24:36] = hu[0, 56:72, 92:104] = 1200.0
    error = artefacts.beam_hardening(hu, 10.0)[0]
    between, above = error[60:68, 60:68].mean(), error[26:34, 60:68].mean()
    assert float(between) < -5
    assert float(between) < float(above) - 4
    half = artefacts.beam_hardening(hu, 5.0)[0, 60:68, 60:68].mean()
    assert float(half) == pytest.approx(float(between) / 2, rel=1e-3)


def test_beam_hardening_needs_bone() -> None:
    assert float(artefacts.beam_hardening(disc(), 10.0).abs().max()) < 1e-3
    assert float(artefacts.beam_hardening(torch.full((1, 64, 64), -1000.0), 10.0).abs().max()) == 0


def test_motion_changes_a_few_neighbouring_slices() -> None:
    hu = disc(64, 25).repeat(20, 1, 1)
    for key in range(10):
        moved = artefacts.move(hu, np.random.default_rng(key))
        changed = torch.nonzero((moved != hu).flatten(1).any(dim=1)).flatten().tolist()
        assert 1 <= len(changed) <= 4
        assert changed == list(range(changed[0], changed[-1] + 1))
        assert float(moved.min()) >= -1000.01


@pytest.mark.parametrize("key", range(5))
def test_head_holder_is_drawn_over_air_alone(key: int) -> None:
    hu = disc(128, 42)
    held = artefacts.head_holder(hu, 1.8, np.random.default_rng(key))
    inside = hu > -500
    assert torch.equal(held[inside], hu[inside])
    assert bool((held[~inside] > -400).any())  # the shell
    top = held[:, :20][~inside[:, :20]]
    assert float(top.max()) == -1000  # never in front of the face


@pytest.mark.parametrize(("sharpness", "noise_hu"), [(0.0, 2.0), (0.4, 4.0), (0.9, 8.0)])
def test_noise_has_the_stated_spread_and_is_correlated(sharpness: float, noise_hu: float) -> None:
    flat = torch.full((8, 128, 128), 30.0)
    noise = artefacts.reconstruct(flat, 0.9, sharpness, noise_hu, stream(1, "noise")) - 30
    assert float(noise.mean()) == pytest.approx(0, abs=0.05 * noise_hu)
    middle, rim = noise[:, 52:76, 52:76].std(), noise[:, :16, :16].std()
    assert float(middle) == pytest.approx(1.13 * noise_hu, rel=0.08)
    assert float(rim) < 0.75 * float(middle)
    beside = float((noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.square().mean())
    softer = artefacts.reconstruct(flat, 0.9, max(0.0, sharpness - 0.3), noise_hu, stream(1, "noise")) - 30
    beside_softer = float((softer[:, :, 1:] * softer[:, :, :-1]).mean() / softer.square().mean())
    assert beside > 0.15 if sharpness == 0 else beside < beside_softer - 0.03
    between = float((noise[1:] * noise[:-1]).mean() / noise.square().mean())
    assert abs(between) < 0.03  # slices are scanned one by one


def test_a_soft_kernel_keeps_means_and_blurs_edges() -> None:
    hu = disc(128, 40)
    soft = artefacts.reconstruct(hu, 0.9, 0.0, 1e-6, stream(1, "noise"))
    assert float(soft[0, 60:68, 60:68].mean()) == pytest.approx(30, abs=0.1)
    row = soft[0, 64]
    crossing = ((row > -900) & (row < -100)).sum()
    assert 2 <= int(crossing) <= 8  # a transition of one to four pixels on both sides


def test_scalp_swells_outside_the_skull_only() -> None:
    depth = torch.linspace(-25, 10, 71)
    hu = torch.where(depth > -7, 1000.0, -1000.0)
    hu[depth > 0] = 35.0
    swollen = artefacts.swell_scalp(hu.clone(), depth, torch.full_like(depth, 8.0), 50.0)
    assert torch.equal(swollen[depth > -4], hu[depth > -4])
    assert float(swollen[(depth < -8) & (depth > -12)].min()) > 45
    assert float(swollen[depth < -20].max()) < -990
    assert torch.equal(artefacts.swell_scalp(hu.clone(), depth, torch.zeros_like(depth), 50.0), hu)


def test_smooth_noise_has_unit_variance_and_its_grain() -> None:
    field = smooth_noise((60, 60, 60), 5.0, np.random.default_rng(0))
    assert float(field.std()) == pytest.approx(1, abs=0.15)
    near = float((field[:, :, 1:] * field[:, :, :-1]).mean() / field.square().mean())
    far = float((field[:, :, 10:] * field[:, :, :-10]).mean() / field.square().mean())
    assert near > 0.8
    assert abs(far) < 0.15


def test_streams_differ_by_purpose_and_patient() -> None:
    draws = {tuple(stream(key, name).random(2)) for key in (1, 2) for name in ("warp", "noise")}
    assert len(draws) == 4
    assert stream(1, "warp").random() == stream(1, "warp").random()
