"""Where the blood is in a classifier's pictures, as far as a case knows."""

from __future__ import annotations

import numpy as np
import pytest

from hemobench.case import Case, Dataset, DatasetInfo, Loaded
from hemobench.datasets.cache import build_examples
from hemobench.datasets.slice_masks import slice_masks
from hemobench.errors import UserError
from hemobench.labels import UNKNOWN
from hemobench.views.render import render
from hemobench.views.view import ClassificationView, SegmentationView
from hemobench.volume import Volume, display_affine

VIEW = ClassificationView(("brain",), 16)


def _loaded(**known: object) -> Loaded:
    voxels = np.full((3, 32, 32), 30, dtype=np.float32)
    return Loaded(
        Volume(voxels, display_affine((3, 32, 32), (5.0, 1.0, 1.0))),
        **{
            "label_map": None,
            "slice_labels": None,
            **known,
        },
    )  # type: ignore[arg-type]


def _labels() -> np.ndarray:
    """Slice 0 without blood; in slice 1 a subdural of 8 x 12 pixels; in slice 2 two types side by side."""
    labels = np.zeros((3, 32, 32), dtype=np.uint8)
    labels[1, 8:16, 4:16] = 5
    labels[2, 16:24, 8:16], labels[2, 16:24, 16:24] = 2, 3
    return labels


def test_a_label_map_becomes_one_on_the_pictures_pixels() -> None:
    loaded = _loaded(label_map=_labels())
    _, targets = render(loaded, VIEW, "x")
    masks = slice_masks(loaded, VIEW, targets)
    # Every second pixel of ours is a pixel of the picture: the edges lie on its grid.
    np.testing.assert_array_equal(masks[:, 0], _labels()[:, ::2, ::2])
    assert masks.dtype == np.uint8


def test_a_tall_slice_is_padded_like_its_picture() -> None:
    labels = np.zeros((1, 32, 16), dtype=np.uint8)
    labels[0, :, :8] = 4
    volume = Volume(np.where(labels > 0, 80.0, 0.0).astype(np.float32), display_affine((1, 32, 16), (5.0, 1.0, 1.0)))
    loaded = Loaded(volume, labels, None)
    images, targets = render(loaded, VIEW, "x")
    masks = slice_masks(loaded, VIEW, targets)
    assert masks[0, 0].any()
    np.testing.assert_array_equal(masks[0, 0] > 0, images[0, 0] > 127)


def test_without_a_label_map_a_slice_that_bleeds_is_unknown_and_any_other_is_none() -> None:
    loaded = _loaded(slice_labels=np.array([[0] * 5, [0, 1, 0, 0, 0], [0] * 5], dtype=np.uint8))
    _, targets = render(loaded, VIEW, "x")
    masks = slice_masks(loaded, VIEW, targets)
    assert [np.unique(one).tolist() for one in masks] == [[0], [UNKNOWN], [0]]


def test_masks_come_with_the_examples_where_they_are_asked_for(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path))
    info = DatasetInfo("made", "Made", ("classification",), "", "", "", "", "", "made", phantom=True)
    cases = tuple(
        Case(f"p{n}", f"s{n}", "made", "made", None, load)
        for n, load in enumerate((lambda: _loaded(label_map=_labels()), lambda: _loaded(label_map=_labels() * 0)))
    )
    dataset = Dataset(info, cases, "made", ())
    without = build_examples(dataset, VIEW, jobs=1)
    examples = build_examples(dataset, VIEW, masks=True, jobs=1)
    assert without.masks is None
    assert examples.fingerprint != without.fingerprint
    assert examples.masks is not None
    assert examples.masks.shape == (6, 1, 16, 16)
    np.testing.assert_array_equal(examples.masks.any(axis=(1, 2, 3)), examples.targets[:, -1] > 0)
    with pytest.raises(UserError, match="masks beside the targets of a segmentation"):
        build_examples(dataset, SegmentationView(), masks=True)
