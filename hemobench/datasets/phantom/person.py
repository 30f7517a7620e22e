"""One person in place of the template: tissues painted in HU or T1 brightness, and the field that moves them.

Displacements point from where a voxel is in this head to where its tissue lies in the template (backward mapping), in
voxels of the anatomy, on a 2 mm grid: shape (3, Z/2, Y/2, X/2), components in the order (x, y, z) of grid_sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from hemobench.datasets.phantom.anatomy import CEREBELLUM, Anatomy
from hemobench.datasets.phantom.bleeds import Swelling
from hemobench.datasets.phantom.noise import smooth_noise
from hemobench.datasets.phantom.plan import Person
from hemobench.datasets.phantom.tissues import (
    CALCIFICATION_HU,
    CSF_HU,
    CSF_T1,
    GREY_HU,
    GREY_T1,
    INFARCT_HU,
    WHITE_HU,
    WHITE_T1,
    Tissue,
    hu_table,
    t1_table,
)

STEP = 2
# Standard deviation of the density within one tissue, HU: trabecular bone varies most.
TEXTURE_HU = np.zeros(len(Tissue), np.float32)
TEXTURE_HU[[Tissue.BRAIN, Tissue.MUSCLE, Tissue.FAT, Tissue.DIPLOE, Tissue.CORTICAL_BONE]] = (
    1.2,
    4.0,
    18.0,
    90.0,
    90.0,
)
SQUEEZE_MM = 55.0  # a collection is felt to about the midline


def neural_fractions(anatomy: Anatomy, person: Person) -> tuple[torch.Tensor, torch.Tensor]:
    """Brain tissue (0 to 1) and the white share of it, per voxel; atrophy turns half-filled sulci into CSF."""
    grey, white = anatomy.grey.short(), anatomy.white.short()
    total = (grey + white).clamp(max=255)
    # CSF fraction to a power: below 1 opens the sulci of an old brain, above 1 closes those of a young one.
    power = 1.7 - 1.25 * person.atrophy
    fraction = torch.linspace(0, 1, 256)
    table = 1 - (1 - fraction) ** power
    share = white.float() / total.clamp(min=1).float()
    return table[total.long()], share


def paint_ct(anatomy: Anatomy, person: Person, lookalikes: Sequence[str], rng: np.random.Generator) -> torch.Tensor:
    """HU of the template as this person has it, with the look-alikes that belong to tissue. float32 (Z, Y, X)."""
    table = hu_table(rng)
    grey, white, csf = (float(rng.uniform(*r)) for r in (GREY_HU, WHITE_HU, CSF_HU))
    table[Tissue.VENTRICLE] = csf + float(rng.uniform(-1, 1))
    if "dense-sinus" in lookalikes:
        table[Tissue.VENOUS_SINUS] = float(rng.uniform(66, 80))
    hu = torch.from_numpy(table)[anatomy.tissue.long()]
    neural, share = neural_fractions(anatomy, person)
    tissue_hu = grey + share * (white - grey)
    brain = anatomy.tissue == Tissue.BRAIN
    hu = torch.where(brain, csf + neural * (tissue_hu - csf), hu)
    hu += smooth_noise(anatomy.shape, 4.0, rng) * torch.from_numpy(TEXTURE_HU)[anatomy.tissue.long()]
    if person.age_years > 60:
        # Small-vessel disease: white matter beside the ventricles is darker.
        hu = hu - brain * share * float(rng.uniform(0, 9)) * torch.exp(-anatomy.ventricle_mm.float().clamp(min=0) / 6)
    _calcify(anatomy, hu, lookalikes, rng)
    if "old-infarct" in lookalikes:
        _infarct(anatomy, hu, brain, rng)
    if "bright-rim" in lookalikes:
        _bright_rim(anatomy, hu, brain, rng)
    return hu


def _calcify(anatomy: Anatomy, hu: torch.Tensor, lookalikes: Sequence[str], rng: np.random.Generator) -> None:
    spots: list[tuple[np.ndarray, float, int]] = []
    if "pineal-calcification" in lookalikes:
        spots.append((anatomy.landmark("pineal"), float(rng.uniform(1.2, 3.2)), 3))
    if "choroid-calcification" in lookalikes:
        spots += [(anatomy.landmark(f"atrium_{side}"), float(rng.uniform(1.5, 4.0)), 4) for side in ("left", "right")]
    if "basal-ganglia-calcification" in lookalikes:
        spots += [(anatomy.landmark(f"deep_{side}"), float(rng.uniform(1.5, 4.5)), 5) for side in ("left", "right")]
    if "falx-calcification" in lookalikes:
        sheet = (anatomy.tissue == Tissue.DURA) & (anatomy.depth_mm > 2) & (anatomy.falx_mm.abs() < 1)
        where = torch.nonzero(sheet[::2, ::2])
        if len(where):
            z, y, x = where[int(rng.integers(len(where)))].tolist()
            spots.append((np.array([2 * z, 2 * y, x], float), float(rng.uniform(2, 5)), 2))
    for centre, radius, lumps in spots:
        density = float(rng.uniform(*CALCIFICATION_HU))
        for _ in range(lumps):
            _dot(hu, centre + rng.normal(0, radius * 0.45, 3), radius * float(rng.uniform(0.4, 0.8)), density)


def _dot(hu: torch.Tensor, centre: np.ndarray, radius: float, density: float) -> None:
    """Raise a soft-edged ball to a density where it is denser than what is there."""
    reach = int(np.ceil(radius + 2))
    start = np.maximum(np.rint(centre).astype(int) - reach, 0)
    stop = np.minimum(np.rint(centre).astype(int) + reach + 1, hu.shape)
    if (stop <= start).any():
        return
    axes = [torch.arange(int(a), int(b), dtype=torch.float32) - c for a, b, c in zip(start, stop, centre, strict=True)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    ball = torch.sigmoid((radius - (z * z + y * y + x * x).sqrt()) / 0.4)
    view = hu[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]
    view.copy_(torch.maximum(view, view + ball * (density - view)))


def _infarct(anatomy: Anatomy, hu: torch.Tensor, brain: torch.Tensor, rng: np.random.Generator) -> None:
    """An old cortical infarct: a wedge of brain at the surface turned to fluid and scar."""
    cortex = brain & (anatomy.depth_mm > 4) & (anatomy.depth_mm < 10) & (anatomy.zones & CEREBELLUM == 0)
    where = torch.nonzero(cortex[::2, ::2, ::2])
    if not len(where):
        return
    centre = (2 * where[int(rng.integers(len(where)))]).float()
    radius = float(rng.uniform(7, 24))
    axes = [torch.arange(n, dtype=torch.float32) - c for n, c in zip(anatomy.shape, centre, strict=True)]
    far = (axes[0].reshape(-1, 1, 1) ** 2 + axes[1].reshape(1, -1, 1) ** 2 + axes[2].reshape(1, 1, -1) ** 2).sqrt()
    region = torch.sigmoid((radius * (1 + 0.25 * smooth_noise(anatomy.shape, 6.0, rng)) - far) / 1.5) * brain
    hu.add_(region * (float(rng.uniform(*INFARCT_HU)) - hu))


def _bright_rim(anatomy: Anatomy, hu: torch.Tensor, brain: torch.Tensor, rng: np.random.Generator) -> None:
    """Beam hardening beside thick bone: brain within some millimetres of the inner table reads too dense, most at the
    vertex, where every ray crosses bone at a slant."""
    height, length = float(rng.uniform(5, 22)), float(rng.uniform(1.5, 4.0))
    planes = torch.linspace(-1, 1, anatomy.shape[0]).reshape(-1, 1, 1)
    near = torch.exp(-anatomy.depth_mm.float().clamp(min=0) / length)
    hu.add_(brain * near * height * (0.7 + 0.6 * torch.sigmoid((planes - 0.6) * 8)))


def paint_t1(anatomy: Anatomy, person: Person, rng: np.random.Generator) -> torch.Tensor:
    """T1-weighted brightness of the template, white matter near 1. float32 (Z, Y, X)."""
    table = t1_table(rng)
    grey, white, csf = (float(rng.uniform(*r)) for r in (GREY_T1, WHITE_T1, CSF_T1))
    table[Tissue.VENTRICLE] = csf
    bright = torch.from_numpy(table)[anatomy.tissue.long()]
    neural, share = neural_fractions(anatomy, person)
    brain = anatomy.tissue == Tissue.BRAIN
    texture = 1 + 0.02 * smooth_noise(anatomy.shape, 7.0, rng)
    return torch.where(brain, (csf + neural * (grey + share * (white - grey) - csf)) * texture, bright)


def displacement(anatomy: Anatomy, person: Person, swellings: Sequence[Swelling]) -> torch.Tensor:
    """The backward displacement of a head: wider ventricles, thicker or thinner skull, and the bleeds' mass effect."""
    depth = anatomy.depth_mm[::STEP, ::STEP, ::STEP].float()
    ventricle = anatomy.ventricle_mm[::STEP, ::STEP, ::STEP].float()
    outward = -_gradient(depth)
    moves = torch.zeros(3, *depth.shape)
    inside = (depth > 0).float()
    if person.ventricle_growth_mm:
        # Tissue near a ventricle comes from nearer its middle: the ventricle grows by that much.
        pull = person.ventricle_growth_mm * torch.exp(-ventricle.clamp(min=0) / 9) * (depth / 12).clamp(0, 1)
        moves -= _gradient(ventricle) * pull
    if person.skull_factor != 1:
        skull = 7.0
        out = (-depth).clamp(min=0)
        moves -= outward * (1 - 1 / person.skull_factor) * torch.minimum(out, torch.tensor(skull * person.skull_factor))
    for swelling in swellings:
        moves += _push(swelling, depth, outward, inside)
    return moves


