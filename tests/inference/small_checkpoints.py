"""Small checkpoints of the three families that the study pipeline computes, with random weights, and a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hemobench.inference.checkpoint import Checkpoint, CheckpointConfig, open_checkpoint, write_checkpoint
from hemobench.inference.config import ROLES
from hemobench.models import create_model
from hemobench.views.view import ClassificationView, SegmentationView, View

# role: model, its options, channels, view. 44 rows of the plane are no multiple of 8: the networks pad them.
FAMILIES: dict[str, tuple[str, dict[str, Any], View]] = {
    "slice-classifier": ("timm:resnet10t", {}, ClassificationView(size=64)),
    "haemorrhage": (
        "unet2.5d",
        {"base": 4, "depth": 2, "norm": "batch"},
        SegmentationView(shape=(8, 44, 48)),
    ),
    "ventricles": (
        "unet3d",
        {"base": 4, "depth": 2, "norm": "instance"},
        SegmentationView("ventricles", (1.0, 1.0, 1.0), (20, 44, 48), None),
    ),
}


def small_config(role: str, **changes: Any) -> CheckpointConfig:
    model, options, view = FAMILIES[role]
    task, outputs = ROLES[role]
    values: dict[str, Any] = {
        "name": f"small-{role}",
        "role": role,
        "task": task,
        "model": model,
        "model_options": options,
        "in_channels": view.channels,
        "outputs": outputs,
        "view": view,
    }
    return CheckpointConfig(**{**values, **changes})


def small_model(config: CheckpointConfig) -> nn.Module:
    """The config's network, drawn from one seed; batch norms hold statistics that differ from their start's."""
    torch.manual_seed(0)
    model = create_model(
        config.model,
        task=config.task,
        in_channels=config.in_channels,
        num_outputs=len(config.outputs),
        image_size=config.view.image_size,
        **config.model_options,
    )
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    if config.role == "slice-classifier" and config.model != "paper_cnn":
        with torch.no_grad():
            model.backbone.fc.weight.mul_(100)  # else all logits are 0.0 and no difference would show
    return model.eval()


def small_checkpoint(folder: Path, role: str, **changes: Any) -> Checkpoint:
    config = small_config(role, **changes)
    write_checkpoint(
        folder, small_model(config), config, {"metrics": {}}, "# Card\n", commit="c0ffee", command="python train"
    )
    return open_checkpoint(folder)


def head_batch(channels: int, *spatial: int, batch: int = 2) -> NDArray[np.float32]:
    """A bright ellipse with a darker one inside and some noise, grey from 0 to 1: (batch, channels, *spatial)."""
    axes = [np.linspace(-1, 1, size) for size in spatial]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    head = np.where(radius < 0.9, 0.6, 0.0) - np.where(radius < 0.3, 0.3, 0.0)
    noise = np.random.default_rng(1).normal(0, 0.03, (batch, channels, *spatial))
    return np.clip(head + noise, 0, 1).astype(np.float32)
