"""Masks out: back in the source's own space, on the slices of a DICOM series, and as pictures."""

from __future__ import annotations

from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import COLUMNS, PLANTED, ROWS, SeriesPlan, enhanced_dataset, head_hu, save, write_series
from numpy.typing import NDArray
from test_dicom import zipped
from test_nifti import scan_affine

from hemobench.errors import UserError
from hemobench.io import Scan, read_scan
from hemobench.io.dicom_seg import write_dicom_seg
from hemobench.io.masks import LABEL_COLOURS, mask_in_slices, overlay, write_mask
from hemobench.labels import SUBTYPES
from hemobench.volume import LABEL_MAP, Volume


def mask_by_value(scan: Scan, above: float = 300) -> Volume:
    """Labels 1 to 5 by height where the scan is bright, so that places can be compared across spaces."""
    place = np.arange(scan.volume.shape[0])[:, None, None] % 5 + 1
    return scan.volume.with_voxels(np.where(scan.volume.voxels > above, place, 0).astype(np.uint8), LABEL_MAP)


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_nifti_masks_coincide_with_their_source_voxel_for_voxel(tmp_path: Path, form: str) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (9, 8, 7)).astype(np.int16)
    image = nib.Nifti1Image(array, scan_affine())
    if form == "qform":
        image.set_qform(scan_affine(), code=1)
        image.set_sform(None, code=0)
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    bright = scan.volume.with_voxels((scan.volume.voxels > 300).astype(np.uint8), LABEL_MAP)
    write_mask(bright, scan, tmp_path / "mask.nii.gz")
    source, mask = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "mask.nii.gz")
    assert source.shape == mask.shape
    np.testing.assert_allclose(source.affine, mask.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), array > 300)


def test_masks_of_arrays_and_pictures_have_the_sources_axes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    np.savez(tmp_path / "scan.npz", image=array, affine=scan_affine())
    scan = read_scan(tmp_path / "scan.npz")
    bright = scan.volume.with_voxels((scan.volume.voxels > 300).astype(np.uint8), LABEL_MAP)
    write_mask(bright, scan, tmp_path / "mask.nii")
    np.testing.assert_array_equal(np.asanyarray(nib.load(tmp_path / "mask.nii").dataobj), array > 300)


def series(folder: Path, **plan: object) -> tuple[Scan, NDArray[np.int16]]:
    hu = head_hu(6)
    write_series(folder, hu, SeriesPlan(**plan))
    return read_scan(folder), hu


def expected_planes(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    place = np.arange(len(hu))[:, None, None] % 5 + 1
    return np.where(hu > 300, place, 0).astype(np.uint8)


def test_labels_return_to_plain_slices_exactly(tmp_path: Path) -> None:
    scan, hu = series(tmp_path)
    np.testing.assert_array_equal(mask_in_slices(mask_by_value(scan), scan.source), expected_planes(hu))


def test_labels_return_to_tilted_slices_within_half_a_pixel(tmp_path: Path) -> None:
    scan, hu = series(tmp_path, tilt_degrees=18.5)
    planes = mask_in_slices(mask_by_value(scan, above=250), scan.source)
    for number, (plane, expected) in enumerate(zip(planes, expected_planes(hu), strict=True)):
        rows, columns = np.nonzero(plane)
        expected_rows, expected_columns = np.nonzero(expected)
        assert set(plane[plane > 0]) == {number % 5 + 1}
        # The mark is one row high: interpolation may widen it by a row, its middle must stay.
        assert rows.mean() == pytest.approx(expected_rows.mean(), abs=0.51)
        assert columns.mean() == pytest.approx(expected_columns.mean(), abs=0.51)


def read_back(path: Path, scan: Scan, root: Path) -> NDArray[np.uint8]:
    """Label map on the source's slices (N, R, C), found by their UIDs, as a viewer does it."""
    segmentation = highdicom.seg.segread(path)
    uids = [pydicom.dcmread(root / one.file).SOPInstanceUID for one in scan.source.slices]
    return segmentation.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )


@pytest.mark.parametrize("tilt", [0.0, 18.5])
def test_dicom_seg_refers_to_its_series_and_reads_back(tmp_path: Path, tilt: float) -> None:
    scan, hu = series(tmp_path / "in", tilt_degrees=tilt)
    mask = mask_by_value(scan)
    write_dicom_seg(mask, scan, tmp_path / "seg.dcm", algorithm="unet3d")
    np.testing.assert_array_equal(
        read_back(tmp_path / "seg.dcm", scan, tmp_path / "in"), mask_in_slices(mask, scan.source)
    )
    segmentation = highdicom.seg.segread(tmp_path / "seg.dcm")
    source = pydicom.dcmread(tmp_path / "in" / scan.source.slices[0].file)
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert segmentation.SeriesInstanceUID != source.SeriesInstanceUID
    orientation = segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(orientation, source.ImageOrientationPatient)
    del hu


