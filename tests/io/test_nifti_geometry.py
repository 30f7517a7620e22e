"""Two geometries in one header: millimetres are the scanner's, and what they disagree in is said."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io import Scan, read_scan
from hemobench.io.nifti import read_label_map, read_label_map_with_remarks, read_nifti, read_space
from hemobench.io.remarks import Grade, grade_of

SCANNER = np.diag([-0.5, -0.6, 5.0, 1.0])
TEMPLATE = np.diag([1.2, 1.2, 1.2, 1.0]) @ SCANNER
ARRAY = np.random.default_rng(0).integers(-1000, 900, (6, 7, 4)).astype(np.int16)


def save(
    path: Path,
    sform: tuple[NDArray, int] | None,
    qform: tuple[NDArray, int] | None,
    array: NDArray = ARRAY,
    **fields: object,
) -> Path:
    """A file with these matrices and codes, and with other fields of the header written as they are."""
    image = nib.Nifti1Image(array, np.eye(4))
    image.set_qform(*(qform or (None, 0)))
    image.set_sform(*(sform or (None, 0)))
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


def pixdim(*sizes: float, qfac: float = 1) -> list[float]:
    return [qfac, *sizes, 0, 0, 0, 0]


def said(scan: Scan, words: str) -> bool:
    return any(words in line for line in scan.warnings)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_sizes_are_the_qform_s_where_the_sform_s_are_others(code: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", (TEMPLATE, code), (SCANNER, 1))
    scan = read_scan(path)
    np.testing.assert_allclose(scan.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    # 0.5 x 0.6 x 5 mm.
    assert scan.volume.voxel_volume_ml == pytest.approx(0.0015)
    assert said(scan, "the sform has voxels of 0.6 x 0.72 x 6 mm, pixdim of 0.5 x 0.6 x 5 mm")
    assert scan.spacing_known
    np.testing.assert_allclose(read_space(path).affine, SCANNER, atol=1e-5)
    np.testing.assert_allclose(read_nifti(path).affine, scan.volume.affine)


def test_one_size_alone_that_differs_is_enough(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii", (np.diag([-0.5, -0.6, 5.5, 1]), 2), (SCANNER, 1)))
    assert scan.volume.spacing_mm[0] == pytest.approx(5)
    crossed = np.array([[0, -0.5, 0, 0], [-0.6, 0, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1]])  # of the same volume
    assert said(read_scan(save(tmp_path / "b.nii", (crossed, 2), (SCANNER, 1))), "the sform has voxels of 0.6 x 0.5")


def test_without_a_qform_pixdim_s_sizes_go_along_the_sform(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", (TEMPLATE, 4), None, pixdim=pixdim(0.5, 0.6, 5))
    scan = read_scan(path)
    np.testing.assert_allclose(scan.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    assert said(scan, "the sform's directions")
    assert scan.spacing_known


def test_a_pixdim_that_nobody_set_supports_nothing(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii", (SCANNER, 2), None, pixdim=pixdim(1, 1, 1)))
    np.testing.assert_allclose(scan.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    assert scan.spacing_known
    assert said(scan, "as where nobody set it")
    for sizes in ((1, 1, 1), (0, 0, 0)):
        template = read_scan(save(tmp_path / "b.nii", (TEMPLATE, 4), None, pixdim=pixdim(*sizes)))
        assert not template.spacing_known
        assert said(template, "template")


def test_sizes_that_agree_are_passed_in_silence(tmp_path: Path) -> None:
    almost = SCANNER @ np.diag([1.005, 0.996, 1, 1])
    sheared = SCANNER.copy()
    sheared[1, 2] = 1.67  # 18.5 degrees of gantry tilt
    turned = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, 0.2, 0.3)) @ SCANNER
    for number, sform in enumerate((SCANNER, almost, sheared, turned)):
        scan = read_scan(save(tmp_path / f"{number}.nii", (sform, 2), (SCANNER, 1)))
        assert scan.warnings == (), number
        np.testing.assert_allclose(scan.source.space.affine, sform, atol=1e-5)
    # The height of a sheared voxel is the 5 mm between slices, whatever its edge.
    tilted = read_scan(tmp_path / "2.nii")
    assert tilted.volume.voxel_volume_ml == pytest.approx(0.0015)
    assert tilted.volume.spacing_mm[0] == pytest.approx(np.hypot(5, 1.67), rel=1e-5)


def test_left_and_right_that_differ_are_told(tmp_path: Path) -> None:
    mirrored, upside = np.diag([-1, 1, 1, 1]) @ SCANNER, np.diag([1, -1, -1, 1]) @ SCANNER
    assert said(read_scan(save(tmp_path / "a.nii", (SCANNER, 1), (mirrored, 1))), "the sform was followed")
    assert read_scan(save(tmp_path / "b.nii", (SCANNER, 1), (upside, 1))).warnings == ()
    both = read_scan(save(tmp_path / "c.nii", (np.diag([-1.2, 1.2, 1.2, 1]) @ SCANNER, 4), (SCANNER, 1)))
    assert said(both, "the qform was followed")
    assert said(both, "the sform has voxels")


@pytest.mark.parametrize(("code", "factor", "name"), [(1, 1000, "metres"), (3, 0.001, "micrometres")])
def test_other_units_become_millimetres(code: int, factor: float, name: str, tmp_path: Path) -> None:
    stored = SCANNER.copy()
    stored[:3] /= factor
    scan = read_scan(save(tmp_path / "a.nii", (stored, 1), (stored, 1), xyzt_units=code))
    np.testing.assert_allclose(scan.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    (line,) = scan.warnings
    assert line == f"sizes in {name} were converted to mm"
    assert grade_of(line) is Grade.NOTE
    # Millimetres under a wrong label.
    wrong = read_scan(save(tmp_path / "b.nii", (SCANNER, 1), (SCANNER, 1), xyzt_units=code))
    np.testing.assert_allclose(wrong.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    assert said(wrong, "taken as mm")


def test_signs_and_zeros_of_pixdim(tmp_path: Path) -> None:
    negative = pixdim(-0.5, 0.6, -5)
    assert read_scan(save(tmp_path / "a.nii", (SCANNER, 1), None, pixdim=negative)).warnings == ()
    bare = read_scan(save(tmp_path / "b.nii", None, None, pixdim=negative))
    np.testing.assert_allclose(sorted(bare.volume.spacing_mm), (0.5, 0.6, 5), rtol=1e-5)
    assert read_scan(save(tmp_path / "c.nii", (SCANNER, 1), None, pixdim=pixdim(0, 0, 0))).warnings == ()
    with pytest.raises(UserError, match="sizes above 0"):
        read_scan(save(tmp_path / "d.nii", None, (SCANNER, 1), pixdim=pixdim(0.5, 0, 5)))


def test_a_broken_matrix_beside_a_whole_one_does_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", (SCANNER, 1), (SCANNER, 1), srow_x=[0, 0, 0, 0])
    scan = read_scan(path)
    np.testing.assert_allclose(scan.source.space.affine, SCANNER, atol=1e-5)
    assert said(scan, "no inverse")
    broken = save(tmp_path / "b.nii", (SCANNER, 1), (SCANNER, 1), quatern_b=2, quatern_c=2, quatern_d=2)
    assert read_scan(broken).warnings == ()


def test_two_axes_are_one_slice(tmp_path: Path) -> None:
    flat = ARRAY[:, :, 0]
    with_sform = read_scan(save(tmp_path / "a.nii", (SCANNER, 1), None, flat, pixdim=pixdim(0.5, 0.6, 0)))
    assert with_sform.volume.shape == (1, 7, 6)
    np.testing.assert_array_equal(with_sform.volume.voxels[0], flat.T)
    np.testing.assert_allclose(with_sform.volume.spacing_mm, (5, 0.6, 0.5), rtol=1e-5)
    assert with_sform.spacing_known
    bare = read_scan(save(tmp_path / "b.nii", None, (SCANNER, 1), flat, pixdim=pixdim(0.5, 0.6, 0)))
    assert not bare.spacing_known
    assert said(bare, "thickness")
    one = read_scan(save(tmp_path / "c.nii", (SCANNER, 1), None, ARRAY[:, :, :1]))
    assert one.volume.shape == (1, 7, 6)
    with pytest.raises(UserError, match=r"shape \(6,\)"):
        read_scan(save(tmp_path / "d.nii", (SCANNER, 1), None, ARRAY[:, 0, 0]))


def test_ids_a_hair_beside_whole_numbers_are_rounded_with_a_remark(tmp_path: Path) -> None:
    ids = np.zeros((6, 7, 4))
    ids[2:4, 3, 1], ids[4, 4, 2], ids[1, 1, 3] = 2, 4, 1
    # A header of int16 makes nibabel scale: 1 comes back as 1.00002.
    save(tmp_path / "ct.nii", (SCANNER, 1), None)
    nib.save(nib.Nifti1Image(ids, None, nib.load(tmp_path / "ct.nii").header), tmp_path / "mask.nii")
    assert not np.array_equal(nib.load(tmp_path / "mask.nii").get_fdata(), ids)
    volume, (line,) = read_label_map_with_remarks(tmp_path / "mask.nii")
    np.testing.assert_array_equal(volume.voxels, ids.T.astype(np.uint8))
    assert "rounded" in line
    whole = save(tmp_path / "whole.nii", (SCANNER, 1), None, ids.astype(np.float32))
    assert read_label_map_with_remarks(whole)[1] == ()
    near = save(tmp_path / "near.nii", (SCANNER, 1), None, (ids - 0.009).astype(np.float32))
    np.testing.assert_array_equal(read_label_map(near).voxels, volume.voxels)
    with pytest.raises(UserError, match="fractional"):
        read_label_map(save(tmp_path / "far.nii", (SCANNER, 1), None, (ids + 0.02).astype(np.float32)))
