"""How a case becomes arrays for a network: its pictures or volume, and what it is to answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Loaded
from hemobench.errors import UserError
from hemobench.labels import LABEL_IDS, SUBTYPES, UNTYPED, slice_labels_from_label_map, with_any
from hemobench.views.grey import display_channels
from hemobench.views.head_box import assumed_scale, network_grid
from hemobench.views.resampling import AxisGrid, resample
from hemobench.views.slices import slice_images
from hemobench.views.view import ClassificationView, SegmentationView, View
from hemobench.volume import Volume


def render(
    loaded: Loaded, view: View, where: str, *, spacing_known: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and targets of one case under a view; `where` names the case in errors. spacing_known: see `Case`.

    Returns: ((D, C, S, S), (D, 6)) for classification, ((1, C, D, H, W), (1, 1, D, H, W)) for segmentation, all uint8.
    """
    if isinstance(view, ClassificationView):
        return _render_slices(loaded, view, where)
    return _render_volume(loaded, view, where, spacing_known)


def _render_slices(loaded: Loaded, view: ClassificationView, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    volume = loaded.image
    images = slice_images(volume, view, where)
    if loaded.slice_labels is not None:
        subtype_labels = loaded.slice_labels
    elif loaded.label_map is not None:
        subtype_labels = slice_labels_from_label_map(loaded.label_map)
    elif loaded.study_labels is not None:
        # All that is known: right for the study (the largest over its slices), too generous for a slice.
        subtype_labels = np.tile(np.asarray(loaded.study_labels, dtype=np.uint8), (volume.shape[0], 1))
    elif loaded.any_labels is not None or loaded.study_any is not None:
        subtype_labels = np.zeros((volume.shape[0], len(SUBTYPES)), dtype=np.uint8)
    else:
        raise UserError(f"{where} has no slice labels; classification needs them; choose another task or data set")
    targets = np.asarray(with_any(subtype_labels), dtype=np.uint8)
    if loaded.any_labels is not None:
        # Blood whose type nobody wrote down.
        targets[:, -1] = np.maximum(targets[:, -1], loaded.any_labels)
    elif loaded.study_any is not None and loaded.slice_labels is None and loaded.label_map is None:
        targets[:, -1] = np.maximum(targets[:, -1], loaded.study_any)
    return images, targets


def _render_volume(
    loaded: Loaded, view: SegmentationView, where: str, spacing_known: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = mask_of(loaded, view.target)
    if mask is None:
        kind = {"subtypes": "label map of types", "ventricles": "mask of the ventricles"}.get(view.target, "label map")
        raise UserError(f"{where} has no {kind}; segmentation needs one; choose another task or data set")
    volume = loaded.image if spacing_known else assumed_scale(loaded.image)
    grey = display_channels(volume, view, where)
    grid = network_grid(volume, view, view.shape)
    image = resample(grey, grid)
    target = _on_grid(mask, view, grid)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)[None], target[None, None]


def mask_of(loaded: Loaded, target: str) -> NDArray[Any] | None:
    """What a case has marked of a view's target: a mask (D, H, W), the label map of `typed_blood` for subtypes, or
    None."""
    if target == "ventricles":
        return loaded.ventricle_mask
    return loaded.foreground if target != "subtypes" else typed_blood(loaded)


def render_mask(
    labels: NDArray[np.uint8], image: Volume, view: SegmentationView, *, spacing_known: bool = True
) -> NDArray[np.uint8]:
    """A label map (D, H, W) of an image on the view's grid, `view.shape`, as `render` brings the true one there: ids of
    types (1..5, UNTYPED) where the view's target is subtypes, 1 for whatever is above 0 elsewhere."""
    volume = image if spacing_known else assumed_scale(image)
    mask = labels if view.target == "subtypes" else labels > 0
    return _on_grid(mask, view, network_grid(volume, view, view.shape))


def _on_grid(mask: NDArray[Any], view: SegmentationView, grid: AxisGrid) -> NDArray[np.uint8]:
    labels = (*LABEL_IDS.values(), UNTYPED) if view.target == "subtypes" else (1,)
    shares = resample(np.stack([np.asarray(mask == label, dtype=np.float32) for label in labels]), grid)
    # 0.5 itself counts, less one rounding error of the interpolation.
    filled = shares.sum(axis=0) >= 0.5 - 1e-4
    return np.where(filled, shares.argmax(axis=0) + 1, 0).astype(np.uint8)


def typed_blood(loaded: Loaded) -> NDArray[np.uint8] | None:
    """Label map (D, H, W) of blood by type, 0..5, and UNTYPED where only the blood is known; None without masks, and
    where nothing tells the types.

    Blood of a mask without types has that of its slice where the slice has one alone.
    """
    if loaded.label_map is not None or loaded.blood_mask is None or loaded.slice_labels is None:
        return loaded.label_map
    ids = np.full(len(loaded.blood_mask), UNTYPED, dtype=np.uint8)
    single = loaded.slice_labels.sum(axis=1) == 1
    ids[single] = loaded.slice_labels[single].argmax(axis=1) + 1
    return np.asarray(loaded.blood_mask * ids[:, None, None], dtype=np.uint8)
