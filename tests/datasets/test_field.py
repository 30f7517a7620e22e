"""A classifier's square about the head: as large and in the middle, whatever lies around it."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.datasets.slice_masks import slice_masks
from hemobench.errors import UserError
from hemobench.views.slices import slice_images
from hemobench.views.view import ClassificationView, view_from_mapping, view_to_mapping
from hemobench.volume import Volume, display_affine

VIEW = ClassificationView(("brain",), 40, 2.0)


def head(shape: tuple[int, int], top: int, left: int, pixel_mm: float = 1.0) -> Volume:
    """Two slices of air with a square head of 20 pixels at 40 HU, and 80 HU in its upper left quarter."""
    voxels = np.full((2, *shape), -1000, dtype=np.float32)
    voxels[:, top : top + 20, left : left + 20] = 40
    voxels[:, top : top + 10, left : left + 10] = 80
    return Volume(voxels, display_affine(voxels.shape, (5.0, pixel_mm, pixel_mm)))


def test_twice_as_long_as_the_head_with_the_head_in_the_middle() -> None:
    image = slice_images(head((64, 64), 20, 22), VIEW, "x")[0, 0]
    assert image.shape == (40, 40)
    assert (image[10:20, 10:20] == 255).all()  # 80 HU, the top of the brain window
    assert (image[20:30, 20:30] == 128).all()  # 40 HU, its middle
    assert image[:10].max() == image[30:].max() == image[:, :10].max() == image[:, 30:].max() == 0


@pytest.mark.parametrize(
    "other",
    [
        # By even numbers of pixels: the head's outline is found on every second one.
        head((64, 64), 28, 14),
        head((200, 90), 60, 60),
        head((24, 24), 2, 2),
        head((64, 64), 20, 22, pixel_mm=0.6),
    ],
)
def test_moved_padded_cut_closer_or_on_other_millimetres_it_is_the_same(other: Volume) -> None:
    np.testing.assert_array_equal(slice_images(other, VIEW, "x"), slice_images(head((64, 64), 20, 22), VIEW, "x"))


def test_masks_lie_on_the_same_squares() -> None:
    image = head((64, 80), 30, 40)
    labels = np.where(image.voxels == 80, 4, 0).astype(np.uint8)
    loaded = Loaded(image, labels, None)
    targets = np.tile(np.asarray([[0, 0, 0, 1, 0, 1]], dtype=np.uint8), (2, 1))
    found = slice_masks(loaded, VIEW, targets)[:, 0]
    np.testing.assert_array_equal(found, np.where(slice_images(image, VIEW, "x")[:, 0] == 255, 4, 0))


def test_a_view_without_a_field_is_written_as_it_was_before_there_was_one() -> None:
    plain = ClassificationView()
    assert view_to_mapping(plain) == {"windows": ["brain", "subdural", "bone"], "size": 128}
    assert view_from_mapping("classification", view_to_mapping(VIEW)) == VIEW


@pytest.mark.parametrize("field", [0.5, 5.0, "wide"])
def test_a_field_that_is_no_length_of_a_head_is_one_line(field: object) -> None:
    with pytest.raises(UserError, match="expected"):
        view_from_mapping("classification", {"field": field})
