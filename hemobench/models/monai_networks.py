"""MONAI's 3D segmentation networks by class name, with sizes filled in and inputs padded to what they need."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hemobench.errors import UserError, unknown_name
from hemobench.models.padding import check_pad_mode, check_rank, crop_to, pad_to_multiple, set_bias_prior


@dataclass(frozen=True)
class NetworkSpec:
    """What a MONAI class needs beside channels: default options, what sizes must be multiples of, a fixed size."""

    multiple: int
    options: Mapping[str, Any] = field(default_factory=dict)
    size_option: str | None = None  # name of the constructor's argument for a size that cannot change later
    requires: str | None = None  # package that MONAI imports only when the network is used


_FOUR_STAGES = {"channels": (16, 32, 64, 128), "strides": (2, 2, 2)}
_SMALL_FEATURES = {"features": (16, 16, 32, 64, 128, 16)}

# Sizes near the paper's 1.4 M parameters where a network has a size to choose; the transformers and VNet keep MONAI's.
_NETWORKS: dict[str, NetworkSpec] = {
    "AHNet": NetworkSpec(32, {"psp_block_num": 0}),
    "AttentionUnet": NetworkSpec(8, _FOUR_STAGES),
    "BasicUNet": NetworkSpec(16, _SMALL_FEATURES),
    "BasicUNetPlusPlus": NetworkSpec(16, _SMALL_FEATURES),
    "DynUNet": NetworkSpec(
        8,
        {
            "kernel_size": (3, 3, 3, 3),
            "strides": (1, 2, 2, 2),
            "upsample_kernel_size": (2, 2, 2),
            "filters": (16, 32, 64, 128),
        },
    ),
    "FlexibleUNet": NetworkSpec(32, {"backbone": "efficientnet-b0", "decoder_channels": (64, 48, 32, 24, 16)}),
    "HighResNet": NetworkSpec(1),
    "MedNeXt": NetworkSpec(16, {"init_filters": 16, "kernel_size": 3}),
    "RegUNet": NetworkSpec(8, {"num_channel_initial": 16, "depth": 3, "concat_skip": True}),
    "SegResNet": NetworkSpec(8, {"init_filters": 8}),
    "SegResNetDS": NetworkSpec(8, {"init_filters": 8, "norm": "instance"}),
    "SwinUNETR": NetworkSpec(32, {"feature_size": 12}, requires="einops"),
    "UNETR": NetworkSpec(
        16,
        {"hidden_size": 96, "mlp_dim": 384, "num_heads": 6, "feature_size": 8},
        size_option="img_size",
        requires="einops",
    ),
    "UNet": NetworkSpec(8, {**_FOUR_STAGES, "num_res_units": 2}),
    "VNet": NetworkSpec(16, {"dropout_prob_down": 0.1, "dropout_prob_up": (0.1, 0.1)}),
}
_OTHER = NetworkSpec(32)

_BUILD_ERRORS = (TypeError, ValueError, RuntimeError, AssertionError, KeyError, ImportError)


class MonaiSegmenter(nn.Module):
    """A MONAI network under `network`, called with any size.

    Sizes are padded at the far end to `multiple`, or all to `fixed_size`; logits are cropped back and float32.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        in_channels: int,
        num_outputs: int,
        *,
        multiple: int,
        fixed_size: tuple[int, ...] | None = None,
        pad_mode: str = "replicate",
        prior: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.name, self.in_channels, self.num_outputs = name, in_channels, num_outputs
        self.multiple, self.fixed_size, self.pad_mode = multiple, fixed_size, check_pad_mode(pad_mode)
        self.network = network
        self.offset = None if prior is None else BaseRate(num_outputs, prior)

    def forward(self, voxels: Tensor) -> Tensor:
        """Voxels (B, C, D, H, W) to logits (B, K, D, H, W), float32."""
        check_rank(voxels, (5,), self.in_channels, f"monai:{self.name}")
        cells = 1 if self.fixed_size else 2  # instance norm at the bottom needs more than one value
        padded = pad_to_multiple(voxels, self._multiples(voxels.shape[2:]), self.pad_mode, cells)
        logits = self.network(padded)
        logits = crop_to(self._single_map(logits).float(), voxels.shape[2:])
        return logits if self.offset is None else self.offset(logits)

    def _single_map(self, output: object) -> Tensor:
        """The one map (B, K, ...) of a network's output; a list of one is opened, several have no single meaning."""
        if isinstance(output, (list, tuple)) and len(output) == 1:
            output = output[0]
        if isinstance(output, Tensor) and output.ndim == 5 and output.shape[1] == self.num_outputs:
            return output
        came = tuple(output.shape) if isinstance(output, Tensor) else f"{type(output).__name__} of several"
        raise UserError(
            f"monai:{self.name} returned {came}; expected one map (B, {self.num_outputs}, D, H, W); "
            f"leave deep supervision off or use one of {', '.join(known_networks())}"
        )

    def _multiples(self, size: Sequence[int]) -> tuple[int, ...]:
        """Numbers to pad to multiples of; UserError for an input that a fixed size cannot hold."""
        if self.fixed_size is not None:
            if any(given > fixed for given, fixed in zip(size, self.fixed_size, strict=True)):
                raise UserError(
                    f"input of size {tuple(size)} for monai:{self.name}; expected at most {self.fixed_size}; "
                    "create it with this image_size or use a sliding window"
                )
            return self.fixed_size
        return (self.multiple,) * 3