def test_segments_are_coded(tmp_path: Path) -> None:
    scan, _ = series(tmp_path / "in")
    write_dicom_seg(mask_by_value(scan), scan, tmp_path / "seg.dcm")
    segments = highdicom.seg.segread(tmp_path / "seg.dcm").SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == [f"{name} haemorrhage" for name in SUBTYPES]
    # DICOM PS3.16: intracranial haemorrhage, and ventricle of the brain.
    types = {segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in segments}
    assert types == {"1386000"}
    assert segments[2].AnatomicRegionSequence[0].CodeValue == "35764002"


def test_dicom_seg_of_nothing_is_still_a_seg(tmp_path: Path) -> None:
    scan, _ = series(tmp_path / "in")
    empty = scan.volume.with_voxels(np.zeros(scan.volume.shape, np.uint8), LABEL_MAP)
    write_dicom_seg(empty, scan, tmp_path / "seg.dcm")
    assert not highdicom.seg.segread(tmp_path / "seg.dcm").pixel_array.any()


def test_dicom_seg_of_a_zip_and_of_a_multi_frame_file(tmp_path: Path) -> None:
    scan, hu = series(tmp_path / "in")
    archived = read_scan(zipped(tmp_path / "in", tmp_path / "in.zip"))
    write_dicom_seg(mask_by_value(archived), archived, tmp_path / "zip.dcm")
    np.testing.assert_array_equal(read_back(tmp_path / "zip.dcm", scan, tmp_path / "in"), expected_planes(hu))
    save(enhanced_dataset(hu, SeriesPlan()), tmp_path / "multi.dcm")
    multi = read_scan(tmp_path / "multi.dcm")
    write_dicom_seg(mask_by_value(multi), multi, tmp_path / "multi_seg.dcm")
    segmentation = highdicom.seg.segread(tmp_path / "multi_seg.dcm")
    uid = pydicom.dcmread(tmp_path / "multi.dcm").SOPInstanceUID
    frames = [one.frame + 1 for one in multi.source.slices]
    planes = segmentation.get_pixels_by_source_frame(
        uid, frames, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(planes, expected_planes(hu))


def test_only_what_the_standard_requires_of_the_patient_is_copied(tmp_path: Path) -> None:
    scan, _ = series(tmp_path / "in")
    write_dicom_seg(mask_by_value(scan), scan, tmp_path / "seg.dcm")
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    required = {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"}
    for keyword, value in PLANTED.items():
        assert str(written.get(keyword, "")) == (value if keyword in required else ""), keyword


def test_dicom_seg_needs_a_dicom_scan_that_is_still_there(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4), np.float32))
    scan = read_scan(tmp_path / "a.npy")
    with pytest.raises(UserError, match="write NIfTI instead"):
        write_dicom_seg(mask_by_value(scan), scan, tmp_path / "seg.dcm")
    scan, _ = series(tmp_path / "in")
    (tmp_path / "in" / scan.source.slices[0].file).unlink()
    with pytest.raises(UserError, match="any more"):
        write_dicom_seg(mask_by_value(scan), scan, tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


def test_masks_of_dicom_overlay_in_the_patient(tmp_path: Path) -> None:
    scan, _ = series(tmp_path / "in", tilt_degrees=10)
    mask = mask_by_value(scan)
    write_mask(mask, scan, tmp_path / "mask.nii.gz")
    written = nib.load(tmp_path / "mask.nii.gz")
    assert nib.aff2axcodes(written.affine) == ("L", "P", "S")
    inside = np.argwhere(np.asanyarray(written.dataobj) > 0)
    index = mask.to_index(nib.affines.apply_affine(written.affine, inside))
    assert (mask.voxels[tuple(np.rint(index).astype(int).T)] > 0).all()
    assert len(inside) == (mask.voxels > 0).sum()


def test_overlay_shows_grey_and_colour() -> None:
    volume = Volume(np.full((2, 6, 6), 40, np.float32), np.eye(4))
    labels = np.zeros(volume.shape, np.uint8)
    labels[1, 1:5, 1:5] = 5
    mask = volume.with_voxels(labels, LABEL_MAP)
    rgb = overlay(volume, mask, 1, "brain", opacity=0.5)
    assert rgb[0, 0].tolist() == [128, 128, 128]  # 40 HU is the middle of the brain window
    assert rgb[1, 1].tolist() == list(LABEL_COLOURS[4])
    np.testing.assert_allclose(rgb[2, 2], (np.array(LABEL_COLOURS[4]) + 128) / 2, atol=1)


def test_wrong_masks_are_refused(tmp_path: Path) -> None:
    scan, _ = series(tmp_path / "in")
    six = scan.volume.with_voxels(np.full(scan.volume.shape, 6, np.uint8), LABEL_MAP)
    with pytest.raises(UserError, match="labels from 6 to 6"):
        write_mask(six, scan, tmp_path / "a.nii")
    with pytest.raises(UserError, match="expected a label map"):
        write_mask(scan.volume, scan, tmp_path / "a.nii")
    small = Volume(np.zeros((1, ROWS, COLUMNS), np.uint8), scan.volume.affine, LABEL_MAP)
    with pytest.raises(UserError, match="resample"):
        overlay(scan.volume, small, 0)
