"""The study pipeline as a whole: what each kind of scan and each set of checkpoints gives."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hand_made import blood_checkpoint, slice_checkpoint, ventricle_checkpoint
from PIL import Image
from scans import AIR_HU, BRAIN_HU, MIDWAY_HU, ball_in_a_head, ball_ml, oblique_affine, write_dicom

from hemobench.errors import UserError
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.intake import take_in
from hemobench.inference.lesions import LesionRules
from hemobench.inference.report import NOTICE, StudyReport
from hemobench.inference.study import analyse
from hemobench.io import read_scan
from hemobench.io.nifti import write_nifti
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES
from hemobench.views.windows import to_grey_uint8
from hemobench.volume import GREY, Volume

SHAPE = (20, 96, 84)
SPACING_MM = (6.0, 2.0, 1.9)
RADIUS_MM = 20.0
# To the patient's right and in front, so that mirroring or turning it would show.
CENTRE_MM = (28.0, 25.0, 20.0)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One hand-made checkpoint a role."""
    folder = tmp_path_factory.mktemp("checkpoints")
    blood_checkpoint(folder / "blood", threshold_hu=MIDWAY_HU, subtype="intraparenchymal")
    slice_checkpoint(folder / "slices", threshold_hu=MIDWAY_HU, gain=600.0)
    ventricle_checkpoint(folder / "ventricles")
    return folder


@pytest.fixture(scope="module")
def bleed() -> Volume:
    return ball_in_a_head(SHAPE, oblique_affine(SHAPE, SPACING_MM), centre_mm=CENTRE_MM, radius_mm=RADIUS_MM)


@pytest.fixture(scope="module")
def mr() -> Volume:
    affine = oblique_affine((50, 70, 60), (3.0, 2.5, 2.5))
    return ball_in_a_head(
        (50, 70, 60), affine, centre_mm=CENTRE_MM, radius_mm=RADIUS_MM, values=(0.0, 100.0, 300.0), modality="MR"
    )


def study(scan: object, *checkpoints: Path, **options: object) -> StudyReport:
    return analyse(scan, list(checkpoints), engine="torch", **options)  # type: ignore[arg-type]


def warned(report: StudyReport, words: str) -> bool:
    return any(words in line for line in report.source.warnings)


def test_classifier_and_segmenter_together(bleed: Volume, shelf: Path) -> None:
    report = study(bleed, shelf / "slices", shelf / "blood")
    assert [one.role for one in report.model] == ["slice-classifier", "haemorrhage"]
    assert all(len(one.sha256) == 64 and one.engine.startswith("torch") for one in report.model)
    assert set(report.study.probabilities) == set(CLASSES) == set(report.study.calls)
    assert (report.source.kind, report.source.modality, report.source.files) == ("volume", "CT", 1)
    assert report.source.shape == SHAPE
    assert report.source.spacing_mm == pytest.approx(SPACING_MM)
    # A ball in a ball.
    assert [one.split(":")[0] for one in report.source.warnings] == ["this does not look like a head CT"]
    assert report.notice == NOTICE
    assert report.ventricles is None
    (lesion,) = report.lesions
    assert report.label_map is not None
    assert set(np.unique(report.label_map.voxels)) == {0, LABEL_IDS["intraparenchymal"]}
    assert report.volume_ml == {
        "total": pytest.approx(lesion.volume_ml),
        **dict.fromkeys(SUBTYPES, 0.0),
        "intraparenchymal": pytest.approx(lesion.volume_ml),
    }
    assert lesion.mean_probability > 0.9


def test_study_probability_is_that_of_the_highest_slice(bleed: Volume, shelf: Path) -> None:
    report = study(bleed, shelf / "slices")
    by_slice = [one.probabilities["any"] for one in report.slices]
    # The slice through the middle of the ball has the most blood.
    nearest = min(report.slices, key=lambda one: np.linalg.norm(_middle_of(report, one.index) - np.array(CENTRE_MM)))
    assert abs(int(np.argmax(by_slice)) - nearest.index) <= 1
    assert report.study.probabilities["any"] == max(by_slice)
    # Far from the ball nothing is bright: sigmoid(-4) and, for types that the network never calls, sigmoid(-6).
    assert by_slice[0] == pytest.approx(1 / (1 + np.exp(4)), abs=1e-3)
    assert report.slices[0].probabilities["epidural"] == pytest.approx(1 / (1 + np.exp(6)), abs=1e-4)


