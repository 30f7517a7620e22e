from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hand_made import blood_checkpoint, ventricle_checkpoint
from numpy.typing import NDArray
from PIL import Image
from scans import HEAD_RADII_MM, MIDWAY_HU, ball_in_a_head, oblique_affine

from hemobench.errors import UserError
from hemobench.inference.report import StudyReport
from hemobench.inference.study import analyse
from hemobench.inference.surface import Surface, head_surface, surface_mesh, surfaces
from hemobench.io.nifti import write_nifti
from hemobench.volume import LABEL_MAP, Volume, display_affine

SHAPE = (30, 120, 120)
SPACING_MM = (5.0, 1.0, 1.0)
CENTRE = np.array([15.0, 60.0, 50.0])


def ball(radius_mm: float, affine: NDArray[np.float64]) -> Volume:
    """A ball, round in the volume's own millimetres, around CENTRE."""
    offset = (np.stack(np.mgrid[tuple(map(slice, SHAPE))], axis=-1) - CENTRE) @ affine[:3, :3].T
    return Volume(((offset**2).sum(axis=-1) < radius_mm**2).astype(np.uint8), affine, LABEL_MAP)


def mirrored() -> NDArray[np.float64]:
    affine = display_affine(SHAPE, SPACING_MM)
    affine[0] *= -1
    return affine


