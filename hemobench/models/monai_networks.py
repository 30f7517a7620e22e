"""MONAI's 3D segmentation networks by class name, with sizes filled in and inputs padded to what they need."""

from __future__ import annotations

from typing import Any

from torch import nn

from hemobench.errors import unknown_name


def known_networks() -> tuple[str, ...]:
    """Names after `monai:`."""
    return ("BasicUNet", "SegResNet", "UNet")


def create_monai_network(
    name: str, in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None = None, **options: Any
) -> nn.Module:
    """MONAI network."""
    from monai.networks import nets

    if name not in known_networks():
        raise unknown_name("MONAI network", name, known_networks())
    defaults: dict[str, Any] = {"spatial_dims": 3, "in_channels": in_channels, "out_channels": num_outputs}
    if name == "UNet":
        defaults |= {"channels": (16, 32, 64, 128), "strides": (2, 2, 2), "num_res_units": 2}
    model: nn.Module = getattr(nets, name)(**{**defaults, **options})
    return model
