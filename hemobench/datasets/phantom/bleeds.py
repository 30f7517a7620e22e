"""Haemorrhages: where each type sits, the shape it has there, and how it pushes the brain.

A bleed is made on the anatomy's 1 mm grid, inside the cranium's bounding box, from the distance fields: an epidural is
a lens under the inner table, a subdural a crescent along it (or along falx and tentorium), a subarachnoid bleed colours
CSF outside the ventricles, an intraventricular one the fluid inside them, an intraparenchymal one is an irregular body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from hemobench.datasets.phantom.anatomy import CEREBELLUM, FALX_ZONE, TENTORIUM_ZONE, Anatomy
from hemobench.datasets.phantom.noise import smooth_noise
from hemobench.datasets.phantom.plan import Bleed
from hemobench.datasets.phantom.tissues import BLOOD_HU, Tissue

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class BleedField:
    """One bleed on the anatomy's grid.

    occupancy: float32 in the box, 0 to 1. hu: blood's HU, same shape (clots are uneven). fluid: None for a solid bleed,
    "subarachnoid" or "ventricle" where the blood is mixed into that fluid. oedema: occupancy of the dark rim, or None.
    swelling: the mass effect that `person` turns into a displacement, or None.
    """

    subtype: str
    box: Box
    occupancy: torch.Tensor
    hu: torch.Tensor
    fluid: str | None = None
    oedema: torch.Tensor | None = None
    swelling: Swelling | None = None


@dataclass(frozen=True)
class Swelling:
    """Mass effect: a "layer" of `thickness_mm` around `centre` within `reach_mm` pushes away from the inner table, a
    "body" of that radius pushes outwards. Centre in voxels of the anatomy (z, y, x)."""

    kind: str
    centre: tuple[float, float, float]
    thickness_mm: float
    reach_mm: float


class Site:
    """The anatomy's fields inside the cranium's bounding box, as float32. Made once for an anatomy: see `site_of`."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.box: Box = tuple(slice(low, high + 1) for low, high in anatomy.cranium_bounds)  # type: ignore[assignment]
        self.anatomy = anatomy
        self.depth = anatomy.depth_mm[self.box].float()
        self.shape = tuple(self.depth.shape)
        self.origin = tuple(s.start for s in self.box)

    @cached_property
    def ventricle(self) -> torch.Tensor:
        return self.anatomy.ventricle_mm[self.box].float()

    @cached_property
    def falx(self) -> torch.Tensor:
        return self.anatomy.falx_mm[self.box].float()

    @cached_property
    def tentorium(self) -> torch.Tensor:
        return self.anatomy.tentorium_mm[self.box].float()

    @cached_property
    def zones(self) -> torch.Tensor:
        return self.anatomy.zones[self.box]

    @cached_property
    def brain(self) -> torch.Tensor:
        """Grey and white matter, bool."""
        neural = self.anatomy.grey[self.box].short() + self.anatomy.white[self.box].short()
        return (neural > 140) & (self.anatomy.tissue[self.box] == Tissue.BRAIN)

    def squared_distance(
        self, centre: tuple[float, float, float], stretch: tuple[float, float, float] = (1, 1, 1)
    ) -> torch.Tensor:
        """Squared distance (mm^2) from a voxel of the anatomy, with each axis divided by its stretch."""
        total = torch.zeros(())
        for axis, (c, o, n, s) in enumerate(zip(centre, self.origin, self.shape, stretch, strict=True)):
            line = ((torch.arange(n, dtype=torch.float32) + o - c) / s) ** 2
            total = total + line.reshape([-1 if a == axis else 1 for a in range(3)])
        return total

    def pick(self, where: torch.Tensor, rng: np.random.Generator) -> tuple[float, float, float]:
        """A random voxel of the mask, in the anatomy's coordinates; the cranium's middle when the mask is empty."""
        flat = torch.nonzero(where.flatten()).flatten()
        if not len(flat):
            return tuple(o + n / 2 for o, n in zip(self.origin, self.shape, strict=True))  # type: ignore[return-value]
        chosen = int(flat[int(rng.integers(len(flat)))])
        z, y, x = np.unravel_index(chosen, self.shape)
        return (float(z) + self.origin[0], float(y) + self.origin[1], float(x) + self.origin[2])

    def convexity(self) -> torch.Tensor:
        """The inner table above the skull base, where collections under the vault sit."""
        return self._convexity

    @cached_property
    def _convexity(self) -> torch.Tensor:
        base = float(self.anatomy.landmark("suprasellar")[0]) - self.origin[0] - 2
        shell = (self.depth > 0) & (self.depth < 1.6)
        shell[: max(0, int(base))] = False
        return shell & (self.falx.abs() > 14)

    def base(self) -> torch.Tensor:
        """The inner table of the middle and posterior fossae, below the vault: where thin collections hide by bone."""
        return self._base

    @cached_property
    def _base(self) -> torch.Tensor:
        level = int(float(self.anatomy.landmark("suprasellar")[0]) - self.origin[0])
        shell = (self.depth > 0) & (self.depth < 1.6)
        shell[max(0, level + 4) :] = False
        shell[: max(0, level - 38)] = False
        return shell & (self.falx.abs() > 18)


