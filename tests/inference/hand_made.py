"""Checkpoints whose networks are set by hand, so that what the whole pipeline must answer is known without training.

The segmenters see one voxel at a time: logit = slope * grey + offset, exactly, through a real U-Net's layers. The slice
classifier answers by how much of a slice is brighter than a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hemobench.inference.checkpoint import write_checkpoint
from hemobench.inference.config import ROLES, CheckpointConfig
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.models import create_model
from hemobench.models.unet import UNet
from hemobench.views.view import ClassificationView, SegmentationView
from hemobench.views.windows import apply_window

CARD = "# Hand-made\n\nWeights set by hand for tests. Research use only.\n"
# logit = SLOPE * (grey - threshold): a tenth of the window away from the threshold the answer is sure (0.98).
SLOPE = 40.0
Lines = Sequence[tuple[float, float]]


@torch.no_grad()
def set_voxelwise(network: UNet, lines: Lines, channel: int = 0) -> None:
    """Make a U-Net of depth 1 without norm answer slope * grey + offset of each voxel, one line an output.

    `channel` of the input is the grey, at least 0: it passes every ReLU unchanged, along the skip connection.
    """
    for parameter in network.parameters():
        parameter.zero_()
    first, second = network.contract[0][0], network.contract[0][3]
    # The skip connection comes first in what the expanding pair sees.
    third, fourth = network.expand[0][0], network.expand[0][3]
    for layer, source in ((first, channel), (second, 0), (third, 0), (fourth, 0), (network.two_channels, 0)):
        layer.weight[(0, source, *(size // 2 for size in layer.kernel_size))] = 1.0
    for output, (slope, offset) in enumerate(lines):
        network.final.weight[output].flatten()[0] = slope
        network.final.bias[output] = offset


def voxelwise_unet(model: str, lines: Lines, **options: Any) -> nn.Module:
    """`unet2.5d` or `unet3d` of depth 1 with `lines` for outputs."""
    network = create_model(
        model, task="segmentation", in_channels=1, num_outputs=len(lines), base=2, depth=1, norm="none", **options
    )
    # The 2.5D network's channels are neighbouring slices; the middle one is the slice itself.
    unet, channel = (network.unet, network.context) if model.startswith("unet2") else (network, 0)
    set_voxelwise(unet, lines, channel)
    return network


def blood_checkpoint(
    directory: Path,
    *,
    threshold_hu: float = 62.0,
    window: str = "brain",
    view: SegmentationView | None = None,
    subtype: str = "intraparenchymal",
    brighter: tuple[float, str] | None = None,
    voxel_threshold: float = 0.5,
    **config: Any,
) -> Path:
    """A haemorrhage checkpoint: blood is what is brighter than `threshold_hu` in the window, all of one `subtype`.

    With `brighter` = (HU, subtype) blood above that is of another type. Bone is as bright as a window is, so scans for
    it should have none. Writes to `directory` and returns it.
    """
    grey = float(apply_window(np.array([threshold_hu]), window)[0])
    lines = {"any": (SLOPE, -SLOPE * grey)} | dict.fromkeys(SUBTYPES, (0.0, -10.0))
    lines[subtype] = (0.0, 0.0)
    if brighter is not None:
        hu, other = brighter
        lines[other] = (SLOPE, -SLOPE * float(apply_window(np.array([hu]), window)[0]))
    options = {"base": 2, "depth": 1, "norm": "none", "context": 1}
    return _write(
        directory,
        voxelwise_unet("unet2.5d", [lines[name] for name in ROLES["haemorrhage"][1]], context=1),
        role="haemorrhage",
        model="unet2.5d",
        model_options=options,
        view=view or SegmentationView("subtypes", (5.0, 1.4, 1.4), (32, 128, 112), window),
        thresholds={"voxel": {"any": voxel_threshold}},
        **config,
    )


def ventricle_checkpoint(directory: Path, *, threshold_grey: float = 0.65, **config: Any) -> Path:
    """A ventricle checkpoint for MR: ventricle is what is brighter than a grey between the scan's percentiles."""
    return _write(
        directory,
        voxelwise_unet("unet3d", [(SLOPE, -SLOPE * threshold_grey)]),
        role="ventricles",
        model="unet3d",
        model_options={"base": 2, "depth": 1, "norm": "none"},
        view=SegmentationView("ventricles", (1.5, 1.5, 1.5), (64, 96, 80), None),
        thresholds={"voxel": {"ventricles": 0.5}},
        **config,
    )


def ct_ventricle_checkpoint(directory: Path, *, threshold_hu: float = 45.0, **config: Any) -> Path:
    """A ventricle checkpoint for CT: ventricle is what is brighter than `threshold_hu` in the brain window."""
    grey = float(apply_window(np.array([threshold_hu]), "brain")[0])
    return _write(
        directory,
        voxelwise_unet("unet3d", [(SLOPE, -SLOPE * grey)]),
        role="ventricles-ct",
        model="unet3d",
        model_options={"base": 2, "depth": 1, "norm": "none"},
        view=SegmentationView("ventricles", (3.0, 1.5, 1.5), (32, 96, 80), "brain"),
        thresholds={"voxel": {"ventricles": 0.5}},
        **config,
    )


def slice_checkpoint(
    directory: Path,
    *,
    threshold_hu: float = 62.0,
    subtypes: Sequence[str] = ("intraparenchymal",),
    gain: float = 200.0,
    offset: float = -4.0,
    size: int = 64,
    calibration: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
    **config: Any,
) -> Path:
    """A slice classifier on the brain window. With m = mean over the slice of max(0, grey - threshold), after 2 x 2
    max pooling, the logits of `any` and of `subtypes` are gain * m + offset; the other types' are -6.
    """
    view = ClassificationView(("brain",), size)
    options: dict[str, Any] = {"depth": 1, "width": 1, "hidden": 1, "dropout": 0.0}
    network = create_model(
        "paper_cnn",
        task="classification",
        in_channels=1,
        num_outputs=len(CLASSES),
        image_size=view.image_size,
        **options,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.features[0].weight[0, 0, 1, 1] = 1.0
        network.features[0].bias[0] = -float(apply_window(np.array([threshold_hu]), "brain")[0])
        network.features[3].weight[0, 0, 1, 1] = 1.0
        network.dense[0].weight.fill_(1.0 / network.dense[0].in_features)
        network.dense[3].weight.fill_(1.0)
        for index, name in enumerate(CLASSES):
            positive = name == "any" or name in subtypes
            network.final.weight[index] = gain if positive else 0.0
            network.final.bias[index] = offset if positive else -6.0
    return _write(
        directory,
        network,
        role="slice-classifier",
        model="paper_cnn",
        model_options=options,
        view=view,
        calibration=calibration or {},
        thresholds=thresholds or {"slice": dict.fromkeys(CLASSES, 0.5), "study": dict.fromkeys(CLASSES, 0.5)},
        **config,
    )


def _write(directory: Path, network: nn.Module, *, role: str, view: Any, **config: Any) -> Path:
    task, outputs = ROLES[role]
    complete = CheckpointConfig(
        **{
            "name": f"hand-made-{role}",
            "role": role,
            "task": task,
            "in_channels": view.channels,
            "outputs": outputs,
            "view": view,
            "threshold_rule": "set by hand",
            "training": {"data": "none", "phantom": False},
            **config,
        }
    )
    # Not halved: the weights are what the tests compute with.
    write_checkpoint(directory, network, complete, {}, CARD, commit="0" * 40, command="by hand", half=False)
    return directory
