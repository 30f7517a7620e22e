"""The paper's U-Net (paper.md, row 7) in 3D, 2D and 2.5D.

Where the 1,401,413 parameters of the 3D network come from, every convolution with a bias, one channel in and out:

    contraction   pairs of 3x3x3 to 16, 32, 64, 128 channels    1-16-16: 7,376    16-32-32: 41,536
                                                                32-64-64: 166,016    64-128-128: 663,808
    expansion     up-sampling, 2x2x2 halving the channels,      128-64: 65,600 + 221,248 + 110,656
                  concatenation, pair of 3x3x3                  64-32: 16,416 + 55,328 + 27,680
                                                                32-16: 4,112 + 13,840 + 6,928
    output        3x3x3 to two channels, 1x1x1 to one           866 + 3                                total 1,401,413
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hemobench.errors import UserError, unknown_name
from hemobench.models.padding import check_pad_mode, check_rank, crop_to, pad_to_multiple, set_bias_prior

NORMS = ("none", "batch", "instance", "group")

BASE_3D = 16
"""First stage's channels of the paper's 3D network: 1,401,413 parameters."""
BASE_2D = 27
"""First stage's channels that bring the 2D networks nearest to the 3D budget."""

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_BATCH = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


class UNet(nn.Module):
    """U-Net over the last `dimensions` (2 or 3) axes of its input; sizes that 2^depth does not divide are padded.

    Stages have `base`, 2 `base`, 4 `base`, ... channels, `depth` max poolings by 2 between them, nearest
    up-sampling by 2 followed by a convolution of kernel 2, and an output of 2 K channels, then K = `num_outputs`.

    The paper's network has no normalisation, and `norm="none"` is the default. Such a network lives off its
    initialisation: He's normal one here (Keras' default, Glorot, halves the variance at every ReLU). Everything it
    says passes two channels, and a ReLU that is dead in both stops training; the paper does not name that layer's
    activation, so it is leaky. Dice on four cubes of noise with a block, `base=8`, 80 Adam steps, weighting `paper`,
    over four seeds: `head_slope=0` 0.00 to 0.06; 0.1 (the default) 0.29 to 0.42; with `prior=0.02` as well 0.63 to
    1.00; and with `norm="instance"` too 0.99 to 1.00, for some hundred parameters more.
    """

    def __init__(
        self,
        dimensions: int,
        in_channels: int = 1,
        num_outputs: int = 1,
        *,
        base: int = BASE_3D,
        depth: int = 3,
        norm: str = "none",
        dropout: float = 0.0,
        head_slope: float = 0.1,
        pad_mode: str = "replicate",
        prior: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if base < 1 or depth < 1 or not 0 <= dropout < 1:
            raise UserError(
                f"U-Net with base={base}, depth={depth}, dropout={dropout}; expected base and depth of 1 or more and "
                "dropout in [0, 1); the paper's are base=16, depth=3, dropout=0"
            )
        self.in_channels, self.pad_mode = in_channels, check_pad_mode(pad_mode)
        self.multiples = (2**depth,) * dimensions
        self.cells = 2 if norm == "instance" else 1  # one value has no variance to normalise by
        widths = [base * 2**stage for stage in range(depth + 1)]
        self.contract = nn.ModuleList(
            _pair(dimensions, before, after, norm) for before, after in itertools.pairwise([in_channels, *widths])
        )
        self.pool = _POOL[dimensions](2)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(UpConvolution(dimensions, 2 * width, width, norm) for width in widths[-2::-1])
        self.expand = nn.ModuleList(_pair(dimensions, 2 * width, width, norm) for width in widths[-2::-1])
        self.two_channels = _CONV[dimensions](base, 2 * num_outputs, 3, padding=1)
        self.head_activation = nn.LeakyReLU(head_slope)
        self.final = _CONV[dimensions](2 * num_outputs, num_outputs, 1)
        _initialise(self, head_slope)
        if prior is not None:
            set_bias_prior(self.final, prior)

    def forward(self, voxels: Tensor) -> Tensor:
        """Voxels (B, C, spatial...) to logits (B, K, spatial...), float32 also under autocast."""
        features = pad_to_multiple(voxels, self.multiples, self.pad_mode, self.cells)
        skips: list[Tensor] = []
        for stage in self.contract[:-1]:
            features = stage(features)
            skips.append(features)
            features = self.pool(features)
        features = self.dropout(self.contract[-1](features))
        for up, pair, skip in zip(self.up, self.expand, reversed(skips), strict=True):
            features = pair(torch.cat([skip, up(features)], dim=1))
        features = self.head_activation(self.two_channels(features))
        with torch.autocast(device_type=voxels.device.type, enabled=False):
            logits = self.final(features.float())
        return crop_to(logits, voxels.shape[2:])


class UpConvolution(nn.Module):
    """Nearest up-sampling by 2, a convolution of kernel 2 padded by a zero at the far end (Keras' "same"), ReLU.

    Computed as the one transposed convolution that equals the three steps: a doubled voxel meets both taps (a, b) of
    the kernel in its own place and one of them in each neighbour's, which is stride 2 with taps (b, a + b, a). It
    never writes the doubled map and takes 27 products where the plain form takes 64, a third of the time.
    """

    def __init__(self, dimensions: int, before: int, after: int, norm: str) -> None:
        super().__init__()
        self.convolution = _CONV[dimensions](before, after, 2)
        self.norm = _norm(dimensions, after, norm)
        self.transposed = F.conv_transpose3d if dimensions == 3 else F.conv_transpose2d

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, before, spatial...) to (B, after, 2 x spatial...)."""
        kernel = self.convolution.weight.transpose(0, 1)
        for axis in range(2, kernel.ndim):
            first, second = kernel.unbind(axis)
            kernel = torch.stack([second, first + second, first], dim=axis)
        doubled = self.transposed(features, kernel, self.convolution.bias, stride=2, padding=1, output_padding=1)
        return F.relu(self.norm(doubled))


class UNet3D(UNet):
    """U-Net on whole volumes: (B, C, D, H, W) to (B, K, D, H, W)."""

    def __init__(self, in_channels: int = 1, num_outputs: int = 1, *, base: int = BASE_3D, **options: object) -> None:
        super().__init__(3, in_channels, num_outputs, base=base, **options)  # type: ignore[arg-type]

    def forward(self, voxels: Tensor) -> Tensor:
        """Logits (B, K, D, H, W); UserError for other ranks or channels."""
        check_rank(voxels, (5,), self.in_channels, "unet3d")
        return super().forward(voxels)


class UNet2D(nn.Module):
    """The same U-Net slice by slice: slices join the batch. (B, C, D, H, W) or (B, C, H, W), logits of the same rank.

    With `context` = n > 0 (2.5D) the n slices before and after each slice are further channels; beyond the ends of
    the volume the end slice is repeated, and an input without slices counts as a volume of one.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_outputs: int = 1,
        *,
        base: int = BASE_2D,
        context: int = 0,
        **options: object,
    ) -> None:
        super().__init__()
        if context < 0:
            raise UserError(f"context={context}; expected 0 or more slices on each side; try 1")
        self.in_channels, self.context = in_channels, context
        stacked = in_channels * (2 * context + 1)
        self.unet = UNet(2, stacked, num_outputs, base=base, **options)  # type: ignore[arg-type]

    def forward(self, voxels: Tensor) -> Tensor:
        """Logits (B, K, D, H, W), or (B, K, H, W) for an input without slices."""
        check_rank(voxels, (4, 5), self.in_channels, "a slice-wise U-Net")
        volumes = voxels if voxels.ndim == 5 else voxels[:, :, None]
        batch, slices = volumes.shape[0], volumes.shape[2]
        logits = self.unet(fold_slices(volumes, self.context))
        unfolded = logits.unflatten(0, (batch, slices)).movedim(1, 2)
        return unfolded if voxels.ndim == 5 else unfolded[:, :, 0]


