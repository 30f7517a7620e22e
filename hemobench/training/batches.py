"""Batches straight from the cached arrays: gather rows, cut patches, augment. Nothing is decoded here."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hemobench.augment import PRESETS, Augmentation, augment
from hemobench.datasets.cache import Examples
from hemobench.training.hardware import batch_layout
from hemobench.training.slices import gathered

_GPU_SHARE = 0.5


class BatchSource:
    """Images and targets of all examples as tensors, memory-mapped, or on the GPU where they fit in half of it.

    targets: float loss targets are made from these, uint8 (N, K) or (N, 1, D, H, W). With `types` above 0 they are
    label maps of that many types, and the loss gets (B, 1 + types, D, H, W): any of them, then each. masks: label maps
    (N, 1, H, W) of slices, for training batches that say where. context: training batches are single slices of volumes,
    each with so many neighbours on either side; None for whole examples.
    """

    def __init__(
        self,
        examples: Examples,
        targets: NDArray[np.uint8],
        device: torch.device,
        *,
        channels_last: bool = False,
        types: int = 0,
        masks: NDArray[np.uint8] | None = None,
        context: int | None = None,
    ) -> None:
        self.device, self.channels_last, self.types, self.context = device, channels_last, types, context
        self.images = torch.from_numpy(examples.images)
        self.targets = torch.from_numpy(targets)
        self.masks = None if masks is None else torch.from_numpy(masks)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.images.nbytes + self.targets.nbytes < _GPU_SHARE * free:
                self.images, self.targets = self.images.to(device), self.targets.to(device)

    def whole(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] and targets of these rows, float32, unchanged: for validation and testing."""
        index = torch.from_numpy(np.ascontiguousarray(rows)).to(self.images.device)
        return self._as_input(self.images[index]), self._as_targets(self.targets[index])

    def training(
        self,
        rows: NDArray[np.int64],
        generator: torch.Generator,
        *,
        augmentation: str,
        patch: tuple[int, int, int] | None,
        on_foreground: bool,
    ) -> tuple[Tensor, ...]:
        """A training batch, images and targets: random patches where asked for, then the named augmentation. Where
        there are masks, those of the slices are a third, label maps (B, 1, H, W) uint8. With a context `rows` are
        numbers of slices, images (B, (2 context + 1) C, H, W), from the lowest slice to the highest, and targets
        (B, K, H, W)."""
        if self.masks is not None:
            return self._located(rows, PRESETS[augmentation], generator)
        if self.context is not None:
            return self._slices(rows, self.context, PRESETS[augmentation], generator)
        if patch is None:
            index = torch.from_numpy(np.ascontiguousarray(rows)).to(self.images.device)
            images, targets = self._as_input(self.images[index]), self.targets[index].to(self.device)
        else:
            images, targets = self._patches(rows, patch, on_foreground, generator)
        if not PRESETS[augmentation].active:
            return images, self._as_targets(targets)
        masks = targets if targets.ndim == 5 else None
        images, moved = augment(images, masks, PRESETS[augmentation], generator)
        return batch_layout(images, self.channels_last), self._as_targets(targets if moved is None else moved)

    def _located(self, rows: NDArray[np.int64], preset: Augmentation, generator: torch.Generator) -> tuple[Tensor, ...]:
        index = torch.from_numpy(np.ascontiguousarray(rows))
        assert self.masks is not None
        images, targets = self.whole(rows)
        images, masks = augment(images, self.masks[index].to(self.device), preset, generator)
        assert masks is not None
        return batch_layout(images, self.channels_last), targets, masks

    def _slices(
        self, numbers: NDArray[np.int64], context: int, preset: Augmentation, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        seen, targets = gathered(self.images, self.targets, numbers, context)
        # Slice by slice in grey, because that is how they are changed, and as channels to the network.
        images, moved = augment(seen.to(self.device, torch.float32) / 255, targets.to(self.device), preset, generator)
        assert moved is not None
        channels = images.movedim(2, 1).flatten(1, 2)
        return batch_layout(channels, self.channels_last), self._as_targets(moved[:, :, 0])

    def _patches(
        self, rows: NDArray[np.int64], patch: tuple[int, int, int], on_foreground: bool, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        corners = [patch_corner(self.targets[int(row), 0], patch, on_foreground, generator) for row in rows]
        boxes = [
            (slice(None), *(slice(at, at + size) for at, size in zip(corner, patch, strict=True))) for corner in corners
        ]
        images = torch.stack([self.images[int(row)][box] for row, box in zip(rows, boxes, strict=True)])
        targets = torch.stack([self.targets[int(row)][box] for row, box in zip(rows, boxes, strict=True)])
        return self._as_input(images), targets.to(self.device)

    def _as_targets(self, targets: Tensor) -> Tensor:
        """Masks or label maps as they are stored -> float32 targets of the loss."""
        targets = targets.to(self.device)
        if not self.types:
            return targets.float()
        # Blood of no known type is none of them.
        each = [targets == label for label in range(1, self.types + 1)]
        return torch.cat([targets > 0, *each], dim=1).float()

    def _as_input(self, images: Tensor) -> Tensor:
        return batch_layout(images.to(self.device, torch.float32) / 255, self.channels_last)


def patch_corner(
    mask: Tensor, patch: tuple[int, int, int], on_foreground: bool, generator: torch.Generator
) -> tuple[int, ...]:
    """Where a random patch of a volume starts. mask (D, H, W).

    Uniform over the positions that fit; with `on_foreground` it holds a random foreground voxel, if there is one:
    balanced sampling draws every second volume from those without any, so that patches of background are not missed.
    An axis shorter than the patch is taken whole.
    """
    # Three places, one left over, and a voxel: a number less would change what every recipe's seed gives.
    draws = torch.rand(5, generator=generator)
    room = [max(0, length - size) for length, size in zip(mask.shape, patch, strict=True)]
    low, high = [0, 0, 0], room
    if on_foreground:
        voxels = mask.nonzero()
        if len(voxels):
            centre = voxels[min(int(draws[4] * len(voxels)), len(voxels) - 1)].tolist()
            low = [min(limit, max(0, at - size + 1)) for at, size, limit in zip(centre, patch, room, strict=True)]
            high = [min(limit, at) for at, limit in zip(centre, room, strict=True)]
    return tuple(
        first + min(int(draw * (last - first + 1)), last - first)
        for first, last, draw in zip(low, high, draws.tolist(), strict=False)
    )
