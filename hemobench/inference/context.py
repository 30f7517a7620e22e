"""What neighbouring slices say of a slice: blood seldom fills one slice alone, and noise seldom fills two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def in_context(logits: NDArray[np.floating], step_mm: float, context_mm: float) -> NDArray[np.floating]:
    """Logits (D, K) of a study's slices, in order, averaged along the axis with Gaussian weights.

    step_mm: from slice to slice. context_mm: standard deviation of the weights; 0 changes nothing. At the ends the last
    slice stands for those beyond it.

    >>> in_context(np.array([[0.0], [0.0], [4.0], [0.0], [0.0]]), 5.0, 5.0).round(2).ravel()
    array([0.22, 0.97, 1.6 , 0.97, 0.22])
    """
    if not context_mm or len(logits) < 2:
        return logits
    return np.asarray(ndimage.gaussian_filter1d(logits, context_mm / step_mm, axis=0, mode="nearest"))