def test_calibration_and_thresholds_of_the_checkpoint_are_used(bleed: Volume, tmp_path: Path) -> None:
    plain = slice_checkpoint(tmp_path / "plain", threshold_hu=MIDWAY_HU)
    fitted = slice_checkpoint(
        tmp_path / "fitted",
        threshold_hu=MIDWAY_HU,
        calibration={"slice": {"any": (0.5, 1.0)}, "study": {"any": (2.0, -1.0)}},
        thresholds={"study": {"any": 0.001, "epidural": 0.9}},
    )
    before, after = study(bleed, plain), study(bleed, fitted)
    logits = np.array([_logit(one.probabilities["any"]) for one in before.slices])
    expected = 1 / (1 + np.exp(-(0.5 * logits + 1.0)))
    np.testing.assert_allclose([one.probabilities["any"] for one in after.slices], expected, atol=1e-4)
    at_study = 1 / (1 + np.exp(-(2.0 * logits.max() - 1.0)))
    assert after.study.probabilities["any"] == pytest.approx(at_study, abs=1e-4)
    assert after.study.calls["any"].positive
    assert (after.study.calls["any"].threshold, after.study.calls["epidural"].threshold) == (0.001, 0.9)
    # What the checkpoint does not name is called at one half.
    assert after.study.calls["subdural"].threshold == 0.5
    assert not before.study.calls["epidural"].positive


def test_classifier_alone_outlines_nothing(bleed: Volume, shelf: Path) -> None:
    report = study(bleed, shelf / "slices")
    assert report.label_map is None
    assert report.volume_ml is None
    assert report.lesions == ()
    assert report.study.probabilities


def test_segmenter_alone_speaks_for_slices_and_study(bleed: Volume, shelf: Path) -> None:
    report = study(bleed, shelf / "blood")
    assert warned(report, "no slice classifier")
    assert report.study.calls["any"].positive
    assert report.study.probabilities["any"] > 0.99
    # Types of equal logit 0 and -10: all but e**-10 of the blood is of one type.
    assert report.study.probabilities["intraparenchymal"] > 0.99
    assert report.study.probabilities["subdural"] < 0.01
    (lesion,) = report.lesions
    with_blood = [one.index for one in report.slices if one.probabilities["any"] >= 0.5]
    # One slice more or less at each end, where the network's slices and the scan's do not coincide.
    assert with_blood[0] == pytest.approx(lesion.first_slice, abs=1)
    assert with_blood[-1] == pytest.approx(lesion.last_slice, abs=1)


def test_contradicting_networks_are_pointed_at(bleed: Volume, shelf: Path, tmp_path: Path) -> None:
    blind = slice_checkpoint(tmp_path / "blind", gain=0.0)
    assert warned(study(bleed, blind, shelf / "blood"), "the study is not called, and 1 lesion is outlined")
    alarmed = slice_checkpoint(tmp_path / "alarmed", offset=4.0)
    strict = LesionRules(min_ml=500.0)
    assert warned(study(bleed, alarmed, shelf / "blood", rules=strict), "the study is called, and nothing is outlined")


def test_visitors_at_the_same_time_get_their_own_answers(shelf: Path) -> None:
    """Balls of different sizes, analysed by four threads through one shared engine."""
    affine = oblique_affine(SHAPE, SPACING_MM)
    radii_mm = [12.0, 16.0, 20.0, 24.0] * 2
    scans = [ball_in_a_head(SHAPE, affine, centre_mm=CENTRE_MM, radius_mm=radius) for radius in radii_mm]
    alone = [study(scan, shelf / "blood", shelf / "slices") for scan in scans]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda scan: study(scan, shelf / "blood", shelf / "slices"), scans))
    for one, other in zip(alone, together, strict=True):
        assert dataclasses.replace(one, timing_s={}) == dataclasses.replace(other, timing_s={})
    assert len({report.lesions[0].voxels for report in together}) == 4


