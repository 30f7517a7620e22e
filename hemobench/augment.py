"""Batch-wise augmentation on tensors, one code for slices (B, C, H, W) and volumes (B, C, D, H, W).

Geometry stays in the slice plane: slices are several times thicker than pixels, so turning a volume out of its plane
would blend slices that no scanner blends. All random numbers come from one torch.Generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from hemobench.picture_artefacts import burnt_in, coarser, jpeg_traces
from hemobench.transplants import transplant


@dataclass(frozen=True)
class Augmentation:
    """Ranges of a preset. Images are expected in [0, 1].

    flip: probability of a left-right flip. degrees, scale, shift: largest rotation, relative change of size, and
    translation as a fraction of the image side. gain, offset: largest relative and absolute change of intensity.
    gamma: largest |log2| of the exponent. noise: largest standard deviation of added Gaussian noise. picture:
    probability of looking like a picture of unknown window: every channel shows the first one or, in half of the
    pictures, the second one through a narrower window; where there is but one channel, that is narrowed. coarse,
    jpeg, text: probabilities of lost resolution (down to `coarsest` of it), of JPEG blocks and of letters burnt in,
    see `picture_artefacts`. alone: probability that the middle slice of a volume stands for all, as for a single
    picture that comes without its neighbours. transplant: probability that a slice without blood receives a clot of
    another slice of the batch, see `hemobench.transplants`; of slices with neighbours alone.
    """

    flip: float = 0.0
    degrees: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    picture: float = 0.0
    coarse: float = 0.0
    coarsest: float = 0.4
    jpeg: float = 0.0
    text: float = 0.0
    alone: float = 0.0
    transplant: float = 0.0

    @property
    def active(self) -> bool:
        return self != Augmentation()

    @property
    def moves(self) -> bool:
        return bool(self.degrees or self.scale or self.shift)


_ANY_SLICE = Augmentation(
    flip=0.5,
    degrees=20.0,
    scale=0.2,
    shift=0.06,
    gain=0.15,
    offset=0.05,
    gamma=0.35,
    noise=0.04,
    picture=0.25,
    coarse=0.15,
    jpeg=0.15,
    text=0.05,
    alone=0.2,
)

# Lowest edge and how far it varies: from the subdural window (-20 to 180 HU) to brain windows of 0 to 80 HU and wider.
_LOW, _HIGH = (0.0, 0.15), (0.4, 0.4)

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(flip=0.5, degrees=8.0, scale=0.05, shift=0.04, gain=0.05, offset=0.02, noise=0.01),
    "strong": Augmentation(
        flip=0.5, degrees=20.0, scale=0.15, shift=0.10, gain=0.15, offset=0.06, gamma=0.35, noise=0.04
    ),
    # For networks that meet scans of any hospital and pictures of any window.
    "any-scan": Augmentation(
        flip=0.5, degrees=20.0, scale=0.25, shift=0.08, gain=0.2, offset=0.08, gamma=0.4, noise=0.05, picture=0.3
    ),
    # The same, and what happens to pictures on their way through the world: tight crops, thumbnails, JPEG, captions.
    "any-picture": Augmentation(
        flip=0.5,
        degrees=25.0,
        scale=0.35,
        shift=0.1,
        gain=0.25,
        offset=0.1,
        gamma=0.5,
        noise=0.05,
        picture=0.5,
        coarse=0.25,
        jpeg=0.25,
        text=0.15,
    ),
    # For single slices with neighbours, about a head that fills them: smaller moves, fewer pictures.
    "any-slice": _ANY_SLICE,
    "any-slice-transplants": replace(_ANY_SLICE, transplant=0.5),
}


def augment(
    images: Tensor, masks: Tensor | None, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Each example of a batch changed by its own draw; masks move along, nearest neighbour, and keep their values.

    images: float (B, C, H, W) or (B, C, D, H, W) in [0, 1]. masks: None or (B, K, ...) with the same spatial shape.
    generator: on the CPU, so that every device sees the same draws (but for noise, drawn where the images are).
    """
    if not augmentation.active:
        return images, masks
    if augmentation.transplant:
        assert masks is not None
        images, masks = transplant(images, masks, augmentation.transplant, generator)
    flips, *geometry = _draw_geometry(len(images), augmentation, generator)
    images, masks = flip_left_right(images, flips), None if masks is None else flip_left_right(masks, flips)
    if augmentation.alone and images.ndim == 5:
        images = without_neighbours(images, torch.rand(len(images), generator=generator) < augmentation.alone)
    if augmentation.moves:
        images, masks = move_in_plane(images, masks, *geometry)
    if augmentation.picture:
        images = _as_pictures(images, augmentation.picture, generator)
    if augmentation.coarse or augmentation.jpeg or augmentation.text:
        images = _on_its_way(images, augmentation, generator)
    return _change_intensity(images, augmentation, generator), masks


