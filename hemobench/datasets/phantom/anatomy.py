"""One head's anatomy on a 1 mm grid: tissues, brain fractions, and the distance fields that place bleeds.

Every array is (Z, Y, X) in orientation S-P-L like a `Volume`: plane from inferior to superior, row from anterior to
posterior, column from the patient's right to left; one voxel is one millimetre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from hemobench.datasets.phantom.tissues import Tissue

FAR_MM = 60.0
HEAD_STEP = 4
FALX_ZONE = 1
TENTORIUM_ZONE = 2
CEREBELLUM = 4
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class BrainVoxels:
    """The voxels of Tissue.BRAIN as flat arrays of equal length n: painting touches them alone, a fifth of the grid.

    index: int64, place in the flattened grid. solid: int32, grey plus white, 0 to 255. white_share: float32, white part
    of it. depth_mm, ventricle_mm: float32. height: float32, -1 at the grid's lowest plane, 1 at its highest.
    """

    index: torch.Tensor
    solid: torch.Tensor
    white_share: torch.Tensor
    depth_mm: torch.Tensor
    ventricle_mm: torch.Tensor
    height: torch.Tensor


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
        return BrainVoxels(index, solid, white.float() / solid.clamp(min=1).float(), depth, ventricle, height)

    @cached_property
    def tissue_index(self) -> torch.Tensor:
        """Tissue ids, flat, in the type that look-up tables take."""
        return self.tissue.flatten().int()

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
    return np.minimum(ndimage.distance_transform_edt(~mask), limit_mm).astype(np.float32)


def signed_distance_mm(mask: BoolArray, limit_mm: float = FAR_MM) -> NDArray[np.float32]:
    """Distance to the mask's surface, positive inside, with the surface half-way between voxels."""
    inside = distance_mm(~mask, limit_mm)
    outside = distance_mm(mask, limit_mm)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def build_anatomy(parts: Parts) -> Anatomy:
    """Compute the fields of an anatomy: half a minute of distance transforms, done once and cached by `sources`."""
    tissue = parts.tissue.copy()
    depth = signed_distance_mm(parts.cranium)
    ventricle = -signed_distance_mm(tissue == Tissue.VENTRICLE)
    to_left, to_right = distance_mm(parts.left), distance_mm(parts.right)
    to_cerebrum, to_cerebellum = np.minimum(to_left, to_right), distance_mm(parts.cerebellum)
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