def fold_slices(volumes: Tensor, context: int = 0) -> Tensor:
    """Volumes (B, C, D, H, W) to slices (B * D, (2 context + 1) * C, H, W), neighbours from below to above.

    >>> fold_slices(torch.arange(3.0).view(1, 1, 3, 1, 1), context=1).flatten(1)
    tensor([[0., 0., 1.],
            [0., 1., 2.],
            [1., 2., 2.]])
    """
    count = volumes.shape[2]
    near = torch.arange(count, device=volumes.device)
    neighbours = [volumes[:, :, (near + offset).clamp(0, count - 1)] for offset in range(-context, context + 1)]
    return torch.cat(neighbours, dim=1).movedim(2, 1).flatten(0, 1)


def _pair(dimensions: int, before: int, after: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (before, after):
        layers += [_CONV[dimensions](source, after, 3, padding=1), _norm(dimensions, after, norm), nn.ReLU()]
    return nn.Sequential(*layers)


def _norm(dimensions: int, channels: int, norm: str) -> nn.Module:
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    if norm == "batch":
        return _BATCH[dimensions](channels)
    if norm == "instance":
        return _INSTANCE[dimensions](channels, affine=True)
    if norm == "group":
        groups = next(count for count in (8, 4, 3, 2, 1) if channels % count == 0)
        return nn.GroupNorm(groups, channels)
    return nn.Identity()


def _initialise(model: UNet, head_slope: float) -> None:
    """He's normal initialisation for every convolution, zero biases; the slope is that of the ReLU which follows."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            slope = 1.0 if module is model.final else head_slope if module is model.two_channels else 0.0
            nn.init.kaiming_normal_(module.weight, a=slope, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
