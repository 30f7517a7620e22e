from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.errors import UserError
from hemobench.io.pictures import read_grey


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
