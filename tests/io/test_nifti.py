"""NIfTI in and out, with nibabel as the other party."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hemobench.errors import UserError
from hemobench.io.nifti import CT_IN_MGZ, read_label_map, read_nifti, read_nifti_scan, read_space, write_nifti
from hemobench.volume import LABEL_MAP, Volume


def scan_affine() -> NDArray:
    """L-A-S, tilted, as scanners write it."""
    affine = np.eye(4)
    rotation = Rotation.from_euler("x", 17, degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag([-0.5, 0.45, 5.0])
    affine[:3, 3] = (80, -90, 30)
    return affine


def save(path: Path, array: NDArray) -> Path:
    nib.save(nib.Nifti1Image(array, scan_affine()), path)
    return path


def test_reading_turns_to_display_orientation_and_keeps_places(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-1000, 2000, (6, 7, 4)).astype(np.int16)
    volume = read_nifti(save(tmp_path / "scan.nii.gz", array))
    assert volume.orientation == "SPL"
    assert volume.voxels.dtype == np.float32
    assert volume.shape == (4, 7, 6)
    for index in ((0, 0, 0), (5, 6, 3), (1, 4, 2)):
        place = nib.affines.apply_affine(scan_affine(), index)
        there = tuple(np.rint(volume.to_index(place)).astype(int))
        assert volume.voxels[there] == array[index]


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", ">i2"])
def test_every_order_of_axes_and_type_is_read_like_nibabel(dtype: str, tmp_path: Path) -> None:
    """All 48 ways that axes can run, where conversion takes different paths through memory."""
    array = np.random.default_rng(1).integers(0, 200, (3, 4, 5)).astype(np.dtype(dtype).newbyteorder("="))
    every_sign = itertools.product((1, -1), repeat=3)
    for number, (axes, signs) in enumerate(itertools.product(itertools.permutations(range(3)), every_sign)):
        affine = np.eye(4)
        affine[:3, :3] = np.diag([0.5, 0.6, 5.0])[:, list(axes)] * signs
        affine[:3, 3] = (80, -90, 30)
        path = tmp_path / f"{number}.nii"
        header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
        nib.save(nib.Nifti1Image(array, affine, header), path)
        turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("SPL"))
        expected = nib.load(path).as_reoriented(turn)
        for volume in (read_nifti(path), read_label_map(path)):
            assert np.array_equal(volume.voxels, np.asarray(expected.dataobj))
            assert np.allclose(volume.affine, expected.affine)
            assert volume.voxels.flags.c_contiguous


def test_wide_integers_are_scaled_in_double_precision(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", np.full((2, 2, 2), 2**24 + 1, dtype=np.int32))
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, 1.0, -(2.0**24))
    path.write_bytes(content)
    # In single precision 2^24 + 1 is 2^24, and the sum 0.
    assert (read_nifti(path).voxels == 1).all()


@pytest.mark.parametrize("array", [np.full((2, 2, 2), 2**40), np.full((2, 2, 2), -1e30)], ids=["integers", "floats"])
def test_labels_beyond_32_bits_are_refused(array: NDArray, tmp_path: Path) -> None:
    path = tmp_path / "mask.nii"
    nib.save(nib.Nifti1Image(array, scan_affine(), dtype=array.dtype), path)
    with pytest.raises(UserError, match="expected at most 32 bits"):
        read_label_map(path)


def test_scaling_out_of_range_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", np.full((2, 2, 2), 30000, dtype=np.int16))
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, 1e38, 0.0)
    path.write_bytes(content)
    with pytest.raises(UserError, match="NaN or infinite"):
        read_nifti(path)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", np.full((2, 2, 2), 762, dtype=np.int16))
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, 2.0, -1024.0)  # scl_slope and scl_inter of NIfTI-1
    path.write_bytes(content)
    assert (read_nifti(path).voxels == 500).all()


def test_qform_is_used_where_the_sform_has_no_code(tmp_path: Path) -> None:
    """As BHSD's headers are: sform_code 0, qform only."""
    image = nib.Nifti1Image(np.zeros((3, 4, 5), dtype=np.int16), scan_affine())
    image.set_qform(scan_affine(), code=1)
    image.set_sform(None, code=0)
    path = tmp_path / "scan.nii.gz"
    nib.save(image, path)
    assert int(nib.load(path).header["sform_code"]) == 0
    np.testing.assert_allclose(sorted(read_nifti(path).spacing_mm), (0.45, 0.5, 5.0), rtol=1e-5)
    np.testing.assert_allclose(read_space(path).affine, scan_affine(), atol=1e-4)


