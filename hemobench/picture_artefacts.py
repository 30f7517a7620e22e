"""What happens to a slice on its way to a picture file: lost resolution, JPEG blocks, letters burnt in.

On tensors of slices (B, C, H, W) or volumes (B, C, D, H, W) in [0, 1]; each slice plane is treated as one picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8
# Luminance quantisation of the JPEG standard (ITU-T T.81, table K.1), in grey levels of 0 to 255.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_GLYPH = (5, 3)


def coarser(images: Tensor, factor: float) -> Tensor:
    """Images at `factor` (0 to 1) of their resolution and back: what a small thumbnail still shows."""
    planes = images.flatten(1, -3)
    size = [max(BLOCK, round(side * factor)) for side in planes.shape[-2:]]
    small = F.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(small, size=planes.shape[-2:], mode="bilinear", align_corners=False).view_as(images)


def jpeg_traces(images: Tensor, quality: float) -> Tensor:
    """Images after the lossy step of baseline JPEG: 8 x 8 cosine transform, quantised as at `quality` (1 to 100).

    Entropy coding loses nothing and is left out. Scaling of the table by quality as in the IJG library.
    """
    planes = images.flatten(1, -3)
    height, width = planes.shape[-2:]
    below, beside = -height % BLOCK, -width % BLOCK
    padded = F.pad(planes, (0, beside, 0, below), mode="replicate") * 255 - 128
    rows, columns = padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK
    blocks = padded.reshape(*padded.shape[:-2], rows, BLOCK, columns, BLOCK)
    cosine = _cosine_matrix().to(images)
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    table = (torch.tensor(_LUMINANCE, dtype=torch.float32) * scale).round().clamp(1, 255).to(images)
    spectrum = torch.einsum("ij,...rjck,lk->...ricl", cosine, blocks, cosine)
    steps = table[None, :, None, :]
    kept = (spectrum / steps).round() * steps
    restored = torch.einsum("ji,...rjck,kl->...ricl", cosine, kept, cosine).reshape(padded.shape)
    return ((restored[..., :height, :width] + 128) / 255).clamp(0, 1).view_as(images)


def burnt_in(images: Tensor, generator: torch.Generator) -> Tensor:
    """One example (C, ..., H, W) with a few lines of bright letter-like marks near a corner, the same in each plane."""
    height, width = images.shape[-2:]
    draws = torch.rand(5, generator=generator)
    scale = max(1, round(height / 160 * (1 + float(draws[0]))))
    lines, letters = 1 + int(3 * draws[1]), 4 + int(8 * draws[2])
    ink = torch.zeros(height, width)
    for line in range(lines):
        bits = (torch.rand(_GLYPH[0], letters, _GLYPH[1], generator=generator) < 0.6).float()
        word = F.pad(bits, (0, 1)).flatten(1).repeat_interleave(scale, 0).repeat_interleave(scale, 1)
        top = 2 + line * (_GLYPH[0] + 2) * scale
        word = word[: max(0, height - top), : width - 4]
        ink[top : top + word.shape[0], 2 : 2 + word.shape[1]] = word
    if draws[3] < 0.5:
        ink = ink.flip(-1)  # mirrored letters are letter-like as well
    if draws[4] < 0.5:
        ink = ink.flip(-2)
    return torch.maximum(images, ink.to(images) * (0.6 + 0.4 * float(draws[0])))


def _cosine_matrix() -> Tensor:
    """Orthonormal type-II cosine transform of 8 values: row k is frequency k."""
    place = torch.arange(BLOCK, dtype=torch.float32)
    matrix = torch.cos(math.pi / BLOCK * (place[None] + 0.5) * place[:, None]) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix
