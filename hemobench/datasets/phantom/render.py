"""From a plan and an anatomy to a scan: the slices' geometry, partial volume, blood mixed in, and the label map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hemobench.case import Loaded
from hemobench.datasets.phantom import artefacts
from hemobench.datasets.phantom.anatomy import HEAD_STEP, Anatomy, bounding_box
from hemobench.datasets.phantom.bleeds import BleedField, make_bleed, site_of
from hemobench.datasets.phantom.noise import enlarged, generator, stream
from hemobench.datasets.phantom.person import displacement, neural_fractions, paint_ct, paint_t1
from hemobench.datasets.phantom.plan import PhantomSpec, Plan
from hemobench.datasets.phantom.tissues import OEDEMA_HU
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.volume import Volume

PLANE_MM = 1.5  # planes that make up a slice lie at most this far apart
STRIPPED_SHARE = 0.5  # of T1 studies
LABEL_AT = {"subarachnoid": 0.3}  # blood between gyri fills its voxels in part; every other type counts from one half
MIN_AREA_MM2 = 12.0  # a slice is labelled when this much of it is blood: what a reader could see
T1_SHAPE = (176, 208, 176)
INPLANE_STEP = 4
WINDOW_STEP = 8
NEAR_STEP = 4
FIELD_MM = 2.0  # displacements are read at most this far apart: the step of their own grid


@dataclass(frozen=True)
class Geometry:
    """Where a scan's voxels lie in the anatomy. matrix: (3, 3) from scan mm (S, P, L) to voxels (z, y, x). profile_mm:
    how far along its axis a slice of `thickness_mm` gathers signal."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    matrix: NDArray[np.float64]
    centre: NDArray[np.float64]
    affine: NDArray[np.float64]
    profile_mm: float


def _rotation(pitch: float, roll: float, yaw: float) -> NDArray[np.float64]:
    """Rotation in (S, P, L) coordinates: pitch about L, roll about P, yaw about S. Degrees."""
    result = np.eye(3)
    for angle, (a, b) in ((pitch, (0, 1)), (roll, (0, 2)), (yaw, (1, 2))):
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = cosine
        turn[a, b], turn[b, a] = -sine, sine
        result = turn @ result
    return result


