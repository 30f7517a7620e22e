"""One head's anatomy on a 1 mm grid: tissues, brain fractions, and the distance fields that place bleeds.

Every array is (Z, Y, X) in orientation S-P-L like a `Volume`: plane from inferior to superior, row from anterior to
posterior, column from the patient's right to left; one voxel is one millimetre.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from hemobench.datasets.phantom.tissues import Tissue
from hemobench.machine import usable_cores

FAR_MM = 60.0
HEAD_STEP = 4
STEP = 2
FALX_ZONE = 1
TENTORIUM_ZONE = 2
CEREBELLUM = 4
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class BrainVoxels:
    """The voxels of Tissue.BRAIN as flat arrays of equal length n: painting touches them alone, a fifth of the grid.

    index: int64, place in the flattened grid. solid: int32, grey plus white, 0 to 255. white_share: float32, white part
    of it, steepened. depth_mm: float32. beside_ventricle: float32, 1 at a ventricle's wall, less away from it. slant:
    float32, what bone adds towards the vertex, where every ray crosses it at a slant, 1 in the middle.
    """

    index: torch.Tensor
    solid: torch.Tensor
    white_share: torch.Tensor
    depth_mm: torch.Tensor
    beside_ventricle: torch.Tensor
    slant: torch.Tensor


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A template head; everything random about a person is added later.

    tissue: uint8, `Tissue` ids. grey, white: uint8, fraction times 255 inside BRAIN; what is left is CSF.
    depth_mm: float16, distance to the inner table, positive inside the cranium. ventricle_mm: float16, distance to the
    ventricles' wall, negative inside. falx_mm: float16, signed distance from the midline sheet, positive on the
    patient's left. tentorium_mm: float16, positive above the tentorium. zones: uint8 bits FALX_ZONE, TENTORIUM_ZONE
    (where those sheets exist) and CEREBELLUM. landmarks: float32 (n, 3) voxel positions in the order of LANDMARKS.
    """

    tissue: torch.Tensor
    grey: torch.Tensor
    white: torch.Tensor
    depth_mm: torch.Tensor
    ventricle_mm: torch.Tensor
    falx_mm: torch.Tensor
    tentorium_mm: torch.Tensor
    zones: torch.Tensor
    landmarks: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        planes, rows, columns = self.tissue.shape
        return planes, rows, columns

    @cached_property
    def brain(self) -> BrainVoxels:
        """What painting needs of the brain's voxels, gathered once."""
        index = torch.nonzero((self.tissue == Tissue.BRAIN).flatten()).flatten()
        white = self.white.flatten()[index].int()
        solid = (self.grey.flatten()[index].int() + white).clamp(max=255)
        depth, ventricle = (field.flatten()[index].float() for field in (self.depth_mm, self.ventricle_mm))
        plane = torch.div(index, self.shape[1] * self.shape[2], rounding_mode="floor")
        height = plane.float() * (2 / max(self.shape[0] - 1, 1)) - 1
        share = steepened(white.float() / solid.clamp(min=1).float(), 0.25, 0.90)
        beside, slant = torch.exp(ventricle.clamp(min=0) / -6), 0.7 + 0.6 * torch.sigmoid((height - 0.6) * 8)
        return BrainVoxels(index, solid, share, depth, beside, slant)

    @cached_property
    def falx_sheet(self) -> torch.Tensor:
        """Places (n, 3) of the falx in the grid of every second plane and row: z / 2, y / 2, x."""
        sheet = (self.tissue == Tissue.DURA) & (self.depth_mm > 2) & (self.falx_mm.abs() < 1)
        return torch.nonzero(sheet[::2, ::2])

    @cached_property
    def solid_index(self) -> torch.Tensor:
        """Places (n,) in the flattened grid of all that is neither air nor brain, int64, ascending."""
        tissue = self.tissue.flatten()
        return torch.nonzero((tissue != Tissue.AIR) & (tissue != Tissue.BRAIN)).flatten()

    @cached_property
    def solid_tissue(self) -> torch.Tensor:
        """Tissue ids at `solid_index`, in the type that look-up tables take."""
        return self.tissue.flatten()[self.solid_index].int()

    @cached_property
    def ventricles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What lies inside the ventricles, fluid and plexus: float32 (1, z, y, x) cut to its box, and the (x, y, z) of
        the box's first voxel."""
        there = (self.tissue == Tissue.VENTRICLE) | (self.tissue == Tissue.CHOROID)
        cut = bounding_box(there, margin=1)
        start = torch.tensor([side.start for side in reversed(cut)], dtype=torch.float32)
        return there[cut].float()[None], start

    @cached_property
    def ventricle_fluid(self) -> torch.Tensor:
        """Where the ventricles' fluid is: float32 (1, Z, Y, X), 0 or 1."""
        return (self.tissue == Tissue.VENTRICLE).float()[None]

    @cached_property
    def coarse(self) -> Coarse:
        """The fields that move a head, on every second voxel."""
        thin = slice(None, None, STEP)
        depth, ventricle = self.depth_mm[thin, thin, thin].float(), self.ventricle_mm[thin, thin, thin].float()
        # Tissue near a ventricle comes from nearer its middle: the ventricle grows by that much.
        pull = torch.exp(-ventricle.clamp(min=0) / 9) * (depth / 12).clamp(0, 1)
        return Coarse(depth, (depth > 0).float(), -_gradient(depth), -_gradient(ventricle) * pull)

    @cached_property
    def head(self) -> torch.Tensor:
        """Bool (Z, Y, X) on a grid of HEAD_STEP voxels: the head and 12 mm around it."""
        solid = (self.tissue != Tissue.AIR).float()[None]
        coarse = F.max_pool3d(solid, HEAD_STEP, ceil_mode=True)
        return F.max_pool3d(coarse, 7, stride=1, padding=3)[0] > 0

    @cached_property
    def cranium_bounds(self) -> tuple[tuple[int, int], ...]:
        """First and last voxel of the cranium along each axis."""
        inside = self.depth_mm > 0
        lines = [torch.nonzero(inside.any(dim=a).any(dim=b)).flatten() for a, b in ((2, 1), (2, 0), (1, 0))]
        return tuple((int(line[0]), int(line[-1])) for line in lines)

    @cached_property
    def scan_range(self) -> tuple[int, int]:
        """First and last plane of the cranium that are wider than the spinal canal: foramen magnum to vertex."""
        planes = torch.nonzero((self.depth_mm > 0).flatten(1).sum(1) > 800).flatten()
        return int(planes[0]), int(planes[-1])

    def landmark(self, name: str) -> NDArray[np.float64]:
        """Voxel position (z, y, x) of a landmark."""
        return self.landmarks[LANDMARKS.index(name)].numpy().astype(np.float64)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All arrays by field name, as safetensors wants them."""
        return {field.name: getattr(self, field.name).contiguous() for field in fields(self)}


@dataclass(frozen=True)
class Coarse:
    """Fields of an anatomy on every STEP-th voxel, shape (Z/2, Y/2, X/2). depth: mm below the inner table. inside: 1 in
    the cranium, else 0. outward: (3, ...) unit direction away from the brain. growth: (3, ...) backward displacement
    of a head whose ventricles grow by 1 mm. Vectors are (x, y, z)."""

    depth: torch.Tensor
    inside: torch.Tensor
    outward: torch.Tensor
    growth: torch.Tensor


def steepened(fraction: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """A smooth step from 0 at `low` to 1 at `high`."""
    t = ((fraction - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _gradient(field: torch.Tensor) -> torch.Tensor:
    """Unit direction of steepest rise, components (x, y, z), smoothed against the kinks of a distance field."""
    soft = F.avg_pool3d(field[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    dz, dy, dx = torch.gradient(soft)
    direction = torch.stack((dx, dy, dz))
    return direction / direction.square().sum(0).sqrt().clamp(min=0.5)


def bounding_box(mask: torch.Tensor, margin: int = 0) -> tuple[slice, slice, slice]:
    """The box of a mask (Z, Y, X) and so many voxels around it; the first two voxels of each axis where it is empty."""
    there: BoolArray = mask.numpy()
    flat = np.any(there, axis=0)
    lines = (np.any(there.reshape(len(there), -1), axis=1), np.any(flat, axis=1), np.any(flat, axis=0))
    ends = [np.flatnonzero(line) for line in lines]
    planes, rows, columns = (
        slice(max(0, int(end[0]) - margin), int(end[-1]) + 1 + margin) if len(end) else slice(0, 2) for end in ends
    )
    return planes, rows, columns


LANDMARKS = ("deep_right", "deep_left", "pons", "pineal", "suprasellar", "atrium_right", "atrium_left")


@dataclass(frozen=True)
class Parts:
    """What a source of anatomy must supply; the fields are computed from it. Masks are (Z, Y, X), landmarks voxels."""

    tissue: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    white: NDArray[np.uint8]
    cranium: BoolArray
    left: BoolArray
    right: BoolArray
    cerebellum: BoolArray
    brainstem: BoolArray
    landmarks: Mapping[str, tuple[float, float, float]]


def distance_mm(mask: BoolArray, limit_mm: float = FAR_MM) -> NDArray[np.float32]:
    """Distance in voxels (mm here) of every voxel to the nearest one of the mask; 0 inside; capped at the limit."""
    if not mask.any():
        return np.full(mask.shape, limit_mm, np.float32)
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    # Squares of whole numbers are exact in float32 on such grids; scipy's own distances take three float64 copies.
    squared = np.zeros(mask.shape, np.float32)
    for axis, (places, size) in enumerate(zip(nearest, mask.shape, strict=True)):
        along = np.arange(size, dtype=np.int32).reshape([-1 if own == axis else 1 for own in range(mask.ndim)])
        squared += np.square(places - along)
    return np.minimum(np.sqrt(squared), np.float32(limit_mm))


def distances_mm(*masks: BoolArray) -> Iterator[NDArray[np.float32]]:
    """`distance_mm` of each, on a thread each: scipy lets go of the interpreter while it searches."""
    with ThreadPoolExecutor(max_workers=min(len(masks), usable_cores())) as pool:
        yield from pool.map(distance_mm, masks)


def signed_distance_mm(mask: BoolArray) -> NDArray[np.float32]:
    """Distance to the mask's surface, positive inside, with the surface half-way between voxels."""
    inside, outside = distances_mm(~mask, mask)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def build_anatomy(parts: Parts) -> Anatomy:
    """Compute the fields of an anatomy: half a minute of distance transforms, done once and cached by `sources`."""
    tissue = parts.tissue.copy()
    depth = signed_distance_mm(parts.cranium)
    ventricle = -signed_distance_mm(tissue == Tissue.VENTRICLE)
    to_left, to_right, to_cerebellum = distances_mm(parts.left, parts.right, parts.cerebellum)
    to_cerebrum = np.minimum(to_left, to_right)
    falx, tentorium = _between(to_right, to_left), _between(to_cerebellum, to_cerebrum)
    zones = _zones(parts, depth, tentorium, to_cerebrum, to_cerebellum)
    in_brain = tissue == Tissue.BRAIN
    sheet_room = in_brain & (parts.grey.astype(np.int16) + parts.white < 200)
    tissue[sheet_room & (np.abs(falx) <= 0.5) & (zones & FALX_ZONE > 0)] = Tissue.DURA
    tissue[sheet_room & (np.abs(tentorium) <= 0.5) & (zones & TENTORIUM_ZONE > 0)] = Tissue.DURA
    landmarks = dict(parts.landmarks) | _atria(ventricle, falx)
    return Anatomy(
        torch.from_numpy(tissue),
        torch.from_numpy(parts.grey),
        torch.from_numpy(parts.white),
        torch.from_numpy(depth).half(),
        torch.from_numpy(ventricle).half(),
        torch.from_numpy(falx).half(),
        torch.from_numpy(tentorium).half(),
        torch.from_numpy(zones),
        torch.tensor([landmarks[name] for name in LANDMARKS], dtype=torch.float32),
    )


