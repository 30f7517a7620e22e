"""timm's own layout beside ours: `timm.create_model("hf-hub:user/name", pretrained=True)` opens a classifier's folder.

timm wants the weights under the backbone's own names, and its keys in config.json: which architecture, what input and
normalisation, the names of the labels. Ours and timm's keys are different words, so that one file serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from hemobench.inference.config import CheckpointConfig
from hemobench.views.view import ClassificationView

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hemobench.models.backbones import TimmClassifier

PREFIX = "backbone."
KEYS = ("architecture", "num_classes", "num_features", "global_pool", "label_names", "model_args", "pretrained_cfg")


def timm_keys(config: CheckpointConfig, model: nn.Module) -> dict[str, Any]:
    """timm's part of config.json; {} for a network that timm alone cannot compute.

    Our networks take grey from 0 to 1 as it is, which to timm is mean 0 and standard deviation 1. A picture keeps its
    shape and is padded with black, which timm calls the crop mode "border".
    """
    view = config.view
    if not _plain(model) or not isinstance(view, ClassificationView) or view.size % model.patch:
        return {}
    backbone: Any = model.backbone
    own = dict(getattr(backbone, "pretrained_cfg", None) or {})
    options = {name: value for name, value in config.model_options.items() if name not in ("pretrained", "prior")}
    if view.channels != 3:
        options["in_chans"] = view.channels
    if own.get("fixed_input_size"):
        options["img_size"] = [view.size, view.size]
    keys: dict[str, Any] = {
        "architecture": model.name.partition(".")[0],
        "num_classes": len(config.outputs),
        "num_features": int(backbone.num_features),
        "label_names": list(config.outputs),
        "pretrained_cfg": {
            "tag": "hemobench",
            "custom_load": False,
            "input_size": [view.channels, view.size, view.size],
            "fixed_input_size": bool(own.get("fixed_input_size", False)),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "border",
            "mean": [0.0] * view.channels,
            "std": [1.0] * view.channels,
            "num_classes": len(config.outputs),
            "pool_size": None,
            "first_conv": own.get("first_conv"),
            "classifier": own.get("classifier"),
            "license": "apache-2.0",
            "label_names": list(config.outputs),
        },
    }
    pool = getattr(backbone, "global_pool", None)
    pool = getattr(pool, "pool_type", pool)
    if isinstance(pool, str) and pool:
        keys["global_pool"] = pool
    return keys | ({"model_args": options} if options else {})


def without_timm_keys(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Our part of config.json."""
    return {key: value for key, value in mapping.items() if key not in KEYS}


def _plain(model: nn.Module) -> TypeGuard[TimmClassifier]:
    """Whether timm alone can compute a network; one that also looks at maps it cannot."""
    from hemobench.models.backbones import TimmClassifier

    return type(model) is TimmClassifier


def plain_names(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict as it is stored: a backbone's weights under its own names."""
    prefix = PREFIX if _plain(model) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def load_plain(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a stored state dict; folders from before timm's layout have our prefix. Raises RuntimeError if it is none
    of this model's."""
    wrapped = any(name.startswith(PREFIX) for name in state)
    target = model.backbone if _plain(model) and not wrapped else model
    load: Any = target.load_state_dict
    load(dict(state))
