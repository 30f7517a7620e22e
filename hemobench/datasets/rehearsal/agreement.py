"""Masks that agree with slice labels, for layouts that have both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Loaded
from hemobench.errors import UserError
from hemobench.labels import LABEL_IDS


def agreed_ids(loaded: Loaded) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label map (D, H, W) and slice labels (D, 5) of a CT phantom, made to say the same.

    A phantom's slice has a type from some voxels on; slivers below that, which no reader of a scan would call, are
    taken out of the map. Raises UserError for a study without masks.
    """
    if loaded.label_map is None or loaded.slice_labels is None:
        raise UserError("a study without label map; expected CT phantoms; build from 'phantom'")
    ids = loaded.label_map.copy()
    for column, number in enumerate(LABEL_IDS.values()):
        unseen = loaded.slice_labels[:, column] == 0
        ids[unseen] = np.where(ids[unseen] == number, 0, ids[unseen])
    return ids, loaded.slice_labels
