"""The paper's classifier (paper.md, row 4): three pooled convolutions, one more, two dense layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hemobench.errors import UserError
from hemobench.models.padding import check_rank, set_bias_prior

_GRID = 16  # feature map at 128 x 128 after three poolings; the largest that is flattened


class PaperCNN(nn.Module):
    """`depth` x (3x3 convolution, ReLU, 2x2 max pooling), a convolution, flattening, two dense layers, dropout.

    The paper gives the layers and the total, 1.2 million, not the widths. Here the stages have `width`, 2 `width`,
    4 `width` channels, the last convolution goes back to `width`, and both dense layers have `hidden` units. One grey
    128x128 channel and 6 outputs at the defaults, weights and biases:

        3x3 convolutions    1-32: 320    32-64: 18,496    64-128: 73,856    128-32: 36,896
        dense    8192-128: 1,048,704    128-128: 16,512    128-6: 774            total 1,195,558

    At larger sizes the map is averaged down to 16x16 before flattening, which keeps the total; the flattened grid of
    a smaller `image_size` is smaller. Any size from 2^depth on works at call time.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_outputs: int = 6,
        image_size: Sequence[int] | None = None,
        *,
        depth: int = 3,
        width: int = 32,
        hidden: int = 128,
        dropout: float = 0.5,
        prior: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        height, columns = image_size or (128, 128)
        if min(depth, width, hidden) < 1 or not 0 <= dropout < 1 or min(height, columns) < 2**depth:
            raise UserError(
                f"paper_cnn with depth={depth}, width={width}, hidden={hidden}, dropout={dropout}, "
                f"image_size={(height, columns)}; expected 1 or more, dropout in [0, 1), size >= 2^depth; "
                "the paper's are depth=3 at (128, 128)"
            )
        self.in_channels = in_channels
        channels = [in_channels, *(width * 2**stage for stage in range(depth))]
        stages: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            stages += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*stages, nn.Conv2d(channels[-1], width, 3, padding=1), nn.ReLU())
        self.grid = tuple(min(_GRID, size // 2**depth) for size in (height, columns))
        self.pool = nn.AdaptiveAvgPool2d(self.grid)
        self.dense = nn.Sequential(
            nn.Linear(width * self.grid[0] * self.grid[1], hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.final = nn.Linear(hidden, num_outputs)
        if prior is not None:
            set_bias_prior(self.final, prior)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, num_outputs)."""
        check_rank(images, (4,), self.in_channels, "paper_cnn")
        features = self.pool(self.features(images)).flatten(1)
        hidden = self.dense(features)
        with torch.autocast(device_type=images.device.type, enabled=False):
            logits: Tensor = self.final(hidden.float())
        return logits
