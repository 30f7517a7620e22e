"""DICOM as anonymisers, archives and workstations leave it: nothing is lost or changed in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import COLUMNS, ROWS, SeriesPlan, head_hu, position_of, save, slice_dataset, write_series
from PIL import Image, ImageDraw
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from hemobench.errors import UserError
from hemobench.io import Scan, read_scan
from hemobench.io.remarks import Grade, grade_of
from hemobench.io.scan import MAX_VOXELS


def warned(scan: Scan, words: str) -> bool:
    return any(words in line for line in scan.warnings)


def stored(hu: np.ndarray) -> np.ndarray:
    return (hu.astype(np.int32) + 1024).astype(np.uint16)


def test_slices_with_one_copied_identifier_are_all_read(tmp_path: Path) -> None:
    hu = head_hu(6)
    write_series(tmp_path, hu, SOPInstanceUID="1.2.3")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert scan.warnings == ()


def test_copies_are_counted_and_other_pictures_of_the_same_place_named(tmp_path: Path) -> None:
    hu, plan = head_hu(6), SeriesPlan()
    paths = write_series(tmp_path, hu, plan)
    (tmp_path / "deep").mkdir()
    for number in (1, 4):
        (tmp_path / "deep" / f"{number}").write_bytes(paths[number].read_bytes())
    save(slice_dataset(stored(hu[3] + 5), plan, 3, InstanceNumber=99), tmp_path / "other")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "2 slices left out that share their place with another (duplicates)")
    assert warned(scan, "1 slice left out that share their place with another, and are not the same")


def test_copies_without_positions_are_known_by_number_and_picture(tmp_path: Path) -> None:
    hu = head_hu(6)
    paths = write_series(tmp_path, hu, ImagePositionPatient=None)
    (tmp_path / "copy").write_bytes(paths[2].read_bytes())
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "1 slice left out that share")
    write_series(tmp_path / "alike", hu, ImagePositionPatient=None, InstanceNumber=1)
    assert read_scan(tmp_path / "alike").volume.shape[0] == 6, "one number says nothing about different pictures"


def test_directions_and_sizes_differ_by_rounding_within_one_series(tmp_path: Path) -> None:
    hu = head_hu(8)
    # Just beside a limit of two decimals, where rounding to a grid would part them: sin 26.74 degrees is 0.44995.
    plan = SeriesPlan(tilt_degrees=26.74)
    for place in range(8):
        one = slice_dataset(stored(hu[place]), plan, place)
        one.ImageOrientationPatient = [
            round(float(value) + (-1) ** place * 4e-5, 6) for value in one.ImageOrientationPatient
        ]
        one.PixelSpacing = ["0.600000", "0.500000"] if place % 2 else ["0.60004", "0.49996"]
        save(one, tmp_path / f"{place}")
    scan = read_scan(tmp_path)
    assert scan.volume.shape[0] == 8
    assert not warned(scan, "series found")


def two_passes(folder: Path, *, shift_mm: float, fields: str) -> tuple[np.ndarray, np.ndarray]:
    """Eight slices, and once more moved by `shift_mm`; `fields` says what tells them apart."""
    first, second = head_hu(8, seed=1), head_hu(8, seed=2)[:, :, ::-1]
    plan = SeriesPlan()
    for number, hu in enumerate((first, second)):
        for place in range(8):
            position = position_of(plan, place) + np.array([0, 0, number * shift_mm])
            told = {
                "acquisition": {"AcquisitionNumber": number + 1, "InstanceNumber": place + 1},
                "time": {"AcquisitionTime": f"10111{number}", "InstanceNumber": place + 1},
                "numbers": {"InstanceNumber": 8 * number + place + 1},
                "every slice": {"InstanceNumber": 8 * number + place + 1, "AcquisitionNumber": 8 * number + place + 1},
            }[fields]
            one = slice_dataset(stored(hu[place]), plan, place, **told)
            one.ImagePositionPatient = [float(value) for value in position]
            save(one, folder / f"{number}{place}")
    return first, second


@pytest.mark.parametrize("shift_mm", [0.0, 2.5])
@pytest.mark.parametrize("fields", ["acquisition", "time", "numbers", "every slice"])
def test_two_passes_in_a_series_are_told_apart(tmp_path: Path, fields: str, shift_mm: float) -> None:
    first, second = two_passes(tmp_path, shift_mm=shift_mm, fields=fields)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, first)
    assert warned(scan, "2 passes over one range")
    np.testing.assert_array_equal(read_scan(tmp_path, series="2.2").volume.voxels, second)


def test_a_scan_in_steps_stays_whole(tmp_path: Path) -> None:
    """One acquisition a slice; two parts with other steps, one after the other; every second slice first."""
    hu = head_hu(12)
    for name, acquisitions in (("each", range(1, 13)), ("parts", [1] * 5 + [2] * 7)):
        for place, acquisition in enumerate(acquisitions):
            one = slice_dataset(
                stored(hu[place]),
                SeriesPlan(series_uid="1.2.3", study_uid="1.2"),
                place,
                AcquisitionNumber=acquisition,
                AcquisitionTime=f"1011{acquisition:02}",
            )
            save(one, tmp_path / name / f"{place}")
        np.testing.assert_array_equal(read_scan(tmp_path / name).volume.voxels, hu)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    plan = SeriesPlan(series_uid="1.2.4", study_uid="1.2")
    for number, place in enumerate(order):
        save(slice_dataset(stored(hu[place]), plan, place, InstanceNumber=number + 1), tmp_path / "second" / f"{place}")
    scan = read_scan(tmp_path / "second")
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert not warned(scan, "passes")


@pytest.mark.parametrize(
    ("true", "declared"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRBigEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
        (ExplicitVRLittleEndian, JPEG2000Lossless),
        (ExplicitVRLittleEndian, RLELossless),
        (RLELossless, ExplicitVRLittleEndian),
        (JPEG2000Lossless, ExplicitVRLittleEndian),
        (JPEGLSLossless, JPEG2000Lossless),
        (ImplicitVRLittleEndian, JPEG2000Lossless),
    ],
    ids=lambda uid: uid.name,
)
def test_a_transfer_syntax_that_the_bytes_contradict_is_not_followed(tmp_path: Path, true: UID, declared: UID) -> None:
    hu = head_hu(1)
    dataset = slice_dataset(stored(hu[0]), SeriesPlan(), 0)
    if true.is_compressed:
        dataset.compress(true)
    dataset.file_meta.TransferSyntaxUID = true
    if true == ExplicitVRBigEndian:
        dataset.PixelData = stored(hu[0]).astype(">u2").tobytes()
    dataset.save_as(tmp_path / "true.dcm", enforce_file_format=True)
    content = (tmp_path / "true.dcm").read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    other = pydicom.dcmread(tmp_path / "true.dcm", stop_before_pixels=True)
    meta = other.file_meta
    meta.TransferSyntaxUID = declared
    head = pydicom.filebase.DicomBytesIO()
    pydicom.filewriter.write_file_meta_info(head, meta)
    (tmp_path / "false.dcm").write_bytes(content[:132] + head.getvalue() + content[start:])
    np.testing.assert_array_equal(read_scan(tmp_path / "false.dcm").volume.voxels, hu)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"0,60000\\0,50000", b"0.60000\\0.50000"),
        (b" 0.6 mm\\0.5 mm ", b"0.60000\\0.50000"),
        (b"\x000.6000\\ 0.5000", b"0.60000\\0.50000"),
        (b"0.60000,0.50000", b"0.60000\\0.50000"),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, written: bytes, meant: bytes) -> None:
    paths = write_series(tmp_path, head_hu(), PixelSpacing=["0.60000", "0.50000"])
    for path in paths:
        content = path.read_bytes()
        assert content.count(meant) == 1
        path.write_bytes(content.replace(meant, written[: len(meant)].ljust(len(meant))))
    scan = read_scan(tmp_path)
    assert scan.volume.spacing_mm == pytest.approx((5.0, 0.6, 0.5))
    assert scan.warnings == ()


def test_what_is_no_number_is_named_and_not_quoted(tmp_path: Path) -> None:
    paths = write_series(tmp_path, head_hu(), PixelSpacing=["0.60000", "0.50000"])
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"0.60000\\0.50000", b"PlantedPatricia"))
    with pytest.raises(UserError, match="no number in PixelSpacing") as caught:
        read_scan(tmp_path)
    assert "Patricia" not in str(caught.value)


def test_numbers_of_another_kind_than_declared_are_read_by_their_bytes(tmp_path: Path) -> None:
    """Rows as digits in text, and a spacing as binary doubles."""
    paths = write_series(tmp_path, head_hu())
    for path in paths:
        content = path.read_bytes()
        rows = b"\x28\x00\x10\x00US\x02\x00" + ROWS.to_bytes(2, "little")
        spacing = b"\x28\x00\x30\x00DS\x08\x000.6\\0.5 "
        assert content.count(rows) == content.count(spacing) == 1
        as_text = b"\x28\x00\x10\x00IS\x02\x00" + str(ROWS).encode()
        as_doubles = b"\x28\x00\x30\x00FD\x10\x00" + np.array([0.6, 0.5]).tobytes()
        path.write_bytes(content.replace(rows, as_text).replace(spacing, as_doubles))
    scan = read_scan(tmp_path)
    assert scan.volume.shape[1:] == (ROWS, COLUMNS)
    assert scan.volume.spacing_mm == pytest.approx((5.0, 0.6, 0.5))


@pytest.mark.parametrize("words", ["NONE", "no", "N/A", "Unknown", "W/O", "0", "without contrast", "-", "nativ"])
def test_absence_written_as_text_is_absence(tmp_path: Path, words: str) -> None:
    study = SeriesPlan().study_uid
    fields = {"ContrastBolusAgent": words, "ConvolutionKernel": "STANDARD"}
    soft = SeriesPlan(series_number=2, study_uid=study, fields=fields)
    sharp = SeriesPlan(series_number=3, study_uid=study, fields={"ConvolutionKernel": "BONEPLUS"})
    write_series(tmp_path, head_hu(6, seed=2), soft)
    write_series(tmp_path, head_hu(6, seed=3), sharp)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, head_hu(6, seed=2))
    assert not warned(scan, "contrast agent")


@pytest.mark.parametrize("words", ["OMNIPAQUE 300", "Non-ionic", "W/WO", "IOPAMIDOL", "YES"])
def test_an_agent_is_an_agent(tmp_path: Path, words: str) -> None:
    write_series(tmp_path, head_hu(), ContrastBolusAgent=words)
    assert warned(read_scan(tmp_path), "a contrast agent was given")


def test_a_series_that_fits_is_read_where_another_is_too_large(tmp_path: Path) -> None:
    """Only the headers of the large one are there: its size is seen before its pixels."""
    study = SeriesPlan().study_uid
    write_series(tmp_path, head_hu(6), SeriesPlan(series_number=2, study_uid=study))
    large = SeriesPlan(series_number=3, study_uid=study, step_mm=0.25)
    count = MAX_VOXELS // (4096 * 4096) + 1
    for place in range(count):
        one = slice_dataset(np.zeros((2, 2), np.uint16), large, place, Rows=4096, Columns=4096)
        del one.PixelData
        save(one, tmp_path / f"large{place}")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, head_hu(6))
    assert warned(scan, f"not series 3 ({count} slices, too large)")
    with pytest.raises(UserError, match="voxels"):
        read_scan(tmp_path, series="3")


def test_a_series_that_cannot_be_decoded_gives_way_to_one_that_can(tmp_path: Path) -> None:
    study = SeriesPlan().study_uid
    write_series(tmp_path, head_hu(6), SeriesPlan(series_number=2, study_uid=study))
    for path in write_series(tmp_path / "new", head_hu(9), SeriesPlan(series_number=3, study_uid=study, step_mm=3)):
        path.write_bytes(path.read_bytes()[:-200])
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, head_hu(6))
    told = next(line for line in scan.warnings if "series 3 (9 slices) could not be read" in line)
    assert grade_of(told) is Grade.PART


def test_slices_of_the_series_without_position_are_missed(tmp_path: Path) -> None:
    hu, plan = head_hu(8), SeriesPlan()
    for place in range(8):
        fields = {"ImagePositionPatient": None} if place in (0, 7) else {}
        save(slice_dataset(stored(hu[place]), plan, place, **fields), tmp_path / f"{place}")
    scan = read_scan(tmp_path)
    assert scan.volume.shape[0] == 6
    (told,) = [line for line in scan.warnings if grade_of(line) is Grade.PART]
    assert told.startswith("2 slices of the series read")


def test_burned_in_text_is_warned_of(tmp_path: Path) -> None:
    write_series(tmp_path, head_hu(), BurnedInAnnotation="YES")
    assert warned(read_scan(tmp_path), "burned into its pictures")
    write_series(tmp_path / "not", head_hu(), BurnedInAnnotation="NO")
    assert not warned(read_scan(tmp_path / "not"), "burned")


def test_text_that_no_tag_speaks_of_is_found_beside_the_head(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:160, :160] - 79.5
    hu = np.where(np.hypot(rows, columns) < 55, 35, -1000)[None].repeat(6, axis=0).astype(np.int16)
    write_series(tmp_path / "plain", hu)
    page = Image.new("L", (160, 160))
    ImageDraw.Draw(page).text((3, 2), "PLANTED^P 19391207", fill=255)
    hu[:, np.asarray(page) > 128] = 1200
    write_series(tmp_path / "text", hu)
    plain, text = read_scan(tmp_path / "plain"), read_scan(tmp_path / "text")
    assert (plain.burned_in, text.burned_in) == (False, True)
    assert warned(text, "text stands in the picture outside the head")


def test_a_picture_whose_header_is_damaged_is_missed(tmp_path: Path) -> None:
    """A length that swallows the rest of the header leaves a file that seems to have no picture."""
    paths = write_series(tmp_path, head_hu(6))
    content = bytearray(paths[0].read_bytes())
    at = content.index(b"\x08\x00\x60\x00CS")  # Modality, before anything of the picture
    content[at + 6 : at + 8] = b"\xf0\xff"
    paths[0].write_bytes(bytes(content) + bytes(70_000))
    scan = read_scan(tmp_path)
    assert scan.volume.shape[0] == 5
    assert [grade_of(line) for line in scan.warnings if "damaged" in line] == [Grade.PART]


def soft_head(count: int = 5, side: int = 96) -> np.ndarray:
    """Slices of HU with a skull about noisy brain, in air."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(rows, columns)[None].repeat(count, axis=0)
    noise = np.random.default_rng(0).normal(0, 4, radius.shape)
    brain = np.where(columns % 9 < 3, 28, 36) + noise
    return np.where(radius < 38, brain, np.where(radius < 42, 900, -1000)).astype(np.int16)


