"""Example pictures of the report: grey slices with mask outlines, as PNG data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

TRUTH_COLOUR = (70, 200, 120)
PREDICTION_COLOUR = (245, 160, 50)
SHORTEST_SIDE = 192


def png_data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture, (H, W) grey or (H, W, 3) colour uint8, as a data URI for an <img>."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def enlarged(grey: NDArray[np.uint8], order: int = 1) -> NDArray[np.uint8]:
    """A small picture (H, W) enlarged by a whole factor until its shorter side has 192 pixels; others as they are."""
    factor = max(1, -(-SHORTEST_SIDE // min(grey.shape)))
    if factor == 1:
        return grey
    larger = ndimage.zoom(grey.astype(np.float32), factor, order=order, mode="nearest", grid_mode=True)
    return np.clip(np.rint(larger), 0, 255).astype(np.uint8)


def overlay(grey: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A grey picture (H, W) with a mask of the same shape tinted and outlined: (H', W', 3) uint8, enlarged.

    The outline is one pixel of the enlarged picture, so that thin masks stay visible and the grey under them too.
    """
    picture = np.repeat(enlarged(grey)[..., None], 3, axis=-1).astype(np.float32)
    large_mask = enlarged(mask.astype(np.uint8), order=0) > 0
    outline = large_mask & ~ndimage.binary_erosion(large_mask, iterations=2)
    tint = np.asarray(colour, dtype=np.float32)
    picture[large_mask] = 0.65 * picture[large_mask] + 0.35 * tint
    picture[outline] = tint
    return np.rint(picture).astype(np.uint8)