def test_the_default_engine_gives_the_same_lesion(
    bleed: Volume, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path))
    (own,) = analyse(bleed, shelf / "blood").lesions
    (torch_s,) = study(bleed, shelf / "blood").lesions
    assert own.volume_ml == pytest.approx(torch_s.volume_ml, rel=0.01)
    assert own.centroid_mm == pytest.approx(torch_s.centroid_mm, abs=0.1)


def test_a_head_without_blood(shelf: Path) -> None:
    affine = oblique_affine(SHAPE, SPACING_MM)
    clean = ball_in_a_head(SHAPE, affine, centre_mm=CENTRE_MM, radius_mm=RADIUS_MM, values=(AIR_HU, BRAIN_HU, BRAIN_HU))
    report = study(clean, shelf / "blood", shelf / "slices")
    assert report.lesions == ()
    assert report.volume_ml == {"total": 0.0, **dict.fromkeys(SUBTYPES, 0.0)}
    assert report.is_positive is False
    assert report.label_map is not None
    assert not report.label_map.voxels.any()


def test_voxel_threshold_moves_the_outline(bleed: Volume, tmp_path: Path) -> None:
    half = blood_checkpoint(tmp_path / "half", threshold_hu=MIDWAY_HU)
    strict = blood_checkpoint(tmp_path / "strict", threshold_hu=MIDWAY_HU, voxel_threshold=0.999)
    (wide,), (narrow,) = study(bleed, half).lesions, study(bleed, strict).lesions
    assert wide.volume_ml is not None
    assert narrow.volume_ml is not None
    assert 0.5 * wide.volume_ml < narrow.volume_ml < 0.98 * wide.volume_ml


def test_types_stay_where_they_are(tmp_path: Path) -> None:
    """Two balls, one of them brighter, which the hand-made network calls by another type."""
    affine = oblique_affine(SHAPE, SPACING_MM)
    right = ball_in_a_head(SHAPE, affine, centre_mm=(34, 5, 23), radius_mm=16, values=(AIR_HU, BRAIN_HU, 80.0))
    left = ball_in_a_head(SHAPE, affine, centre_mm=(-32, -20, 23), radius_mm=20, values=(AIR_HU, BRAIN_HU, 64.0))
    both = right.with_voxels(np.maximum(right.voxels, left.voxels))
    checkpoint = blood_checkpoint(tmp_path / "two", threshold_hu=48, subtype="subdural", brighter=(72, "epidural"))
    # The bright ball's rim is as bright as the other ball: less than half of it, so it takes the type of the rest.
    report = study(both, checkpoint, rules=LesionRules(type_share=0.5))
    assert [one.subtype for one in report.lesions] == ["subdural", "epidural"]
    assert report.lesions[0].centroid_mm == pytest.approx((-32, -20, 23), abs=1.0)
    assert report.lesions[1].centroid_mm == pytest.approx((34, 5, 23), abs=1.0)
    assert report.volume_ml is not None
    assert report.volume_ml["subdural"] == pytest.approx(ball_ml(20), rel=0.06)
    assert report.volume_ml["subdural"] + report.volume_ml["epidural"] == pytest.approx(report.volume_ml["total"])


def test_small_spots_are_left_out_and_said(bleed: Volume, shelf: Path) -> None:
    report = study(bleed, shelf / "blood", rules=LesionRules(min_ml=50.0))
    assert report.lesions == ()
    assert warned(report, "left out as too small: 1 spot of blood below 50 mL (3")


def test_mirrored_inference_averages_the_same_answer(bleed: Volume, shelf: Path) -> None:
    """The hand-made networks see one voxel at a time: mirrored and mirrored back, they say the same."""
    plain = study(bleed, shelf / "blood", shelf / "slices")
    mirrored = study(bleed, shelf / "blood", shelf / "slices", flip_tta=True)
    assert mirrored.label_map is not None
    assert plain.label_map is not None
    np.testing.assert_array_equal(mirrored.label_map.voxels, plain.label_map.voxels)
    assert mirrored.study.probabilities["any"] == pytest.approx(plain.study.probabilities["any"], abs=1e-3)


