"""One person in place of the template: tissues painted in HU or T1 brightness, and the field that moves them.

Displacements point from where a voxel is in this head to where its tissue lies in the template (backward mapping), in
voxels of the anatomy, on a 2 mm grid: shape (3, Z/2, Y/2, X/2), components in the order (x, y, z) of grid_sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hemobench.datasets.phantom.anatomy import CEREBELLUM, STEP, Anatomy, BrainVoxels, steepened
from hemobench.datasets.phantom.bleeds import Swelling
from hemobench.datasets.phantom.noise import smooth_noise, stream
from hemobench.datasets.phantom.plan import Person, Plan
from hemobench.datasets.phantom.surgery import operate
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

# Standard deviation of the density within one tissue, HU: trabecular bone varies most.
TEXTURE_HU = np.zeros(len(Tissue), np.float32)
TEXTURE_HU[[Tissue.BRAIN, Tissue.MUSCLE, Tissue.FAT, Tissue.DIPLOE, Tissue.CORTICAL_BONE]] = (
    1.2,
    4.0,
    18.0,
    90.0,
    90.0,
)
SQUEEZE_MM = 110.0  # a collection is felt to the other side: the midline moves by a third of what it presses


def neural_fractions(anatomy: Anatomy, person: Person) -> tuple[torch.Tensor, torch.Tensor]:
    """Brain tissue (0 to 1) and the white share of it, at `anatomy.brain`; atrophy turns half-filled sulci into CSF.

    The template is a mean of many heads: its maps are steepened to the sharp borders that one head has.
    """
    # What fraction counts as solid: little in a young brain, whose sulci are closed, much in an old one.
    table = steepened(torch.linspace(0, 1, 256), 0.36 * person.atrophy, 0.58 + 0.38 * person.atrophy)
    return table.index_select(0, anatomy.brain.solid), anatomy.brain.white_share


def paint_ct(anatomy: Anatomy, plan: Plan) -> torch.Tensor:
    """HU of the template as this person has it, with the look-alikes that belong to tissue. float32 (Z, Y, X)."""
    person, lookalikes, rng = plan.person, plan.lookalikes, stream(plan.key, "tissue")
    table = hu_table(rng)
    grey, white, csf = (float(rng.uniform(*r)) for r in (GREY_HU, WHITE_HU, CSF_HU))
    table[Tissue.VENTRICLE] = csf + float(rng.uniform(-1, 1))
    if "dense-sinus" in lookalikes:
        table[Tissue.VENOUS_SINUS] = float(stream(plan.key, "dense-sinus").uniform(66, 80))
    texture = smooth_noise(anatomy.shape, 4.0, rng).flatten()
    hu = painted(anatomy, table)
    brain, solid = anatomy.brain, anatomy.solid_index
    spread = torch.from_numpy(TEXTURE_HU).index_select(0, anatomy.solid_tissue)
    hu.index_add_(0, solid, texture.index_select(0, solid).mul_(spread))
    neural, share = neural_fractions(anatomy, person)
    matter = share.mul(white - grey).add_(grey - csf).mul_(neural).add_(csf)
    if person.age_years > 60:
        # Small-vessel disease: white matter beside the ventricles is darker.
        matter.addcmul_(share, brain.beside_ventricle, value=-float(rng.uniform(0, 9)))
    # What beam hardening correction leaves in every head: brain reads some HU denser towards the skull ("cupping").
    matter += _rim(brain, float(rng.uniform(1, 5)), 10.0)
    if "bright-rim" in lookalikes:
        rim = stream(plan.key, "bright-rim")
        matter += _rim(brain, float(rim.uniform(5, 22)), float(rim.uniform(1.5, 4.0)))
    matter.add_(texture.index_select(0, brain.index), alpha=float(TEXTURE_HU[Tissue.BRAIN]))
    hu = hu.index_copy_(0, brain.index, matter).reshape(anatomy.shape)
    for name in lookalikes:
        if name.endswith("-calcification"):
            _calcify(anatomy, hu, name, stream(plan.key, name))
    if "old-infarct" in lookalikes:
        _infarct(anatomy, hu, stream(plan.key, "old-infarct"))
    if "thin-base" in lookalikes:
        _thin_base(anatomy, hu, stream(plan.key, "thin-base"))
    if "operated" in lookalikes:
        operate(anatomy, hu, stream(plan.key, "operated"))
    return hu


def painted(anatomy: Anatomy, table: NDArray[np.float32]) -> torch.Tensor:
    """Each voxel outside the brain with its tissue's value: float32 (Z * Y * X,); the brain is left as air."""
    values = torch.full((anatomy.tissue.numel(),), float(table[Tissue.AIR]))
    solid = torch.from_numpy(table).index_select(0, anatomy.solid_tissue)
    return values.index_copy_(0, anatomy.solid_index, solid)


