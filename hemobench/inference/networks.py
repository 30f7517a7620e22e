"""What each kind of network says of a volume, brought back to the scan's slices and voxels."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from hemobench.datasets.views import ClassificationView, SegmentationView, slice_images
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.context import in_context, study_logits
from hemobench.inference.engine import Engine
from hemobench.inference.grids import network_input, to_source
from hemobench.inference.lesions import occupied_box
from hemobench.inference.sliding import predict_slices, predict_volume
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.pieces import sure_pieces
from hemobench.resampling import AxisGrid
from hemobench.volume import Volume

Box = tuple[slice, slice, slice]
# Starts the clock of a stage: `with stage("resampling"): ...`.
Stage = Callable[[str], AbstractContextManager[None]]
Real = TypeVar("Real", bound=np.floating)
DEFAULT_THRESHOLD = 0.5
_BATCH = 16


@dataclass(frozen=True, eq=False)
class ClassProbabilities:
    """Probabilities by class (labels.CLASSES): of each slice, arrays (D,), and of the study."""

    slices: dict[str, NDArray[np.float64]]
    study: dict[str, float]


@dataclass(frozen=True, eq=False)
class Found:
    """A segmenter's answer on the scan's grid.

    labels: (D, H, W) uint8, ids 1 to 5 of blood or 1 of ventricles. probability: (D, H, W) float32, of blood or
    ventricle, wherever there are labels (elsewhere it may be 0). summary: of a haemorrhage network, what its voxels say
    of the slices and the study, for want of a classifier.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]
    summary: ClassProbabilities | None = None


def classify(
    volume: Volume, config: CheckpointConfig, engine: Engine, stage: Stage, *, flip_tta: bool = False
) -> ClassProbabilities:
    """Calibrated probabilities of a slice classifier. The study's come from its highest slices' logits, by class."""
    assert isinstance(config.view, ClassificationView)
    with stage("resampling"):
        images = slice_images(volume, config.view, "the scan").astype(np.float32) / np.float32(255)
    with stage("slice-classifier"):
        logits = predict_slices(engine, images, batch=_BATCH, flip_tta=flip_tta)
    logits = in_context(logits, volume.spacing_mm[0], config.context_mm)
    logits = np.asarray(logits, dtype=np.float64)
    by_class = dict(zip(config.outputs, logits.T, strict=True))
    of_study = dict(zip(config.outputs, study_logits(logits, config.study_slices)[:, None], strict=True))
    return ClassProbabilities(
        {name: _calibrated(config, "slice", name, by_class[name]) for name in CLASSES},
        {name: float(_calibrated(config, "study", name, of_study[name])[0]) for name in CLASSES},
    )


def find_blood(
    volume: Volume,
    config: CheckpointConfig,
    engine: Engine,
    stage: Stage,
    *,
    flip_tta: bool = False,
    summarise: bool = True,
) -> Found:
    """Blood by type: where its probability, interpolated at the scan's voxels, reaches the threshold.

    The type of a voxel is the likeliest at the nearest point of the network's grid. Where the checkpoint has a
    threshold at the level "lesion", pieces whose likeliest voxel stays below it are left out.
    """
    logits, grid = _run(volume, config, engine, stage, flip_tta)
    with stage("resampling"):
        blood = _calibrated(config, "voxel", "any", logits[0])
        labels, probability, box = _thresholded(blood, grid, volume, threshold_of(config, "voxel", "any"))
        if box is not None:
            least = threshold_of(config, "lesion", "any", 0.0)
            labels[box] = sure_pieces(labels[box] > 0, probability[box], least)
            _name_types(labels[box], logits[1:], grid, [side.start for side in box])
        summary = _summary(blood, logits[1:], grid, volume.shape[0]) if summarise else None
    return Found(labels, probability, summary)


def find_ventricles(
    volume: Volume, config: CheckpointConfig, engine: Engine, stage: Stage, *, flip_tta: bool = False
) -> Found:
    """Ventricles (label 1), where their interpolated probability reaches the threshold."""
    logits, grid = _run(volume, config, engine, stage, flip_tta)
    with stage("resampling"):
        probability = _calibrated(config, "voxel", "ventricles", logits[0])
        threshold = threshold_of(config, "voxel", "ventricles")
        labels, probability, _ = _thresholded(probability, grid, volume, threshold)
    return Found(labels, probability)


