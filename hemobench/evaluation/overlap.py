"""Segmentation metrics of one case on the scan's own grid: voxels, lesions, volumes, and types where they are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.case import Loaded
from hemobench.components import TOUCHING
from hemobench.inference.lesions import occupied_box
from hemobench.labels import LABEL_IDS
from hemobench.metrics.segmentation import segmentation_metrics, voxel_counts

_OF_MILLIMETRES = (
    *("nsd_2mm", "hd95_mm", "volume_ml_true", "volume_ml_pred", "volume_error_ml", "abs_volume_error_ml"),
    *("abc2_ml_true", "abc2_error_ml"),
)


def overlap_metrics(
    loaded: Loaded, found: NDArray[np.uint8], suffix: str, *, spacing_known: bool
) -> dict[str, float] | None:
    """Metrics of a label map (D, H, W) against a case's mask; None for a case without one.

    Those of `segmentation_metrics`, without lengths and volumes where millimetres are nominal, `dice_filled_<suffix>`
    (Dice where there is something to find, NaN elsewhere), lesions (see `lesion_counts`), and `dice_<type>` where both
    have types.
    """
    truth = loaded.ventricle_mask if suffix == "ventricles" else loaded.foreground
    if truth is None:
        return None
    called = found > 0
    metrics = segmentation_metrics(called, truth, loaded.image.affine[:3, :3], suffix)
    if not spacing_known:
        for name in _OF_MILLIMETRES:
            del metrics[f"{name}_{suffix}"]
    metrics[f"dice_filled_{suffix}"] = metrics[f"dice_{suffix}"] if truth.any() else float("nan")
    if suffix == "ventricles":
        return metrics
    # What follows asks for filled voxels alone, which are a thousandth of the scan as a rule.
    box = occupied_box(called | truth) or (slice(0, 1),) * 3
    true, hit, false = lesion_counts(called[box], truth[box])
    metrics[f"lesion_sensitivity_{suffix}"] = hit / true if true else float("nan")
    metrics[f"false_lesions_{suffix}"] = float(false)
    if loaded.label_map is not None:
        own, known = found[box], loaded.label_map[box]
        for name, label in LABEL_IDS.items():
            metrics[f"dice_{name}"] = voxel_counts(own == label, known == label).dice
    return metrics


def lesion_counts(called: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """True lesions, those of them that share a voxel with what was called, and called ones that share none.

    A lesion is a piece of touching voxels (26 neighbours).

    >>> mask = np.zeros((1, 1, 7), dtype=bool)
    >>> truth, called = mask.copy(), mask.copy()
    >>> truth[..., [0, 3]], called[..., [3, 5, 6]] = True, True
    >>> lesion_counts(called, truth)
    (2, 1, 1)
    """
    true, true_count = ndimage.label(truth, structure=TOUCHING)
    pieces, piece_count = ndimage.label(called, structure=TOUCHING)
    both = called & truth
    hit = len(np.unique(true[both]))
    return int(true_count), hit, int(piece_count) - len(np.unique(pieces[both]))