def test_hounsfield_units_without_rescale_are_taken_as_they_are(tmp_path: Path) -> None:
    """Teaching files: int16 HU, and neither rescale, pixel spacing nor positions."""
    hu = soft_head()
    fields = dict.fromkeys(
        ("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
    )
    for place in range(len(hu)):
        plan = SeriesPlan(series_uid="1.2", study_uid="1.3")
        save(slice_dataset(hu[place], plan, place, **fields), tmp_path / f"{place}")
    merged = read_scan(tmp_path)
    np.testing.assert_array_equal(merged.volume.voxels, hu)
    for words in ("no rescale intercept", "pixel spacing is missing", "no usable position"):
        assert warned(merged, words)


def test_a_lost_intercept_is_put_back(tmp_path: Path) -> None:
    hu = soft_head()
    for place in range(len(hu)):
        one = slice_dataset(stored(hu[place]), SeriesPlan(series_uid="1.2", study_uid="1.3"), place)
        del one.RescaleSlope, one.RescaleIntercept
        save(one, tmp_path / f"{place}")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "1024")


def test_a_scan_whose_slices_or_halves_have_series_of_their_own_is_one(tmp_path: Path) -> None:
    hu, study = head_hu(8), SeriesPlan().study_uid
    for name, uids in (("each", range(8)), ("halves", [0] * 4 + [1] * 4)):
        for place, uid in enumerate(uids):
            plan = SeriesPlan(study_uid=study, series_uid=f"1.2.{len(name)}.{uid + 1}")
            save(slice_dataset(stored(hu[place]), plan, place), tmp_path / name / f"{place}")
        scan = read_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.volume.voxels, hu)
        assert warned(scan, f"{len(set(uids))} series that lie one after the other")