def _push(swelling: Swelling, depth: torch.Tensor, outward: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    axes = [torch.arange(n, dtype=torch.float32) * STEP - c for n, c in zip(depth.shape, swelling.centre, strict=True)]
    z, y, x = (a.reshape([-1 if i == k else 1 for i in range(3)]) for k, a in enumerate(axes))
    far = (z * z + y * y + x * x).sqrt()
    if swelling.kind == "layer":
        thickness = swelling.thickness_mm * 0.8 * torch.exp(-0.5 * (far / (0.75 * swelling.reach_mm)) ** 2)
        depth_in = depth.clamp(min=0)
        shift = thickness * ((SQUEEZE_MM - depth_in).clamp(min=0) / SQUEEZE_MM)
        # Never from beyond the inner table: bone does not move in.
        return outward * torch.minimum(shift, (depth - 1.5).clamp(min=0)) * inside
    radius = swelling.thickness_mm * 0.85
    source = (far**3 - 0.7 * radius**3).clamp(min=0) ** (1 / 3)
    fade = torch.exp(-((far / swelling.reach_mm) ** 2)) * (depth / 10).clamp(0, 1)
    pull = ((source - far) * fade / far.clamp(min=0.5)).clamp(min=-0.9)
    return torch.stack(torch.broadcast_tensors(x, y, z)) * pull


def _gradient(field: torch.Tensor) -> torch.Tensor:
    """Unit direction of steepest rise, components (x, y, z), smoothed against the kinks of a distance field."""
    soft = F.avg_pool3d(field[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    dz, dy, dx = torch.gradient(soft)
    direction = torch.stack((dx, dy, dz))
    return direction / direction.square().sum(0).sqrt().clamp(min=0.5)
