"""Labels that contradict each other inside one case: the study's, its slices' and its masks'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.case import Case, Loaded
from hemobench.labels import CLASSES, SUBTYPES, slice_labels_from_label_map, with_any

UNKNOWN_LABEL = -1
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


def contradictions(case: Case, loaded: Loaded, masks_are_blood: bool) -> Iterator[tuple[str, int | None]]:
    """Each contradiction of a case in words, with the slice that it is about; None where it is about the study."""
    labels = known_labels(loaded)
    truth = loaded.foreground if masks_are_blood else None
    typed = None if loaded.label_map is None or not masks_are_blood else slice_labels_from_label_map(loaded.label_map)
    if truth is not None:
        # Slice by slice, because that stops at the first bleeding pixel.
        bleeding = np.array([bool(plane.any()) for plane in truth])
        for kind, wrong in (
            (MASK_WITHOUT_LABEL, bleeding & (labels[:, -1] == 0)),
            (LABEL_WITHOUT_MASK, ~bleeding & (labels[:, -1] == 1)),
            (OTHER_TYPES, _other_types(labels, typed) & bleeding & (labels[:, -1] == 1)),
        ):
            yield from ((kind, int(index)) for index in np.flatnonzero(wrong))
    study = loaded.study_labels or case.study_labels
    shown = loaded.slice_labels if loaded.slice_labels is not None else typed
    if study is not None and shown is not None:
        below, above = np.max(shown, axis=0) > study, np.max(shown, axis=0) < study
        if below.any():
            yield SLICES_WITHOUT_STUDY, None
        # A slice that was left out, of which a remark tells, may be the one that shows it.
        if above.any() and not loaded.remarks:
            yield STUDY_WITHOUT_SLICES, None
    elif study is not None and truth is not None and bool(bleeding.any()) != any(study):
        yield (LABEL_WITHOUT_MASK if any(study) else MASK_WITHOUT_LABEL), None


def _other_types(labels: NDArray[np.int8], typed: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    """Slices (D,) whose types are known twice, and differently."""
    types = labels[:, : len(SUBTYPES)]
    if typed is None:
        return np.zeros(len(labels), dtype=bool)
    return np.asarray(np.any((types != UNKNOWN_LABEL) & (types != typed), axis=1))
