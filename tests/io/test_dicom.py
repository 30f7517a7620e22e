"""DICOM series as they really come, written with pydicom."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    COLUMNS,
    PLANTED,
    ROWS,
    SEARCHED,
    SPACING,
    SeriesPlan,
    enhanced_dataset,
    head_hu,
    save,
    slice_dataset,
    voxels_at,
    write_series,
)

from hemobench.errors import UserError
from hemobench.io import Scan, read_scan
from hemobench.io.remarks import Grade, grade_of


def warned(scan: Scan, words: str) -> bool:
    return any(words in line for line in scan.warnings)


def test_slices_are_ordered_by_position_and_stand_in_the_patient(tmp_path: Path) -> None:
    hu = head_hu()
    write_series(tmp_path, hu)
    scan = read_scan(tmp_path)
    assert scan.kind == "dicom"
    assert scan.warnings == ()
    assert scan.spacing_known
    assert scan.volume.modality == "CT"
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    # By hand: L-P-S position of the first pixel (-5, -7.2, 30) is R-A-S (5, 7.2, 30); rows run to P, columns to L.
    expected = [[0, 0, -SPACING[1], 5], [0, -SPACING[0], 0, 7.2], [5, 0, 0, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(scan.volume.affine, expected, atol=1e-9)


def test_patients_lying_otherwise_come_out_in_display_orientation(tmp_path: Path) -> None:
    hu = head_hu()
    turned = {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]}
    write_series(tmp_path, hu, **turned)
    scan = read_scan(tmp_path)
    assert scan.volume.orientation == "SPL"
    np.testing.assert_array_equal(scan.volume.voxels, hu[:, ::-1, ::-1])


def ramp_hu(count: int) -> np.ndarray:
    """Linear along every axis, so that linear interpolation gives it back exactly."""
    place, row, column = np.mgrid[:count, :ROWS, :COLUMNS]
    return (40 * place + 10 * row + 3 * column - 500).astype(np.int16)


@pytest.mark.parametrize("degrees", [18.5, -12.0])
def test_tilt_is_corrected_by_shear_and_told(tmp_path: Path, degrees: float) -> None:
    hu = ramp_hu(6)
    plan = SeriesPlan(tilt_degrees=degrees)
    write_series(tmp_path, hu, plan)
    scan = read_scan(tmp_path)
    assert warned(scan, f"tilted by {abs(degrees):.1f} degrees")
    matrix = scan.volume.affine[:3, :3] / scan.volume.spacing_mm
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
    # Steps of 5 mm along the table are 5 cos(tilt) along the normal.
    assert scan.volume.spacing_mm[0] == pytest.approx(5 * np.cos(np.radians(degrees)), rel=1e-6)
    # The last row and column have no neighbour to interpolate with.
    for place in range(6):
        np.testing.assert_allclose(voxels_at(scan.volume, plan, place)[1:-1], hu[place][1:-1], atol=0.05)


def test_tilt_cuts_nothing_off(tmp_path: Path) -> None:
    hu = np.full((6, ROWS, COLUMNS), 40, dtype=np.int16)
    write_series(tmp_path, hu, SeriesPlan(tilt_degrees=18.5))
    volume = read_scan(tmp_path).volume
    filled = (volume.voxels > -500).sum(axis=(1, 2))
    assert (np.abs(filled - ROWS * COLUMNS) <= COLUMNS).all()
    assert volume.shape[1] == ROWS + int(np.ceil(25 * np.sin(np.radians(18.5)) / SPACING[0]))
    assert volume.voxels.min() == -1000


def test_duplicate_slices_are_left_out_and_told(tmp_path: Path) -> None:
    hu = head_hu()
    plan = SeriesPlan()
    write_series(tmp_path, hu, plan)
    # A copy of a file (same UID) and another instance in the same place.
    copied = sorted(tmp_path.iterdir())[0]
    (tmp_path / "copy").write_bytes(copied.read_bytes())
    again = slice_dataset(np.full((ROWS, COLUMNS), 7, dtype=np.uint16), plan, 3, InstanceNumber=99)
    save(again, tmp_path / "again")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "1 slice left out that share")


def test_a_missing_slice_is_filled_in_its_place_and_told(tmp_path: Path) -> None:
    hu = ramp_hu(10)
    plan = SeriesPlan()
    paths = write_series(tmp_path, hu, plan)
    paths[4].unlink()
    scan = read_scan(tmp_path)
    np.testing.assert_allclose(scan.volume.voxels, hu, atol=1e-3)
    assert warned(scan, "1 slice missing (after 15.0 mm from the lowest)")
    assert scan.volume.spacing_mm[0] == pytest.approx(5)


def test_uneven_slices_go_to_the_finer_spacing(tmp_path: Path) -> None:
    """Thin slices below, thick ones above, an odd step between: as the GE scan has it."""
    positions = [0, 4, 8, 12, 16, 17.1, 24.1, 31.1, 38.1, 45.1]
    place = np.array(positions)[:, None, None] * np.ones((1, ROWS, COLUMNS))
    hu = (10 * place - 500).astype(np.int16)
    plan = SeriesPlan(positions_mm=positions)
    write_series(tmp_path, hu, plan)
    scan = read_scan(tmp_path)
    assert scan.volume.spacing_mm[0] == pytest.approx(4)
    assert warned(scan, "unevenly spaced, 1.10 to 7.00 mm")
    # The value is 10 HU a millimetre, so the grid is honest when it says so everywhere up to the last slice.
    heights = scan.volume.affine[2, 3] + 4 * np.arange(scan.volume.shape[0]) - 30
    inside = heights <= positions[-1]
    assert inside.sum() == 12
    np.testing.assert_allclose(scan.volume.voxels[inside, 3, 3], (10 * heights - 500)[inside], atol=1.01)


def test_a_slice_that_is_missing_among_uneven_ones_is_known_by_its_number(tmp_path: Path) -> None:
    """Thin below, thick above, as bases of skulls are scanned."""
    places = [0, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 35]
    write_series(tmp_path / "whole", ramp_hu(10), SeriesPlan(positions_mm=places))
    assert warned(read_scan(tmp_path / "whole"), "unevenly spaced")
    write_series(tmp_path / "gap", ramp_hu(10), SeriesPlan(positions_mm=places))[7].unlink()
    scan = read_scan(tmp_path / "gap")
    assert [grade_of(line) for line in scan.warnings if "1 slice missing" in line] == [Grade.PART]


def test_rounded_positions_count_as_even(tmp_path: Path) -> None:
    positions = [round(number * 0.625, 1) for number in range(12)]
    hu = head_hu(12)
    write_series(tmp_path, hu, SeriesPlan(positions_mm=positions))
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert scan.volume.spacing_mm[0] == pytest.approx(positions[-1] / 11)


def test_a_slice_far_off_is_refused_instead_of_filling_thousands(tmp_path: Path) -> None:
    write_series(tmp_path, head_hu(), SeriesPlan(positions_mm=[0, 5, 10, 15, 20, 90_000]))
    with pytest.raises(UserError, match="90000 mm"):
        read_scan(tmp_path)


def several_series(folder: Path) -> dict[str, SeriesPlan]:
    """A localiser, a soft and a sharp series of one study, sharp with more slices."""
    study = SeriesPlan().study_uid
    plans = {
        "localiser": SeriesPlan(
            series_number=1,
            study_uid=study,
            fields={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
        ),
        "soft": SeriesPlan(series_number=2, study_uid=study, fields={"ConvolutionKernel": "STANDARD"}),
        "sharp": SeriesPlan(series_number=3, study_uid=study, step_mm=2.5, fields={"ConvolutionKernel": "BONEPLUS"}),
    }
    write_series(folder / "A", head_hu(2, seed=1), plans["localiser"])
    write_series(folder / "A", head_hu(6, seed=2), plans["soft"])
    write_series(folder / "B" / "deep", head_hu(11, seed=3), plans["sharp"])
    return plans


def test_the_head_series_is_chosen_and_the_choice_told(tmp_path: Path) -> None:
    several_series(tmp_path)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, head_hu(6, seed=2))
    (line,) = scan.warnings
    assert line == (
        "3 series found; series 2 (6 slices, soft kernel) was read, not series 1 (2 slices, localiser), "
        "series 3 (11 slices, sharp kernel)"
    )


def test_another_series_is_read_by_number_or_uid(tmp_path: Path) -> None:
    plans = several_series(tmp_path)
    for name in ("3", plans["sharp"].series_uid):
        np.testing.assert_array_equal(read_scan(tmp_path, series=name).volume.voxels, head_hu(11, seed=3))
    with pytest.raises(UserError, match="unknown series '4'; known: 1, 2, 3"):
        read_scan(tmp_path, series="4")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"Modality": "MR"}),
        ({}, {"ContrastBolusAgent": "OMNIPAQUE"}),
        ({}, {"BodyPartExamined": "CHEST"}),
        ({}, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}),
        ({}, {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}),
    ],
)
def test_what_makes_a_series_the_lesser_one(tmp_path: Path, better: dict, worse: dict) -> None:
    study = SeriesPlan().study_uid
    write_series(tmp_path, head_hu(8, seed=1), SeriesPlan(series_number=1, study_uid=study, fields=worse))
    write_series(tmp_path, head_hu(8, seed=2), SeriesPlan(series_number=2, study_uid=study, fields=better))
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, head_hu(8, seed=2))


def test_a_piece_of_the_head_does_not_win_by_its_kernel(tmp_path: Path) -> None:
    write_series(tmp_path, head_hu(2), SeriesPlan(series_number=1, fields={"ConvolutionKernel": "H31s"}))
    write_series(tmp_path, head_hu(9), SeriesPlan(series_number=2, fields={"ConvolutionKernel": "H60s"}))
    scan = read_scan(tmp_path)
    assert scan.volume.shape[0] == 9
    assert warned(scan, "more than one study")


def test_enhanced_multi_frame_files_are_read_by_their_functional_groups(tmp_path: Path) -> None:
    hu = head_hu(7)
    save(enhanced_dataset(hu, SeriesPlan(step_mm=3.0)), tmp_path / "one.dcm")
    for path in (tmp_path, tmp_path / "one.dcm"):
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.volume.voxels, hu)
        np.testing.assert_allclose(scan.volume.spacing_mm, (3.0, *SPACING))
        assert scan.warnings == ()


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"PAT/STUDY 1/{file.relative_to(folder)}")
        archive.writestr("__MACOSX/PAT/._IM001", b"\0" * 300)
        archive.writestr("PAT/.DS_Store", b"x")
        archive.writestr("PAT/readme.txt", "a viewer came with this")
        archive.writestr("PAT/more.zip", b"PK\x03\x04" + bytes(200))
    return path


def test_a_zip_reads_like_its_folder(tmp_path: Path) -> None:
    several_series(tmp_path / "study")
    scan = read_scan(zipped(tmp_path / "study", tmp_path / "study.zip"))
    np.testing.assert_array_equal(scan.volume.voxels, head_hu(6, seed=2))
    assert warned(scan, "2 files left out that are no DICOM")
    assert warned(scan, "1 archive inside not opened")


def test_a_dicomdir_stands_for_its_folder(tmp_path: Path) -> None:
    from pydicom.fileset import FileSet

    hu = head_hu()
    write_series(tmp_path / "in", hu)
    media = FileSet()
    for path in sorted((tmp_path / "in").iterdir()):
        media.add(path)
    media.write(tmp_path / "disc")
    for path in (tmp_path / "disc", tmp_path / "disc" / "DICOMDIR"):
        np.testing.assert_array_equal(read_scan(path).volume.voxels, hu)


def test_a_single_slice_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    hu = head_hu()
    paths = write_series(tmp_path, hu)
    scan = read_scan(paths[2])
    np.testing.assert_array_equal(scan.volume.voxels, hu[2:3])
    assert scan.volume.spacing_mm[0] == 5
    assert warned(scan, "a single slice")


def test_damaged_files_among_good_ones_are_left_out_and_told(tmp_path: Path) -> None:
    hu = ramp_hu(6)
    paths = write_series(tmp_path, hu)
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    scan = read_scan(tmp_path)
    np.testing.assert_allclose(scan.volume.voxels, hu, atol=1e-3)
    assert warned(scan, "slice missing")


def test_a_slice_with_cut_pixels_is_a_gap_and_most_of_them_are_refused_with_the_file(tmp_path: Path) -> None:
    hu = ramp_hu(6)
    paths = write_series(tmp_path, hu)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    scan = read_scan(tmp_path)
    np.testing.assert_allclose(scan.volume.voxels, hu, atol=1e-3)
    assert warned(scan, "1 slice of 6 could not be decoded")
    assert {grade_of(line) for line in scan.warnings} == {Grade.PART}
    for path in paths[3:5]:
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="|".join(path.name for path in paths[2:5])):
        read_scan(tmp_path)


def test_slices_without_position_are_ordered_by_number_and_told(tmp_path: Path) -> None:
    hu = head_hu()
    write_series(tmp_path, hu, ImagePositionPatient=None)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert not scan.spacing_known
    assert warned(scan, "no usable position")


def test_a_single_slice_without_thickness_keeps_the_size_of_its_pixels(tmp_path: Path) -> None:
    (path, *_) = write_series(tmp_path, head_hu(), SliceThickness=None)
    scan = read_scan(path)
    assert (scan.spacing_known, scan.plane_known) == (False, True)
    np.testing.assert_allclose(scan.volume.spacing_mm[1:], SPACING)
    assert warned(scan, "does not say how thick it is")
    (path, *_) = write_series(tmp_path / "bare", head_hu(), SliceThickness=None, PixelSpacing=None)
    bare = read_scan(path)
    assert (bare.spacing_known, bare.plane_known) == (False, False)


def test_missing_pixel_spacing_makes_millimetres_nominal(tmp_path: Path) -> None:
    write_series(tmp_path, head_hu(), PixelSpacing=[0, 0])
    scan = read_scan(tmp_path)
    assert not scan.spacing_known
    assert warned(scan, "pixel spacing is missing")


@pytest.mark.parametrize("prepare", ["empty", "text", "report", "colour", "localiser"])
def test_folders_without_a_scan_are_refused_in_one_line(tmp_path: Path, prepare: str) -> None:
    plan = SeriesPlan()
    if prepare == "text":
        (tmp_path / "notes.txt").write_text("nothing here")
    if prepare == "report":
        report = slice_dataset(np.zeros((2, 2), np.uint16), plan, 0)
        del report.Rows, report.Columns, report.PixelData
        save(report, tmp_path / "report")
    if prepare == "colour":
        save(
            slice_dataset(
                np.zeros((4, 4, 3), np.uint8),
                plan,
                0,
                SamplesPerPixel=3,
                Rows=4,
                Columns=4,
                BitsAllocated=8,
                BitsStored=8,
                HighBit=7,
                PhotometricInterpretation="RGB",
                PlanarConfiguration=0,
            ),
            tmp_path / "colour",
        )
    if prepare == "localiser":
        write_series(tmp_path, head_hu(1), fields_of_localiser())
    with pytest.raises(UserError, match="expected") as caught:
        read_scan(tmp_path)
    assert "\n" not in str(caught.value)


def fields_of_localiser() -> SeriesPlan:
    return SeriesPlan(fields={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})


def test_nothing_of_the_patients_reaches_volume_warnings_errors_or_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG)
    several_series(tmp_path / "many")
    write_series(tmp_path / "tilted", head_hu(), SeriesPlan(tilt_degrees=10, positions_mm=[0, 5, 10, 12, 20, 25]))
    # Values that pydicom complains about by quoting them.
    write_series(tmp_path / "odd", head_hu(), PatientBirthDate="PLANTED 7.12.39", PatientAge="PLANTED")
    caplog.clear()  # the writers' own complaints
    recwarn.clear()
    said = []
    for folder in ("many", "tilted", "odd"):
        scan = read_scan(tmp_path / folder)
        said += [*scan.warnings, repr(scan), repr(scan.volume), repr(scan.source)]
    cut = sorted((tmp_path / "odd").iterdir())[0]
    content = cut.read_bytes()
    for length in range(200, len(content) - 2, 97):
        cut.write_bytes(content[:length])
        try:
            said += read_scan(cut).warnings
        except UserError as error:
            said += [str(error), repr(error.__cause__)]
    everything = "\n".join([*said, caplog.text, *(str(warning.message) for warning in recwarn)]).lower()
    assert len(PLANTED) == 12
    assert [word for word in SEARCHED if word in everything] == []
