"""Stored values to Hounsfield units: signs, padding, inverted greys, byte orders and compression."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import COLUMNS, ROWS, SeriesPlan, head_hu, save, slice_dataset, write_jpeg_lossless, write_series
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from hemobench.errors import UserError
from hemobench.io import Scan, read_scan


def written(folder: Path, stored: NDArray, **fields: object) -> Scan:
    plan = SeriesPlan()
    for place in range(len(stored)):
        save(slice_dataset(stored[place], plan, place, **fields), folder / f"{place}.dcm")
    return read_scan(folder)


def warned(scan: Scan, words: str) -> bool:
    return any(words in line for line in scan.warnings)


def test_slope_and_intercept_are_each_slices_own(tmp_path: Path) -> None:
    plan = SeriesPlan()
    for place in range(3):
        stored = np.full((ROWS, COLUMNS), 300, dtype=np.uint16)
        stored[0] = 0
        save(slice_dataset(stored, plan, place, RescaleSlope=2 + place, RescaleIntercept=-1000), tmp_path / f"{place}")
    voxels = read_scan(tmp_path).volume.voxels
    assert voxels[:, 5, 5].tolist() == [-400, -100, 200]
    assert (voxels[:, 0] == -1000).all()


def test_signed_and_unsigned_give_the_same(tmp_path: Path) -> None:
    hu = head_hu()
    signed = written(tmp_path / "signed", hu, RescaleIntercept=0)
    unsigned = written(tmp_path / "unsigned", (hu + 1024).astype(np.uint16))
    np.testing.assert_array_equal(signed.volume.voxels, hu)
    np.testing.assert_array_equal(unsigned.volume.voxels, hu)
    assert signed.warnings == unsigned.warnings == ()


def test_negative_values_declared_unsigned_are_put_right(tmp_path: Path) -> None:
    hu = head_hu()
    scan = written(tmp_path, hu.view(np.uint16), RescaleIntercept=0)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "wrong sign")


def test_twelve_bits_that_wrap_round_are_put_right(tmp_path: Path) -> None:
    """As RSNA's files: 12 bits, unsigned, intercept 0, so that air at -1000 is stored as 3096."""
    hu = head_hu()
    stored = (hu.astype(np.int32) % 4096).astype(np.uint16)
    scan = written(tmp_path, stored, RescaleIntercept=0, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "wrong sign")