@pytest.mark.parametrize("modality", ["MR", None])
def test_mr_goes_to_the_ventricle_network(mr: Volume, shelf: Path, tmp_path: Path, modality: str | None) -> None:
    scan: object = mr
    if modality is None:
        # A NIfTI does not say what it is.
        scan = tmp_path / "brain.nii.gz"
        write_nifti(mr, tmp_path / "brain.nii.gz")
    report = study(scan, shelf / "ventricles", shelf / "blood", shelf / "slices")
    assert [one.role for one in report.model] == ["ventricles"]
    assert report.source.modality == "MR"
    assert report.ventricles is not None
    assert report.ventricles.volume_ml == pytest.approx(ball_ml(RADIUS_MM), rel=0.02)
    assert report.label_map is not None
    assert np.count_nonzero(report.label_map.voxels == 1) == report.ventricles.voxels
    assert (report.study.probabilities, report.study.calls, report.is_positive) == ({}, {}, None)
    assert (report.volume_ml, report.lesions) == (None, ())
    assert report.slices[0].probabilities == {}
    assert warned(report, "taken as MR") == (modality is None)
    assert not warned(report, "Hounsfield")


def test_a_modality_can_be_forced(mr: Volume, shelf: Path) -> None:
    report = study(mr, shelf / "blood", modality="CT")
    assert report.source.modality == "CT"
    with pytest.raises(UserError, match="modality 'XR'"):
        study(mr, shelf / "blood", modality="XR")


def test_a_scan_that_no_checkpoint_reads(mr: Volume, bleed: Volume, shelf: Path) -> None:
    with pytest.raises(UserError, match="modality MR and checkpoints for haemorrhage, slice-classifier"):
        study(mr, shelf / "blood", shelf / "slices")
    with pytest.raises(UserError, match="modality CT and checkpoints for ventricles"):
        study(bleed, shelf / "ventricles")


def test_a_picture_has_no_millimetres(bleed: Volume, shelf: Path, tmp_path: Path) -> None:
    level = int(np.round(bleed.to_index(CENTRE_MM)[0]))
    path = tmp_path / "Private Name 1234.png"
    Image.fromarray(to_grey_uint8(bleed.voxels[level], "brain")).save(path)
    report = study(path, shelf / "blood", shelf / "slices")
    assert (report.source.kind, report.source.modality) == ("picture", GREY)
    assert report.source.shape == (1, *SHAPE[1:])
    assert (report.source.spacing_mm, report.volume_ml) == (None, None)
    assert [one.z_mm for one in report.slices] == [None]
    assert warned(report, "no volume in mL")
    (lesion,) = report.lesions
    assert (lesion.volume_ml, lesion.abc2_ml, lesion.centroid_mm) == (None, None, None)
    # In pixels it is where it was painted.
    assert lesion.centroid_index[1:] == pytest.approx(bleed.to_index(CENTRE_MM)[1:], abs=1.0)
    assert lesion.voxels == pytest.approx(np.count_nonzero(bleed.voxels[level] > MIDWAY_HU), rel=0.05)
    assert report.study.probabilities["any"] > report.study.probabilities["epidural"]
    assert "private" not in report.to_json().lower()


def test_nothing_of_header_or_file_name_is_in_the_report(shelf: Path, tmp_path: Path) -> None:
    from dicom_files import SEARCHED, head_hu, write_series

    folder = tmp_path / "Mueller^Anna"
    write_series(folder, head_hu())
    report = study(folder, shelf / "blood", shelf / "slices")
    text = report.to_json().lower()
    assert report.source.files == 6
    for word in (*SEARCHED, "mueller", "anna", str(tmp_path).lower()):
        assert word not in text


