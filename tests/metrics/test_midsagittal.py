"""The plane that halves a skull: heads whose own midline is known, turned, aside, with a bleed on one side."""

from __future__ import annotations

import numpy as np
import pytest
from made_heads import made_head, turn

from hemobench.metrics.midsagittal import inner_skull, midplane_of


def ring(gap: int = 0) -> np.ndarray:
    """A slice whose bone is a rectangle of 61 x 41 pixels outside, three pixels thick, perhaps with a gap in front."""
    plane = np.full((80, 60), -1000.0)
    plane[10:71, 10:51] = 900.0
    plane[13:68, 13:48] = 30.0
    plane[10:13, 30 : 30 + gap] = 30.0
    return plane


def test_the_inside_is_what_bone_encloses() -> None:
    inside = inner_skull(ring(), (1.0, 1.0))
    expected = np.zeros((80, 60), dtype=bool)
    expected[13:68, 13:48] = True
    # Closing rounds the corners of a rectangle off, by a disk of 3 mm.
    assert (inside & ~expected).sum() == 0
    assert (expected & ~inside).sum() <= 4 * 6
    assert inside[13, 30]
    assert inside[40, [13, 47]].all()


@pytest.mark.parametrize(("gap", "pixel_mm", "closed"), [(4, 1.0, True), (8, 1.0, False), (8, 0.4, True)])
def test_a_suture_is_bridged_and_a_missing_flap_is_not(gap: int, pixel_mm: float, closed: bool) -> None:
    assert inner_skull(ring(gap), (pixel_mm, pixel_mm)).any() == closed


def test_a_slice_without_bone_encloses_nothing() -> None:
    assert not inner_skull(np.full((40, 30), 35.0), (0.8, 0.6)).any()


@pytest.mark.parametrize(
    ("yaw", "roll", "aside_mm", "dense_mm"),
    [(0, 0, 0, 0), (13, 0, 6, 0), (-17, 5, -4, 0), (4, -9, 0, 0), (8, 4, 3, 9)],
)
def test_the_plane_follows_the_head(yaw: float, roll: float, aside_mm: float, dense_mm: float) -> None:
    axes = turn(yaw, roll)
    head, _ = made_head(axes=axes, aside_mm=aside_mm, dense_mm=dense_mm)
    plane = midplane_of(head)
    assert plane is not None
    angle = np.degrees(np.arccos(np.clip(plane.normal @ axes[:, 0], -1, 1)))
    assert angle < 1.5
    # The head's own middle, and points of its midline 5 cm before and above it, lie on the plane.
    midline = np.array([[aside_mm, 0, 0], [aside_mm, 50, 0], [aside_mm, 0, 50]]) @ axes.T
    assert np.abs(plane.side_mm(midline)).max() < 1.2
    assert plane.side_mm(np.array([[aside_mm + 30, 0, 0]]) @ axes.T)[0] == pytest.approx(30, abs=1.2)
    assert plane.alike > 0.97


def test_what_shows_no_whole_skull_has_no_plane() -> None:
    head, _ = made_head()
    assert midplane_of(head.with_voxels(np.asarray(head.voxels), "MR")) is None
    low = np.asarray(head.voxels).copy()
    low[:, :70] = -1000.0  # the front is not in the picture
    assert midplane_of(head.with_voxels(low)) is None
    assert midplane_of(head.with_voxels(np.minimum(head.voxels, 200.0))) is None, "stripped of its skull"