class BaseRate(nn.Module):
    """Adds one learned number to each output's logits, at first the base rate's logit.

    MONAI's networks end in different layers, some without a bias, so the prior gets its own.
    """

    def __init__(self, num_outputs: int, prior: float | Sequence[float]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_outputs))
        set_bias_prior(self, prior)

    def forward(self, logits: Tensor) -> Tensor:
        """Logits (B, K, ...) moved by the bias (K,)."""
        return logits + self.bias.view(-1, *[1] * (logits.ndim - 2))


def known_networks() -> tuple[str, ...]:
    """Names of the MONAI classes that come with defaults and a test.

    >>> "SegResNet" in known_networks()
    True
    """
    return tuple(_NETWORKS)


def create_monai_network(
    name: str,
    in_channels: int,
    num_outputs: int,
    image_size: tuple[int, ...] | None = None,
    *,
    multiple: int | None = None,
    pad_mode: str = "replicate",
    prior: float | Sequence[float] | None = None,
    **options: Any,
) -> nn.Module:
    """MONAI's class `name` as a segmenter; `options` go to its constructor over the defaults here.

    Classes outside `known_networks()` work too where they take in_channels and out_channels and `options` hold
    what else they need; their inputs are padded to multiples of 32, or of `multiple`. UNETR is built for one size,
    `image_size` rounded up.

    Raises UserError for an unknown class or option, a missing one, and what MONAI refuses.
    """
    spec = _NETWORKS.get(name, _OTHER)
    constructor = _network_class(name)
    if spec.requires is not None and importlib.util.find_spec(spec.requires) is None:
        raise UserError(f"monai:{name} without {spec.requires}; expected it installed; run pip install {spec.requires}")
    step = spec.multiple if multiple is None else multiple
    channels = {"spatial_dims": 3, "in_channels": in_channels, "out_channels": num_outputs, "num_classes": num_outputs}
    parameters = inspect.signature(constructor).parameters
    arguments = {key: value for key, value in channels.items() if key in parameters} | dict(spec.options) | options
    fixed_size = None
    if spec.size_option is not None:
        fixed_size = _rounded_size(name, image_size, step)
        arguments[spec.size_option] = fixed_size
    _check_options(name, arguments, parameters)
    try:
        network = constructor(**arguments)
    except UserError:
        raise
    except _BUILD_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"monai:{name} with {in_channels} channels, options {sorted(options)} cannot be built ({reason}); "
            "expected what MONAI's class takes; change the options or use monai:SegResNet"
        ) from error
    return MonaiSegmenter(
        name,
        network,
        in_channels,
        num_outputs,
        multiple=step,
        fixed_size=fixed_size,
        pad_mode=pad_mode,
        prior=prior,
    )


def _network_class(name: str) -> type[nn.Module]:
    from monai.networks import nets

    found = getattr(nets, name, None)
    takes = inspect.signature(found).parameters if inspect.isclass(found) and issubclass(found, nn.Module) else {}
    if found is None or "in_channels" not in takes or not {"out_channels", "num_classes"} & set(takes):
        raise unknown_name("MONAI network", name, known_networks())
    network_class: type[nn.Module] = found
    return network_class


def _check_options(name: str, arguments: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for option in arguments:
        if option not in parameters and not open_ended:
            known = [*(key for key in parameters if key not in {"in_channels", "out_channels"}), "multiple", "pad_mode"]
            raise unknown_name(f"option of monai:{name}", option, known)
    missing = [
        key
        for key, each in parameters.items()
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD and key not in arguments
    ]
    if missing:
        raise UserError(
            f"monai:{name} without {', '.join(missing)}; expected them as options; "
            f"give them or use one of {', '.join(known_networks())}"
        )


def _rounded_size(name: str, image_size: tuple[int, ...] | None, step: int) -> tuple[int, ...]:
    if image_size is None or len(image_size) != 3:
        raise UserError(
            f"monai:{name} with image_size={image_size}; expected (D, H, W), it is built for one size; "
            "give image_size or use monai:SegResNet"
        )
    return tuple(-(-size // step) * step for size in image_size)
