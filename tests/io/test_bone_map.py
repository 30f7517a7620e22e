"""The colour map `bone`, against matplotlib's own table where it is installed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hemobench.io.bone_map import bone_map, bone_to_grey, is_bone_coloured


def test_the_map_is_matplotlibs() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps["bone"](np.arange(256), bytes=True)[:, :3]
    np.testing.assert_array_equal(bone_map(), expected)


def test_some_colours_by_hand() -> None:
    """Level 255 * 0.365079 = 93.1 is a corner: red 7/8 of it, green 7/8, blue 4/9 of full."""
    red, green, blue = bone_map()[93].tolist()
    assert red == int(93 * 0.652778 / 0.746032)
    assert green == int(93 * 0.319444 / 0.365079)
    assert blue == int(93 * 0.444444 / 0.365079)


def smooth() -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    return np.rint(127.5 + 127.5 * np.sin(rows / 9) * np.cos(columns / 11)).astype(np.uint8)


def test_inverting_is_exact_for_pngs_and_near_for_jpegs() -> None:
    coloured = bone_map()[smooth()]
    np.testing.assert_array_equal(bone_to_grey(coloured), smooth())
    stream = io.BytesIO()
    Image.fromarray(coloured).save(stream, "JPEG", quality=90)
    decoded = np.asarray(Image.open(stream))
    assert is_bone_coloured(decoded)
    assert np.abs(bone_to_grey(decoded).astype(int) - smooth()).mean() < 1.5


def test_greys_and_other_colours_are_not_taken_for_bone() -> None:
    grey = smooth()
    others = {
        "grey": np.stack([grey] * 3, axis=-1),
        "black": np.zeros((8, 8, 3), np.uint8),
        "red": np.stack([grey, grey // 2, grey // 2], axis=-1),
        "blue": np.stack([grey // 3, grey // 3, grey], axis=-1),
    }
    assert [name for name, rgb in others.items() if is_bone_coloured(rgb)] == []


@pytest.mark.parametrize("quality", [95, 75, 50, 25])
def test_the_map_is_known_through_coarse_jpegs(quality: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(bone_map()[smooth()]).save(stream, "JPEG", quality=quality)
    assert is_bone_coloured(np.asarray(Image.open(stream)))


@pytest.mark.parametrize("tint", [(0.92, 1.0, 1.08), (0.95, 1.0, 1.05), (0.85, 0.95, 1.15), (0.9, 0.95, 1.2)])
@pytest.mark.parametrize("contrast", [1.0, 0.75])
def test_grey_under_a_bluish_light_is_no_map(tint: tuple[float, ...], contrast: float) -> None:
    """A monitor that was photographed; most of a head's picture is dark."""
    grey = np.where(np.arange(64) < 40, 8, smooth())[..., None] * contrast + 30 * (1 - contrast)
    assert not is_bone_coloured((grey * tint).clip(0, 255).astype(np.uint8))
