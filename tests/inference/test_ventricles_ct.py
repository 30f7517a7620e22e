"""Ventricles on CT in the whole pipeline: which network, what is measured, what stays away, and where it is written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hand_made import blood_checkpoint, ct_ventricle_checkpoint, ventricle_checkpoint
from made_heads import HORNS, Horn, made_head
from scans import BRAIN_HU, ball_in_a_head, ball_ml, oblique_affine

from hemobench.errors import UserError
from hemobench.inference.outputs import MASK, OVERVIEW, REPORT, VENTRICLES, write_outputs
from hemobench.inference.overview.panel import verdict
from hemobench.inference.report import StudyReport, Ventricles
from hemobench.inference.study import analyse
from hemobench.inference.surface import surfaces
from hemobench.inference.ventricle_measures import VALIDATED_ON, readings, ventricles_in_ct
from hemobench.io.nifti import read_label_map
from hemobench.volume import LABEL_MAP, Volume, slice_number

SHAPE, SPACING_MM = (20, 96, 84), (6.0, 2.0, 1.9)
CENTRE_MM, RADIUS_MM, INNER_MM = (10.0, 5.0, 20.0), 24.0, 14.0
FLUID_HU, BLOOD_HU = 56.0, 78.0


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    blood_checkpoint(folder / "blood", threshold_hu=(FLUID_HU + BLOOD_HU) / 2, subtype="intraventricular")
    ct_ventricle_checkpoint(folder / "ventricles-ct", threshold_hu=(BRAIN_HU + FLUID_HU) / 2)
    ventricle_checkpoint(folder / "ventricles")
    return folder


@pytest.fixture(scope="module")
def head() -> Volume:
    """A ball of "fluid" with a ball of blood in its middle, in a head without a skull."""
    affine = oblique_affine(SHAPE, SPACING_MM)
    made = [
        ball_in_a_head(SHAPE, affine, centre_mm=CENTRE_MM, radius_mm=radius, values=(-1000.0, BRAIN_HU, hu))
        for radius, hu in ((RADIUS_MM, FLUID_HU), (INNER_MM, BLOOD_HU))
    ]
    share = np.clip((made[1].voxels - BRAIN_HU) / (BLOOD_HU - BRAIN_HU), 0, 1)
    return made[0].with_voxels(made[0].voxels + share * (BLOOD_HU - FLUID_HU))


def study(scan: object, *checkpoints: Path, **options: object) -> StudyReport:
    return analyse(scan, list(checkpoints), engine="torch", **options)  # type: ignore[arg-type]


def test_both_maps_stand_beside_each_other_and_blood_is_a_share(head: Volume, shelf: Path, tmp_path: Path) -> None:
    report = study(head, shelf / "blood", shelf / "ventricles-ct", shelf / "ventricles")
    assert [one.role for one in report.model] == ["haemorrhage", "ventricles-ct"]
    found = report.ventricles
    assert found is not None
    assert found.volume_ml == pytest.approx(ball_ml(RADIUS_MM), rel=0.03)
    # A ball of 28 mm across on slices of 5 to 6 mm.
    assert found.blood_ml == pytest.approx(ball_ml(INNER_MM), rel=0.1)
    assert found.blood_share == pytest.approx((INNER_MM / RADIUS_MM) ** 3, rel=0.1)
    # No bone, so nothing that hangs on the midline.
    assert (found.left_ml, found.right_ml, found.evans_index, found.midline_shift_mm) == (None,) * 4
    assert set(found.validated_on) == {"volume_ml", "blood_share"}
    assert report.label_map is not None
    assert report.ventricle_map is not None
    assert np.count_nonzero(report.ventricle_map.voxels) == found.voxels
    assert set(np.unique(report.label_map.voxels)) == {0, 3}
    assert report.volume_ml is not None
    assert report.volume_ml["total"] == pytest.approx(found.blood_ml), "ventricles are no blood"
    write_outputs(report, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {REPORT, MASK, VENTRICLES, OVERVIEW}
    np.testing.assert_array_equal(read_label_map(tmp_path / VENTRICLES).voxels, report.ventricle_map.voxels)
    assert StudyReport.from_json((tmp_path / REPORT).read_text()) == report
    write_outputs(study(head, shelf / "blood"), tmp_path)
    assert not (tmp_path / VENTRICLES).exists(), "of an earlier answer"


def test_ventricles_alone_call_nothing(head: Volume, shelf: Path) -> None:
    report = study(head, shelf / "ventricles-ct")
    assert (report.label_map, report.lesions, report.is_positive) == (None, (), None)
    assert report.ventricles is not None
    assert report.ventricles.blood_share is None, "nobody looked for blood"
    assert verdict(report)[0] == "This does not look like a head CT", "nor does a ball"
    of_a_head = dataclasses.replace(report, source=dataclasses.replace(report.source, unlike=""))
    headline, detail, _ = verdict(of_a_head)
    assert headline.startswith("Ventricles 5")  # 57.9 mL
    assert detail == "Haemorrhage was not looked for in this CT scan."
    assert [one.structure for one in surfaces(report)] == ["head", "ventricles"]


def test_surfaces_of_both(head: Volume, shelf: Path) -> None:
    report = study(head, shelf / "blood", shelf / "ventricles-ct")
    assert [(one.structure, one.lesion) for one in surfaces(report)] == [
        ("head", None),
        ("ventricles", None),
        ("intraventricular", 1),
    ]


def test_a_picture_has_an_outline_and_nothing_measured_from_bone(head: Volume, shelf: Path) -> None:
    picture = Volume(np.clip(head.voxels / 80, 0, 1), head.affine, "grey")
    report = study(picture, shelf / "blood", shelf / "ventricles-ct")
    assert report.ventricles is not None
    assert report.ventricles.voxels > 0
    assert report.ventricles.evans_index is None, "no bone without HU"


def test_mr_is_left_to_its_own_network(head: Volume, shelf: Path) -> None:
    with pytest.raises(UserError, match="modality MR and checkpoints for ventricles-ct"):
        study(head.with_voxels(np.clip(head.voxels, 0, None), "MR"), shelf / "ventricles-ct")


def test_every_measure_of_a_whole_skull_is_there_and_says_what_it_was_held_against() -> None:
    moved = tuple(Horn((one.left[0] + 4, one.left[1] + 4)) for one in HORNS)
    made, mask = made_head(moved)
    blood = np.where(mask & (np.arange(mask.shape[0])[:, None, None] < 20), 3, 0).astype(np.uint8)
    found = ventricles_in_ct(made, made.with_voxels(mask.astype(np.uint8), LABEL_MAP), blood, spacing_known=True)
    assert set(found.validated_on) == set(VALIDATED_ON)
    assert found.volume_ml == pytest.approx(2 * 15 * 26 * 27 / 1000, rel=0.05)
    # The right horn reaches from 13 mm right to 2 mm left of the midline.
    assert found.right_ml == pytest.approx(13 / 30 * found.volume_ml, rel=0.1)
    assert found.left_ml + found.right_ml == pytest.approx(found.volume_ml)
    assert found.midline_shift_mm == pytest.approx(4, abs=1)
    assert 0.24 < found.evans_index < 0.29
    assert found.blood_share == np.count_nonzero(blood) / mask.sum()
    rows = {row.name: row for row in readings(found, "{:.1f}".format)}
    assert rows["midline shift"].value == "4 mm to the left"
    assert rows["Evans' index"].remark == f"slice {slice_number(found.evans_slice)}"
    assert all(row.validated_on for row in rows.values())
    without = ventricles_in_ct(made, made.with_voxels(mask.astype(np.uint8), LABEL_MAP), None, spacing_known=False)
    assert without == Ventricles(None, int(mask.sum()))


def test_nothing_outlined_is_no_volume_of_its_own() -> None:
    made, mask = made_head(())
    found = ventricles_in_ct(made, made.with_voxels(mask.astype(np.uint8), LABEL_MAP), None, spacing_known=True)
    assert (found.volume_ml, found.voxels, found.left_ml, found.evans_index) == (0.0, 0, None, None)
