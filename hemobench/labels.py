"""Haemorrhage types, the `any` rule, the paper's six classes and the ids of a label map, each defined once."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError

SUBTYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
CLASSES = (*SUBTYPES, "any")
LABEL_IDS = MappingProxyType({name: number for number, name in enumerate(SUBTYPES, start=1)})
PAPER_CLASSES = (*SUBTYPES, "multiple")
NO_PAPER_CLASS = -1
UNKNOWN = 255
"""In label maps of slices: it bleeds, nobody wrote down where (`datasets.slice_masks`)."""
UNTYPED = 6
"""In the targets of a segmentation by type: blood whose type nobody wrote down (`datasets.views.typed_blood`)."""
_MULTIPLE = PAPER_CLASSES.index("multiple")


def with_any(subtype_labels: ArrayLike) -> NDArray[np.uint8]:
    """Append `any`, which is 1 when one of the five types is: (..., 5) of 0/1 -> (..., 6) uint8 in order CLASSES.

    >>> with_any([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0]]).tolist()
    [[0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
    """
    labels = _binary_subtypes(subtype_labels)
    return np.concatenate([labels, labels.max(axis=-1, keepdims=True)], axis=-1)


def slice_labels_from_label_map(label_map: NDArray[np.integer], min_voxels: int = 1) -> NDArray[np.uint8]:
    """Which types each slice shows: label map (D, H, W) with ids 0..5 -> (D, 5) uint8.

    A type counts as present in a slice from `min_voxels` voxels on, so that a sliver left by resampling can be
    ignored. Raises UserError for ids outside 0..5.
    """
    if label_map.ndim != 3:
        raise UserError(f"label map of shape {label_map.shape}; expected (D, H, W); pass one study's volume")
    if label_map.size and (label_map.min() < 0 or label_map.max() > len(SUBTYPES)):
        raise UserError(
            f"label map with ids {int(label_map.min())}..{int(label_map.max())}; expected 0 for background and "
            f"1..{len(SUBTYPES)} for {', '.join(SUBTYPES)}; map the ids first"
        )
    labels = np.zeros((len(label_map), len(SUBTYPES)), dtype=np.uint8)
    # Most slices of most studies are empty; the others are counted type by type.
    occupied = np.flatnonzero([one.any() for one in label_map])
    for number in LABEL_IDS.values():
        counts = np.array([np.count_nonzero(label_map[one] == number) for one in occupied], dtype=np.int64)
        labels[occupied, number - 1] = counts >= max(1, min_voxels)
    return labels


def to_paper_class(subtype_labels: ArrayLike) -> NDArray[np.int64]:
    """Index into PAPER_CLASSES of each picture: (..., 5) of 0/1 -> (...) int64.

    One type gives that type, two or more give `multiple`, none gives NO_PAPER_CLASS (-1): the paper trained on
    bleeding pictures only and has no class for normal ones.

    >>> to_paper_class([[0, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).tolist()
    [2, 5, -1]
    """
    labels = _binary_subtypes(subtype_labels)
    count = labels.sum(axis=-1)
    single = np.where(count == 1, labels.argmax(axis=-1), NO_PAPER_CLASS)
    return np.where(count > 1, _MULTIPLE, single).astype(np.int64)


def from_paper_class(paper_class: ArrayLike) -> NDArray[np.float32]:
    """What a paper class says about CLASSES: indices (...) -> (..., 6) float32 of 0, 1 and NaN.

    `multiple` says that there is blood but not which types, so its five types are NaN (unknown) and `any` is 1;
    NO_PAPER_CLASS is all zeros.

    >>> from_paper_class([1, 5, -1]).tolist()[1:]
    [[nan, nan, nan, nan, nan, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    indices = np.asarray(paper_class)
    if not np.issubdtype(indices.dtype, np.integer) or np.any((indices < NO_PAPER_CLASS) | (indices > _MULTIPLE)):
        raise UserError(f"paper class outside -1..{_MULTIPLE}; expected one of {', '.join(PAPER_CLASSES)}; recode")
    labels = np.zeros((*indices.shape, len(CLASSES)), dtype=np.float32)
    for index in range(len(SUBTYPES)):
        labels[indices == index, index] = 1.0
    labels[indices == _MULTIPLE, : len(SUBTYPES)] = np.nan
    labels[indices != NO_PAPER_CLASS, -1] = 1.0
    return labels


def _binary_subtypes(subtype_labels: ArrayLike) -> NDArray[np.uint8]:
    labels = np.asarray(subtype_labels)
    if labels.ndim == 0 or labels.shape[-1] != len(SUBTYPES):
        raise UserError(f"labels of shape {labels.shape}; expected (..., 5): {', '.join(SUBTYPES)}; reorder")
    if not np.isin(labels, (0, 1)).all():
        raise UserError("labels with values other than 0 and 1; expected presence of each type; threshold them first")
    return labels.astype(np.uint8)