def test_trailing_axes_of_one_are_dropped_and_others_refused(tmp_path: Path) -> None:
    assert read_nifti(save(tmp_path / "one.nii", np.zeros((2, 3, 4, 1), dtype=np.float32))).shape == (4, 3, 2)
    with pytest.raises(UserError, match=r"shape \(2, 3, 4, 2\)"):
        read_nifti(save(tmp_path / "two.nii", np.zeros((2, 3, 4, 2), dtype=np.float32)))


def test_label_map_goes_back_into_the_scans_own_space_exactly(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 6, (6, 7, 4)).astype(np.uint8)
    source = save(tmp_path / "scan.nii.gz", array)
    label_map = read_label_map(source)
    assert label_map.modality == LABEL_MAP
    assert label_map.voxels.dtype == np.uint8
    write_nifti(label_map, tmp_path / "mask.nii.gz", read_space(source))
    written = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), array)
    np.testing.assert_allclose(written.affine, scan_affine(), atol=1e-5)
    assert written.get_data_dtype() == np.uint8
    assert int(written.header["sform_code"]) == int(written.header["qform_code"]) == 1
    np.testing.assert_allclose(written.get_qform(), scan_affine(), atol=1e-4)


def test_another_grid_is_resampled_to_the_scans_space(tmp_path: Path) -> None:
    source = save(tmp_path / "scan.nii.gz", np.zeros((12, 14, 6), dtype=np.int16))
    fine = read_nifti(source).resampled((2.5, 0.25, 0.225))
    beyond = fine.to_world(np.stack(np.indices(fine.shape), -1))[..., 0] > 77
    label_map = fine.with_voxels(beyond.astype(np.uint8), LABEL_MAP)
    write_nifti(label_map, tmp_path / "mask.nii", read_space(source))
    written = nib.load(tmp_path / "mask.nii")
    assert written.shape == (12, 14, 6)
    x_mm = nib.affines.apply_affine(scan_affine(), np.stack(np.indices(written.shape), -1))[..., 0]
    # Away from the boundary, which half a fine voxel can move.
    clear = np.abs(x_mm - 77) > 0.25
    np.testing.assert_array_equal(np.asanyarray(written.dataobj)[clear], (x_mm > 77)[clear])


def test_writing_without_space_keeps_the_volumes_axes(tmp_path: Path) -> None:
    volume = Volume(np.random.default_rng(2).normal(size=(3, 4, 5)), scan_affine())
    write_nifti(volume, tmp_path / "deep" / "scan.nii.gz")
    written = nib.load(tmp_path / "deep" / "scan.nii.gz")
    np.testing.assert_array_equal(written.get_fdata(dtype=np.float32), volume.voxels)
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-5)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scan.nii.gz"]


def test_large_ids_and_float_files_of_whole_numbers_are_label_maps_too(tmp_path: Path) -> None:
    large = save(tmp_path / "large.nii", np.full((2, 2, 2), 1033, dtype=np.int16))
    assert read_label_map(large).voxels.dtype == np.int32
    whole = save(tmp_path / "whole.nii", np.full((2, 2, 2), 3, dtype=np.float32))
    assert read_label_map(whole).voxels.dtype == np.uint8
    with pytest.raises(UserError, match="fractional"):
        read_label_map(save(tmp_path / "half.nii", np.full((2, 2, 2), 0.5, dtype=np.float32)))


