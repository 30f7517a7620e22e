"""Heads of which everything is known: an egg of bone around brain with two boxes for frontal horns, turned as asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hemobench.volume import Volume

SPACING_MM = (4.5, 1.2, 1.0)
SHAPE = (35, 178, 180)
INNER_MM = np.array([66.0, 84.0, 72.0])  # half axes of the inside of the skull: left-right, front-back, up-down
BONE_MM = 7.0
NARROW_FRONT = 0.0018  # a skull is narrower in front: by so much of its width a millimetre


@dataclass(frozen=True)
class Horn:
    """A box in the head's own mm: (low, high) along left (positive), forwards, up."""

    left: tuple[float, float]
    forwards: tuple[float, float] = (18.0, 44.0)
    up: tuple[float, float] = (-1.0, 26.0)


HORNS = (Horn((2.0, 17.0)), Horn((-17.0, -2.0)))


def turn(yaw_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    """Columns: the head's left, forwards and up in RAS+."""
    yaw, roll = np.radians((yaw_deg, roll_deg))
    about_up = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_front = np.array([[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]])
    return about_up @ about_front @ np.diag([-1.0, 1.0, 1.0])


def made_head(
    horns: tuple[Horn, ...] = HORNS,
    *,
    axes: np.ndarray | None = None,
    aside_mm: float = 0.0,
    shape=SHAPE,
    spacing_mm=SPACING_MM,
    dense_mm: float = 0.0,
) -> tuple[Volume, np.ndarray]:
    """A head CT in HU and the mask of its horns. axes: from `turn`. aside_mm: how far the head lies to its left of the
    scan's middle. dense_mm: thickness of a bleed along the inside of the left half of the skull."""
    axes = turn() if axes is None else axes
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]]) @ np.diag(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    empty = Volume(np.zeros(shape, dtype=np.float32), affine)
    index = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    place = empty.to_world(index.reshape(-1, 3)) @ axes - [aside_mm, 0, 0]
    place = place.reshape(*shape, 3)
    voxels = np.full(shape, -1000.0, dtype=np.float32)
    for half_mm, hu in ((BONE_MM + 5, 30.0), (BONE_MM, 900.0), (0.0, 32.0)):
        voxels[_egg(place, INNER_MM + half_mm)] = hu
    if dense_mm:
        inside = _egg(place, INNER_MM) & ~_egg(place, INNER_MM - dense_mm) & (place[..., 0] > 20)
        voxels[inside] = 70.0
    mask = np.zeros(shape, dtype=bool)
    for horn in horns:
        bounds = zip(np.moveaxis(place, -1, 0), (horn.left, horn.forwards, horn.up), strict=True)
        mask |= np.logical_and.reduce([(low <= line) & (line < high) for line, (low, high) in bounds])
    voxels[mask] = 8.0
    return Volume(voxels, affine), mask


def _egg(place: np.ndarray, half_mm: np.ndarray) -> np.ndarray:
    left, forwards, up = np.moveaxis(place, -1, 0)
    width = 1 - NARROW_FRONT * forwards
    return (left / (half_mm[0] * width)) ** 2 + (forwards / half_mm[1]) ** 2 + (up / half_mm[2]) ** 2 < 1


def skull_width_mm(up_mm: float) -> float:
    """The largest inner width of the skull of a straight head at a height: the best of its cross-sections."""
    forwards = np.linspace(-INNER_MM[1], INNER_MM[1], 4001)
    room = np.clip(1 - (forwards / INNER_MM[1]) ** 2 - (up_mm / INNER_MM[2]) ** 2, 0, None)
    return float((2 * INNER_MM[0] * (1 - NARROW_FRONT * forwards) * np.sqrt(room)).max())
