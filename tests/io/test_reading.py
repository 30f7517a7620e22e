"""read_scan: what a file is, is seen from its content; pictures, NIfTI and MGZ as scans."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_files import head_hu, write_series
from PIL import Image
from test_nifti import scan_affine

from hemobench.errors import UserError
from hemobench.io import read_scan
from hemobench.io.bone_map import bone_map
from hemobench.io.pictures import read_picture

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def warned(scan: object, words: str) -> bool:
    return any(words in line for line in scan.warnings)


def picture(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    Image.fromarray(pixels, mode).save(path) if mode else Image.fromarray(pixels).save(path)
    return path


def test_a_grey_picture_is_one_slice_in_the_window_that_is_told(tmp_path: Path) -> None:
    scan = read_scan(picture(tmp_path / "a.png", GREY))
    assert scan.kind == "picture"
    assert scan.volume.shape == (1, 6, 8)
    # The brain window is 0 to 80 HU.
    np.testing.assert_allclose(scan.volume.voxels[0], GREY * (80 / 255), atol=1e-4)
    assert not scan.spacing_known
    assert warned(scan, "0 to 80 HU ('brain' window)")
    wide = read_picture(tmp_path / "a.png", "bone")
    np.testing.assert_allclose(wide.volume.voxels[0], GREY * (2800 / 255) - 800, atol=1e-3)


def test_colour_transparency_and_sixteen_bits(tmp_path: Path) -> None:
    expected = GREY * (80 / 255)
    rgb = picture(tmp_path / "rgb.png", np.stack([GREY] * 3, axis=-1))
    opaque = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    opaque[0, :, 3] = 0  # see-through: black
    rgba = picture(tmp_path / "rgba.png", opaque)
    deep = picture(tmp_path / "deep.png", GREY.astype(np.uint16) * 257)
    np.testing.assert_allclose(read_scan(rgb).volume.voxels[0], expected, atol=1e-4)
    np.testing.assert_allclose(read_scan(rgba).volume.voxels[0, 1:], expected[1:], atol=1e-4)
    assert (read_scan(rgba).volume.voxels[0, 0] == 0).all()
    np.testing.assert_allclose(read_scan(deep).volume.voxels[0], expected, atol=1e-3)
    assert warned(read_scan(deep), "16-bit")


def test_the_bone_map_is_inverted_and_other_colour_told(tmp_path: Path) -> None:
    scan = read_scan(picture(tmp_path / "bone.png", bone_map()[GREY]))
    np.testing.assert_allclose(scan.volume.voxels[0], GREY * (80 / 255), atol=1e-4)
    assert warned(scan, "'bone' colour map")
    marked = np.stack([GREY] * 3, axis=-1)
    marked[2:4, 2:4] = (255, 0, 0)
    assert warned(read_scan(picture(tmp_path / "marked.png", marked)), "8% of the picture is coloured")


def test_nifti_and_mgz_say_what_they_are(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-1000, 900, (4, 5, 6)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, scan_affine()), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti2Image(array, scan_affine()), tmp_path / "b.nii")
    nib.save(nib.MGHImage(array.astype(np.float32), scan_affine()), tmp_path / "c.mgz")
    first = read_scan(tmp_path / "a.nii.gz")
    for name, kind, modality in (("a.nii.gz", "nifti", "CT"), ("b.nii", "nifti", "CT"), ("c.mgz", "mgz", "MR")):
        scan = read_scan(tmp_path / name)
        assert (scan.kind, scan.volume.modality, scan.warnings) == (kind, modality, ())
        np.testing.assert_array_equal(scan.volume.voxels, first.volume.voxels)
        np.testing.assert_allclose(scan.volume.affine, first.volume.affine, atol=1e-4)
        np.testing.assert_allclose(scan.source.space.affine, scan_affine(), atol=1e-4)


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    array = np.full((3, 3, 3), -50, np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "plain.nii.gz")
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "b.nii.gz")
    (tmp_path / "b.nii.gz").rename(tmp_path / "packed.dcm")
    (one,) = write_series(tmp_path / "in", head_hu(1))
    one.rename(tmp_path / "slice.png")
    picture(tmp_path / "p.png", GREY).rename(tmp_path / "picture.nii")
    kinds = [read_scan(tmp_path / name).kind for name in ("plain.nii.gz", "packed.dcm", "slice.png", "picture.nii")]
    assert kinds == ["nifti", "nifti", "dicom", "picture"]


def write_header(path: Path, **fields: object) -> Path:
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [4, 3, 3, 3, 9, 1, 1, 1]}, r"image.slicer\[..., 0\]"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "at most 134,217,728 voxels"),
        ({"dim": [3, 30, 30, 30, 1, 1, 1, 1]}, "ends early"),
        ({"dim": [3, -3, 3, 3, 1, 1, 1, 1]}, "three axes"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "affine without inverse"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "sizes above 0"),
        ({"datatype": 128, "bitpix": 24}, "integers or floats"),
        ({"vox_offset": 1e9}, "expected them after the header"),
        ({"magic": b"ni1"}, "half of a NIfTI pair"),
    ],
)
def test_lying_nifti_headers_are_refused_in_one_line(tmp_path: Path, fields: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read_scan(write_header(tmp_path / "a.nii", **fields))
    assert "\n" not in str(caught.value)


def test_headers_that_leave_doubt_are_told(tmp_path: Path) -> None:
    assert warned(read_scan(write_header(tmp_path / "a.nii", sform_code=0, qform_code=0)), "a guess")
    absurd = read_scan(write_header(tmp_path / "b.nii", srow_x=[500, 0, 0, 0]))
    assert warned(absurd, "absurd")
    assert not absurd.spacing_known
    assert warned(absurd, "no value is below 0")


def test_one_scan_in_a_folder_is_read_and_several_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "notes.txt").write_text("x")
    assert read_scan(tmp_path).kind == "nifti"
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(UserError, match="give the file itself"):
        read_scan(tmp_path)


def test_what_is_no_scan_is_refused_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("not a scan, however long this text may be")
    (tmp_path / "empty.dcm").write_bytes(b"")
    for path in (tmp_path / "a.txt", tmp_path / "empty.dcm", tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(UserError, match="expected a DICOM folder, file or zip, NIfTI"):
            read_scan(path)
    with pytest.raises(UserError, match="leave it out"):
        read_scan(picture(tmp_path / "p.png", GREY), series="2")


def stacked(folder: Path, names: list[str]) -> list[np.ndarray]:
    """Pictures of a grey each, which says where it belongs."""
    greys = [np.full((6, 8), 10 * (number + 1), dtype=np.uint8) for number in range(len(names))]
    for name, grey in zip(names, greys, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(folder / name)
    return greys


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def test_pictures_of_a_folder_or_zip_are_slices_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    greys = stacked(tmp_path / "in", ["2.png", "10.png", "11.png"])
    for path in (tmp_path / "in", zipped(tmp_path / "in")):
        scan = read_scan(path)
        np.testing.assert_allclose(scan.volume.voxels, np.stack(greys) * (80 / 255), atol=1e-4)
        assert (scan.kind, scan.spacing_known, scan.source.files) == ("picture", False, 3)
        assert scan.source.space.shape == (3, 6, 8)
        assert warned(scan, "3 pictures were stacked in the order of their names")
        assert len(set(scan.warnings)) == len(scan.warnings)


def test_pictures_of_several_sizes_are_no_scan(tmp_path: Path) -> None:
    stacked(tmp_path, ["1.png", "2.png"])
    picture(tmp_path / "3.png", GREY.T)
    with pytest.raises(UserError, match="pictures of 8 x 6 and of 6 x 8 pixels"):
        read_scan(tmp_path)


def test_a_zip_of_one_nifti_is_that_scan_whatever_it_is_called(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-1000, 900, (4, 5, 6)).astype(np.int16)
    for ending in (".nii", ".nii.gz"):
        folder = tmp_path / f"one{ending}"
        folder.mkdir()
        nib.save(nib.Nifti1Image(array, scan_affine()), folder / f"a{ending}")
        (folder / f"a{ending}").rename(folder / "nameless")
        (folder / "about.json").write_text("{}")
        alone = read_scan(folder / "nameless")
        stacked(folder, ["preview.png"])
        for path in (folder, zipped(folder)):
            scan = read_scan(path)
            np.testing.assert_array_equal(scan.volume.voxels, alone.volume.voxels)
            np.testing.assert_allclose(scan.volume.affine, alone.volume.affine)
            assert scan.warnings == ("1 picture beside the scan left out",)
            with pytest.raises(UserError, match="DICOM folder or zip to choose from"):
                read_scan(path, series="3")


def test_several_scans_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.nii", "b.nii.gz"):
        nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), dtype=np.int16), scan_affine()), tmp_path / "in" / name)
    for path in (tmp_path / "in", zipped(tmp_path / "in")):
        with pytest.raises(UserError, match="2 scans and no DICOM"):
            read_scan(path)


def test_an_array_inside_an_archive_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.zeros((2, 3, 4)))
    with pytest.raises(UserError, match="an array inside"):
        read_scan(zipped(tmp_path / "in"))