def broken_files(folder: Path) -> dict[str, Path]:
    # Repetitive, so that the compressed stream has codes that damage can break.
    noise = np.random.default_rng(0).integers(0, 4, (40, 40, 9)).astype(np.int16)
    whole = save(folder / "whole.nii.gz", noise)
    plain = save(folder / "plain.nii", np.zeros((9, 9, 9), dtype=np.float32))
    files = {
        "missing": folder / "none.nii",
        "text": folder / "text.nii",
        "empty": folder / "empty.nii.gz",
        "truncated gz": folder / "cut.nii.gz",
        "truncated": folder / "cut.nii",
        "damaged gz": folder / "damaged.nii.gz",
        "folder": folder,
        "NaN": save(folder / "nan.nii", np.full((2, 2, 2), np.nan, dtype=np.float32)),
    }
    files["text"].write_text("no scan")
    files["empty"].write_bytes(b"")
    files["truncated gz"].write_bytes(whole.read_bytes()[:1500])
    files["truncated"].write_bytes(plain.read_bytes()[:1000])
    content = bytearray(whole.read_bytes())
    content[900:950] = bytes(50)
    files["damaged gz"].write_bytes(content)
    return files


def test_broken_files_give_one_line_with_the_path(tmp_path: Path) -> None:
    for name, path in broken_files(tmp_path).items():
        with pytest.raises(UserError) as caught:
            pytest.fail(f"{name}: was read as {read_nifti(path)}")
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "mgz", "mgh"])
def test_files_cut_anywhere_are_refused(kind: str, tmp_path: Path) -> None:
    """At every length of the header, whose parsers differ in what they raise, and in the voxels."""
    array, whole = np.ones((3, 4, 5), dtype=np.int16), tmp_path / f"whole.{kind}"
    image = nib.MGHImage(array, scan_affine()) if kind.startswith("mg") else nib.Nifti1Image(array, scan_affine())
    nib.save(image, whole)
    read_nifti(whole)
    content = whole.read_bytes()
    # MGH ends with tags that nobody needs.
    needed = 284 + array.nbytes if kind == "mgh" else len(content)
    for length in range(needed):
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(content[:length])
        for reader in (read_nifti, read_label_map):
            with pytest.raises(UserError, match="expected") as caught:
                pytest.fail(f"{length} bytes were read as {reader(path)}")
            assert "\n" not in str(caught.value)


def test_only_nifti_names_are_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.nii\.gz"):
        write_nifti(Volume(np.zeros((1, 1, 1)), np.eye(4)), tmp_path / "mask.png")


@pytest.mark.parametrize(
    ("air_hu", "share", "modality"),
    [(-1000, 0.3, "CT"), (-1024, 0.01, "CT"), (-1000, 0.002, "MR"), (0, 0.3, "MR"), (-300, 0.3, "MR")],
)
def test_an_mgz_with_air_is_a_ct(air_hu: int, share: float, modality: str, tmp_path: Path) -> None:
    """FreeSurfer's mri_convert writes CT as MGZ too."""
    array = np.random.default_rng(2).integers(20, 200, 1000).astype(np.int16)
    array[: int(share * 1000)] = air_hu
    nib.save(nib.MGHImage(array.reshape(10, 10, 10), scan_affine()), tmp_path / "scan.mgz")
    scan = read_nifti_scan(tmp_path / "scan.mgz")
    assert (scan.kind, scan.volume.modality) == ("mgz", modality)
    assert (CT_IN_MGZ in scan.warnings) == (modality == "CT")
    assert np.sort(scan.volume.voxels, axis=None).tolist() == np.sort(array).tolist()


def test_a_ct_in_mgz_keeps_its_air_and_padding(tmp_path: Path) -> None:
    array = np.full((8, 8, 8), 35, dtype=np.int16)
    array[:4], array[0] = -1000, -3024
    nib.save(nib.MGHImage(array, scan_affine()), tmp_path / "scan.mgz")
    scan = read_nifti_scan(tmp_path / "scan.mgz")
    assert np.unique(scan.volume.voxels).tolist() == [-3024, -1000, 35]