def test_warnings_of_the_intake_are_carried_over(shelf: Path, tmp_path: Path) -> None:
    from dicom_files import SeriesPlan, head_hu, write_series

    write_series(tmp_path, head_hu(), SeriesPlan(positions_mm=[0, 5, 10, 20, 25, 30]))
    report = study(tmp_path, shelf / "blood")
    assert set(read_scan(tmp_path).warnings) < set(report.source.warnings)
    assert warned(report, "1 slice missing")


def test_networks_of_phantoms_say_so(bleed: Volume, tmp_path: Path) -> None:
    checkpoint = slice_checkpoint(tmp_path / "slices", training={"data": "phantom", "phantom": True}, name="tiny")
    assert warned(study(bleed, checkpoint), "'tiny' has learned from phantoms alone")


def test_timings_add_up(bleed: Volume, shelf: Path, tmp_path: Path) -> None:
    timing_s = dict(study(write_dicom(bleed, tmp_path / "a"), shelf / "blood", shelf / "slices").timing_s)
    total = timing_s.pop("total")
    assert set(timing_s) == {"reading", "loading", "resampling", "slice-classifier", "haemorrhage", "lesions"}
    assert all(seconds >= 0 for seconds in timing_s.values())
    assert 0.5 * total < sum(timing_s.values()) <= total + 1e-5


def test_report_goes_to_json_and_back(bleed: Volume, mr: Volume, shelf: Path) -> None:
    for scan in (bleed, mr):
        report = study(scan, shelf / "blood", shelf / "slices", shelf / "ventricles")
        assert StudyReport.from_json(report.to_json()) == report


def test_nothing_of_a_visitor_is_kept(bleed: Volume, shelf: Path) -> None:
    scan = take_in(bleed).scan
    own = dataclasses.replace(scan, volume=bleed.with_voxels(np.array(bleed.voxels)))
    report = study(own, shelf / "blood", shelf / "slices")
    assert report.scan is not None
    assert report.label_map is not None
    kept = [weakref.ref(one) for one in (report.scan.volume, report.label_map, report.label_map.voxels.base)]
    del report, own
    gc.collect()
    assert [one() for one in kept] == [None, None, None]


def test_one_engine_serves_all(bleed: Volume, shelf: Path) -> None:
    """The second analysis of a process loads nothing: the checkpoint is read once and its network built once."""
    study(bleed, shelf / "blood")
    again = study(bleed, shelf / "blood")
    assert again.timing_s["loading"] < 0.5 * again.timing_s["total"]
    # An open checkpoint will do as well as its folder.
    opened = open_checkpoint(shelf / "blood")
    assert analyse(bleed, opened, engine="torch").model == again.model


def test_what_is_no_scan_is_refused(shelf: Path, bleed: Volume) -> None:
    with pytest.raises(UserError, match="no scan"):
        study(shelf / "nowhere", shelf / "blood")
    with pytest.raises(UserError, match="label map"):
        study(Volume(np.ones((2, 3, 4), dtype=np.uint8), np.eye(4), "label_map"), shelf / "blood")
    with pytest.raises(UserError, match="ndarray to analyse"):
        study(np.zeros((2, 3, 4)), shelf / "blood")
    with pytest.raises(UserError, match="series '3' of a volume"):
        study(bleed, shelf / "blood", series="3")
    with pytest.raises(UserError, match="modality PT"):
        study(Volume(np.zeros((2, 3, 4)), np.eye(4), "PT"), shelf / "blood")


def _middle_of(report: StudyReport, index: int) -> np.ndarray:
    assert report.scan is not None
    centre = np.round(report.scan.volume.to_index(CENTRE_MM))
    return report.scan.volume.to_world((index, *centre[1:]))


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_stages_are_told_as_they_begin(shelf: Path, bleed: Volume) -> None:
    told: list[str] = []
    report = study(bleed, shelf / "slices", shelf / "blood", on_stage=told.append)
    first = list(dict.fromkeys(told))
    assert first == ["reading", "loading", "resampling", "slice-classifier", "haemorrhage", "lesions"]
    assert set(first) == set(report.timing_s) - {"total"}
