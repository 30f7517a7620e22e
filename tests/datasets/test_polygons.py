"""Outlines to masks, against hand-drawn shapes and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.datasets.polygons import paint_polygon, trace_polygons


def fill_polygon(points, shape):
    mask = np.zeros(shape, dtype=bool)
    paint_polygon(mask, points)
    return mask


def test_a_pixel_is_inside_when_its_centre_is() -> None:
    # On a picture of 4 rows and 10 columns, x to 0.44 of the width: centres at 0.05, 0.15 .. 0.35 are inside.
    square = np.array([[0.06, 0.3], [0.44, 0.3], [0.44, 0.7], [0.06, 0.7]])
    expected = np.zeros((4, 10), dtype=bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(fill_polygon(square, (4, 10)), expected)
    np.testing.assert_array_equal(fill_polygon(square[::-1], (4, 10)), expected)


def test_a_triangle_by_hand() -> None:
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    # Centres with x + y < 1; those on the slanted edge itself fall on one side of it.
    mask = fill_polygon(triangle, (4, 4))
    rows, columns = np.mgrid[:4, :4]
    assert mask[rows + columns < 3].all()
    assert not mask[rows + columns > 3].any()


def test_crossing_outlines_are_even_odd_and_the_outside_is_cut() -> None:
    twice = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0.5, 0], [0.5, 1], [0, 1]], dtype=float)
    mask = fill_polygon(twice, (2, 4))
    np.testing.assert_array_equal(mask, [[False, False, True, True]] * 2)
    outside = np.array([[-3.0, -3.0], [0.5, -3.0], [0.5, 4.0], [-3.0, 4.0]])
    np.testing.assert_array_equal(fill_polygon(outside, (2, 4)), [[True, True, False, False]] * 2)


def test_flat_outlines_have_no_pixels() -> None:
    for points in ([[0.1, 0.5], [0.9, 0.5], [0.5, 0.5]], [[0.5, 0.5]] * 3):
        assert not fill_polygon(np.array(points), (8, 8)).any()


def test_agrees_with_scikit_image_off_the_edges() -> None:
    measure = pytest.importorskip("skimage.draw")
    rng = np.random.default_rng(3)
    for _ in range(40):
        points = rng.uniform(-0.1, 1.1, (int(rng.integers(3, 25)), 2))
        vertices = np.stack([points[:, 1] * 64 - 0.5, points[:, 0] * 80 - 0.5], axis=1)
        other = measure.polygon2mask((64, 80), vertices)
        # Only centres on an edge to the last bit may differ.
        assert np.count_nonzero(fill_polygon(points, (64, 80)) != other) <= 2


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_traced_masks_come_back_with_their_holes(density: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(30):
        mask = rng.random(tuple(rng.integers(1, 30, 2))) < density
        total = np.zeros(mask.shape, dtype=int)
        for polygon in trace_polygons(mask):
            # As they are written to a file: six digits.
            total += fill_polygon(np.round(polygon, 6), mask.shape)
        np.testing.assert_array_equal(total, mask)


def test_a_square_is_traced_by_its_corners() -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[1:3, 2:6] = True
    (polygon,) = trace_polygons(mask)
    assert sorted(map(tuple, polygon.tolist())) == [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    assert trace_polygons(np.zeros((4, 4), dtype=bool)) == []
