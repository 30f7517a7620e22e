"""Whether what came in looks like a head at all, or like noise, a label map, another part of the body, a photograph.

Pictures of slices are judged by a small forest of decision trees on the numbers of `head_picture`; it lies beside this
module as plain numbers (`headlike.json`); `benchmarks/not_a_head.py` measures it, and docs/input.md says what it found.
A scan of several slices is judged by its slices together: the base of the skull and the vertex look like much else.
What is doubtful is answered under a warning; label maps alone, which cannot be scans, are refused (`refuse_labels`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.inference.head_picture import features_of
from hemobench.io.values import sampled
from hemobench.views.windows import Window, apply_window, get_window
from hemobench.volume import GREY, Volume

NO_HEAD_CT, NO_HEAD_MR = "this does not look like a head CT", "this does not look like an MRI of a head"
"""How the line begins that stands above an answer to what looks like no head."""
_MOST_SLICES = 8
# Of a scan's slices the best third counts: a CT from the neck to the vertex is a head's too.
_BEST = 0.7
# A slice with less tissue than this share of the fullest one's says nothing.
_FULL, _TISSUE_HU = 0.25, -300.0
# A head is one in both windows; a trunk's fat, which tells it from a head, is black in the first.
_WINDOWS = (get_window("brain"), Window("soft tissue", 40, 400))
# Of soft tissue and fat together: a GE head has 0.14, of phantoms the most is 0.11, trunks and limbs have 0.26 to 0.46.
_FAT_HU, _SOFT_HU, _MOST_FAT = (-150.0, -30.0), (-200.0, 200.0), 0.3
# Colour that no grey picture has: overlays and labels are less.
_COLOURED = 0.3
# Neighbours that have one value, which noise forbids a scanner; those at the ends of a window are left out.
_LABEL_SHARE, _LEAST_PAIRS, _MOST_LABELS = 0.8, 200, 4000
_FEW_GREYS = 8
# Neighbours that know nothing of each other.
_NOISE_BELOW = 0.35
# An MR of a head, in mm and shares: its extent, and its size at the upper end, where a limb or a trunk goes on.
_MR_SIDES_MM, _MR_END = (90.0, 300.0), 0.85
_LEAST_MR_SLICES = 8
# MR has no values below 0, but for a few voxels' ringing; CT has fat and skin's edge.
_BELOW_MR, _LEAST_BELOW = -30.0, 0.003


def unlike_a_head(volume: Volume, *, spacing_known: bool, coloured: float = 0.0) -> str:
    """What a scan (CT in HU, a grey picture 0..1, or MR; in S-P-L) is unlike a head in, as a line; "" for a head.

    coloured: the share of a picture that is in colour.
    """
    voxels = np.asarray(volume.voxels)
    said = NO_HEAD_MR if volume.modality == "MR" else NO_HEAD_CT
    if float(voxels.min()) == float(voxels.max()):
        return f"{said}: it has one value alone"
    if coloured > _COLOURED:
        return f"{said}: {coloured:.0%} of it is in colour, as in photographs"
    if len(voxels) == 1 and len(np.unique(voxels)) <= _FEW_GREYS:
        return f"{said}: it has {len(np.unique(voxels))} values alone, as masks and drawings"
    if _is_noise(voxels):
        return f"{said}: neighbouring pixels have nothing in common, as in noise"
    if volume.modality == "MR":
        reason = _unlike_mr(volume, spacing_known)
        return f"{said}: {reason}" if reason else ""
    if volume.modality != GREY and (fat := _fat_share(voxels)) > _MOST_FAT:
        return f"{said}: {fat:.0%} of its soft tissue is fat, as of a trunk or a limb"
    if head_likeness(volume) >= float(_forest()["least"]):
        return ""
    shown = "the picture has" if len(voxels) == 1 else "its slices have"
    return f"{said}: {shown} not the outline, skull and brain of one"


def head_likeness(volume: Volume) -> float:
    """From 0 to 1, how much the slices of a CT (HU) or grey picture (0..1) look like those of a head."""
    voxels = np.asarray(volume.voxels)
    chosen = _telling(voxels, 0.08 if volume.modality == GREY else _TISSUE_HU)
    if volume.modality == GREY:
        return float(np.quantile(likeness_of([voxels[index] for index in chosen]), _BEST))
    shown = [likeness_of([apply_window(voxels[index], window) for index in chosen]) for window in _WINDOWS]
    return float(np.mean([np.quantile(one, _BEST) for one in shown]))


def likeness_of(pictures: list[NDArray[np.floating]]) -> NDArray[np.float64]:
    """From 0 to 1 for each picture (rows, columns) of grey in 0..1: the mean over the trees."""
    forest = _forest()
    found = [features_of(one) for one in pictures]
    rows = np.array([[one[name] for name in forest["names"]] for one in found])
    votes = np.zeros(len(rows))
    for tree in forest["trees"]:
        feature, threshold, left, right, share = (np.asarray(part) for part in tree)
        at = np.zeros(len(rows), dtype=int)
        while (inner := left[at] >= 0).any():
            lower = rows[np.arange(len(rows)), feature[at]] <= threshold[at]
            at = np.where(inner, np.where(lower, left[at], right[at]), at)
        votes += share[at]
    return votes / len(forest["trees"])


def refuse_labels(volume: Volume) -> None:
    """Raise UserError for voxels that are ids of structures, as FreeSurfer's: whole numbers, alike over whole areas."""
    some = sampled(volume.voxels)
    if not np.array_equal(some, np.rint(some)):
        return
    share, values = _same_share(np.asarray(volume.voxels))
    if share >= _LABEL_SHARE and values <= _MOST_LABELS:
        raise UserError(
            "the values are whole numbers, the same over whole areas, as in a label map; expected the scan itself; "
            "give the image that the labels belong to"
        )


