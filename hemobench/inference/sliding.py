"""Whole studies through an engine: batches of slices, chunks of slices with neighbours, 3D windows that overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.inference.engine import Engine

_SLICES_A_CALL = 48

Logits = NDArray[np.float32]


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
) -> Logits:
    """Logits (K, D, H, W) of a volume (C, D, H, W).

    context: the engine's own. With a number, the network is slice-wise and computes whole planes, in chunks with that
    many neighbours on each side: the result is that of one call on the whole volume. With None, a volume of another
    size than `patch` (D, H, W) is computed in windows of that size which overlap by a share of `overlap`, blended with
    Gaussian weights by MONAI. flip_tta: mean of the logits of the volume and of its mirror image, left for right.
    """
    if flip_tta:
        straight = predict_volume(engine, volume, patch=patch, context=context, overlap=overlap)
        mirrored = predict_volume(engine, volume[..., ::-1], patch=patch, context=context, overlap=overlap)
        return _mean(straight, mirrored[..., ::-1])
    if context is not None:
        return _in_chunks(engine, volume, context)
    if volume.shape[1:] == tuple(patch):
        return engine.run(volume[None])[0]
    return _in_windows(engine, volume, patch, overlap)


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
    engine: Engine, volume: NDArray[np.float32], patch: tuple[int, int, int], overlap: float
) -> Logits:
    import torch
    from monai.inferers.utils import sliding_window_inference

    def predictor(window: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(engine.run(window.numpy()))

    whole = torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32))[None]
    blended = sliding_window_inference(whole, patch, 1, predictor, overlap=overlap, mode="gaussian")
    assert isinstance(blended, torch.Tensor)
    logits: Logits = blended[0].numpy()
    return logits


def _mean(first: Logits, second: Logits) -> Logits:
    mean: Logits = (first + second) / np.float32(2)
    return mean
