"""One door to every network: `create_model(name, ...)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from hemobench.errors import UserError, unknown_name
from hemobench.models.backbones import create_backbone
from hemobench.models.monai_networks import create_monai_network, known_networks
from hemobench.models.names import FAMILY
from hemobench.models.paper_cnn import PaperCNN
from hemobench.models.timm_unet import create_locating_classifier, create_timm_unet
from hemobench.models.unet import UNet, UNet2D, UNet3D

TASKS = ("classification", "segmentation")


def _paper_cnn(in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None, **options: Any) -> nn.Module:
    return PaperCNN(in_channels, num_outputs, image_size, **options)


def _unet2d(in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None, **options: Any) -> nn.Module:
    return UNet2D(in_channels, num_outputs, **options)


def _unet25d(in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None, **options: Any) -> nn.Module:
    return UNet2D(in_channels, num_outputs, **{"context": 1, **options})


def _unet3d(in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None, **options: Any) -> nn.Module:
    return UNet3D(in_channels, num_outputs, **options)


def _options(*owners: Callable[..., Any]) -> tuple[str, ...]:
    """Keyword-only parameters of these constructors: what a user may set by name."""
    found: list[str] = []
    for owner in owners:
        parameters = inspect.signature(owner).parameters.values()
        found += [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in found]
    return tuple(found)


_Builder = Callable[..., nn.Module]
_MODELS: dict[str, tuple[str, _Builder, tuple[str, ...]]] = {
    "paper_cnn": ("classification", _paper_cnn, _options(PaperCNN)),
    "unet2d": ("segmentation", _unet2d, _options(UNet)),
    "unet2.5d": ("segmentation", _unet25d, _options(UNet2D, UNet)),
    "unet3d": ("segmentation", _unet3d, _options(UNet)),
}


def known_models(task: str | None = None) -> tuple[str, ...]:
    """Names `create_model` takes, of one task or of both; `timm:<backbone>` stands for every backbone timm has.

    >>> known_models("classification")
    ('paper_cnn', 'timm:<backbone>', 'timm-unet:<backbone>')
    """
    classifiers = ("paper_cnn", "timm:<backbone>", f"{FAMILY}:<backbone>")
    own = tuple(name for name, entry in _MODELS.items() if entry[0] == "segmentation")
    segmenters = (*own, classifiers[-1], *(f"monai:{network}" for network in known_networks()))
    every = tuple(dict.fromkeys(classifiers + segmenters))
    return {"classification": classifiers, "segmentation": segmenters}.get(task or "", every)


def create_model(
    name: str,
    *,
    task: str,
    in_channels: int,
    num_outputs: int,
    image_size: tuple[int, ...] | None = None,
    **options: Any,
) -> nn.Module:
    """Network by name, with freshly drawn weights.

    Classifiers map (B, C, H, W) to logits (B, num_outputs); segmenters map (B, C, D, H, W) to logits
    (B, num_outputs, D, H, W) of the same size. `image_size` is (H, W) or (D, H, W), for networks whose layers depend
    on it. Every model takes `prior`, the base rate that its last bias starts from; the others of its `options` are
    its class's keyword-only parameters.

    Raises UserError for a name, task or option that is not known, and for a model of the other task.
    """
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    if in_channels < 1 or num_outputs < 1:
        raise UserError(f"in_channels={in_channels}, num_outputs={num_outputs}; expected 1 or more; check the config")
    family, _, member = name.partition(":")
    if family == "timm" and member:
        _check_task(name, "classification", task)
        return create_backbone(member, in_channels, num_outputs, image_size, **options)
    if family == FAMILY and member and task == "classification":
        return create_locating_classifier(member, in_channels, num_outputs, image_size, **options)
    if family == FAMILY and member:
        return create_timm_unet(member, in_channels, num_outputs, **options)
    if family == "monai" and member:
        _check_task(name, "segmentation", task)
        return create_monai_network(member, in_channels, num_outputs, image_size, **options)
    if name not in _MODELS:
        raise unknown_name("model", name, known_models())
    home, build, known = _MODELS[name]
    _check_task(name, home, task)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of model '{name}'", option, known)
    return build(in_channels, num_outputs, image_size, **options)


def count_parameters(model: nn.Module, *, trainable: bool = False) -> int:
    """Number of weights and biases, all of them or the trainable ones.

    >>> count_parameters(create_model("unet3d", task="segmentation", in_channels=1, num_outputs=1))
    1401413
    """
    return sum(each.numel() for each in model.parameters() if each.requires_grad or not trainable)


def _check_task(name: str, home: str, task: str) -> None:
    if home != task:
        names = ", ".join(known_models(task)[:6])
        raise UserError(f"model '{name}' for {task}; it does {home}; use one of {names}")