def _same_share(voxels: NDArray[Any]) -> tuple[float, int]:
    """Of neighbours in a row that are not the lowest, highest or most common value, how many are equal; how many values
    there are."""
    step = max(1, len(voxels) // _MOST_SLICES)
    some = voxels[::step]
    values, counts = np.unique(some, return_counts=True)
    common = values[counts.argmax()]
    inside = (some > values[0]) & (some < values[-1]) & (some != common)
    pair = inside[:, :, 1:] & inside[:, :, :-1]
    if np.count_nonzero(pair) < _LEAST_PAIRS:
        return 0.0, len(values)
    return float(np.mean(some[:, :, 1:][pair] == some[:, :, :-1][pair])), len(values)


def _fat_share(voxels: NDArray[Any]) -> float:
    """How much of the soft tissue of a CT in HU is fat; 0 where there is hardly any tissue."""
    some = voxels[:, ::3, ::3]
    soft = np.count_nonzero((some > _SOFT_HU[0]) & (some < _SOFT_HU[1]))
    return np.count_nonzero((some > _FAT_HU[0]) & (some < _FAT_HU[1])) / soft if soft >= _LEAST_PAIRS else 0.0


def _is_noise(voxels: NDArray[Any]) -> bool:
    """Whether neighbours in the rows of the middle slices do not resemble each other at all."""
    middle = voxels[len(voxels) // 3 : 2 * len(voxels) // 3 + 1]
    middle = middle[:: max(1, len(middle) // _MOST_SLICES)].astype(np.float64)
    one, other = middle[:, :, 1:].ravel(), middle[:, :, :-1].ravel()
    if one.size < _LEAST_PAIRS or one.std() == 0 or other.std() == 0:
        return False
    return float(np.corrcoef(one, other)[0, 1]) < _NOISE_BELOW


def _telling(voxels: NDArray[Any], above: float) -> list[int]:
    """Which slices to look at: some, evenly, of those with a good part of the tissue that the fullest has."""
    areas = (voxels[:, ::4, ::4] > above).mean(axis=(1, 2))
    full = np.flatnonzero(areas >= _FULL * areas.max())
    places = np.unique(np.linspace(0, len(full) - 1, min(_MOST_SLICES, len(full))).round().astype(int))
    return [int(full[place]) for place in places]


def _unlike_mr(volume: Volume, spacing_known: bool) -> str:
    voxels = np.asarray(volume.voxels)
    if np.mean(voxels[:, ::2, ::2] < _BELOW_MR) > _LEAST_BELOW:
        return "its values are those of a CT"
    if len(voxels) < _LEAST_MR_SLICES:
        return ""
    tissue = voxels > 0.15 * np.percentile(voxels[:, ::2, ::2], 99)
    areas = tissue.mean(axis=(1, 2))
    if areas[-1] >= _MR_END * areas.max():
        return "it is as wide at its upper end as anywhere, as a limb or a trunk is"
    where = [np.flatnonzero(tissue.mean(axis=axes) > 0.02) for axes in ((1, 2), (0, 2), (0, 1))]
    sides = [(np.ptp(one) + 1) * size if len(one) else 0.0 for one, size in zip(where, volume.spacing_mm, strict=True)]
    low, high = _MR_SIDES_MM
    if spacing_known and (min(sides[1:]) < low or max(sides[1:]) > high):
        return f"it measures {sides[1]:.0f} x {sides[2]:.0f} mm, where heads have some 190 x 150"
    return ""


@lru_cache(maxsize=1)
def _forest() -> dict[str, Any]:
    text = (files("hemobench.inference") / "headlike.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
