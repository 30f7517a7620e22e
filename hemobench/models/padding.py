"""Sizes that a network's poolings do not divide: pad at the far end, compute, crop back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hemobench.errors import UserError

PAD_MODES = ("replicate", "constant")


def check_pad_mode(mode: str) -> str:
    """The mode itself if it is one of PAD_MODES, else UserError."""
    if mode not in PAD_MODES:
        raise UserError(f"pad_mode '{mode}'; expected one of {', '.join(PAD_MODES)}; use replicate")
    return mode


def pad_to_multiple(voxels: Tensor, multiples: Sequence[int], mode: str = "replicate", cells: int = 1) -> Tensor:
    """Pads the last len(multiples) dimensions at their far end up to multiples of these numbers.

    `replicate` repeats the edge voxel, so that a crop through tissue meets no invented edge; `constant` fills zeros,
    which is air after a window. The near end stays, so voxel (0, 0, 0) keeps its index and its pooling cell.
    `cells` is the least number of multiples in the whole block; the last dimension grows to reach it. In a traced graph
    the widths are computed from each image's own size.

    >>> pad_to_multiple(torch.ones(1, 1, 5, 8), (4, 4)).shape
    torch.Size([1, 1, 8, 8])
    """
    sizes = voxels.shape[-len(multiples) :]
    counts = [-(-size // multiple) for size, multiple in zip(sizes, multiples, strict=True)]
    if cells > 1:
        counts[-1] = max(counts[-1], -(-cells // math.prod(counts[:-1])))
    missing = [count * multiple - size for size, count, multiple in zip(sizes, counts, multiples, strict=True)]
    if not (torch.jit.is_tracing() and cells == 1) and not any(missing):
        return voxels
    widths = [width for extra in reversed(missing) for width in (0, extra)]
    return F.pad(voxels, widths, mode=mode)


def crop_to(voxels: Tensor, shape: Sequence[int]) -> Tensor:
    """Undoes `pad_to_multiple`: the first `shape` voxels of the last dimensions."""
    for axis, size in enumerate(shape, start=voxels.ndim - len(shape)):
        voxels = voxels.narrow(axis, 0, size)
    return voxels


def check_rank(voxels: Tensor, ranks: Sequence[int], channels: int, model: str) -> None:
    """UserError unless the tensor has one of these ranks and this many channels."""
    layouts = {4: "(B, C, H, W)", 5: "(B, C, D, H, W)"}
    if voxels.ndim not in ranks or voxels.shape[1] != channels:
        expected = " or ".join(layouts[rank] for rank in ranks)
        raise UserError(
            f"input of shape {tuple(voxels.shape)} for {model}; expected {expected} with {channels} channels; "
            "reshape the input or create the model with its in_channels"
        )


def set_bias_prior(final: nn.Module, prior: float | Sequence[float]) -> None:
    """Sets a final layer's bias to logit(prior), so that training starts at the base rate.

    With rare foreground a zero bias spends the first steps on pushing every voxel down (Lin et al., ICCV 2017, 3.3).
    `prior` is one probability or one for each output, each strictly between 0 and 1.
    """
    bias = getattr(final, "bias", None)
    if not isinstance(bias, Tensor):
        raise UserError("prior for a model whose last layer has no bias; expected one with a bias; leave prior out")
    values = torch.as_tensor(prior, dtype=torch.float32, device=bias.device).flatten()
    if values.numel() not in (1, bias.numel()) or not bool(((values > 0) & (values < 1)).all()):
        raise UserError(f"prior {prior}; expected one probability between 0 and 1, or {bias.numel()} of them; try 0.01")
    with torch.no_grad():
        bias.copy_(torch.logit(values).expand_as(bias))
