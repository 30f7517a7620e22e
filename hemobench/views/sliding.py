"""Whole studies through an engine: batches of slices, chunks of slices with neighbours, 3D windows that overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Of a slice-wise network with its neighbours. Its maps are as large as the slices: 48 at once take twice the memory of
# these and no less time (30 slices of 288 x 288: 1.1 to 2.0 s by calls of 48, 1.0 by calls of 6 to 10).
_SLICES_A_CALL = 8

Logits = NDArray[np.float32]


class Engine(Protocol):
    """Computes one network. description: library, precision and threads in words. context: slices on each side that a
    slice-wise network looks at, None for every other network."""

    description: str
    context: int | None

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (B, K) or (B, K, *spatial) of a batch (B, C, *spatial). Any thread may call it; nothing is kept."""
        ...


def predict_slices(engine: Engine, images: NDArray[np.float32], *, batch: int = 16, flip_tta: bool = False) -> Logits:
    """Logits (N, K) of slices (N, C, S, S) with values from 0 to 1, `batch` at a time.

    flip_tta: mean of the logits of each slice and of its mirror image, left for right.
    """
    if flip_tta:
        both = (predict_slices(engine, view, batch=batch) for view in (images, images[..., ::-1]))
        return _mean(*both)
    return np.concatenate([engine.run(images[start : start + batch]) for start in range(0, len(images), batch)])


def predict_volume(
    engine: Engine,
    volume: NDArray[np.float32],
    *,
    patch: tuple[int, int, int],
    context: int | None,
    overlap: float = 0.5,
    flip_tta: bool = False,
    on_window: Callable[[float], None] | None = None,
) -> Logits:
    """Logits (K, D, H, W) of a volume (C, D, H, W).

    context: the engine's own. With a number, the network is slice-wise and computes whole planes, in chunks with that
    many neighbours on each side: the result is that of one call on the whole volume. With None, a volume of another
    size than `patch` (D, H, W) is computed in windows of that size which overlap by a share of `overlap`, blended with
    Gaussian weights as MONAI does it. flip_tta: mean of the logits of the volume and of its mirror image, left for
    right. on_window: is told the share of the windows that are done, after each; not of chunks, which are few.
    """
    if flip_tta:
        straight = predict_volume(engine, volume, patch=patch, context=context, overlap=overlap, on_window=on_window)
        mirrored = predict_volume(
            engine, volume[..., ::-1], patch=patch, context=context, overlap=overlap, on_window=on_window
        )
        return _mean(straight, mirrored[..., ::-1])
    if context is not None:
        return _in_chunks(engine, volume, context)
    if volume.shape[1:] == tuple(patch):
        return engine.run(volume[None])[0]
    return _in_windows(engine, volume, patch, overlap, on_window)


def _in_chunks(engine: Engine, volume: NDArray[np.float32], context: int) -> Logits:
    depth = volume.shape[1]
    parts = []
    for start in range(0, depth, _SLICES_A_CALL):
        stop = min(start + _SLICES_A_CALL, depth)
        # Beyond the ends the network repeats the end slice by itself; elsewhere it must see the true neighbour.
        low, high = max(0, start - context), min(depth, stop + context)
        parts.append(engine.run(volume[None, :, low:high])[0, :, start - low : stop - low])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _in_windows(
    engine: Engine,
    volume: NDArray[np.float32],
    patch: tuple[int, int, int],
    overlap: float,
    on_window: Callable[[float], None] | None,
) -> Logits:
    """Window by window, without torch and MONAI: the first MRI of a process would wait seconds for their import."""
    size = volume.shape[1:]
    # A volume smaller than a window stands in the middle of one, with zeros about it.
    before = [max(0, wide - own) // 2 for own, wide in zip(size, patch, strict=True)]
    after = [max(0, wide - own) - low for own, wide, low in zip(size, patch, before, strict=True)]
    whole = np.pad(volume, [(0, 0), *zip(before, after, strict=True)])
    weights = _gaussian(patch)
    blended: Logits | None = None
    total = np.zeros(whole.shape[1:], dtype=np.float32)
    axes = [_starts(own, wide, overlap) for own, wide in zip(whole.shape[1:], patch, strict=True)]
    for done, corner in enumerate(itertools.product(*axes), start=1):
        window = tuple(slice(start, start + wide) for start, wide in zip(corner, patch, strict=True))
        inside = (slice(None), *window)
        logits = engine.run(whole[inside][None])[0]
        if blended is None:
            blended = np.zeros((len(logits), *total.shape), dtype=np.float32)
        blended[inside] += weights * logits
        total[window] += weights
        if on_window is not None:
            on_window(done / math.prod(map(len, axes)))
    assert blended is not None
    blended /= total
    middle = (slice(None), *(slice(low, low + own) for low, own in zip(before, size, strict=True)))
    return blended[middle]


def _starts(size: int, patch: int, overlap: float) -> list[int]:
    """Where windows begin along an axis: a step apart, the last one at the end.

    >>> _starts(117, 96, 0.5), _starts(96, 96, 0.5), _starts(200, 96, 0.5)
    ([0, 21], [0], [0, 48, 96, 104])
    """
    step = max(1, int(patch * (1 - overlap)))
    return [*range(0, size - patch, step), size - patch]


def _gaussian(patch: tuple[int, int, int]) -> NDArray[np.float32]:
    """Weights (D, H, W) that fall from a window's middle with a deviation of an eighth of its size, 0.001 at least."""
    along = [np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * (size / 8) ** 2)) for size in patch]
    weights = along[0][:, None, None] * along[1][None, :, None] * along[2][None, None, :]
    return np.asarray(np.maximum(weights, 1e-3), dtype=np.float32)


def _mean(first: Logits, second: Logits) -> Logits:
    mean: Logits = (first + second) / np.float32(2)
    return mean
