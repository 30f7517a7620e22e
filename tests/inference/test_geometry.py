"""Millilitres and millimetres of a ball of known size, through every kind of file and the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hand_made import blood_checkpoint
from scans import MIDWAY_HU, ball_in_a_head, ball_ml, oblique_affine, write_dicom

from hemobench.inference.report import StudyReport
from hemobench.inference.study import analyse
from hemobench.io.nifti import write_nifti
from hemobench.metrics.volumetry import abc2_ml
from hemobench.volume import Volume

RADIUS_MM = 24.0
CENTRE_MM = (-14.0, 9.0, 30.0)
SHAPE = (36, 150, 130)
SPACING_MM = (4.0, 1.3, 1.1)


@pytest.fixture(scope="module")
def blood(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blood_checkpoint(tmp_path_factory.mktemp("blood") / "blood", threshold_hu=MIDWAY_HU)


@pytest.fixture(scope="module")
def ball() -> Volume:
    return ball_in_a_head(SHAPE, oblique_affine(SHAPE, SPACING_MM), centre_mm=CENTRE_MM, radius_mm=RADIUS_MM)


def check(report: StudyReport, smallest_mm: float, tolerance: float = 0.02) -> None:
    (lesion,) = report.lesions
    true_ml = ball_ml(RADIUS_MM)
    assert report.volume_ml is not None
    assert lesion.volume_ml == pytest.approx(true_ml, rel=tolerance)
    assert report.volume_ml["total"] == pytest.approx(lesion.volume_ml)
    assert report.volume_ml["intraparenchymal"] == pytest.approx(lesion.volume_ml)
    assert lesion.centroid_mm is not None
    assert np.linalg.norm(np.subtract(lesion.centroid_mm, CENTRE_MM)) < smallest_mm / 2
    # A finely cut ball has 65% of its volume by ABC/2 with half slices; with slices of 4 mm it varies by one of them.
    assert lesion.abc2_ml == pytest.approx(0.652 * true_ml, rel=0.12)
    assert report.label_map is not None
    np.testing.assert_allclose(report.label_map.affine, report.scan.volume.affine)  # type: ignore[union-attr]


def write(volume: Volume, kind: str, folder: Path) -> Path:
    if kind == "dicom":
        return write_dicom(volume, folder / "series")
    if kind == "npz":
        np.savez(folder / "scan.npz", image=volume.voxels, affine=volume.affine)
        return folder / "scan.npz"
    path = folder / kind
    turned = {"scan.nii.gz": "RAS", "scan.nii": "PIR"}[kind]
    write_nifti(volume.reoriented(turned), path)
    return path


@pytest.mark.parametrize("kind", ["dicom", "scan.nii.gz", "scan.nii", "npz"])
def test_a_ball_comes_back_from_each_kind_of_file(kind: str, ball: Volume, blood: Path, tmp_path: Path) -> None:
    check(analyse(write(ball, kind, tmp_path), blood, engine="torch"), smallest_mm=1.1)


def test_a_volume_in_memory_and_in_other_axes(ball: Volume, blood: Path) -> None:
    report = analyse(ball.reoriented("LAS"), blood, engine="torch")
    check(report, smallest_mm=1.1)
    assert report.scan is not None
    assert report.scan.volume.orientation == "SPL"
    assert report.label_map.orientation == "SPL"  # type: ignore[union-attr]


def test_the_mask_is_the_ball(ball: Volume, blood: Path) -> None:
    report = analyse(ball, blood, engine="torch")
    true = np.asarray(ball.voxels > MIDWAY_HU)
    found = report.label_map.voxels > 0  # type: ignore[union-attr]
    overlap, moved = (
        2 * np.count_nonzero(other & true) / (other.sum() + true.sum()) for other in (found, np.roll(true, 1, 0))
    )
    # Slices of 5 mm in the network and 4 in the scan cost some of the rim; one slice off costs three times that.
    assert overlap > 0.96 > moved + 0.06
    (lesion,) = report.lesions
    assert lesion.abc2_ml == pytest.approx(abc2_ml(true, SPACING_MM), rel=0.1)
    occupied = np.flatnonzero(found.any(axis=(1, 2)))
    assert (lesion.first_slice, lesion.last_slice) == (occupied[0], occupied[-1])
    assert lesion.voxels == np.count_nonzero(found)


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((150, 160, 140), (1.0, 1.2, 1.2)),  # thin slices, thinner than the network's
        ((22, 100, 90), (6.5, 1.9, 1.7)),  # coarser than the network in every direction
    ],
)
def test_other_spacings(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], blood: Path) -> None:
    volume = ball_in_a_head(shape, oblique_affine(shape, spacing_mm), centre_mm=CENTRE_MM, radius_mm=RADIUS_MM)
    (lesion,) = analyse(volume, blood, engine="torch").lesions
    # Twice a slice's blur on a ball of some slices takes its share.
    assert lesion.volume_ml == pytest.approx(ball_ml(RADIUS_MM), rel=0.035)
    assert lesion.centroid_mm == pytest.approx(CENTRE_MM, abs=min(spacing_mm) / 2)


def test_a_sheared_grid_has_the_millilitres_of_its_determinant(blood: Path) -> None:
    """A tilted gantry that nobody corrected: slices shift by 1.5 mm each, and their planes are 4 mm apart."""
    affine = oblique_affine(SHAPE, SPACING_MM)
    shift_mm = 1.5 * affine[:3, 1] / SPACING_MM[1]
    affine[:3, 0] += shift_mm
    affine[:3, 3] -= shift_mm * (SHAPE[0] - 1) / 2
    volume = ball_in_a_head(SHAPE, affine, centre_mm=CENTRE_MM, radius_mm=RADIUS_MM)
    assert volume.spacing_mm[0] == pytest.approx(np.hypot(4.0, 1.5))
    # The product of the spacings would be 7% too much; the network sees its slices shifted, which blurs the rim.
    check(analyse(volume, blood, engine="torch"), smallest_mm=1.1, tolerance=0.035)


def test_slices_know_their_height(ball: Volume, blood: Path) -> None:
    report = analyse(ball, blood, engine="torch")
    assert [one.index for one in report.slices] == list(range(SHAPE[0]))
    heights = [one.z_mm for one in report.slices]
    # The middle of the grid is at 23 mm, and slices rise by 4 mm times the cosines of both tilts.
    assert np.mean(heights) == pytest.approx(23.0)
    steps = 4.0 * np.cos(np.radians(12)) * np.cos(np.radians(5))
    np.testing.assert_allclose(np.diff(heights), steps, atol=1e-5)


def test_cropping_to_the_head_changes_nothing_and_the_background_neither(ball: Volume, blood: Path) -> None:
    """The same head in twice the field of view has the same lesion."""
    wide = ball.padded((0, 60, 70), (0, 80, 50))
    (lesion,), (other,) = (analyse(one, blood, engine="torch").lesions for one in (ball, wide))
    assert other.volume_ml == pytest.approx(lesion.volume_ml, rel=1e-3)
    assert other.centroid_mm == pytest.approx(lesion.centroid_mm, abs=0.02)