def _between(to_one: NDArray[np.float32], to_other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed distance from the sheet half-way between two bodies, positive towards the second.

    In the gap both distances change and half their difference is the distance; inside a body only one does, and half
    the gap (about 1 mm) is taken off it.
    """
    difference = to_one - to_other
    return np.asarray(np.sign(difference) * np.maximum(np.abs(difference) / 2, np.abs(difference) - 1), np.float32)


def _zones(
    parts: Parts,
    depth: NDArray[np.float32],
    tentorium: NDArray[np.float32],
    to_cerebrum: NDArray[np.float32],
    to_cerebellum: NDArray[np.float32],
) -> NDArray[np.uint8]:
    rows = np.arange(depth.shape[1], dtype=np.float32)
    front, back = (float(f(np.nonzero(parts.cranium.any(axis=(0, 2)))[0])) for f in (np.min, np.max))
    # The falx is shallow at the crista galli and deep where it meets the tentorium.
    reach = np.interp(rows, [front, back], [18.0, 44.0]).astype(np.float32)[None, :, None]
    planes = np.arange(depth.shape[0])[:, None, None]
    above_deep = planes > float(np.mean([parts.landmarks["deep_left"][0], parts.landmarks["deep_right"][0]])) - 12
    falx = (depth > 0) & (depth < reach) & (tentorium > 3) & above_deep
    # The incisura leaves the brainstem free.
    tent = (depth > 0) & (np.maximum(to_cerebrum, to_cerebellum) < 14) & (distance_mm(parts.brainstem, 20.0) > 9)
    behind = np.arange(depth.shape[1])[None, :, None] > parts.landmarks["pons"][1] - 5
    zones = falx * np.uint8(FALX_ZONE) + (tent & behind) * np.uint8(TENTORIUM_ZONE)
    lower = parts.cranium & (to_cerebellum < to_cerebrum)
    return (zones + lower * np.uint8(CEREBELLUM)).astype(np.uint8)


def _atria(ventricle: NDArray[np.float32], falx: NDArray[np.float32]) -> dict[str, tuple[float, float, float]]:
    """The widest point of each lateral ventricle's posterior half, where the choroid plexus has its glomus."""
    inside = np.argwhere(ventricle < 0)
    rear = inside[inside[:, 1] > np.median(inside[:, 1]) + 5]
    upper = rear[rear[:, 0] > np.median(rear[:, 0]) - 12]
    found: dict[str, tuple[float, float, float]] = {}
    for name, sign in (("atrium_right", -1), ("atrium_left", 1)):
        side = upper[falx[tuple(upper.T)] * sign > 6]
        side = side if len(side) else upper
        z, y, x = side[np.argmin(ventricle[tuple(side.T)])]
        found[name] = (float(z), float(y), float(x))
    return found