def threshold_of(config: CheckpointConfig, level: str, name: str, default: float = DEFAULT_THRESHOLD) -> float:
    """The probability from which a class is called at a level; `default` where the checkpoint says nothing."""
    return config.thresholds.get(level, {}).get(name, default)


def _run(
    volume: Volume, config: CheckpointConfig, engine: Engine, stage: Stage, flip_tta: bool
) -> tuple[NDArray[np.float32], AxisGrid]:
    """Logits (K, D, H, W) of a segmenter and the grid that they are on."""
    assert isinstance(config.view, SegmentationView)
    with stage("resampling"):
        seen = network_input(volume, config.view, deep=engine.context is None)
    with stage(config.role):
        logits = predict_volume(engine, seen.array, patch=config.view.shape, context=engine.context, flip_tta=flip_tta)
    return logits, seen.grid


def _calibrated(config: CheckpointConfig, level: str, name: str, logits: NDArray[Real]) -> NDArray[Real]:
    slope, offset = config.calibrated(level, name)
    return np.asarray(expit(slope * logits + offset), dtype=logits.dtype)


def _thresholded(
    probability: NDArray[np.float32], grid: AxisGrid, volume: Volume, threshold: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32], Box | None]:
    """Label 1 where a probability (D, H, W) on the network's grid reaches the threshold at the scan's voxels, that
    probability, and the box that holds both; elsewhere both are 0.
    """
    # Pages of zeros that nobody writes to cost no memory.
    labels, near = np.zeros(volume.shape, dtype=np.uint8), np.zeros(volume.shape, dtype=np.float32)
    # Interpolation never exceeds the values around it, so only what lies about these can reach the threshold.
    candidates = occupied_box(probability >= threshold)
    box = None if candidates is None else _source_box(candidates, grid, volume.shape)
    if box is not None:
        near[box] = to_source(probability[None], grid, volume, box=box)[0]
        labels[box] = near[box] >= threshold
    return labels, near, box


def _name_types(labels: NDArray[np.uint8], type_logits: NDArray[np.float32], grid: AxisGrid, corner: list[int]) -> None:
    """Write ids 1 to 5 over the 1 of each voxel in a box of the scan whose first voxel has the index `corner`."""
    filled = np.nonzero(labels)
    nearest = tuple(
        np.clip(np.rint((index + start - offset) / ratio).astype(np.intp), 0, size - 1)
        for index, start, offset, ratio, size in zip(filled, corner, grid.offset, grid.ratio, grid.shape, strict=True)
    )
    at_voxels = (slice(None), *nearest)
    labels[filled] = type_logits[at_voxels].argmax(axis=0) + 1


def _source_box(candidates: Box, grid: AxisGrid, shape: tuple[int, int, int]) -> Box | None:
    """Voxels of the scan that a box of the network's grid takes part in; None where they lie outside the scan."""
    bounds = []
    for side, ratio, offset, size in zip(candidates, grid.ratio, grid.offset, shape, strict=True):
        # A voxel weighs what lies within one step of the coarser of the two grids.
        reach = max(ratio, 1.0)
        low = max(0, math.floor(offset + ratio * side.start - reach))
        high = min(size, math.ceil(offset + ratio * (side.stop - 1) + reach) + 1)
        if low >= high:
            return None
        bounds.append(slice(low, high))
    return bounds[0], bounds[1], bounds[2]


def _summary(
    blood: NDArray[np.float32], type_logits: NDArray[np.float32], grid: AxisGrid, depth: int
) -> ClassProbabilities:
    """Highest probability of any voxel, by class, in each of the scan's slices and in the study.

    The network's grid has slices of its own; the scan's lie between them.
    """
    types = softmax(type_logits, axis=0)
    place = (np.arange(depth) - grid.offset[0]) / grid.ratio[0]
    slices, study = {}, {}
    for name in CLASSES:
        field = blood if name == "any" else blood * types[SUBTYPES.index(name)]
        highest = field.max(axis=(1, 2)).astype(np.float64)
        slices[name] = np.interp(place, np.arange(len(highest)), highest)
        study[name] = float(highest.max())
    return ClassProbabilities(slices, study)
