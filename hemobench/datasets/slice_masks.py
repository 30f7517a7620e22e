"""Where the blood is in a classifier's pictures, as far as a case knows: what a network that locates learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Loaded
from hemobench.labels import UNKNOWN
from hemobench.views.slices import square_slices
from hemobench.views.view import ClassificationView

_HALF = 128


def slice_masks(loaded: Loaded, view: ClassificationView, targets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label maps (D, 1, S, S) on the pixels of `views.slice_images`: 0, 1..5, or UNKNOWN all over a slice.

    targets: (D, 6) of the slices. Without a label map a slice of which it is known that nothing bleeds is 0, and any
    other is UNKNOWN. A pixel has a label where at least half of it had one.
    """
    shape = (len(targets), 1, view.size, view.size)
    if loaded.label_map is None:
        unknown = (targets[:, -1] > 0)[:, None, None, None] * np.uint8(UNKNOWN)
        return np.array(np.broadcast_to(unknown, shape), dtype=np.uint8)
    found = np.zeros(shape, dtype=np.uint8)
    labels = np.unique(loaded.label_map)
    labels = labels[labels > 0]
    bleeding = np.flatnonzero((loaded.label_map > 0).any(axis=(1, 2)))
    if not len(bleeding):
        return found
    maps = loaded.label_map[bleeding]
    shares = np.stack(
        [square_slices(np.asarray(maps == label, dtype=np.float32), loaded.image, view) for label in labels]
    ).astype(np.int64)
    filled = shares.sum(axis=0) >= _HALF
    found[bleeding, 0] = np.where(filled, labels[shares.argmax(axis=0)], 0)
    return found