@lru_cache(maxsize=2)
def site_of(anatomy: Anatomy) -> Site:
    """The anatomy's site, kept for its next patient."""
    return Site(anatomy)


def make_bleed(site: Site, bleed: Bleed) -> BleedField:
    """Shape one planned bleed. The same plan gives the same bleed."""
    rng = np.random.default_rng(bleed.key)
    return SHAPERS[bleed.subtype](site, bleed, rng)


def _soft(margin_mm: torch.Tensor, width_mm: float = 0.35) -> torch.Tensor:
    """Occupancy from a signed margin: a surface half a voxel soft."""
    return (margin_mm / width_mm).sigmoid_()


def _blood(site: Site, bleed: Bleed, rng: np.random.Generator, unevenness: float = 3.0) -> torch.Tensor:
    low, high = BLOOD_HU[bleed.age]
    base = float(rng.uniform(low, high))
    if bleed.age == "hyperacute":
        unevenness *= 3.0  # the swirl sign: unclotted blood beside clot
    return smooth_noise(site.shape, float(rng.uniform(2.5, 6)), rng).mul_(unevenness).add_(base)


def _between(size: float, low: float, high: float) -> float:
    """A size from 0 to 1 as a length on a logarithmic scale."""
    return float(low * (high / low) ** size)


def _table(site: Site, bleed: Bleed) -> torch.Tensor:
    return site.convexity() if bleed.place == "convexity" else site.base()


