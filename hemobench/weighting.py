"""Class weights: how much a positive and a negative target of each output count in the loss.

A weighting is a pair of vectors, one weight for the negatives and one for the positives of each output. The
data-dependent weightings are normalised so that the mean weight over the observed targets is 1 for every output
(`n_pos * w_pos + n_neg * w_neg = n_pos + n_neg`): the loss keeps its scale, so one learning rate serves them all.
The fixed pairs (`paper`, `0.5,0.5`) are used as they are written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hemobench.errors import UserError, unknown_name

PAPER_PAIR = (0.2, 0.8)
"""Background and mask weights of the paper's segmentation loss (paper.md, row 8)."""

_CHUNK = 64  # examples summed at a time, so that memory-mapped targets are never loaded whole

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ClassWeights:
    """Weights of the negatives and of the positives of each output, both of shape (K,); K = 1 fits any output."""

    negative: Tensor
    positive: Tensor

    def __post_init__(self) -> None:
        if self.negative.ndim != 1 or self.negative.shape != self.positive.shape:
            shapes = f"{tuple(self.negative.shape)} and {tuple(self.positive.shape)}"
            raise ValueError(f"class weights of shapes {shapes}; expected two vectors of one length")

    @property
    def neutral(self) -> bool:
        """True where every weight is 1, so that weighted and unweighted losses are the same."""
        return bool((self.negative == 1).all() and (self.positive == 1).all())


def known_weightings() -> tuple[str, ...]:
    """Names `create_weighting` takes; `W_NEGATIVE,W_POSITIVE` stands for any two numbers.

    >>> known_weightings()
    ('none', 'paper', 'W_NEGATIVE,W_POSITIVE', 'inverse-frequency', 'effective-number', 'effective-number:BETA')
    """
    return (
        "none",
        "paper",
        "W_NEGATIVE,W_POSITIVE",
        "inverse-frequency",
        "effective-number",
        "effective-number:BETA",
    )


def create_weighting(
    name: str, targets: NDArray[Any] | None = None, *, num_outputs: int | None = None, exclusive: bool = False
) -> ClassWeights:
    """Weights for a loss, by name.

    - `none`: 1 everywhere.
    - `paper`: 0.2 for background and 0.8 for the mask.
    - `a,b`: a for the negatives and b for the positives, as written.
    - `inverse-frequency`: proportional to 1 / count.
    - `effective-number[:beta]`: proportional to (1 - beta) / (1 - beta^count), Cui et al., CVPR 2019. Without a beta
      it is their (N - 1) / N with N the number of observations: a fixed 0.9999 saturates at counts of voxels, where
      it would be no weighting at all.

    `targets` is (N, K, ...) of 0 and 1: slices or voxels, counted output by output. A side that was never observed
    leaves nothing to balance: both weights of that output are then 1, never inf or NaN. With `exclusive` the K outputs
    are classes of which one holds (cross-entropy): only `positive` matters, and its mean over the targets is 1.
    Fixed weightings need no targets; they have K = `num_outputs`, else the targets' K, else 1, which fits any K.

    Raises UserError for an unknown name, for numbers that are no weights, and where targets are needed and missing.

    >>> create_weighting("inverse-frequency", np.array([[1], [0], [0], [0]])).positive
    tensor([2.])
    """
    if targets is not None and (np.ndim(targets) < 2 or np.shape(targets)[0] == 0):
        raise UserError(f"targets of shape {np.shape(targets)}; expected (N, K, ...); give at least one example")
    size = num_outputs or (targets.shape[1] if targets is not None else 1)
    kind, _, argument = name.strip().partition(":")
    if "," in name:
        return _constant(*_literal_pair(name), size)
    if kind in {"none", "paper"} and not argument:
        return _constant(1.0, 1.0, size) if kind == "none" else _constant(*PAPER_PAIR, size)
    if name.strip() == "inverse-frequency":
        return _from_counts(name, targets, _inverse, exclusive)
    if kind == "effective-number":
        beta = _beta(name, argument) if argument else None
        return _from_counts(name, targets, lambda counts, total: _inverse_effective(counts, total, beta), exclusive)
    raise unknown_name("weighting", name, known_weightings())


def count_targets(targets: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Positives of each output (K,) and observations of an output, from targets (N, K, ...) of 0 and 1."""
    examples, outputs = targets.shape[:2]
    axes = (0, *range(2, targets.ndim))
    positives = np.zeros(outputs, dtype=np.int64)
    for start in range(0, examples, _CHUNK):
        positives += np.count_nonzero(targets[start : start + _CHUNK], axis=axes)
    return positives, int(np.prod(targets.shape, dtype=np.int64)) // outputs


def _constant(negative: float, positive: float, size: int) -> ClassWeights:
    return ClassWeights(torch.full((size,), negative), torch.full((size,), positive))


def _literal_pair(name: str) -> tuple[float, float]:
    try:
        negative, positive = (float(part) for part in name.split(","))
    except ValueError:
        raise UserError(f"weighting '{name}'; expected two numbers, negatives first; write it like 0.5,0.5") from None
    usable = all(math.isfinite(weight) and weight >= 0 for weight in (negative, positive))
    if not usable or negative + positive == 0:
        raise UserError(f"weighting '{name}'; expected finite weights of 0 or more, not both 0; try 0.2,0.8")
    return negative, positive


def _beta(name: str, argument: str) -> float:
    try:
        beta = float(argument)
    except ValueError:
        beta = math.nan
    if not 0 <= beta < 1:
        raise UserError(f"weighting '{name}'; expected a beta in [0, 1); write it like effective-number:0.9999")
    return beta


def _from_counts(
    name: str,
    targets: NDArray[Any] | None,
    raw_weights: Callable[[FloatArray, int], FloatArray],
    exclusive: bool,
) -> ClassWeights:
    """Weights from how often each side was seen, scaled to a mean of 1 over the observed targets."""
    if targets is None:
        raise UserError(
            f"weighting '{name}' without targets; expected the training targets; use none, paper or 0.5,0.5"
        )
    positives, total = count_targets(targets)
    counts = np.stack([total - positives, positives]).astype(np.float64)  # (2, K): negatives, positives
    weights = np.zeros_like(counts)
    np.copyto(weights, raw_weights(np.maximum(counts, 1), total))
    if exclusive:
        seen = positives > 0
        mass = float((weights[1] * positives)[seen].sum())
        weights[1] = np.where(seen, weights[1] * positives.sum() / mass, 1.0) if mass else 1.0
        weights[0] = 1.0
    else:
        weights *= total / (weights * counts).sum(axis=0)
        weights[:, (counts == 0).any(axis=0)] = 1.0
    return ClassWeights(torch.tensor(weights[0], dtype=torch.float32), torch.tensor(weights[1], dtype=torch.float32))


def _inverse(counts: FloatArray, total: int) -> FloatArray:
    return total / counts


def _inverse_effective(counts: FloatArray, total: int, beta: float | None) -> FloatArray:
    """(1 - beta) / (1 - beta^n), written with expm1 so that a beta of 1 - 1e-9 does not lose its digits."""
    gap = 1.0 / total if beta is None else 1.0 - beta
    if gap >= 1:
        return np.ones_like(counts)
    return gap / -np.expm1(counts * math.log1p(-gap))
