"""Labels that contradict each other inside one case: the study's, its slices' and its masks'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, DatasetInfo, Loaded
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES, with_any

UNKNOWN_LABEL = -1
SEEN_FROM_MM2 = 12.0
"""Blood that a reader could see in a slice: phantoms are labelled by the same rule."""
MASK_WITHOUT_LABEL = "with blood in the mask and none in the labels"
LABEL_WITHOUT_MASK = "with blood in the labels and none in the mask"
OTHER_TYPES = "with other types in the mask than in the labels"
SLICES_WITHOUT_STUDY = "with a type in a slice that the study's labels lack"
STUDY_WITHOUT_SLICES = "with a type in the study's labels that no slice shows"


def known_labels(loaded: Loaded) -> NDArray[np.int8]:
    """What is known of each slice, in the order of CLASSES: (D, 6) of 0, 1 and UNKNOWN_LABEL."""
    known = np.full((loaded.image.shape[0], len(CLASSES)), UNKNOWN_LABEL, dtype=np.int8)
    if loaded.slice_labels is not None:
        known[:] = with_any(loaded.slice_labels)
    if loaded.any_labels is not None:
        known[:, -1] = np.maximum(known[:, -1], loaded.any_labels)
    return known


@dataclass(frozen=True, eq=False)
class _Marks:
    """Where masks mark what can be seen, and anything at all: each (D, 6) by CLASSES, (D, 1) of masks without types."""

    seen: NDArray[np.bool_]
    touched: NDArray[np.bool_]


def contradictions(case: Case, loaded: Loaded, info: DatasetInfo) -> Iterator[tuple[str, int | None]]:
    """Each contradiction of a case in words, with the slice that it is about; None where it is about the study.

    A mask contradicts a label that is 0 where a slice has SEEN_FROM_MM2 of blood, one that is 1 where it has none: a
    sliver between the two may or may not have been seen.
    """
    marks = _marks(loaded) if info.masks != ("ventricles",) else None
    if marks is not None:
        labels = known_labels(loaded)[:, -marks.seen.shape[1] :]
        unlabelled, unmarked = marks.seen & (labels == 0), ~marks.touched & (labels == 1)
        types = (unlabelled | unmarked).any(axis=1) & ~unlabelled[:, -1] & ~unmarked[:, -1]
        for kind, wrong in (
            (MASK_WITHOUT_LABEL, unlabelled[:, -1]),
            (LABEL_WITHOUT_MASK, unmarked[:, -1]),
            (OTHER_TYPES, types),
        ):
            yield from ((kind, int(index)) for index in np.flatnonzero(wrong))
    study = loaded.study_labels or case.study_labels
    if marks is not None and loaded.study_any is not None:
        if loaded.study_any and not marks.touched.any():
            yield LABEL_WITHOUT_MASK, None
        elif not loaded.study_any and marks.seen.any():
            yield MASK_WITHOUT_LABEL, None
    if study is None:
        return
    if loaded.slice_labels is not None or (marks is not None and loaded.label_map is not None):
        yield from ((kind, None) for kind in _types_of_study(np.asarray(study), loaded, marks, info.phantom))
    elif marks is not None and any(study) and not marks.touched.any():
        yield LABEL_WITHOUT_MASK, None
    elif marks is not None and not any(study) and marks.seen.any():
        yield MASK_WITHOUT_LABEL, None


def _types_of_study(study: NDArray[np.int_], loaded: Loaded, marks: _Marks | None, phantom: bool) -> Iterator[str]:
    """What a study's types (5,) say against those of its slices; of its label map where slices have no labels."""
    shown, touched = np.zeros((2, len(SUBTYPES)), dtype=bool)
    if marks is not None and loaded.label_map is not None:
        shown, touched = (np.any(found[:, : len(SUBTYPES)], axis=0) for found in (marks.seen, marks.touched))
    if loaded.slice_labels is not None:
        shown = np.any(loaded.slice_labels, axis=0)
    if np.any(shown & (study == 0)):
        yield SLICES_WITHOUT_STUDY
    # A slice that was left out, of which a remark tells, may be the one that shows it; of a phantom it is known that
    # there is a bleed, however small.
    if np.any(~shown & ~touched & (study == 1)) and not loaded.remarks and not phantom:
        yield STUDY_WITHOUT_SLICES


def _marks(loaded: Loaded) -> _Marks | None:
    ids = loaded.label_map if loaded.label_map is not None else loaded.blood_mask
    if ids is None:
        return None
    # Where a mask holds anything is found at once, and the types are counted there alone: most slices are empty.
    numbers = (*LABEL_IDS.values(), None) if loaded.label_map is not None else (None,)
    voxels = np.zeros((len(ids), len(numbers)), dtype=np.int64)
    for index in np.flatnonzero([plane.any() for plane in ids]):
        voxels[index] = [np.count_nonzero(ids[index] if one is None else ids[index] == one) for one in numbers]
    pixel_mm2 = float(np.linalg.norm(np.cross(loaded.image.affine[:3, 1], loaded.image.affine[:3, 2])))
    return _Marks(voxels * pixel_mm2 >= SEEN_FROM_MM2, voxels > 0)