def oblique() -> NDArray[np.float64]:
    angle = np.radians(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = display_affine(SHAPE, SPACING_MM)
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (40.0, -3.0, 12.0)
    return affine


def sheared() -> NDArray[np.float64]:
    affine = display_affine(SHAPE, SPACING_MM)
    affine[1, 0] = 1.8  # each slice lies 1.8 mm further forward: a tilt of 20 degrees that nobody corrected
    return affine


@pytest.mark.parametrize("affine", [display_affine(SHAPE, SPACING_MM), mirrored(), oblique(), sheared()])
def test_a_ball_keeps_its_volume_its_place_and_its_radius(affine: NDArray[np.float64]) -> None:
    mask = ball(20.0, affine)
    surface = surface_mesh(mask)
    counted_ml = float(mask.voxels.sum()) * mask.voxel_volume_ml
    # Positive volume: the faces look outwards, on a mirrored grid too.
    assert surface.volume_ml == pytest.approx(counted_ml, rel=0.02)
    centre_mm = mask.to_world(CENTRE)
    np.testing.assert_allclose(surface.vertices_mm.mean(axis=0), centre_mm, atol=0.3)
    radii_mm = np.linalg.norm(surface.vertices_mm - centre_mm, axis=1)
    assert radii_mm.mean() == pytest.approx(20.0, abs=0.5)
    assert radii_mm.max() < 20.0 + 2.6  # half a slice more at most


def test_a_small_lesion_in_one_slice_does_not_vanish() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[10, 40:45, 60:66] = 5
    mask = Volume(labels, display_affine(SHAPE, SPACING_MM), LABEL_MAP)
    surface = surface_mesh(mask)
    assert surface.volume_ml == pytest.approx(30 * 0.005, rel=0.2)
    np.testing.assert_allclose(surface.vertices_mm.mean(axis=0), mask.to_world((10, 42, 62.5)), atol=0.3)


def test_a_mask_that_fills_the_scan_is_closed() -> None:
    full = Volume(np.ones((4, 10, 10), dtype=np.uint8), display_affine((4, 10, 10), SPACING_MM), LABEL_MAP)
    surface = surface_mesh(full)
    assert surface.volume_ml == pytest.approx(2.0, rel=0.1)
    assert is_closed(surface)


def test_faces_fit_the_vertices() -> None:
    surface = surface_mesh(ball(12.0, oblique()), step_mm=3.0)
    assert surface.vertices_mm.dtype == np.float32
    assert surface.faces.dtype == np.int32
    assert surface.faces.max() == len(surface.vertices_mm) - 1
    assert is_closed(surface)


def test_coarser_steps_give_fewer_faces() -> None:
    mask = ball(20.0, display_affine(SHAPE, SPACING_MM))
    fine, coarse = surface_mesh(mask, step_mm=1.5), surface_mesh(mask, step_mm=3.0)
    # Area over step squared.
    assert len(fine.faces) / len(coarse.faces) == pytest.approx(4.0, rel=0.15)


def test_head_outline_leaves_out_air_cavities_and_the_couch() -> None:
    depth, row, column = np.ogrid[:30, :120, :120]
    inside = ((depth - 15) / 12) ** 2 + ((row - 55) / 45) ** 2 + ((column - 60) / 40) ** 2 < 1
    sinus = ((depth - 15) / 3) ** 2 + ((row - 30) / 8) ** 2 + ((column - 60) / 8) ** 2 < 1
    hu = np.where(inside & ~sinus, 40.0, -1000.0).astype(np.float32)
    hu[:, 112:114, 20:100] = 100.0
    surface = head_surface(Volume(hu, display_affine(hu.shape, SPACING_MM)), step_mm=3.0)
    assert surface is not None
    true_ml = 4 / 3 * np.pi * 12 * 45 * 40 * 5 / 1000
    assert surface.volume_ml == pytest.approx(true_ml, rel=0.05)
    assert surface.structure == "head"
    # The couch lies 52 mm behind the head's middle, the head ends 45 mm behind it.
    assert surface.vertices_mm[:, 1].min() > (59.5 - 105)


def test_head_of_an_mr_is_what_stands_out() -> None:
    noise = np.random.default_rng(0).random((20, 60, 60)).astype(np.float32) * 20
    noise[3:17, 10:50, 10:50] += 400
    affine = display_affine((20, 60, 60), (3.0, 2.0, 2.0))
    surface = head_surface(Volume(noise, affine, "MR"))
    assert surface is not None
    assert surface.volume_ml == pytest.approx(14 * 40 * 40 * 12 / 1000, rel=0.08)


def test_air_has_no_head() -> None:
    air = Volume(np.full((5, 40, 40), -1000, dtype=np.float32), display_affine((5, 40, 40), SPACING_MM))
    assert head_surface(air) is None


@pytest.mark.parametrize("step_mm", [0.0, -1.0, float("nan")])
def test_a_step_that_is_no_length_is_refused(step_mm: float) -> None:
    with pytest.raises(UserError, match="step of"):
        surface_mesh(ball(10.0, display_affine(SHAPE, SPACING_MM)), step_mm)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(UserError, match="empty mask"):
        surface_mesh(Volume(np.zeros((2, 3, 4), dtype=np.uint8), np.eye(4), LABEL_MAP))


def test_a_report_has_its_head_and_its_lesions(tmp_path: Path) -> None:
    shape = (20, 96, 84)
    affine = oblique_affine(shape, (6.0, 2.0, 1.9))
    left = ball_in_a_head(shape, affine, centre_mm=(-30.0, 0.0, 23.0), radius_mm=18)
    right = ball_in_a_head(shape, affine, centre_mm=(30.0, 10.0, 25.0), radius_mm=24)
    both = left.with_voxels(np.maximum(left.voxels, right.voxels))
    checkpoint = blood_checkpoint(tmp_path / "blood", threshold_hu=MIDWAY_HU, subtype="subdural")
    report = analyse(both, checkpoint, engine="torch")
    head, first, second = surfaces(report)
    assert (head.structure, head.lesion) == ("head", None)
    assert [(one.structure, one.lesion) for one in (first, second)] == [("subdural", 1), ("subdural", 2)]
    # The head is an ellipsoid of these radii, but for what the field of view cuts off below and above.
    assert 0.8 < head.volume_ml / (4 / 3 * np.pi * HEAD_RADII_MM.prod() / 1000) < 1.05
    for surface, lesion in zip((first, second), report.lesions, strict=True):
        assert surface.volume_ml == pytest.approx(lesion.volume_ml, rel=0.05)
        np.testing.assert_allclose(surface.vertices_mm.mean(axis=0), lesion.centroid_mm, atol=1.0)


def test_ventricles_have_a_surface_and_a_picture_none(tmp_path: Path) -> None:
    shape = (40, 60, 50)
    affine = oblique_affine(shape, (3.0, 2.5, 2.5))
    mr = ball_in_a_head(
        shape, affine, centre_mm=(0.0, 0.0, 23.0), radius_mm=18, values=(0.0, 100.0, 300.0), modality="MR"
    )
    report = analyse(mr, ventricle_checkpoint(tmp_path / "ventricles"), engine="torch")
    head, ventricles = surfaces(report)
    assert (head.structure, ventricles.structure, ventricles.lesion) == ("head", "ventricles", None)
    assert report.ventricles is not None
    assert ventricles.volume_ml == pytest.approx(report.ventricles.volume_ml, rel=0.05)
    Image.fromarray(np.full((64, 64), 100, dtype=np.uint8)).save(tmp_path / "slice.png")
    picture = analyse(tmp_path / "slice.png", blood_checkpoint(tmp_path / "blood"), engine="torch")
    assert surfaces(picture) == ()


def test_the_head_of_an_mr_in_a_file_that_does_not_say_so(tmp_path: Path) -> None:
    shape = (40, 60, 50)
    affine = oblique_affine(shape, (3.0, 2.5, 2.5))
    mr = ball_in_a_head(shape, affine, centre_mm=(0.0, 0.0, 23.0), radius_mm=18, values=(0.0, 100.0, 300.0))
    write_nifti(mr, tmp_path / "t1.nii.gz")
    report = analyse(tmp_path / "t1.nii.gz", ventricle_checkpoint(tmp_path / "ventricles"), engine="torch")
    head, _ = surfaces(report)
    box_ml = float(np.prod(shape)) * 3.0 * 2.5 * 2.5 / 1000
    assert head.volume_ml < 0.75 * box_ml
    assert head.volume_ml == pytest.approx(4 / 3 * np.pi * HEAD_RADII_MM.prod() / 1000, rel=0.25)


def test_a_report_that_was_read_back_has_no_surfaces(tmp_path: Path) -> None:
    volume = ball_in_a_head(
        (6, 40, 40), oblique_affine((6, 40, 40), (8.0, 4.0, 4.0)), centre_mm=(4.0, -11.0, 23.0), radius_mm=15
    )
    report = analyse(volume, blood_checkpoint(tmp_path / "blood"), engine="torch")
    with pytest.raises(UserError, match="without its scan"):
        surfaces(StudyReport.from_json(report.to_json()))


def is_closed(surface: Surface) -> bool:
    """Each edge belongs to two faces, which run along it in opposite directions."""
    edges = [tuple(edge) for face in surface.faces for edge in zip(face, np.roll(face, -1), strict=True)]
    return len(set(edges)) == len(edges) and all((stop, start) in set(edges) for start, stop in edges[:200])
