"""Real clots set into slices that have none: a batch's bleeding slices give, its others receive.

Few patients bleed and fewer have masks, while every healthy head is another background. The idea is copy-paste
augmentation (Ghiasi et al. 2021; for tumours on CT, TumorCP: Yang et al. 2021), with what a head asks for: a clot comes
to lie where it lay in its own head, relative to the skull about it, so that a collection along the bone stays along
the bone; only slices of about the same outline give to each other, since these are of about the same height; soft
tissue alone takes blood, so that nothing lies in bone or air; and its edge is soft, as partial volume makes it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# In a brain window of 0 to 80 HU: what is not air, and what is soft tissue or fluid but not bone.
_HEAD = 0.05
_TISSUE = (0.06, 0.9)
# Outlines whose sides differ by more are of other heights, or of other kinds of heads.
_ALIKE = 1.15
# A clot most of which would lie in bone or air is not set in.
_LEAST_LEFT = 0.6
_DEGREES, _SCALE, _SHIFT = 15.0, 0.2, 0.05


def transplant(images: Tensor, label_maps: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The batch with clots of its bleeding slices set into a share of the others; the rest is returned as it came.

    images: (B, C, D, H, W) in [0, 1], slices with D - 1 neighbours, the first channel a brain window. label_maps:
    (B, 1, 1, H, W), 0 where the middle slice shows no blood. Neighbours receive the donor's neighbours at the same
    places. Each clot is turned, scaled, moved a little and mirrored at random. Draws come from `generator`, on the CPU.
    """
    bleeding = label_maps.flatten(1).any(dim=1).cpu()
    donors = bleeding.nonzero().flatten().tolist()
    draws = torch.rand(len(images), 6, generator=generator)
    if not donors or bleeding.all():
        return images, label_maps
    boxes = [_head_box(one[0, one.shape[1] // 2]) for one in images]
    images, label_maps = images.clone(), label_maps.clone()
    for row in (~bleeding & (draws[:, 0] < share)).nonzero().flatten().tolist():
        fitting = [donor for donor in donors if _alike(boxes[row], boxes[donor])]
        if not fitting:
            continue
        donor = fitting[min(int(draws[row, 1] * len(fitting)), len(fitting) - 1)]
        grid = _grid(boxes[row], boxes[donor], draws[row, 2:], images[row])
        _set_in(images[row], label_maps[row], images[donor], label_maps[donor], grid)
    return images, label_maps


def _head_box(brain: Tensor) -> tuple[float, float, float, float] | None:
    """Centre and half sides (row, column, height, width) of what is not air in (H, W), in pixels; None for nothing."""
    inside = brain > _HEAD
    rows, columns = inside.any(dim=1).nonzero().flatten(), inside.any(dim=0).nonzero().flatten()
    if not len(rows):
        return None
    (top, bottom), (left, right) = (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))
    return (top + bottom) / 2, (left + right) / 2, (bottom - top + 1) / 2, (right - left + 1) / 2


def _alike(one: tuple[float, float, float, float] | None, other: tuple[float, float, float, float] | None) -> bool:
    if one is None or other is None:
        return False
    return all(max(a, b) <= _ALIKE * min(a, b) for a, b in zip(one[2:], other[2:], strict=True))


def _grid(
    to: tuple[float, float, float, float] | None,
    source: tuple[float, float, float, float] | None,
    draws: Tensor,
    image: Tensor,
) -> Tensor:
    """Where each pixel of the recipient is found in the donor, (1, H, W, 2) as `grid_sample` wants it.

    draws (4,) in [0, 1): the turn, the scale, the shift along rows, and the mirror image with the shift along columns.
    """
    assert to is not None
    assert source is not None
    height, width = image.shape[-2:]
    turn, scale, down, side = draws.tolist()
    angle, size = math.radians(_DEGREES) * (2 * turn - 1), 1 + _SCALE * (2 * scale - 1)
    mirror, aside = (-1.0 if side < 0.5 else 1.0), (side * 2) % 1
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # In units of half a head, from its centre.
    y = (rows - to[0]) / to[2] - _SHIFT * (2 * down - 1)
    x = (columns - to[1]) / to[3] - _SHIFT * (2 * aside - 1)
    # About the head's centre: what touches the skull there is turned and scaled along it, and cut off by it.
    from_y = (math.cos(angle) * y + math.sin(angle) * x) / size
    from_x = mirror * (math.cos(angle) * x - math.sin(angle) * y) / size
    row, column = source[0] + from_y * source[2], source[1] + from_x * source[3]
    grid = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], dim=-1)
    return grid[None].to(image.device, image.dtype)


def _set_in(image: Tensor, labels: Tensor, donor: Tensor, donor_labels: Tensor, grid: Tensor) -> None:
    """Set the donor's blood into an image (C, D, H, W) and its labels (1, 1, H, W), in place, if enough of it fits."""
    moved = F.grid_sample(donor_labels.to(image.dtype), grid, mode="nearest", align_corners=False)[0, 0]
    brain = image[0, image.shape[1] // 2]
    tissue = F.avg_pool2d(((brain > _TISSUE[0]) & (brain < _TISSUE[1])).to(image.dtype)[None], 3, 1, 1)[0] > 0.5
    kept = (moved > 0) & tissue
    if not kept.any() or kept.sum() < _LEAST_LEFT * (moved > 0).sum():
        return
    edge = F.avg_pool2d(kept.to(image.dtype)[None], 3, 1, 1)[0] * tissue
    flat = F.grid_sample(donor.flatten(0, 1)[None], grid, align_corners=False)[0]
    image += edge * (flat.view_as(image) - image)
    labels[0, 0] = torch.where(kept, moved.to(labels.dtype), labels[0, 0])
