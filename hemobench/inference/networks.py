"""What each kind of network says of a volume, brought back to the scan's slices and voxels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, log_softmax, logit, softmax

from hemobench.components import confident_pieces
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.context import in_context, study_logits
from hemobench.inference.lesions import occupied_box
from hemobench.labels import CLASSES
from hemobench.views.resampling import AxisGrid
from hemobench.views.scan_grid import network_input, to_source
from hemobench.views.slices import slice_images
from hemobench.views.sliding import Engine, predict_slices, predict_volume
from hemobench.views.view import ClassificationView, SegmentationView
from hemobench.volume import Volume

Box = tuple[slice, slice, slice]
# Starts the clock of a stage: `with stage("resampling"): ...`.
Stage = Callable[[str], AbstractContextManager[None]]
Real = TypeVar("Real", bound=np.floating)
DEFAULT_THRESHOLD = 0.5
SPOT_MM2 = 50.0
"""Of a slice, how much speaks for it: a bleed of 8 mm across fills it."""
REACH_MM = 40.0
"""From the largest piece of the ventricles: the fourth lies within it. Of 24 phantoms no true voxel was lost so, and
some of what was outlined far away was; at 30 mm up to 1.8 mL of true ones were."""
_SURE = 1e-7
_BATCH = 16


@dataclass(frozen=True, eq=False)
class ClassProbabilities:
    """Probabilities by class (labels.CLASSES): of each slice, arrays (D,), and of the study.

    logits, study_logits: what they were made of, (D, 6) and (6,) in the order of CLASSES: smoothed over
    neighbouring slices, a study's highest slices averaged, not yet calibrated.
    """

    slices: dict[str, NDArray[np.float64]]
    study: dict[str, float]
    logits: NDArray[np.float64]
    study_logits: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BloodField:
    """What a haemorrhage network says on its own grid of a scan. blood: logits (D, H, W); types: logits (5, D, H, W),
    given blood."""

    blood: NDArray[np.float32]
    types: NDArray[np.float32]
    grid: AxisGrid


@dataclass(frozen=True, eq=False)
class Found:
    """A segmenter's answer on the scan's grid.

    labels: (D, H, W) uint8, ids 1 to 5 of blood or 1 of ventricles. probability: (D, H, W) float32, of blood or
    ventricle, wherever there are labels (elsewhere it may be 0). summary: of a haemorrhage network, what its voxels say
    of the slices and the study.
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
    smoothed = np.asarray(in_context(logits, volume.spacing_mm[0], config.context_mm), dtype=np.float64)
    order = [config.outputs.index(name) for name in CLASSES]
    smoothed = smoothed[:, order]
    return judged(config, smoothed, np.asarray(study_logits(smoothed, config.study_slices), dtype=np.float64))


def judged(config: CheckpointConfig, logits: NDArray[np.float64], of_study: NDArray[np.float64]) -> ClassProbabilities:
    """Logits (D, 6) of slices and (6,) of their study, calibrated as a checkpoint says."""
    return ClassProbabilities(
        {name: _calibrated(config, "slice", name, logits[:, place]) for place, name in enumerate(CLASSES)},
        {
            name: float(_calibrated(config, "study", name, of_study[place : place + 1])[0])
            for place, name in enumerate(CLASSES)
        },
        logits,
        of_study,
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
    """Blood by type, see `outlined`, and with `summarise` what its voxels say of the slices and the study."""
    field = blood_field(volume, config, engine, stage, flip_tta=flip_tta)
    with stage("resampling"):
        found = outlined(field, volume, config)
        summary = summary_of(field, volume, config) if summarise else None
    return Found(found.labels, found.probability, summary)


def blood_field(
    volume: Volume, config: CheckpointConfig, engine: Engine, stage: Stage, *, flip_tta: bool = False
) -> BloodField:
    """A haemorrhage network's logits on its own grid of a scan."""
    logits, grid = _run(volume, config, engine, stage, flip_tta)
    return BloodField(logits[0], logits[1:], grid)


def outlined(field: BloodField, volume: Volume, config: CheckpointConfig) -> Found:
    """Blood where its probability, interpolated at the scan's voxels, reaches the checkpoint's threshold.

    The type of a voxel is the likeliest at the nearest point of the network's grid. Where the checkpoint has a
    threshold at the level "lesion", pieces whose likeliest voxel stays below it are left out.
    """
    blood = _calibrated(config, "voxel", "any", field.blood)
    labels, probability, box = _thresholded(blood, field.grid, volume, threshold_of(config, "voxel", "any"))
    if box is not None:
        least = threshold_of(config, "lesion", "any", 0.0)
        labels[box] = confident_pieces(labels[box] > 0, probability[box], least)
        _name_types(labels[box], field.types, field.grid, [side.start for side in box])
    return Found(labels, probability)


def find_ventricles(
    volume: Volume,
    config: CheckpointConfig,
    engine: Engine,
    stage: Stage,
    *,
    flip_tta: bool = False,
    on_window: Callable[[float], None] | None = None,
) -> Found:
    """Ventricles (label 1), where their interpolated probability reaches the threshold, without what lies out of reach
    of the largest piece (`REACH_MM`). `on_window` is that of `predict_volume`."""
    logits, grid = _run(volume, config, engine, stage, flip_tta, on_window)
    with stage("resampling"):
        probability = _calibrated(config, "voxel", "ventricles", logits[0])
        threshold = threshold_of(config, "voxel", "ventricles")
        labels, probability, _ = _thresholded(probability, grid, volume, threshold)
        return Found(within_reach(labels, volume.spacing_mm), probability)


def within_reach(labels: NDArray[np.uint8], spacing_mm: Sequence[float]) -> NDArray[np.uint8]:
    """A mask (D, H, W) without the pieces whose every voxel is farther than `REACH_MM` from the largest."""
    pieces, count = ndimage.label(labels, np.ones((3, 3, 3)))
    if count < 2:
        return labels
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    # All of it about the pieces alone, a hundredth of a scan of thin slices: distances to the largest are the same.
    inside = occupied_box(pieces > 0)
    assert inside is not None
    away_mm = ndimage.distance_transform_edt(pieces[inside] != largest, sampling=spacing_mm)
    nearest = ndimage.minimum(away_mm, pieces[inside], np.arange(1, count + 1))
    kept = np.concatenate([[False], nearest <= REACH_MM])
    return kept[pieces].astype(np.uint8)


def threshold_of(config: CheckpointConfig, level: str, name: str, default: float = DEFAULT_THRESHOLD) -> float:
    """The probability from which a class is called at a level; `default` where the checkpoint says nothing."""
    return config.thresholds.get(level, {}).get(name, default)


def _run(
    volume: Volume,
    config: CheckpointConfig,
    engine: Engine,
    stage: Stage,
    flip_tta: bool,
    on_window: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.float32], AxisGrid]:
    """Logits (K, D, H, W) of a segmenter and the grid that they are on."""
    assert isinstance(config.view, SegmentationView)
    with stage("resampling"):
        seen = network_input(volume, config.view, deep=engine.context is None)
    with stage(config.role):
        logits = predict_volume(
            engine, seen.array, patch=config.view.shape, context=engine.context, flip_tta=flip_tta, on_window=on_window
        )
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
    box = None
    if candidates is not None:
        occupied = grid.part([side.start for side in candidates], [side.stop for side in candidates])
        box = occupied.source_box(volume.shape)
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