def test_two_people_with_one_series_uid_are_not_one_scan(tmp_path: Path) -> None:
    for number, person in enumerate(("A", "B")):
        plan = SeriesPlan(study_uid="1.2.3", series_uid="1.2.4", fields={"PatientID": person})
        for place in range(6):
            one = slice_dataset(stored(head_hu(6, seed=number)[place]), plan, place)
            one.ImagePositionPatient = [-5, -7, 5.0 * place + 2.5 * number]
            save(one, tmp_path / f"{person}{place}")
    scan = read_scan(tmp_path)
    assert scan.volume.shape[0] == 6
    assert warned(scan, "more than one patient")


def test_passes_interleaved_by_number_are_told_apart_by_time(tmp_path: Path) -> None:
    first, second = head_hu(8, seed=1), head_hu(8, seed=2)
    plan = SeriesPlan()
    for number, hu in enumerate((first, second)):
        for place in range(8):
            one = slice_dataset(stored(hu[place]), plan, place, AcquisitionTime=f"10{10 + number}{20 + place}.5")
            one.ImagePositionPatient = [float(v) for v in position_of(plan, place) + np.array([0, 0, 2.5 * number])]
            save(one, tmp_path / f"{number}{place}")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, first)
    assert warned(scan, "2 passes")


def test_positions_that_are_all_one_give_way_to_slice_locations(tmp_path: Path) -> None:
    hu, plan = head_hu(6), SeriesPlan()
    for place in range(6):
        fields = {"ImagePositionPatient": [0, 0, 0], "SliceLocation": 5.0 * place}
        save(slice_dataset(stored(hu[place]), plan, place, **fields), tmp_path / f"{place}")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "placed by SliceLocation")