# Where calcium gathers, its reach in mm and the number of grains: most are small. Set by eye on CT-ICH.
CALCIFIED = {
    "pineal-calcification": (("pineal",), (0.8, 2.6), 3),
    "choroid-calcification": (("atrium_left", "atrium_right"), (0.8, 3.2), 4),
    "basal-ganglia-calcification": (("deep_left", "deep_right"), (0.8, 3.5), 5),
    "falx-calcification": (("falx",), (1.2, 4.0), 3),
}


def _calcify(anatomy: Anatomy, hu: torch.Tensor, name: str, rng: np.random.Generator) -> None:
    places, reach, grains = CALCIFIED[name]
    for place in places:
        centre = _somewhere_on_falx(anatomy, rng) if place == "falx" else anatomy.landmark(place)
        radius, density = _log_uniform(rng, *reach), _log_uniform(rng, *CALCIFICATION_HU)
        for _ in range(int(rng.integers(1, grains + 1))):
            size, dense = radius * float(rng.uniform(0.4, 0.8)), density * float(rng.uniform(0.5, 1.0))
            _dot(hu, centre + rng.normal(0, radius * 0.45, 3), size, dense)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _somewhere_on_falx(anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.float64]:
    where = anatomy.falx_sheet
    if not len(where):
        return anatomy.landmark("pineal")
    z, y, x = where[int(rng.integers(len(where)))].tolist()
    return np.array([2 * z, 2 * y, x], np.float64)


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


