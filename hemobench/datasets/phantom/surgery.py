"""What a neurosurgeon leaves: a bone flap with its kerf and plates, a skull without its flap, burr holes, a drain, air.

Such heads are common where haemorrhages are, and a network that never met one calls the scar blood, or misses the blood
beside it. Painted on the template's HU, before anything moves; blood is planned without regard to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hemobench.datasets.phantom.anatomy import Anatomy
from hemobench.datasets.phantom.bleeds import Site, site_of
from hemobench.datasets.phantom.tissues import Tissue

OPERATIONS = ("flap", "flap-removed", "burr-hole")
OPERATION_SHARE = (0.5, 0.3, 0.2)
SCAR_HU = (15.0, 45.0)  # granulation tissue, fluid and scalp that fill a gap in bone
PLATE_HU = (1800.0, 3000.0)  # titanium, clipped by most scanners at 3071
DRAIN_HU = (120.0, 350.0)  # silicone with barium
AIR_HU = -950.0
_FLAP_MM = (18.0, 42.0)
_MARGIN_MM = 16.0


def operate(anatomy: Anatomy, hu: torch.Tensor, rng: np.random.Generator) -> None:
    """Change a head's HU (Z, Y, X) in place as after an operation somewhere over the vault."""
    site = site_of(anatomy)
    centre = site.pick(site.convexity(), rng)
    kind = str(rng.choice(OPERATIONS, p=OPERATION_SHARE))
    reach = float(rng.uniform(*_FLAP_MM)) if kind != "burr-hole" else float(rng.uniform(5, 8))
    box = _box(centre, reach + _MARGIN_MM, anatomy.shape)
    aside = _aside(anatomy, centre, box)
    tissue = anatomy.tissue[box]
    bone = (tissue == Tissue.CORTICAL_BONE) | (tissue == Tissue.DIPLOE)
    scar = float(rng.uniform(*SCAR_HU))
    cut = (aside - reach).abs() < float(rng.uniform(0.6, 1.6)) if kind == "flap" else aside < reach
    view = hu[box]
    view[bone & cut] = scar
    if kind == "flap":
        _burr_holes_and_plates(view, bone, aside, reach, centre, box, scar, rng)
    if rng.random() < 0.6:
        _air(view, anatomy, site, box, aside < reach + 4, rng)
    if kind == "burr-hole" and rng.random() < 0.6:
        _drain(hu, centre, anatomy.landmark("pons" if rng.random() < 0.1 else "pineal"), rng)


Box = tuple[slice, slice, slice]


def _box(centre: Sequence[float], reach: float, shape: Sequence[int]) -> Box:
    low = [max(0, int(c - reach)) for c in centre]
    high = [min(n, int(c + reach) + 1) for c, n in zip(centre, shape, strict=True)]
    planes, rows, columns = (slice(a, b) for a, b in zip(low, high, strict=True))
    return planes, rows, columns


def _aside(anatomy: Anatomy, centre: Sequence[float], box: Box) -> torch.Tensor:
    """Distance (mm) from the centre along the inner table, for the voxels of a box."""
    lines = [torch.arange(side.start, side.stop, dtype=torch.float32) - c for side, c in zip(box, centre, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    depth = anatomy.depth_mm[box].float()
    return (z * z + y * y + x * x - depth * depth).clamp(min=0).sqrt()


def _burr_holes_and_plates(
    view: torch.Tensor,
    bone: torch.Tensor,
    aside: torch.Tensor,
    reach: float,
    centre: Sequence[float],
    box: Box,
    scar: float,
    rng: np.random.Generator,
) -> None:
    """Holes where the saw turned, and metal across the kerf, at random places of the flap's edge."""
    edge = torch.nonzero(bone & ((aside - reach).abs() < 1.5))
    if not len(edge):
        return
    for count, radius, density in ((rng.integers(2, 5), rng.uniform(4, 7), None), (rng.integers(0, 5), 1.6, PLATE_HU)):
        value = scar if density is None else float(rng.uniform(*density))
        for _ in range(int(count)):
            near = edge[int(rng.integers(len(edge)))].float()
            lines = [torch.arange(n, dtype=torch.float32) - c for n, c in zip(view.shape, near, strict=True)]
            z, y, x = torch.meshgrid(*lines, indexing="ij")
            ball = z * z + y * y + x * x < float(radius) ** 2
            view[ball & bone] = value


def _air(
    view: torch.Tensor, anatomy: Anatomy, site: Site, box: Box, near: torch.Tensor, rng: np.random.Generator
) -> None:
    """Bubbles under the flap: air that has not yet gone, which lies up against the bone."""
    depth = anatomy.depth_mm[box].float()
    under = torch.nonzero(near & (depth > 0) & (depth < 4))
    for _ in range(int(rng.integers(1, 6)) if len(under) else 0):
        c = under[int(rng.integers(len(under)))].float()
        lines = [torch.arange(n, dtype=torch.float32) - at for n, at in zip(view.shape, c, strict=True)]
        z, y, x = torch.meshgrid(*lines, indexing="ij")
        flat = float(rng.uniform(1.5, 5.0))
        bubble = (z / flat) ** 2 + (y / 1.5) ** 2 + (x / flat) ** 2 < 1
        view[bubble & (depth > 0)] = AIR_HU


def _drain(hu: torch.Tensor, start: Sequence[float], end: NDArray[np.float64], rng: np.random.Generator) -> None:
    """A catheter from the hole towards the ventricles, with air or fluid in it."""
    begin = np.asarray(start, dtype=np.float64)
    towards = end + rng.normal(0, 6, 3)
    length = float(np.linalg.norm(towards - begin)) * float(rng.uniform(0.7, 0.95))
    direction = (towards - begin) / max(1e-6, float(np.linalg.norm(towards - begin)))
    value = float(rng.uniform(*DRAIN_HU))
    for step in np.arange(-10.0, length, 0.5):
        at = np.rint(begin + direction * step).astype(int)
        if (at < 1).any() or (at >= np.array(hu.shape) - 1).any():
            continue
        z, y, x = (int(one) for one in at)
        hu[z, y : y + 2, x : x + 2] = value