@pytest.mark.parametrize(
    "odd", [{"RescaleIntercept": 0}, {"RescaleIntercept": -1000}, {"RescaleIntercept": None, "RescaleSlope": None}]
)
def test_slices_with_another_intercept_than_the_rest_are_rescaled_like_it(tmp_path: Path, odd: dict) -> None:
    hu, plan = head_hu(8), SeriesPlan()
    for place in range(8):
        fields = odd if place in (2, 3, 6) else {}
        save(slice_dataset(stored(hu[place]), plan, place, **fields), tmp_path / f"{place}")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "3 slices had another rescale intercept")


@pytest.mark.parametrize(
    "fields", [{"BitsStored": 10, "HighBit": 9}, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}]
)
def test_bits_that_the_pixels_contradict_are_not_believed(tmp_path: Path, fields: dict) -> None:
    hu = head_hu(6)
    write_series(tmp_path, hu, **fields)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "other bits than they use")


def test_twelve_bits_that_stand_at_the_top_are_brought_down(tmp_path: Path) -> None:
    hu, plan = head_hu(6), SeriesPlan()
    for place in range(6):
        values = np.clip(stored(hu[place]), 0, 4095) << 4
        save(slice_dataset(values.astype(np.uint16), plan, place, BitsStored=12, HighBit=15), tmp_path / f"{place}")
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, hu)