def test_unsigned_twelve_bits_declared_signed_are_put_right(tmp_path: Path) -> None:
    hu = head_hu()
    hu[:, 20:23, 18:21] = 1500 + 100 * np.arange(9).reshape(3, 3)  # beyond 11 bits once 1024 is added
    stored = (hu.astype(np.int32) + 1024).astype(np.int16)
    scan = written(tmp_path, stored, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    assert warned(scan, "wrong sign")


def test_metal_and_true_signed_values_are_left_alone(tmp_path: Path) -> None:
    hu = head_hu()
    hu[:, 20:22, 16:18] = 3071
    scan = written(tmp_path / "metal", (hu + 1024).astype(np.uint16), BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(scan.volume.voxels, hu)
    stored = (head_hu().astype(np.int32) + 1024 - 40).astype(np.int16)  # noise of air below 0
    noise = written(tmp_path / "noise", stored, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(noise.volume.voxels, head_hu() - 40)
    assert scan.warnings == noise.warnings == ()


@pytest.mark.parametrize(("value", "tag"), [(-2000, -2000), (-2000, 63536)])
def test_declared_padding_becomes_air(tmp_path: Path, value: int, tag: int) -> None:
    """63536 is -2000 written as unsigned, which exporters do."""
    hu = head_hu()
    stored = hu.copy()
    stored[:, :3] = value
    plan = SeriesPlan()
    for place in range(len(hu)):
        dataset = slice_dataset(stored[place], plan, place, RescaleIntercept=0)
        dataset.add_new("PixelPaddingValue", "SS" if tag < 0 else "US", tag)
        save(dataset, tmp_path / str(place))
    voxels = read_scan(tmp_path).volume.voxels
    assert (voxels[:, :3] == -1000).all()
    np.testing.assert_array_equal(voxels[:, 3:], hu[:, 3:])


def test_padding_at_a_tissue_value_counts_at_the_border_only(tmp_path: Path) -> None:
    """Padding of 0 where 0 is water, as some of RSNA's: a ventricle stays."""
    hu = head_hu()
    hu[:, 24:27, 16:20] = 0
    stored = hu.copy()
    stored[:, :2] = 0
    plan = SeriesPlan()
    for place in range(len(hu)):
        dataset = slice_dataset(stored[place], plan, place, RescaleIntercept=0)
        dataset.add_new("PixelPaddingValue", "SS", 0)
        save(dataset, tmp_path / str(place))
    voxels = read_scan(tmp_path).volume.voxels
    assert (voxels[:, :2] == -1000).all()
    assert (voxels[:, 24:27, 16:20] == 0).all()


def test_padding_range_and_undeclared_padding_become_air(tmp_path: Path) -> None:
    hu = head_hu()
    stored = hu.copy()
    stored[:, 0], stored[:, 1] = -2000, -1990
    ranged = written(tmp_path / "a", stored, RescaleIntercept=0, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)
    assert (ranged.volume.voxels[:, :2] == -1000).all()
    stored[:, 1] = -2000
    undeclared = written(tmp_path / "b", stored, RescaleIntercept=0)
    assert (undeclared.volume.voxels[:, :2] == -1000).all()
    assert warned(undeclared, "undeclared padding")


def test_monochrome1_is_turned_round_where_values_are_and_only_there(tmp_path: Path) -> None:
    hu = head_hu()
    stored = (hu + 1024).astype(np.uint16)
    straight = written(tmp_path / "a", stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(straight.volume.voxels, hu)
    inverted = written(
        tmp_path / "b", 4095 - stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    np.testing.assert_array_equal(inverted.volume.voxels, hu)
    assert warned(inverted, "MONOCHROME1")
    assert straight.warnings == ()


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name
)
def test_other_plain_syntaxes(tmp_path: Path, syntax: UID) -> None:
    hu = head_hu()
    plan = SeriesPlan()
    for place in range(len(hu)):
        stored = (hu[place] + 1024).astype(np.uint16)
        dataset = slice_dataset(stored.byteswap() if syntax == ExplicitVRBigEndian else stored, plan, place)
        dataset.file_meta.TransferSyntaxUID = syntax
        save(dataset, tmp_path / str(place))
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, hu)


def test_files_without_preamble_are_read(tmp_path: Path) -> None:
    hu = head_hu()
    for path in write_series(tmp_path, hu):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        save(dataset, path)
        content = path.read_bytes()
        # After the preamble and the group of meta information, whose length stands in its first element.
        path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, hu)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_syntaxes(tmp_path: Path, syntax: UID, signed: bool) -> None:
    hu = head_hu()
    plan = SeriesPlan()
    for place in range(len(hu)):
        stored = hu[place] if signed else (hu[place] + 1024).astype(np.uint16)
        dataset = slice_dataset(stored, plan, place, RescaleIntercept=0 if signed else -1024)
        dataset.compress(syntax, generate_instance_uid=False)
        save(dataset, tmp_path / str(place))
    np.testing.assert_array_equal(read_scan(tmp_path).volume.voxels, hu)


def test_jpeg_lossless_as_gdcm_writes_it(tmp_path: Path) -> None:
    hu = head_hu(1)
    write_series(tmp_path / "plain", hu)
    (plain,) = (tmp_path / "plain").iterdir()
    write_jpeg_lossless(plain, tmp_path / "lossless.dcm")
    assert pydicom.dcmread(tmp_path / "lossless.dcm").file_meta.TransferSyntaxUID == JPEGLosslessSV1
    scan = read_scan(tmp_path / "lossless.dcm")
    np.testing.assert_array_equal(scan.volume.voxels, hu)


def test_a_missing_decoder_is_named_with_its_package(tmp_path: Path) -> None:
    """In another process where the plugins cannot be imported, as on a machine without them."""
    dataset = slice_dataset(np.zeros((ROWS, COLUMNS), np.uint16), SeriesPlan(), 0)
    dataset.compress(JPEG2000Lossless)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    save(dataset, tmp_path / "a.dcm")
    code = (
        "import sys\nsys.modules.update({'pylibjpeg': None, 'pylibjpeg.utils': None, 'libjpeg': None, 'gdcm': None})\n"
        "from pathlib import Path\nfrom hemobench.errors import UserError\nfrom hemobench.io import read_scan\n"
        "try:\n    read_scan(Path(sys.argv[1]))\nexcept UserError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.dcm")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert "JPEG Lossless" in done.stdout
    assert "pip install pylibjpeg pylibjpeg-libjpeg" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_video_is_refused_by_name(tmp_path: Path) -> None:
    dataset = slice_dataset(np.zeros((ROWS, COLUMNS), np.uint16), SeriesPlan(), 0)
    dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    save(dataset, tmp_path / "a.dcm")
    with pytest.raises(UserError, match="MPEG2"):
        read_scan(tmp_path / "a.dcm")


def test_transfer_syntaxes_that_are_none_are_refused(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, head_hu(1))
    for uid in (b"1.2.840.10008.1.2.9", b"9.9.840.10008.1.2.1"):
        content = path.read_bytes()
        (tmp_path / "a.dcm").write_bytes(content.replace(b"1.2.840.10008.1.2.1", uid, 1))
        with pytest.raises(UserError, match="an unknown transfer syntax"):
            read_scan(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_damaged_codestreams_are_the_users_error(tmp_path: Path, syntax: UID) -> None:
    """The RLE decoder, written in Rust, panics on some, which is no Exception."""
    dataset = slice_dataset((head_hu(1)[0] + 1024).astype(np.uint16), SeriesPlan(), 0)
    dataset.compress(syntax)
    content = bytearray(save(dataset, tmp_path / "a.dcm").read_bytes())
    pixels = content.rindex(b"\xfe\xff\x00\xe0") + 8
    refusals = []
    for start in range(pixels + 64, len(content) - 300, 100):
        (tmp_path / "a.dcm").write_bytes(content[:start] + bytes([255]) * 120 + content[start + 120 :])
        try:
            read_scan(tmp_path / "a.dcm")
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in line for line in refusals)


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    dataset = slice_dataset(np.zeros((ROWS, COLUMNS), np.uint16), SeriesPlan(), 0)
    dataset.compress(JPEG2000Lossless)
    dataset.Rows = 2 * ROWS
    save(dataset, tmp_path / "a.dcm")
    with pytest.raises(UserError, match=rf"\({ROWS}, {COLUMNS}\)"):
        read_scan(tmp_path / "a.dcm")


def test_values_without_air_and_missing_rescale_are_told(tmp_path: Path) -> None:
    scan = written(tmp_path, (head_hu() + 1024).astype(np.uint16), RescaleSlope=None, RescaleIntercept=None)
    assert warned(scan, "no rescale intercept")
    assert warned(scan, "there is no air")


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="slope 0"):
        written(tmp_path, (head_hu() + 1024).astype(np.uint16), RescaleSlope=0)


def test_other_modalities_keep_their_values(tmp_path: Path) -> None:
    stored = np.arange(3 * ROWS * COLUMNS, dtype=np.uint16).reshape(3, ROWS, COLUMNS)
    scan = written(tmp_path, stored, Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    np.testing.assert_array_equal(scan.volume.voxels, stored)
    assert scan.volume.modality == "MR"
    assert warned(scan, "no CT")
