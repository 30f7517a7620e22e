"""What every metric checks first: shapes that agree, probabilities that are probabilities, targets that are 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
# Cosine of an angle that is a right one but for the header's float32: a distance is wrong by half of it at most.
_RIGHT_ANGLE = 1e-5


def checked_scores(scores: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Scores and targets of one class, each (N,), as float64 and bool; N >= 1, scores finite, targets 0 or 1."""
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(targets)
    if values.ndim != 1 or values.shape != truth.shape or values.size == 0:
        raise UserError(
            f"scores of shape {values.shape} and targets of shape {truth.shape}; "
            "expected two equally long vectors with one entry or more; give one class at a time"
        )
    _check_finite(values)
    return values, _as_mask(truth)


def checked_probabilities(
    probabilities: ArrayLike, targets: ArrayLike, classes: int | None = None
) -> tuple[FloatArray, BoolArray]:
    """Multi-label probabilities and targets, both (N, K), as float64 and bool; K == classes where that is given."""
    values = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(targets)
    wanted = f"(N, {classes if classes is not None else 'K'})"
    wrong_width = classes is not None and values.ndim == 2 and values.shape[1] != classes
    if values.ndim != 2 or values.shape != truth.shape or values.size == 0 or wrong_width:
        raise UserError(
            f"probabilities of shape {values.shape} and targets of shape {truth.shape}; "
            f"expected both {wanted} with N >= 1; give one row an example and one column a class"
        )
    _check_finite(values)
    if values.min() < 0 or values.max() > 1:
        raise UserError(
            f"probabilities between {values.min():.4g} and {values.max():.4g}; expected 0 to 1; "
            "apply the sigmoid to logits first"
        )
    return values, _as_mask(truth)


def checked_masks(prediction: ArrayLike, target: ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Predicted and true mask of one case, both (D, H, W), as bool; integers must be 0 or 1."""
    predicted, truth = np.asarray(prediction), np.asarray(target)
    if predicted.ndim != 3 or predicted.shape != truth.shape or predicted.size == 0:
        raise UserError(
            f"prediction of shape {predicted.shape} and target of shape {truth.shape}; "
            "expected two masks of one shape (D, H, W); bring both onto the same grid"
        )
    return _as_mask(predicted), _as_mask(truth)


def checked_steps(spacing_mm: Sequence[float] | ArrayLike) -> FloatArray:
    """Steps (3, 3) in mm, a column each along (slice, row, column), of three spacings or of an affine's (3, 3).

    Raises UserError for spacings that are not above 0, and for steps that span no volume.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape == (3,) and np.all(np.isfinite(spacing)) and np.all(spacing > 0):
        return np.diag(spacing)
    if spacing.shape != (3, 3) or not np.all(np.isfinite(spacing)) or abs(np.linalg.det(spacing)) <= 0:
        raise UserError(
            f"spacing_mm {np.array2string(spacing, separator=', ')}; expected three positive numbers in mm "
            "(slice, row, column), or the affine's 3 x 3; take them from the volume"
        )
    return spacing


def spacing_of(steps_mm: FloatArray) -> tuple[float, float, float] | None:
    """Spacing (slice, row, column) in mm of steps (3, 3) at right angles to one another; None on a sheared grid."""
    depth, height, width = np.linalg.norm(steps_mm, axis=0).tolist()
    cosines = (steps_mm.T @ steps_mm) / np.outer((depth, height, width), (depth, height, width)) - np.eye(3)
    return (depth, height, width) if np.abs(cosines).max() < _RIGHT_ANGLE else None


def _check_finite(values: FloatArray) -> None:
    undefined = int(np.count_nonzero(~np.isfinite(values)))
    if undefined:
        raise UserError(
            f"{undefined} of {values.size} scores are NaN or infinite; expected finite numbers; "
            "look for a diverged training run"
        )


def _as_mask(truth: NDArray[np.generic]) -> BoolArray:
    if truth.dtype == np.bool_:
        return truth.astype(np.bool_, copy=False)
    mask = truth.astype(np.bool_)
    if not np.array_equal(mask, truth):
        odd = truth[truth != mask].ravel()[0]
        raise UserError(f"a target or mask value {odd}; expected 0 or 1; compare a label map with one label first")
    return mask