def _scan_affine(rotation: NDArray[np.float64], shape: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Affine of a Volume in S-P-L whose centre is the world's origin; rotation is the gantry's."""
    to_ras = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]], float)  # S, P, L unit vectors in RAS
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ rotation @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def ct_geometry(spec: PhantomSpec, plan: Plan, anatomy: Anatomy) -> Geometry:
    """Slices from the foramen magnum to the vertex, tilted and placed as the plan says."""
    low, high = anatomy.scan_range
    person, scan = plan.person, plan.scan
    extent = (high - low + 6) * person.scale[0] * scan.coverage
    # A fixed thickness gives contiguous slices; otherwise the stack covers the head, with gaps when slices are thin.
    step = spec.thickness_mm or extent / spec.slices
    thickness = min(scan.thickness_mm, step)
    pixel = scan.field_of_view_mm / spec.matrix
    tilt = _rotation(scan.tilt_deg, 0, 0)
    pose = _rotation(person.pitch_deg, person.roll_deg, person.yaw_deg)
    matrix = np.diag(1 / np.array(person.scale)) @ pose @ tilt
    _, rows, columns = anatomy.cranium_bounds
    centre = np.array([sum(bounds) / 2 for bounds in ((low, high), rows, columns)])
    centre[1:] += scan.shift_mm
    shape, spacing = (spec.slices, spec.matrix, spec.matrix), (step, pixel, pixel)
    affine = _scan_affine(tilt, shape, spacing)
    return Geometry(shape, spacing, thickness, matrix, centre, affine, thickness * scan.profile)


def mr_geometry(plan: Plan, anatomy: Anatomy) -> Geometry:
    """An isotropic 1 mm volume of T1_SHAPE around the brain."""
    person = plan.person
    pose = _rotation(person.pitch_deg, person.roll_deg, person.yaw_deg)
    centre = np.array([sum(bounds) / 2 for bounds in anatomy.cranium_bounds])
    spacing = (1.0, 1.0, 1.0)
    matrix = np.diag(1 / np.array(person.scale)) @ pose
    return Geometry(T1_SHAPE, spacing, 1.0, matrix, centre, _scan_affine(np.eye(3), T1_SHAPE, spacing), 1.0)


class Sampler:
    """Reads fields of the anatomy at the planes of a scan, through the person's smooth warp and displacement."""

    def __init__(self, geometry: Geometry, moves: torch.Tensor, warp_mm: float, rng: np.random.Generator) -> None:
        self.geometry = geometry
        self.moves = moves[None]
        d, h, w = geometry.shape
        self.planes = max(1, math.ceil(geometry.profile_mm / PLANE_MM))
        coarse = torch.from_numpy(rng.standard_normal((1, 3, 5, 6, 6)).astype(np.float32)) * warp_mm
        size = (d, h // INPLANE_STEP + 1, w // INPLANE_STEP + 1)
        self.warp = F.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0]

    def positions(self, index: int, window: tuple[slice, slice] | None = None) -> torch.Tensor:
        """Voxel coordinates (x, y, z) in the anatomy of one slice's planes, before displacement: (planes, H, W, 3).

        window: rows and columns of the slice wanted, all of them by default.
        """
        geometry = self.geometry
        d, h, w = geometry.shape
        rows, columns = window or (slice(None), slice(None))
        offsets = (torch.arange(self.planes, dtype=torch.float32) + 0.5) / self.planes - 0.5
        s = (index - (d - 1) / 2) * geometry.spacing_mm[0] + offsets * geometry.profile_mm
        p = (torch.arange(h, dtype=torch.float32) - (h - 1) / 2) * geometry.spacing_mm[1]
        q = (torch.arange(w, dtype=torch.float32) - (w - 1) / 2) * geometry.spacing_mm[2]
        warp = F.interpolate(self.warp[:, index][None], size=(h, w), mode="bilinear", align_corners=True)[0]
        warp, p, q = warp[:, rows, columns], p[rows], q[columns]
        matrix = torch.from_numpy(geometry.matrix).float()
        result = torch.empty(self.planes, len(p), len(q), 3)
        for component in range(3):
            row, centre = matrix[2 - component], float(geometry.centre[2 - component])
            plane = row[1] * p.reshape(-1, 1) + row[2] * q.reshape(1, -1) + warp[component] + centre
            torch.add(plane[None], (row[0] * s).reshape(-1, 1, 1), out=result[..., component])
        return result

    def displaced(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions in the undisplaced template of the tissue found at `positions`, (planes, H, W, 3)."""
        size = positions.shape[1:3]
        thin = max(1, int(FIELD_MM / self.geometry.spacing_mm[1]))
        few = positions.permute(0, 3, 1, 2)
        if thin > 1:
            few = F.interpolate(few, size=[n // thin + 1 for n in size], mode="bilinear", align_corners=True)
        steps = torch.tensor([1.0 / (n - 1) for n in self.moves.shape[:1:-1]])
        grid = few.permute(0, 2, 3, 1) * steps - 1
        found = F.grid_sample(self.moves, grid[None], mode="bilinear", padding_mode="border", align_corners=True)
        moves = found[0].transpose(0, 1)
        if thin > 1:
            moves = F.interpolate(moves, size=size, mode="bilinear", align_corners=True)
        return positions + moves.permute(0, 2, 3, 1)

    def window(self, index: int, anatomy: Anatomy) -> tuple[slice, slice] | None:
        """Rows and columns of a slice that may show some of the head; None where all of it is air."""
        thin = slice(None, None, WINDOW_STEP)
        cell = (self.displaced(self.positions(index, (thin, thin))) / HEAD_STEP).long().flip(-1)
        last = torch.tensor(anatomy.head.shape) - 1
        known = ((cell >= 0) & (cell <= last)).all(dim=-1)
        there = (anatomy.head[tuple(torch.minimum(cell.clamp(min=0), last).unbind(-1))] & known).any(dim=0)
        if not bool(there.any()):
            return None
        lines = [torch.nonzero(there.any(dim=axis)).flatten() for axis in (1, 0)]
        spans = [(max(0, int(line[0]) - 1) * WINDOW_STEP, (int(line[-1]) + 1) * WINDOW_STEP + 1) for line in lines]
        return slice(*spans[0]), slice(*spans[1])


def sample(fields: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Trilinear values of (C, Z, Y, X) fields at voxel positions (..., 3) in x, y, z order; 0 beyond the grid."""
    scale = torch.tensor([2.0 / max(n - 1, 1) for n in fields.shape[:0:-1]])
    grid = (positions * scale - 1).reshape(1, 1, 1, -1, 3)
    values = F.grid_sample(fields[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return values.reshape(fields.shape[0], *positions.shape[:-1])


def within(positions: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Which positions (..., 3) lie in a box, its faces included: bool (...)."""
    return ((positions >= low) & (positions <= high)).all(dim=-1)


def near(positions: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[slice, slice, slice] | None:
    """The planes, rows and columns of positions (planes, H, W, 3) that may lie in a box; None where none does.

    Every fourth row and column is looked at, in a box that is wider by what lies between two of them.
    """
    few = positions[:, ::NEAR_STEP, ::NEAR_STEP]
    if min(few.shape[1:3]) < 2:
        return slice(None), slice(None), slice(None)
    wider = torch.maximum((few[:, 1:] - few[:, :-1]).abs().amax(), (few[:, :, 1:] - few[:, :, :-1]).abs().amax())
    there = within(few, low - wider, high + wider).any(dim=0).numpy()
    rows, columns = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    tall, wide = (slice(max(0, int(n[0]) - 1) * NEAR_STEP, (int(n[-1]) + 1) * NEAR_STEP + 1) for n in (rows, columns))
    return slice(None), tall, wide


def render_ct(spec: PhantomSpec, plan: Plan, anatomy: Anatomy) -> Loaded:
    """One CT study: Volume in HU, label map and ventricles in its space, slice labels."""
    fields = [make_bleed(site_of(anatomy), bleed) for bleed in plan.bleeds]
    moves = displacement(anatomy, plan.person, [f.swelling for f in fields if f.swelling])
    template = paint_ct(anatomy, plan).add_(1000)[None]  # air is 0, as beyond the grid
    geometry = ct_geometry(spec, plan, anatomy)
    sampler = Sampler(geometry, moves, plan.person.warp_mm, stream(plan.key, "warp"))
    mixer = BloodMixer(anatomy, plan, fields)
    scalp = _Scalp(anatomy, stream(plan.key, "scalp-haematoma")) if "scalp-haematoma" in plan.lookalikes else None
    ventricles = _Ventricles(anatomy)
    hu = torch.full(geometry.shape, -1000.0)
    occupancy = torch.zeros(len(fields), *geometry.shape)
    ventricle = torch.zeros(geometry.shape)
    for index in range(geometry.shape[0]):
        window = sampler.window(index, anatomy)
        if window is None:
            continue
        positions = sampler.positions(index, window)
        displaced = sampler.displaced(positions)
        planes = sample(template, displaced)[0] - 1000
        if scalp:
            planes = scalp.swell(planes, displaced)
        planes, amounts = mixer.mix(planes, positions, displaced)
        hu[index][window] = planes.mean(0)
        for k, amount in amounts.items():
            occupancy[k, index][window] = amount.mean(0)
        solid = [amount for k, amount in amounts.items() if fields[k].fluid is None]
        ventricle[index][window] = ventricles.share(displaced, solid).mean(0)
    hu = _scan(hu, geometry, plan)
    label_map = _label_map(fields, occupancy)
    area = float(geometry.spacing_mm[1] * geometry.spacing_mm[2])
    slice_labels = np.stack(
        [(label_map == LABEL_IDS[s]).sum(axis=(1, 2)) * area >= MIN_AREA_MM2 for s in SUBTYPES], axis=1
    ).astype(np.uint8)
    image = Volume(hu.numpy(), geometry.affine, "CT")
    return Loaded(image, label_map, slice_labels, ventricles=(ventricle >= 0.5).numpy())


class BloodMixer:
    """Puts the bleeds into sampled planes: solid ones replace tissue, the others colour their fluid."""

    def __init__(self, anatomy: Anatomy, plan: Plan, fields: Sequence[BleedField]) -> None:
        self.fields = fields
        self.oedema_hu = float(stream(plan.key, "oedema").uniform(*OEDEMA_HU))
        self.fluids: dict[str, torch.Tensor] = {}
        kinds = {f.fluid for f in fields}
        if "ventricle" in kinds:
            self.fluids["ventricle"] = anatomy.ventricle_fluid
        if "subarachnoid" in kinds:
            neural, _ = neural_fractions(anatomy, plan.person)
            # Thinly filled sulci of the averaged template still hold blood that a reader sees: the fraction is raised.
            fluid = torch.zeros(anatomy.tissue.numel())
            fluid[anatomy.brain.index] = (1.6 * (1 - neural)).clamp(0, 1) * (anatomy.brain.depth_mm > 0)
            self.fluids["subarachnoid"] = fluid.reshape(1, *anatomy.shape)
        self.stacks = [self._stack(field) for field in fields]

    @staticmethod
    def _stack(field: BleedField) -> tuple[torch.Tensor, torch.Tensor]:
        """Occupancy, HU and oedema of a bleed, cut to where they are, and the (x, y, z) of their first voxel."""
        oedema = field.oedema if field.oedema is not None else torch.zeros_like(field.occupancy)
        there = torch.maximum(field.occupancy, oedema) > 0.01
        cut = bounding_box(there, margin=1)
        start = [s.start + c.start for s, c in zip(field.box, cut, strict=True)]
        channels = torch.stack((field.occupancy[cut], field.hu[cut], oedema[cut]))
        return channels, torch.tensor(start[::-1], dtype=torch.float32)

    def mix(
        self, planes: torch.Tensor, positions: torch.Tensor, displaced: torch.Tensor
    ) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        """Planes with blood, and each bleed's occupancy in them by its place in the list (absent ones left out)."""
        amounts: dict[int, torch.Tensor] = {}
        for k, (field, (channels, start)) in enumerate(zip(self.fields, self.stacks, strict=True)):
            last = torch.tensor(channels.shape[:0:-1], dtype=torch.float32) - 1
            part = near(positions, start, start + last)
            if part is None:
                continue
            place = positions[part]
            inside = within(place, start, start + last)
            local = place[inside] - start
            if not len(local):
                continue
            occupancy, blood, oedema = sample(channels, local)
            if field.fluid:
                occupancy = occupancy * sample(self.fluids[field.fluid], displaced[part][inside])[0]
            here = planes[part][inside]
            here = torch.where(
                (here > self.oedema_hu) & (here < 90), here + 0.85 * oedema * (self.oedema_hu - here), here
            )
            occupancy = occupancy * (here < 200)  # bone stays bone
            planes[part][inside] = here + occupancy * (blood - here)
            amount = torch.zeros_like(planes)
            amount[part][inside] = occupancy
            amounts[k] = amount
        return planes, amounts


class _Ventricles:
    """Where the ventricles are, with all that is in them: fluid, blood mixed into it, plexus."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.field, self.start = anatomy.ventricles

    def share(self, displaced: torch.Tensor, solid: Sequence[torch.Tensor]) -> torch.Tensor:
        """Share of ventricle (planes, H, W) at displaced positions; `solid` are the bleeds that took its place."""
        share = torch.zeros(displaced.shape[:-1])
        last = torch.tensor(self.field.shape[:0:-1], dtype=torch.float32) - 1
        part = near(displaced, self.start, self.start + last)
        if part is not None:
            # The box ends in a layer without any: what lies beyond gets 0 as it is.
            share[part] = sample(self.field, displaced[part] - self.start)[0]
        for amount in solid:
            share *= 1 - amount
        return share


class _Scalp:
    """A scalp haematoma somewhere over the vault."""

    def __init__(self, anatomy: Anatomy, rng: np.random.Generator) -> None:
        site = site_of(anatomy)
        z, y, x = site.pick(site.convexity(), rng)
        self.centre = torch.tensor([x, y, z], dtype=torch.float32)
        self.depth = anatomy.depth_mm.float()[None]
        self.height_mm, self.reach_mm = float(rng.uniform(3, 12)), float(rng.uniform(18, 40))
        self.hu = float(rng.uniform(35, 65))

    def swell(self, planes: torch.Tensor, displaced: torch.Tensor) -> torch.Tensor:
        bump = self.height_mm * (1 - (displaced - self.centre).square().sum(-1) / (self.reach_mm + 8) ** 2)
        near = bump > 0.5
        if bool(near.any()):
            depth = sample(self.depth, displaced[near])[0]
            planes[near] = artefacts.swell_scalp(planes[near], depth, bump[near], self.hu)
        return planes


def _scan(hu: torch.Tensor, geometry: Geometry, plan: Plan) -> torch.Tensor:
    pixel = geometry.spacing_mm[1]
    if "head-holder" in plan.lookalikes:
        hu = artefacts.head_holder(hu, pixel, stream(plan.key, "head-holder"))
    if "beam-hardening" in plan.lookalikes:
        strength_hu = float(stream(plan.key, "beam-hardening").uniform(3, 14))
        hu = hu + artefacts.beam_hardening(hu, strength_hu)
    if "motion" in plan.lookalikes:
        hu = artefacts.move(hu, stream(plan.key, "motion"))
    noise = plan.scan.noise_hu * math.sqrt(5 / max(geometry.thickness_mm, 1.0)) * (1 + plan.scan.sharpness)
    hu = artefacts.reconstruct(hu, pixel, plan.scan.sharpness, min(noise, 9.0), stream(plan.key, "noise"))
    return hu.round().clamp(-1024, 3071)


def _label_map(fields: Sequence[BleedField], occupancy: torch.Tensor) -> NDArray[np.uint8]:
    label_map = np.zeros(occupancy.shape[1:], np.uint8)
    best = torch.zeros(occupancy.shape[1:])
    for field, share in zip(fields, occupancy, strict=True):
        wins = ((share >= LABEL_AT.get(field.subtype, 0.5)) & (share > best)).numpy()
        label_map[wins] = LABEL_IDS[field.subtype]
        best = torch.maximum(best, share)
    return label_map


def render_t1(spec: PhantomSpec, plan: Plan, anatomy: Anatomy) -> Loaded:
    """One T1-weighted MRI study at 1 mm, and its ventricles as a binary label map; no bleeds, slice labels None."""
    rng = stream(plan.key, "t1")
    moves = displacement(anatomy, plan.person, ())
    template = torch.stack(
        (
            paint_t1(anatomy, plan.person, rng),
            anatomy.ventricle_fluid[0],
            anatomy.depth_mm.float(),
        )
    )
    geometry = mr_geometry(plan, anatomy)
    sampler = Sampler(geometry, moves, plan.person.warp_mm, rng)
    bright, ventricle, depth_mm = (torch.empty(geometry.shape) for _ in range(3))
    for index in range(geometry.shape[0]):
        displaced = sampler.displaced(sampler.positions(index))
        bright[index], ventricle[index], depth_mm[index] = sample(template, displaced).mean(1)
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 4, 4, 4)).astype(np.float32)) * 0.12
    bias = enlarged(coarse[0, 0], geometry.shape).exp_()
    sigma = float(rng.uniform(0.012, 0.05))
    noise = torch.randn(2, *geometry.shape, generator=generator(rng)) * sigma
    magnitude = ((bright * bias + noise[0]) ** 2 + noise[1] ** 2).sqrt()  # Rician: noise in both channels
    scaled = (magnitude * float(rng.uniform(120, 400))).round()
    if rng.random() < STRIPPED_SHARE:
        # Much MRI is passed on without its skull, cut near the brain's surface by a program.
        scaled[depth_mm < float(rng.uniform(0.0, 4.0))] = 0
    return Loaded(Volume(scaled.numpy(), geometry.affine, "MR"), (ventricle >= 0.5).to(torch.uint8).numpy(), None)