def shape_epidural(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """A biconvex lens between inner table and dura, 2 to 32 mm thick; sutures keep it short."""
    centre = site.pick(_table(site, bleed), rng)
    thickness = _between(bleed.size, 2.2, 32.0 if bleed.place == "convexity" else 16.0)
    radius = float(np.clip(thickness * rng.uniform(1.3, 2.2) + 7, 11, 46))
    aside = site.squared_distance(centre) - site.depth**2  # squared distance along the inner table
    lens = thickness * (1 - aside / radius**2)
    occupancy = _soft(lens - site.depth) * (site.depth > 0)
    swelling = Swelling("layer", centre, thickness, radius)
    return BleedField("epidural", site.box, occupancy, _blood(site, bleed, rng), swelling=swelling)


def shape_subdural(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """A crescent under the dura that crosses sutures but not the midline, or a sheet along falx or tentorium."""
    wobble = 1 + 0.25 * smooth_noise(site.shape, 14.0, rng)
    if bleed.place in ("falx", "tentorium"):
        return _sheet(site, bleed, rng, wobble)
    centre = site.pick(_table(site, bleed), rng)
    thickness = _between(bleed.size, 2.0, 22.0 if bleed.place == "convexity" else 10.0)
    reach = float(rng.uniform(38, 80)) * (1.0 if bleed.place == "convexity" else 0.5)
    distance = site.squared_distance(centre).sqrt()
    taper = ((reach - distance) / (0.6 * reach)).clamp(-1, 1)
    own_side = 1.0 if centre[2] > float(site.anatomy.landmark("pineal")[2]) else -1.0
    margin = torch.minimum(thickness * taper * wobble - site.depth, site.falx * own_side * 0.8 - 0.5)
    occupancy = _soft(margin) * (site.depth > 0)
    if bleed.place == "convexity":  # the tentorium keeps it out of the posterior fossa
        occupancy = occupancy * (site.zones & CEREBELLUM == 0)
    hu = _blood(site, bleed, rng)
    if bleed.age in ("subacute", "chronic") and rng.random() < 0.5:
        hu = _haematocrit_level(site, hu, occupancy, rng)
    return BleedField("subdural", site.box, occupancy, hu, swelling=Swelling("layer", centre, thickness, reach * 0.8))


def _sheet(site: Site, bleed: Bleed, rng: np.random.Generator, wobble: torch.Tensor) -> BleedField:
    falcine = bleed.place == "falx"
    zone = FALX_ZONE if falcine else TENTORIUM_ZONE
    sheet = site.falx if falcine else site.tentorium
    side = float(rng.choice((-1, 1))) if falcine else 1.0  # tentorial collections lie on top of the tent
    there = (site.zones & zone > 0) & (site.depth > 0)
    centre = site.pick(there & (sheet.abs() < 1), rng)
    thickness, reach = _between(bleed.size, 2.0, 9.0), float(rng.uniform(22, 55))
    taper = ((reach - site.squared_distance(centre).sqrt()) / (0.5 * reach)).clamp(-1, 1)
    margin = torch.minimum(thickness * taper * wobble - sheet * side, sheet * side + 0.6)
    return BleedField("subdural", site.box, _soft(margin) * there, _blood(site, bleed, rng))


def _haematocrit_level(site: Site, hu: torch.Tensor, occupancy: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Cells settle in a supine patient: denser blood lies behind a horizontal level."""
    weight = occupancy.sum(dim=(0, 2))
    rows = torch.arange(site.shape[1], dtype=torch.float32)
    level = float((weight * rows).sum() / weight.sum().clamp(min=1)) + float(rng.normal(0, 4))
    return hu + float(rng.uniform(8, 24)) * torch.sigmoid((rows - level) / 2).reshape(1, -1, 1)


def shape_subarachnoid(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """Blood in the cisterns (aneurysm) or in a patch of sulci (trauma): a region; the fluid decides the shape."""
    if bleed.place == "cisterns":
        centre = tuple(site.anatomy.landmark("suprasellar") + np.array([0, 4, 0]))
        reach = _between(bleed.size, 22.0, 52.0)
        stretch = (0.75, 1.0, 1.35)
    else:
        centre = site.pick((site.depth > 3) & (site.depth < 7) & (site.zones & CEREBELLUM == 0), rng)
        reach, stretch = _between(bleed.size, 13.0, 38.0), (1.0, 1.0, 1.0)
    ragged = 1 + 0.3 * smooth_noise(site.shape, 7.0, rng)
    margin = reach * ragged - site.squared_distance(centre, stretch).sqrt()  # type: ignore[arg-type]
    region = _soft(margin, 2.5) * (site.depth > 0.3)
    return BleedField("subarachnoid", site.box, region, _blood(site, bleed, rng), fluid="subarachnoid")


def shape_intraventricular(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """Blood layered in the dependent part of the ventricles of a supine patient, or a cast filling some of them."""
    rows = torch.arange(site.shape[1], dtype=torch.float32).reshape(1, -1, 1)
    inside = site.ventricle < 0
    filled = inside.sum(dim=(0, 2)).float()
    share = torch.cumsum(filled.flip(0), 0) / filled.sum().clamp(min=1)
    if bleed.place == "dependent":
        wanted = 0.04 + 0.3 * bleed.size
        level = float(site.shape[1] - 1 - int((share < wanted).sum()))
        tilt = float(rng.normal(0, 0.06))
        across = torch.arange(site.shape[2], dtype=torch.float32).reshape(1, 1, -1) - site.shape[2] / 2
        region = _soft(rows - level + tilt * across, 1.0).expand(site.shape)
    else:
        centre = site.pick(inside, rng)
        reach = _between(bleed.size, 16.0, 60.0) * (1 + 0.25 * smooth_noise(site.shape, 6.0, rng))
        region = _soft(reach - site.squared_distance(centre).sqrt(), 1.5)
    return BleedField("intraventricular", site.box, region, _blood(site, bleed, rng), fluid="ventricle")


def shape_intraparenchymal(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """An irregular body inside the brain with a dark oedema rim: deep, lobar, cerebellar, pontine, or contusions."""
    if bleed.place == "contusion":
        return _contusions(site, bleed, rng)
    centre = _parenchymal_centre(site, bleed, rng)
    radius = _between(bleed.size, 3.5, 13.0 if bleed.place == "pons" else 28.0)
    stretch = tuple(float(s) for s in np.clip(rng.normal(1, 0.2, 3), 0.6, 1.6))
    lumpy = 1 + 0.22 * smooth_noise(site.shape, max(2.5, radius / 3), rng)
    far = site.squared_distance(centre, stretch).sqrt()  # type: ignore[arg-type]
    margin = torch.minimum(radius * lumpy - far, torch.minimum(site.depth - 1.5, site.ventricle + 0.5))
    rim = float(rng.uniform(1.5, 7.0)) * (0.3 if bleed.age == "hyperacute" else 1.0)
    oedema = _soft(margin + rim, 1.2) * site.brain
    swelling = Swelling("body", centre, radius, radius * 3)
    return BleedField(
        "intraparenchymal", site.box, _soft(margin), _blood(site, bleed, rng), oedema=oedema, swelling=swelling
    )


def _parenchymal_centre(site: Site, bleed: Bleed, rng: np.random.Generator) -> tuple[float, float, float]:
    if bleed.place in ("deep", "pons"):
        name = "pons" if bleed.place == "pons" else str(rng.choice(("deep_left", "deep_right")))
        spread = 2.0 if bleed.place == "pons" else 7.0
        z, y, x = site.anatomy.landmark(name) + rng.normal(0, spread, 3)
        return (float(z), float(y), float(x))
    lower = site.zones & CEREBELLUM > 0
    if bleed.place == "cerebellum":
        return site.pick(site.brain & lower & (site.depth > 8), rng)
    return site.pick(site.brain & ~lower & (site.depth > 8) & (site.depth < 26) & (site.ventricle > 6), rng)


def _contusions(site: Site, bleed: Bleed, rng: np.random.Generator) -> BleedField:
    """Small cortical bleeds where the brain strikes the skull: frontal and temporal poles, near the base."""
    low = float(site.anatomy.landmark("suprasellar")[0]) - site.origin[0]
    near = site.brain & (site.depth > 3) & (site.depth < 9) & (site.zones & CEREBELLUM == 0)
    near[int(low) + 34 :] = False
    middle = int(site.anatomy.landmark("pons")[1]) - site.origin[1] - 8
    near[:, middle:] = False
    first = site.pick(near, rng)
    margin = torch.full(site.shape, -FAR)
    for _ in range(int(rng.integers(1, 5))):
        radius = _between(bleed.size, 2.5, 9.0) * float(rng.uniform(0.6, 1.2))
        centre = tuple(float(c + d) for c, d in zip(first, rng.normal(0, 8, 3), strict=True))
        margin = torch.maximum(margin, radius - site.squared_distance(centre).sqrt())  # type: ignore[arg-type]
        first_margin = smooth_noise(site.shape, 3.0, rng)
        margin = margin + 0.5 * first_margin
    margin = torch.minimum(margin, site.depth - 1.2)
    oedema = _soft(margin + float(rng.uniform(2, 5)), 1.2) * site.brain
    return BleedField("intraparenchymal", site.box, _soft(margin), _blood(site, bleed, rng, 6.0), oedema=oedema)


FAR = 60.0
SHAPERS: dict[str, Callable[[Site, Bleed, np.random.Generator], BleedField]] = {
    "epidural": shape_epidural,
    "subdural": shape_subdural,
    "subarachnoid": shape_subarachnoid,
    "intraventricular": shape_intraventricular,
    "intraparenchymal": shape_intraparenchymal,
}