def _as_pictures(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen, which, *edges = torch.rand(4, len(images), generator=generator)
    low, high = _LOW[0] + edges[0] * _LOW[1], _HIGH[0] + edges[1] * _HIGH[1]
    if images.shape[1] == 1:
        return narrow_window(images, chosen < share, low, high)
    first, second = ((chosen < share) & half for half in (which < 0.5, which >= 0.5))
    # A brain window clips at 80 HU, so wider ones can only be cut from the second channel, a subdural window.
    changed, rows = images.clone(), second.to(images.device)
    if second.any():
        changed[rows] = narrow_window(images[rows][:, 1:2], torch.ones_like(second[second]), low[second], high[second])
    changed[first.to(images.device)] = images[first.to(images.device)][:, :1]
    return changed


def _on_its_way(images: Tensor, preset: Augmentation, generator: torch.Generator) -> Tensor:
    """Each example perhaps captioned, made coarser and compressed, in the order in which that happens to a picture."""
    chosen = torch.rand(3, len(images), generator=generator) < torch.tensor(
        [[preset.text], [preset.coarse], [preset.jpeg]]
    )
    how = torch.rand(2, len(images), generator=generator)
    changed = images.clone()
    for row in chosen.any(dim=0).nonzero().flatten().tolist():
        one = changed[row : row + 1]
        if chosen[0, row]:
            one = burnt_in(one[0], generator)[None]
        if chosen[1, row]:
            one = coarser(one, preset.coarsest + float(how[0, row]) * (1 - preset.coarsest))
        if chosen[2, row]:
            one = jpeg_traces(one, 20 + 70 * float(how[1, row]))
        changed[row : row + 1] = one
    return changed


def _draw_geometry(count: int, preset: Augmentation, generator: torch.Generator) -> tuple[Tensor, ...]:
    flips = torch.rand(count, generator=generator) < preset.flip
    spread = 2 * torch.rand(4, count, generator=generator) - 1
    shift = torch.stack([spread[2], spread[3]], dim=1) * preset.shift
    return flips, spread[0] * preset.degrees, 1 + spread[1] * preset.scale, shift


def flip_left_right(batch: Tensor, flips: Tensor) -> Tensor:
    """Mirror the last axis of the examples where flips (B,) is True."""
    choose = flips.to(batch.device).view(-1, *[1] * (batch.ndim - 1))
    return torch.where(choose, batch.flip(-1), batch)


def without_neighbours(volumes: Tensor, chosen: Tensor) -> Tensor:
    """Volumes (B, C, D, H, W) all of whose slices are the middle one where chosen (B,) is True."""
    middle = volumes.shape[2] // 2
    choose = chosen.to(volumes.device).view(-1, 1, 1, 1, 1)
    return torch.where(choose, volumes[:, :, middle : middle + 1], volumes)


def narrow_window(images: Tensor, chosen: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Images (B, C, ...) where `low` becomes 0 and `high` 1, clipped, in the examples where chosen (B,) is True."""
    shape = (-1, *[1] * (images.ndim - 1))
    start, end = low.to(images.device).view(shape), high.to(images.device).view(shape)
    narrowed = ((images - start) / (end - start)).clamp(0, 1)
    return torch.where(chosen.to(images.device).view(shape), narrowed, images)


def move_in_plane(
    images: Tensor, masks: Tensor | None, degrees: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Rotate, scale and shift each example in its slice plane, about the image centre; pixels are taken as square.

    degrees (B,): counter-clockwise as displayed. scale (B,): above 1 enlarges. shift (B, 2): (rows, columns) as a
    fraction of the image's height and width; positive moves down and right. Images are linear, filled with their own
    minimum; masks are nearest neighbour, filled with 0.
    """
    theta = _sampling_matrices(degrees, scale, shift, images.shape[-2], images.shape[-1]).to(images.device)
    flat = images.flatten(1, -3)
    grid = F.affine_grid(theta, [len(flat), 1, *flat.shape[-2:]], align_corners=False)
    # grid_sample fills with 0, so the minimum is taken off before and put back after.
    floor = flat.amin(dim=(1, 2, 3), keepdim=True)
    dark = not floor.any()  # as windows leave it nearly always
    moved = F.grid_sample(flat if dark else flat - floor, grid.to(flat.dtype), align_corners=False)
    moved = moved if dark else moved + floor
    if masks is None:
        return moved.view_as(images), None
    flat_masks = masks.flatten(1, -3)
    moved_masks = F.grid_sample(flat_masks.float(), grid, mode="nearest", align_corners=False)
    return moved.view(images.shape), moved_masks.view(masks.shape).to(masks.dtype)


def _sampling_matrices(degrees: Tensor, scale: Tensor, shift: Tensor, height: int, width: int) -> Tensor:
    """(B, 2, 3) output -> input maps in affine_grid's (x, y) coordinates, which run over [-1, 1] on either side."""
    radians = degrees * (math.pi / 180)
    cosine, sine = torch.cos(radians) / scale, torch.sin(radians) / scale
    # In pixels the inverse of a counter-clockwise turn (y points down) is [[c, -s], [s, c]]; sides may differ.
    linear = torch.stack(
        [
            torch.stack([cosine, -sine * (height / width)], dim=1),
            torch.stack([sine * (width / height), cosine], dim=1),
        ],
        dim=1,
    )
    moved_centre = 2 * shift.flip(1)[:, :, None]
    return torch.cat([linear, -linear @ moved_centre], dim=2)


def _change_intensity(images: Tensor, preset: Augmentation, generator: torch.Generator) -> Tensor:
    count, shape = len(images), (-1, *[1] * (images.ndim - 1))
    spread = (2 * torch.rand(3, count, generator=generator) - 1).to(images.device)
    sigma = (torch.rand(count, generator=generator) * preset.noise).to(images.device)
    # In place from here on: a batch is tens of megabytes, and each pass over it costs as much as the sum it does.
    images = images.clamp(0, 1) if preset.gamma else images.clone()
    if preset.gamma:
        images.pow_(torch.exp2(spread[2] * preset.gamma).view(shape))
    if preset.gain or preset.offset:
        images.mul_((1 + spread[0] * preset.gain).view(shape)).add_((spread[1] * preset.offset).view(shape))
    if preset.noise:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        local = torch.Generator(device=images.device).manual_seed(seed)
        noise = torch.randn(images.shape, generator=local, device=images.device, dtype=images.dtype)
        images.add_(noise.mul_(sigma.view(shape)))
    return images.clamp_(0, 1)
