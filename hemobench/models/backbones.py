"""Classifiers on timm's backbones: any architecture by its name in timm, any number of window channels."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hemobench.errors import UserError, unknown_name
from hemobench.models.padding import check_rank, pad_to_multiple, set_bias_prior

_BUILD_ERRORS = (TypeError, ValueError, RuntimeError, AssertionError, KeyError, NotImplementedError)


class TimmClassifier(nn.Module):
    """A timm network under `backbone`, with its pooling and a new linear head.

    The head computes in float32 under autocast too: bfloat16 logits have 8 bits, so that hundreds of slices would
    share a score and AUROC would count them as ties. Backbones of a fixed size (ViT, Swin) are built for the given
    `image_size`, rounded up to whole patches; their inputs are padded to it with the edge pixel.
    """

    def __init__(self, name: str, backbone: nn.Module, in_channels: int, patch: int = 1) -> None:
        super().__init__()
        self.name, self.in_channels, self.patch = name, in_channels, patch
        self.backbone = backbone
        _use_float32_heads(backbone)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, num_outputs), float32."""
        check_rank(images, (4,), self.in_channels, f"timm:{self.name}")
        logits: Tensor = self.backbone(pad_to_multiple(images, (self.patch, self.patch)))
        return logits.float()


class Float32Linear(nn.Linear):
    """A linear layer that leaves autocast; same parameters and names as the layer it replaces."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) to logits (B, K) in float32."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            return F.linear(features.float(), self.weight, self.bias)


class Float32Conv2d(nn.Conv2d):
    """The same for the 1x1 convolution that some backbones end in."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F, h, w) to logits (B, K, h, w) in float32."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            return F.conv2d(features.float(), self.weight, self.bias)


def create_backbone(
    name: str,
    in_channels: int,
    num_outputs: int,
    image_size: tuple[int, ...] | None = None,
    *,
    pretrained: bool = False,
    prior: float | Sequence[float] | None = None,
    **options: Any,
) -> nn.Module:
    """timm's `name` (with or without a weight tag) with `in_channels` inputs and `num_outputs` logits.

    `pretrained` fetches the tag's safetensors from the Hub, or takes them from its cache; the first convolution is
    then adapted to the channels as timm does. Other options (`drop_rate`, `drop_path_rate`, ...) go to timm.

    Raises UserError for an unknown backbone (naming the nearest), options timm refuses, weights that cannot be had,
    and an image size that the network cannot take.
    """
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else "nothing near"
        raise UserError(f"unknown timm backbone '{name}'; {hint}; see timm.list_models() for all")
    arguments: dict[str, Any] = {"in_chans": in_channels, "num_classes": num_outputs, **options}
    if pretrained:
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": {"file": _safetensors_file(name)}}
    try:
        model = _sized_model(name, arguments, in_channels, image_size)
        if image_size is not None:
            _probe(model, (1, in_channels, *image_size))
    except UserError:
        raise
    except _BUILD_ERRORS as error:
        size = f" at {tuple(image_size)}" if image_size else ""
        raise UserError(
            f"timm:{name}{size} with {in_channels} channels, options {sorted(options)} cannot be built "
            f"({_first_line(error)}); expected what timm takes; try another image size, fewer options or resnet18"
        ) from error
    if prior is not None:
        for head in _heads(model.backbone):
            set_bias_prior(head, prior)
    return model


def _sized_model(
    name: str, arguments: dict[str, Any], in_channels: int, image_size: tuple[int, ...] | None
) -> TimmClassifier:
    import timm

    config = timm.get_pretrained_cfg(name)
    if image_size is None or config is None or not config.fixed_input_size:
        return TimmClassifier(name, timm.create_model(name, **arguments), in_channels)
    backbone = timm.create_model(name, img_size=tuple(image_size), **arguments)
    patch_size = getattr(getattr(backbone, "patch_embed", None), "patch_size", 1)
    patch = patch_size if isinstance(patch_size, int) else max(patch_size)
    rounded = tuple(-(-size // patch) * patch for size in image_size)
    if rounded != tuple(image_size):
        backbone = timm.create_model(name, img_size=rounded, **arguments)
    return TimmClassifier(name, backbone, in_channels, patch)


def _safetensors_file(name: str) -> str:
    """Local path of the backbone's weights; only safetensors, because timm would fall back to a pickle."""
    import timm
    from huggingface_hub import hf_hub_download

    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        raise unknown_name("weights", name, timm.list_pretrained(f"{name.partition('.')[0]}.*")) from None
    repository = config.hf_hub_id if config is not None else None
    if not repository:
        raise UserError(f"timm:{name} has no weights on the Hub; expected one that has; set pretrained to false")
    try:
        return str(hf_hub_download(repository, "model.safetensors"))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"weights of timm:{name} cannot be fetched ({_first_line(error)[:120]}); expected {repository} on the Hub "
            "or in its cache; connect to the network or set pretrained to false"
        ) from error


def _heads(backbone: nn.Module) -> tuple[nn.Module, ...]:
    """The final layer, or the two of a distilled network."""
    found = backbone.get_classifier()  # type: ignore[operator]
    return tuple(found) if isinstance(found, (tuple, list, nn.ModuleList)) else (found,)


def _use_float32_heads(backbone: nn.Module) -> None:
    """Replaces final linear or 1x1 convolution layers by ones that share their parameters and leave autocast."""
    names = {id(module): name for name, module in backbone.named_modules()}
    for head in _heads(backbone):
        exact: nn.Module
        if type(head).__name__ == "Linear" and isinstance(head, nn.Linear):  # timm has a subclass of that name
            exact = Float32Linear(head.in_features, head.out_features, bias=head.bias is not None, device="meta")
        elif type(head) is nn.Conv2d and head.kernel_size == (1, 1):
            exact = Float32Conv2d(head.in_channels, head.out_channels, 1, bias=head.bias is not None, device="meta")
        else:
            continue
        exact.weight, exact.bias = head.weight, head.bias
        backbone.set_submodule(names[id(head)], exact)


def _probe(model: nn.Module, shape: tuple[int, ...]) -> None:
    """One forward pass on zeros, so that a size the network refuses fails here and not inside the training loop."""
    model.eval()
    with torch.no_grad():
        model(torch.zeros(shape))
    model.train()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