def _infarct(anatomy: Anatomy, hu: torch.Tensor, rng: np.random.Generator) -> None:
    """An old cortical infarct: a wedge of brain at the surface turned to fluid and scar."""
    depth, brain = anatomy.brain.depth_mm, anatomy.brain.index
    cortex = brain[(depth > 4) & (depth < 10) & (anatomy.zones.flatten()[brain] & CEREBELLUM == 0)]
    if not len(cortex):
        return
    centre = np.unravel_index(int(cortex[int(rng.integers(len(cortex)))]), anatomy.shape)
    radius = float(rng.uniform(7, 24))
    reach = int(2.2 * radius)
    box = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
    view, inside = hu[box], anatomy.tissue[box] == Tissue.BRAIN
    starts = [side.start - int(c) for side, c in zip(box, centre, strict=True)]
    lines = [torch.arange(n, dtype=torch.float32) + start for n, start in zip(view.shape, starts, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    far = (z * z + y * y + x * x).sqrt()
    region = torch.sigmoid((radius * (1 + 0.25 * smooth_noise(view.shape, 6.0, rng)) - far) / 1.5) * inside
    view.add_(region * (float(rng.uniform(*INFARCT_HU)) - view))


def _thin_base(anatomy: Anatomy, hu: torch.Tensor, rng: np.random.Generator) -> None:
    """Orbital roofs and skull base of paper: bone that a thick slice shows as a bright haze over the brain, the
    commonest false alarm on CT-ICH. In patches, bone gets the density of a mixture with its neighbours."""
    top = int(anatomy.landmark("suprasellar")[0]) + 28
    bottom = max(0, top - 70)
    # Only towards the face: the occiput is thick in everybody.
    behind = int(anatomy.landmark("pons")[1])
    view, tissue = hu[bottom:top, :behind], anatomy.tissue[bottom:top, :behind]
    bone = (tissue == Tissue.CORTICAL_BONE) | (tissue == Tissue.DIPLOE)
    middle, spread = float(rng.uniform(0.35, 0.9)), float(rng.uniform(0.15, 0.4))
    noise = smooth_noise(hu[bottom:top].shape, float(rng.uniform(8, 18)), rng)[:, :behind]
    share = (middle + spread * noise).clamp_(0.04, 1.0)
    view.copy_(torch.where(bone, 35 + (view - 35) * share, view))


def _rim(brain: BrainVoxels, height_hu: float, length_mm: float) -> torch.Tensor:
    """Beam hardening beside thick bone: brain within some millimetres of the inner table reads too dense, most at the
    vertex, where every ray crosses bone at a slant. HU at each of the brain's voxels."""
    near = brain.depth_mm.clamp(min=0).div_(-length_mm).exp_()
    return near.mul_(brain.slant).mul_(height_hu)


def paint_t1(anatomy: Anatomy, person: Person, rng: np.random.Generator) -> torch.Tensor:
    """T1-weighted brightness of the template, white matter near 1. float32 (Z, Y, X)."""
    table = t1_table(rng)
    grey, white, csf = (float(rng.uniform(*r)) for r in (GREY_T1, WHITE_T1, CSF_T1))
    table[Tissue.VENTRICLE] = csf
    bright = painted(anatomy, table)
    neural, share = neural_fractions(anatomy, person)
    index = anatomy.brain.index
    texture = 1 + 0.02 * smooth_noise(anatomy.shape, 7.0, rng).flatten().index_select(0, index)
    matter = (csf + neural * (grey + share * (white - grey) - csf)) * texture
    return bright.index_copy_(0, index, matter).reshape(anatomy.shape)


def displacement(anatomy: Anatomy, person: Person, swellings: Sequence[Swelling]) -> torch.Tensor:
    """The backward displacement of a head: wider ventricles, thicker or thinner skull, and the bleeds' mass effect."""
    coarse = anatomy.coarse
    depth, outward = coarse.depth, coarse.outward
    moves = coarse.growth * person.ventricle_growth_mm
    if person.skull_factor != 1:
        skull = 7.0
        out = (-depth).clamp(min=0)
        moves -= outward * (1 - 1 / person.skull_factor) * torch.minimum(out, torch.tensor(skull * person.skull_factor))
    if person.scalp_factor != 1:
        beyond = (-depth - 7.0 * person.skull_factor).clamp(min=0)
        scalp = torch.minimum(beyond, torch.tensor(6.0 * person.scalp_factor))
        moves -= outward * (1 - 1 / person.scalp_factor) * scalp
    for swelling in swellings:
        moves += _push(swelling, depth, outward, coarse.inside)
    return moves


def _push(swelling: Swelling, depth: torch.Tensor, outward: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    axes = [torch.arange(n, dtype=torch.float32) * STEP - c for n, c in zip(depth.shape, swelling.centre, strict=True)]
    z, y, x = (a.reshape([-1 if i == k else 1 for i in range(3)]) for k, a in enumerate(axes))
    far = (z * z + y * y + x * x).sqrt()
    if swelling.kind == "layer":
        middle = tuple(min(n - 1, max(0, int(c) // STEP)) for n, c in zip(depth.shape, swelling.centre, strict=True))
        inward = -F.normalize(outward[:, middle[0], middle[1], middle[2]], dim=0)
        along = x * inward[0] + y * inward[1] + z * inward[2]
        spread = 0.75 * swelling.reach_mm + 0.3 * along.clamp(min=0)
        shift = 0.8 * swelling.thickness_mm * torch.exp(-0.5 * (far**2 - along**2).clamp(min=0) / spread**2)
        shift = shift * (1 - along / SQUEEZE_MM).clamp(0, 1)
        # Beside the skull tissue moves away from it, deeper down the way the collection presses.
        deep = (depth / 25).clamp(0, 1)
        direction = outward * (1 - deep) - inward.reshape(3, 1, 1, 1) * deep
        # Never from beyond the inner table: bone does not move in.
        return direction * torch.minimum(shift, (depth - 1.5).clamp(min=0)) * inside
    radius = swelling.thickness_mm * 0.85
    source = (far * far * far - 0.7 * radius**3).clamp(min=0) ** (1 / 3)
    fade = torch.exp(-((far / swelling.reach_mm) ** 2)) * (depth / 10).clamp(0, 1)
    pull = ((source - far) * fade / far.clamp(min=0.5)).clamp(min=-0.9)
    return torch.stack(torch.broadcast_tensors(x, y, z)) * pull
