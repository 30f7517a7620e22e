"""Classifiers on timm's backbones: any architecture, any number of window channels, without a network."""

from __future__ import annotations

import difflib
from typing import Any

from torch import nn

from hemobench.errors import UserError
from hemobench.models.padding import add_bias_prior


def create_backbone(
    name: str, in_channels: int, num_outputs: int, image_size: tuple[int, ...] | None = None, **options: Any
) -> nn.Module:
    """timm backbone with a fresh head."""
    import timm

    prior = options.pop("prior", None)
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise UserError(
            f"unknown timm backbone '{name}'; nearest: {', '.join(near) or 'none'}; use one of timm's names"
        )
    model: nn.Module = timm.create_model(name, in_chans=in_channels, num_classes=num_outputs, **options)
    if prior is not None:
        add_bias_prior(model.get_classifier(), prior)
    return model
