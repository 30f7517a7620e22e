from __future__ import annotations

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.labels import (
    CLASSES,
    LABEL_IDS,
    NO_PAPER_CLASS,
    PAPER_CLASSES,
    SUBTYPES,
    from_paper_class,
    slice_labels_from_label_map,
    to_paper_class,
    with_any,
)


def test_ids_and_orders_are_those_of_bhsd_and_the_design() -> None:
    assert dict(LABEL_IDS) == {
        "epidural": 1,
        "intraparenchymal": 2,
        "intraventricular": 3,
        "subarachnoid": 4,
        "subdural": 5,
    }
    types = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    assert types == SUBTYPES
    assert (*types, "any") == CLASSES
    assert (*types, "multiple") == PAPER_CLASSES


def test_with_any_over_every_combination_of_types() -> None:
    combinations = np.array([[number >> bit & 1 for bit in range(5)] for number in range(32)])
    labels = with_any(combinations)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[:, :5], combinations)
    # Only the combination of no type at all, the first, has no bleed.
    np.testing.assert_array_equal(labels[:, 5], [0] + [1] * 31)


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 2, 0, 0], [0, 0.5, 0, 0, 0], [np.nan, 0, 0, 0, 0]])
def test_with_any_refuses_what_is_no_presence(labels: list[float]) -> None:
    with pytest.raises(UserError, match="expected"):
        with_any(labels)


def test_slice_labels_come_from_the_ids_in_each_slice() -> None:
    label_map = np.zeros((3, 4, 5), dtype=np.int16)
    label_map[0, 0, 0] = 5
    label_map[2, 1, :3] = 1
    label_map[2, 3, 4] = 3
    expected = [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0]]
    np.testing.assert_array_equal(slice_labels_from_label_map(label_map), expected)
    np.testing.assert_array_equal(slice_labels_from_label_map(label_map, min_voxels=3)[2], [1, 0, 0, 0, 0])
    assert slice_labels_from_label_map(label_map).dtype == np.uint8


def test_slice_labels_refuse_unknown_ids_and_single_slices() -> None:
    with pytest.raises(UserError, match=r"ids 0\.\.6"):
        slice_labels_from_label_map(np.full((1, 2, 2), 6) * np.eye(2, dtype=int))
    with pytest.raises(UserError, match=r"\(D, H, W\)"):
        slice_labels_from_label_map(np.zeros((2, 2), dtype=int))


def test_paper_classes_there_and_back() -> None:
    single = np.eye(5, dtype=int)
    np.testing.assert_array_equal(to_paper_class(single), range(5))
    np.testing.assert_array_equal(from_paper_class(range(5)), with_any(single))
    assert to_paper_class([1, 1, 0, 0, 0]) == PAPER_CLASSES.index("multiple")
    assert to_paper_class([0, 0, 0, 0, 0]) == NO_PAPER_CLASS
    several = from_paper_class(5)
    assert np.isnan(several[:5]).all()
    assert several[5] == 1
    with pytest.raises(UserError, match="paper class"):
        from_paper_class([6])
