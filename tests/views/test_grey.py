"""Pictures without units under a view: their window was applied before, so they are shown as they are."""

from __future__ import annotations

import numpy as np

from hemobench.case import Loaded
from hemobench.views.render import render
from hemobench.views.view import ClassificationView, SegmentationView
from hemobench.volume import GREY, Volume, display_affine


def make_picture() -> Loaded:
    grey = np.arange(16, dtype=np.float32).reshape(1, 4, 4).repeat(2, axis=1).repeat(2, axis=2) / 15
    mask = (grey > 0.5).astype(np.uint8)
    labels = np.array([[0, 1, 0, 0, 0]], dtype=np.uint8)
    return Loaded(Volume(grey, display_affine((1, 8, 8), (5, 1, 1)), GREY), mask, labels)


def test_every_channel_is_the_picture_itself() -> None:
    loaded = make_picture()
    images, targets = render(loaded, ClassificationView(("brain", "bone"), 8), "x")
    expected = np.rint(loaded.image.voxels[0] * 255)
    np.testing.assert_array_equal(images[0, 0], expected)
    np.testing.assert_array_equal(images[0, 1], expected)
    assert targets.tolist() == [[0, 1, 0, 0, 0, 1]]


def test_segmentation_shows_the_picture_too() -> None:
    loaded = make_picture()
    images, targets = render(loaded, SegmentationView(spacing_mm=(5, 1, 1), shape=(1, 8, 8)), "x")
    np.testing.assert_array_equal(images[0, 0], np.rint(loaded.image.voxels * 255))
    np.testing.assert_array_equal(targets[0, 0], loaded.label_map)
