from __future__ import annotations

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.views.windows import WINDOWS, Window, apply_window, get_window, hu_from_grey, to_grey_uint8


@pytest.mark.parametrize(
    ("name", "low_hu", "high_hu"),
    [
        ("brain", 0, 80),
        ("subdural", -20, 180),
        ("subdural-wide", -27, 227),
        ("stroke", 20, 60),
        ("stroke-narrow", 28, 36),
        ("bone", -800, 2000),
        ("brain-ct-ich", -20, 100),
        ("bone-ct-ich", -900, 2300),
    ],
)
def test_presets_end_where_their_sources_say(name: str, low_hu: float, high_hu: float) -> None:
    assert (WINDOWS[name].low_hu, WINDOWS[name].high_hu) == (low_hu, high_hu)
    np.testing.assert_array_equal(apply_window([low_hu - 1, low_hu, high_hu, high_hu + 1], name), [0, 0, 1, 1])


def test_window_is_linear_and_keeps_shape_and_input() -> None:
    hu = np.linspace(0, 80, 12, dtype=np.float64).reshape(3, 4)
    before = hu.copy()
    grey = apply_window(hu, WINDOWS["brain"])
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, hu / 80, rtol=1e-6)
    np.testing.assert_array_equal(hu, before)
    assert apply_window(np.float32(20), "brain") == 0.25


def test_integer_hounsfield_units_do_not_wrap() -> None:
    np.testing.assert_array_equal(apply_window(np.array([-1024, 3071], dtype=np.int16), "bone"), [0, 1])
    np.testing.assert_allclose(apply_window(np.array([0, 200], dtype=np.uint8), "subdural"), [0.1, 1], rtol=1e-6)


def test_nan_is_kept_as_number_and_black_as_picture() -> None:
    assert np.isnan(apply_window([np.nan], "brain")).all()
    assert to_grey_uint8([np.nan, np.inf, -np.inf], "brain").tolist() == [0, 255, 0]


@pytest.mark.parametrize("name", list(WINDOWS))
def test_grey_and_back_is_within_half_a_step(name: str) -> None:
    window = WINDOWS[name]
    hu = np.linspace(window.low_hu, window.high_hu, 10_001)
    back = hu_from_grey(to_grey_uint8(hu, window), window)
    step = window.width_hu / 255
    assert np.abs(back - hu).max() <= step / 2 * 1.001
    levels = np.arange(256)
    np.testing.assert_array_equal(to_grey_uint8(hu_from_grey(levels, window), window), levels)


def test_errors_name_the_window() -> None:
    with pytest.raises(UserError, match=r"unknown window 'brian'.*did you mean 'brain'"):
        get_window("brian")
    with pytest.raises(UserError, match="width above 0"):
        Window("mine", 40, 0)
    with pytest.raises(UserError, match=r"expected 0\.\.255"):
        hu_from_grey([256], "brain")