def test_more_pixels_than_the_header_declares_are_told(tmp_path: Path) -> None:
    write_series(tmp_path, head_hu(6), Rows=ROWS - 8)
    assert warned(read_scan(tmp_path), "more pixels are stored")


def test_files_named_like_the_slices_that_are_none_are_missed(tmp_path: Path) -> None:
    paths = write_series(tmp_path, head_hu(6))
    paths[0].write_bytes(b"")
    (tmp_path / "notes.txt").write_text("read me")
    scan = read_scan(tmp_path)
    assert [grade_of(line) for line in scan.warnings if "no DICOM" in line] == [Grade.PART]


@pytest.mark.parametrize(
    "worse",
    [
        {"SeriesDescription": "CTA HEAD"},
        {"SeriesDescription": "POST CONTRAST"},
        {"ContrastBolusVolume": "70"},
        {"SeriesDescription": "Knochen"},
    ],
)
def test_what_the_description_says_of_a_series_counts(tmp_path: Path, worse: dict) -> None:
    study = SeriesPlan().study_uid
    write_series(tmp_path, head_hu(9), SeriesPlan(series_number=1, study_uid=study, step_mm=3, fields=worse))
    plain = SeriesPlan(series_number=2, study_uid=study, fields={"SeriesDescription": "HEAD W/O CONTRAST"})
    write_series(tmp_path, head_hu(6), plain)
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, head_hu(6))
