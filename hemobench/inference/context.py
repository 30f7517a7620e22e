"""What slices say of each other and of their study: blood seldom fills one slice alone, and noise seldom fills two."""

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


def study_logits(logits: NDArray[np.floating], slices: int) -> NDArray[np.floating]:
    """A study's logits (K,) from those of its slices (D, K): by class, the mean of the `slices` highest, or of all
    where there are fewer.

    >>> study_logits(np.array([[0.0, 2.0], [4.0, 1.0], [2.0, -3.0]]), 2)
    array([3. , 1.5])
    """
    return np.asarray(np.sort(logits, axis=0)[-slices:].mean(axis=0))
