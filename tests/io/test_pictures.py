from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from hemobench.errors import UserError
from hemobench.io.annotation import TEXT_OUTSIDE
from hemobench.io.pictures import read_grey, read_picture
from hemobench.io.polarity import PAGE_BLACKENED, TURNED, UNSURE
from hemobench.io.remarks import Grade, grade_of


def ramp() -> np.ndarray:
    return np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def test_grey_png_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    grey = read_grey(tmp_path / "a.png")
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, ramp())


def test_jpeg_is_read_to_its_precision(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_grey(tmp_path / "a.jpg").astype(int), smooth, atol=4)


def test_colour_becomes_luma_and_grey_in_colour_stays(tmp_path: Path) -> None:
    Image.fromarray(np.stack([ramp()] * 3, axis=-1)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_grey(tmp_path / "grey.png"), ramp())
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "red.png")
    # ITU-R 601: 0.299 red.
    assert (read_grey(tmp_path / "red.png") == 76).all()


def test_sixteen_bits_are_refused_instead_of_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match="8 bits"):
        read_grey(tmp_path / "deep.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_no_picture_and_half_a_picture_give_one_line(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)).save(whole)
    content = whole.read_bytes()
    files = {"text": b"no picture", "empty": b"", "half": content[: len(content) // 2], "head": content[:30]}
    for name, broken in files.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(broken)
        with pytest.raises(UserError) as caught:
            read_grey(path)
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name


def test_missing_file_folder_and_other_formats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(ramp()).save(tmp_path / "a.bmp")
    for path in (tmp_path / "none.png", tmp_path, tmp_path / "a.bmp"):
        with pytest.raises(UserError, match="expected"):
            read_grey(path)


# Each EXIF orientation, and how a picture that is upright has to be stored for it.
STORED = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("depth", [1, 257], ids=["8 bits", "16 bits"])
def test_exif_s_orientation_is_followed(tmp_path: Path, orientation: int, depth: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ramp() if depth == 1 else ramp().astype(np.uint16) * depth
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(path, exif=exif)
    if depth == 1:
        np.testing.assert_array_equal(read_grey(path), ramp())
    scan = read_picture(path)
    np.testing.assert_allclose(scan.volume.voxels[0], ramp() * (80 / 255), atol=1e-3)
    (line,) = (line for line in scan.warnings if "EXIF" in line)
    assert grade_of(line) is Grade.NOTE


def test_exif_without_a_turn_and_broken_exif_do_no_harm(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.fromarray(ramp()).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(ramp()).save(tmp_path / "b.png", exif=b"Exif\0\0nothing of the kind")
    for name in ("a.png", "b.png"):
        np.testing.assert_array_equal(read_grey(tmp_path / name), ramp())
        assert not any("turned" in line for line in read_picture(tmp_path / name).warnings)


def head_hu() -> np.ndarray:
    """One slice (160, 128) of a head in air: skull of 300 to 1,500 HU, brain of 22 to 42."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:160, :128]
    radius = np.hypot((rows - 79.5) / 70, (columns - 63.5) / 55)
    hu = np.where(radius < 1, -80.0, -1000.0)
    hu = np.where(radius < 0.95, rng.uniform(300, 1500, radius.shape), hu)
    hu = np.where(radius < 0.85, rng.uniform(22, 42, radius.shape), hu)
    return np.rint(np.where(radius < 0.2, 8, hu)).astype(np.int32)


@pytest.mark.parametrize("shift", [0, 4])
@pytest.mark.parametrize("offset", [1024, 1000])
def test_hounsfield_units_in_a_16_bit_picture_are_found(tmp_path: Path, offset: int, shift: int) -> None:
    Image.fromarray(((head_hu() + offset) << shift).astype(np.uint16)).save(tmp_path / "a.png")
    scan = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(scan.volume.voxels[0], head_hu())
    assert any(f"+ {offset}" in line for line in scan.warnings)
    assert not any("no Hounsfield units" in line for line in scan.warnings)
    # Whoever names a window takes the greys for that.
    assert any("no Hounsfield units" in line for line in read_picture(tmp_path / "a.png", "brain").warnings)


@pytest.mark.parametrize(("bits", "most"), [(8, 255), (12, 4095)])
def test_fewer_bits_in_a_16_bit_picture_are_scaled_over_their_own_white(tmp_path: Path, bits: int, most: int) -> None:
    greys = np.rint(np.clip(head_hu() / 80, 0, 1) * most).astype(np.uint16)
    Image.fromarray(greys).save(tmp_path / "a.png")
    scan = read_picture(tmp_path / "a.png")
    np.testing.assert_allclose(scan.volume.voxels[0], np.clip(head_hu(), 0, 80), atol=40 / most)
    assert any(f"{bits} bits alone; {most} was taken as white" in line for line in scan.warnings)


def brain_picture() -> np.ndarray:
    return np.rint(np.clip(head_hu() / 80, 0, 1) * 255).astype(np.uint8)


def test_swapped_pictures_are_turned_round_and_doubtful_ones_told(tmp_path: Path) -> None:
    made = {"usual": brain_picture(), "swapped": 255 - brain_picture(), "white": np.full((90, 90), 255, dtype=np.uint8)}
    for name, picture in made.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    usual, swapped, white = (read_picture(tmp_path / f"{name}.png") for name in ("usual", "swapped", "white"))
    np.testing.assert_allclose(swapped.volume.voxels, usual.volume.voxels, atol=1e-4)
    assert TURNED in swapped.warnings
    assert UNSURE in white.warnings
    assert not {TURNED, UNSURE} & set(usual.warnings)
    # Masks and data sets are read as they are.
    np.testing.assert_array_equal(read_grey(tmp_path / "swapped.png"), 255 - brain_picture())


def test_a_white_page_around_a_picture_is_air(tmp_path: Path) -> None:
    picture = brain_picture()
    Image.fromarray(picture).save(tmp_path / "plain.png")
    Image.fromarray(np.pad(picture, 40, constant_values=255)).save(tmp_path / "page.png")
    plain, page = (read_picture(tmp_path / name) for name in ("plain.png", "page.png"))
    assert PAGE_BLACKENED in page.warnings
    assert PAGE_BLACKENED not in plain.warnings
    np.testing.assert_array_equal(page.volume.voxels[0, 42:-42, 42:-42], plain.volume.voxels[0, 2:-2, 2:-2])
    assert (page.volume.voxels[0, :42] == 0).all()


def test_text_beside_the_head_is_warned_of(tmp_path: Path) -> None:
    picture = Image.new("L", (400, 400))
    picture.paste(Image.fromarray(brain_picture()).resize((256, 320)), (72, 60))
    picture.save(tmp_path / "plain.png")
    ImageDraw.Draw(picture).text((6, 6), "DOE, JANE", fill=255, font=ImageFont.load_default(size=14))
    picture.save(tmp_path / "named.png")
    plain, named = read_picture(tmp_path / "plain.png"), read_picture(tmp_path / "named.png")
    assert TEXT_OUTSIDE not in plain.warnings
    assert (plain.burned_in, named.burned_in) == (False, True)
    (line,) = (line for line in named.warnings if line == TEXT_OUTSIDE)
    assert grade_of(line) is Grade.DOUBT


def test_a_jpeg_whose_codes_do_not_add_up_is_told(tmp_path: Path) -> None:
    """Bytes within the picture's data are blanked: Pillow decodes what follows into other places, without a word."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (96, 96), dtype=np.uint8)).save(tmp_path / "whole.jpg", quality=90)
    content = bytearray((tmp_path / "whole.jpg").read_bytes())
    assert not any("damaged" in line for line in read_picture(tmp_path / "whole.jpg").warnings)
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "part.jpg").write_bytes(bytes(content))
    told = [line for line in read_picture(tmp_path / "part.jpg").warnings if "damaged" in line]
    assert [grade_of(line) for line in told] == [Grade.PART]
