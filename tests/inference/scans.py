"""Scans whose content is known in millimetres, as volumes and as files; shared by tests of the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.volume import Volume

AIR_HU, BRAIN_HU, BLOOD_HU = -1000.0, 32.0, 80.0
# Half way: the surface of a ball runs through the voxels that are half blood.
MIDWAY_HU = 56.0
HEAD_RADII_MM = np.array([68.0, 85.0, 66.0])  # right, anterior, superior


def rotation(about_x: float, about_y: float, about_z: float) -> NDArray[np.float64]:
    """Rotation (3, 3) by degrees about each axis in turn."""
    cos, sin = np.cos(np.radians([about_x, about_y, about_z])), np.sin(np.radians([about_x, about_y, about_z]))
    x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return np.asarray(z @ y @ x)


def oblique_affine(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    degrees: tuple[float, float, float] = (12, 5, 8),
) -> NDArray[np.float64]:
    """Affine of a turned S-P-L grid about the point (4, -11, 23) mm."""
    turned = rotation(*degrees) @ np.array([[0, 0, -1.0], [0, -1.0, 0], [1.0, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turned * spacing_mm
    affine[:3, 3] = np.array([4.0, -11.0, 23.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def ball_in_a_head(
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    *,
    centre_mm: tuple[float, float, float],
    radius_mm: float,
    values: tuple[float, float, float] = (AIR_HU, BRAIN_HU, BLOOD_HU),
    modality: str = "CT",
) -> Volume:
    """A head (an ellipsoid of the grid's middle) with a ball in it, each voxel the mean of its 5 x 5 x 5 points.

    `values` of background, head and ball.
    """
    background, head, ball = values
    volume = Volume(np.zeros(shape, dtype=np.float32), affine)
    index = np.stack(np.mgrid[tuple(map(slice, shape))], axis=-1).astype(np.float32)
    middle_mm = volume.to_world((np.array(shape) - 1) / 2)
    in_head = (((volume.to_world(index) - middle_mm) / HEAD_RADII_MM) ** 2).sum(axis=-1) < 1
    offsets = np.stack(np.meshgrid(*[np.linspace(-0.4, 0.4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    covered = np.zeros(shape, dtype=np.float32)
    distance_mm = np.linalg.norm(volume.to_world(index) - centre_mm, axis=-1)
    near = distance_mm < radius_mm + max(volume.spacing_mm)
    for offset in offsets:
        points = volume.to_world(index[near] + offset)
        covered[near] += (np.linalg.norm(points - centre_mm, axis=-1) < radius_mm) / len(offsets)
    tissue = np.where(in_head, head, background)
    return volume.with_voxels((tissue * (1 - covered) + ball * covered).astype(np.float32), modality)


def ball_ml(radius_mm: float) -> float:
    return float(4 / 3 * np.pi * radius_mm**3 / 1000)


def write_dicom(volume: Volume, folder: Path) -> Path:
    """The volume as a DICOM series, one file a slice, named against their order."""
    folder.mkdir(parents=True)
    for index in range(volume.shape[0]):
        names = Names("patient", "1.2.3", "1.2.3.4", f"1.2.3.4.{index + 1}")
        write_slice(folder / f"slice{volume.shape[0] - index:03}", volume, index, names, Coding())
    return folder
