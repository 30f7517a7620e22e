"""Single slices of volumes, with their neighbours, as what a step of a slice-wise segmenter learns from.

A volume of 40 slices has perhaps three that bleed, all alike. Drawn one by one, a batch shows as many patients as it
has slices, and as much blood as is wanted.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hemobench.datasets.cache import Examples

_BLEEDING_SHARE = 0.5
_STEP = 8  # every so many rows and columns tell whether a slice is padding


def drawable_slices(examples: Examples, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers (M,) of the slices of some volumes, row * depth + slice, and the probability (M,) of drawing each.

    Half of the draws have foreground, half have none; in either half each patient comes as often as the others, and
    each slice as often as that patient's others. Slices of padding are left out.
    """
    depth = examples.images.shape[2]
    inside = np.stack([examples.images[row, 0, :, ::_STEP, ::_STEP].any(axis=(1, 2)) for row in rows])
    filled = np.stack([examples.targets[row, 0].any(axis=(1, 2)) for row in rows])
    place = np.argwhere(inside)
    numbers = rows[place[:, 0]] * depth + place[:, 1]
    patients, bleeds = examples.patient_ids[rows][place[:, 0]], filled[inside]
    shares = np.zeros(len(numbers))
    halves = [half for half in (bleeds, ~bleeds) if half.any()]
    for half in halves:
        _, patient, count = np.unique(patients[half], return_inverse=True, return_counts=True)
        weight = _BLEEDING_SHARE if len(halves) == 2 else 1.0
        shares[half] = weight / len(count) / count[patient]
    return numbers, shares / shares.sum()


def gathered(images: Tensor, targets: Tensor, numbers: NDArray[np.int64], context: int) -> tuple[Tensor, Tensor]:
    """Slices by number, each with `context` neighbours on either side, and their targets.

    images (N, C, D, H, W), targets (N, 1, D, H, W) -> (B, C, 2 context + 1, H, W) and (B, 1, 1, H, W). At the ends of a
    volume the last slice stands for those beyond it, as in `models.unet.fold_slices`; padding counts as a slice.
    """
    depth = images.shape[2]
    chosen = [(int(number) // depth, int(number) % depth) for number in numbers]
    near = torch.arange(-context, context + 1)
    seen = torch.stack([images[row, :, (place + near).clamp(0, depth - 1)] for row, place in chosen])
    return seen, torch.stack([targets[row, :, place : place + 1] for row, place in chosen])