def summary_of(field: BloodField, volume: Volume, config: CheckpointConfig) -> ClassProbabilities:
    """What the voxels of a haemorrhage network say of a scan's slices and of the study.

    Of a checkpoint that is calibrated for slices, the likeliest spots of each slice speak for it (`spot_logits`), its
    slices are smoothed over their neighbours and the highest ones speak for the study, as for a classifier; of another
    one, the likeliest voxel's probability is all there is. The network's grid has slices of its own; the scan's lie
    between them.
    """
    place = np.asarray((np.arange(volume.shape[0]) - field.grid.offset[0]) / field.grid.ratio[0], dtype=np.float64)
    if "slice" not in config.calibration:
        logits = _voxel_logits(field, config)
        of_study = logits.max(axis=0)
        return judged(config, _at(place, logits), of_study)
    assert isinstance(config.view, SegmentationView)
    _, *pixel_mm = config.view.spacing_mm
    step_mm = round(field.grid.ratio[0] * volume.spacing_mm[0], 6)
    spots = spot_logits(field, pixel_mm[0] * pixel_mm[1])
    smoothed = np.asarray(in_context(spots, step_mm, config.context_mm), dtype=np.float64)
    of_study = np.asarray(study_logits(smoothed, config.study_slices), dtype=np.float64)
    return judged(config, _at(place, smoothed), of_study)


def spot_logits(field: BloodField, pixel_mm2: float) -> NDArray[np.float64]:
    """Logits (D, 6), five types and any, of the slices of the network's grid: by class the mean over the likeliest
    `SPOT_MM2` of the slice. A type's is the logit of blood plus the logarithm of the type's share."""
    spots = max(1, round(SPOT_MM2 / pixel_mm2))
    shares = log_softmax(field.types, axis=0)
    fields = [*(field.blood + share for share in shares), field.blood]
    flat = np.stack(fields, axis=1).reshape(len(field.blood), len(CLASSES), -1)
    spots = min(spots, flat.shape[2])
    return np.asarray(np.partition(flat, -spots, axis=2)[:, :, -spots:].mean(axis=2), dtype=np.float64)


def _voxel_logits(field: BloodField, config: CheckpointConfig) -> NDArray[np.float64]:
    """Logits (D, 6) of the highest probability of any voxel, by slice of the network's grid and by class."""
    blood = _calibrated(config, "voxel", "any", field.blood)
    fields = [*(blood * share for share in softmax(field.types, axis=0)), blood]
    highest = np.stack([one.max(axis=(1, 2)) for one in fields], axis=1).astype(np.float64)
    return np.asarray(logit(np.clip(highest, _SURE, 1 - _SURE)))


def _at(place: NDArray[np.float64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits (N, 6) of places along the slices (D, 6) of a grid, linear between them."""
    return np.stack([np.interp(place, np.arange(len(column)), column) for column in logits.T], axis=1)
