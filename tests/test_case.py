from __future__ import annotations

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.errors import UserError
from hemobench.volume import Volume


def test_targets_must_fit_the_image() -> None:
    image = Volume(np.zeros((3, 4, 5)), np.eye(4))
    Loaded(image, np.zeros((3, 4, 5), dtype=np.uint8), np.zeros((3, 5), dtype=np.uint8))
    with pytest.raises(UserError, match=r"label map of shape \(3, 5, 4\)"):
        Loaded(image, np.zeros((3, 5, 4), dtype=np.uint8), None)
    with pytest.raises(UserError, match=r"slice labels of shape \(3, 6\)"):
        Loaded(image, None, np.zeros((3, 6), dtype=np.uint8))
    with pytest.raises(UserError, match=r"mask of shape \(3, 4, 4\)"):
        Loaded(image, None, None, blood_mask=np.zeros((3, 4, 4), dtype=bool))


def test_foreground_is_the_label_map_or_the_untyped_mask() -> None:
    image = Volume(np.zeros((1, 2, 2)), np.eye(4))
    assert Loaded(image, None, None).foreground is None
    label_map = np.array([[[0, 3], [5, 0]]], dtype=np.uint8)
    typed = Loaded(image, label_map, None).foreground
    assert typed is not None
    assert typed.tolist() == [[[False, True], [True, False]]]
    assert Loaded(image, None, None, blood_mask=label_map == 5).foreground.tolist() == [[[False, False], [True, False]]]
