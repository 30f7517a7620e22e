"""From a label map to lesions: which voxels belong together, of which type, how large and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.components import TOUCHING
from hemobench.errors import UserError
from hemobench.inference.report import Lesion
from hemobench.labels import SUBTYPES
from hemobench.metrics.volumetry import abc2_ml
from hemobench.volume import Volume

_IDS = len(SUBTYPES) + 1


@dataclass(frozen=True)
class LesionRules:
    """What counts as a lesion.

    Blood that hangs together (26 neighbours) and has less than `min_ml` is left out. Inside one such component a type
    stays if it has at least `type_share` of the voxels and `type_ml`; the rest takes the component's commonest type,
    because a network's types flicker from voxel to voxel and a bleed's do not.
    """

    min_ml: float = 0.1
    type_share: float = 0.2
    type_ml: float = 0.3

    def __post_init__(self) -> None:
        if not (self.min_ml >= 0 and self.type_ml >= 0 and 0 <= self.type_share <= 1):
            raise UserError(f"{self}; expected volumes of at least 0 mL and a share from 0 to 1; correct them")


@dataclass(frozen=True, eq=False)
class LesionSearch:
    """Lesions, largest first; the label map that holds them alone; and what was too small: how many and mL in all."""

    lesions: tuple[Lesion, ...]
    label_map: Volume
    left_out: int
    left_out_ml: float


DEFAULT_RULES = LesionRules()


def lesions_of(
    label_map: Volume,
    probability: NDArray[np.floating] | None = None,
    *,
    spacing_known: bool = True,
    rules: LesionRules = DEFAULT_RULES,
) -> LesionSearch:
    """Lesions of a label map (D, H, W) with ids 0 to 5, each with type, volume, ABC/2, centroid and slice range.

    A lesion is the part of one connected piece of blood that has one type. `probability` (D, H, W) is of blood, for
    `mean_probability` (1 without it). With `spacing_known` False millimetres are nominal: they serve the rules, and no
    lesion carries mm or mL. Volumes come from the affine's determinant; ABC/2 takes rows and columns as perpendicular
    and slices at the distance of their planes. Raises UserError for other ids or shapes.
    """
    _check(label_map, probability)
    box = occupied_box(label_map.voxels)
    if box is None:
        return LesionSearch((), label_map, 0, 0.0)
    labels = np.array(label_map.voxels[box])
    components, count = ndimage.label(labels, structure=TOUCHING)
    # From here on only what is filled is visited: a thousandth of the scan as a rule.
    filled = np.flatnonzero(labels)
    member, types = components.ravel()[filled].astype(np.intp), labels.ravel()[filled].astype(np.intp)
    voxels = np.bincount(member * _IDS + types, minlength=(count + 1) * _IDS).reshape(count + 1, _IDS)
    final = _final_types(voxels, label_map.voxel_volume_ml, rules)
    labels.ravel()[filled] = cleaned = final[member, types]
    small = np.flatnonzero(final[1:].max(axis=1) == 0) + 1
    whole = np.zeros_like(label_map.voxels)
    whole[box] = labels
    weights = np.ones(len(filled)) if probability is None else probability[box].ravel()[filled]
    index = np.stack(np.unravel_index(filled, labels.shape), axis=1) + [axis.start for axis in box]
    kept = cleaned > 0
    key = member[kept] * _IDS + cleaned[kept]  # one number for each component and type
    index, weights = index[kept], weights[kept]
    lesions = tuple(
        _lesion(number, _subtype(key[group[0]]), label_map, index[group], weights[group], spacing_known)
        for number, group in enumerate(_groups(key), start=1)
    )
    left_out_ml = float(voxels[small].sum() * label_map.voxel_volume_ml)
    return LesionSearch(lesions, label_map.with_voxels(whole), len(small), left_out_ml)


def lesion_voxels(label_map: Volume) -> list[tuple[str, NDArray[np.intp]]]:
    """Type and voxels, indices (N, 3), of each lesion of a label map that `lesions_of` gave, in its order."""
    _check(label_map, None)
    box = occupied_box(label_map.voxels)
    if box is None:
        return []
    components, _ = ndimage.label(label_map.voxels[box], structure=TOUCHING)
    near = np.nonzero(components)
    key = components[near].astype(np.intp) * _IDS + label_map.voxels[box][near]
    index = np.stack(near, axis=1) + [axis.start for axis in box]
    return [(_subtype(key[group[0]]), index[group]) for group in _groups(key)]


def occupied_box(mask: NDArray[np.integer] | NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box (D, H, W) around all that is not 0; None where there is nothing.

    >>> occupied_box(np.eye(4, dtype=bool)[None, 1:3])
    (slice(0, 1, None), slice(0, 2, None), slice(1, 3, None))
    """
    # Slice by slice first: most are empty, and the other axes are then looked at in what is left.
    slices = np.flatnonzero([bool(one.any()) for one in mask])
    if not slices.size:
        return None
    flat = np.logical_or.reduce(mask[slices[0] : slices[-1] + 1], axis=0)
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    depth, height, width = (slice(int(found[0]), int(found[-1]) + 1) for found in (slices, rows, columns))
    return depth, height, width


def _check(label_map: Volume, probability: NDArray[np.floating] | None) -> None:
    if not label_map.is_label_map:
        raise UserError(f"a volume of modality '{label_map.modality}'; expected a label map; threshold it first")
    if label_map.voxels.min() < 0 or label_map.voxels.max() >= _IDS:
        raise UserError(f"label map with ids up to {label_map.voxels.max()}; expected 0 to {_IDS - 1}; map them first")
    if probability is not None and probability.shape != label_map.shape:
        raise UserError(
            f"probabilities of shape {probability.shape}; expected {label_map.shape} like the label map; resample them"
        )


def _subtype(key: np.intp) -> str:
    return SUBTYPES[int(key) % _IDS - 1]


def _final_types(voxels: NDArray[np.int64], voxel_ml: float, rules: LesionRules) -> NDArray[np.uint8]:
    """What becomes of each type in each component: counts (components + 1, 6) -> ids of the same shape, 0 to drop."""
    total = voxels.sum(axis=1)
    # A hair of tolerance: a lesion of exactly the smallest volume must not go by rounding.
    at_least = 1 - 1e-9
    kept = (voxels >= rules.type_share * total[:, None] * at_least) & (voxels * voxel_ml >= rules.type_ml * at_least)
    commonest = voxels.argmax(axis=1).astype(np.uint8)
    final = np.where(kept, np.arange(_IDS, dtype=np.uint8), commonest[:, None])
    final[total * voxel_ml < rules.min_ml * at_least] = 0
    final[0] = 0
    return final.astype(np.uint8)


def _groups(key: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Positions (N) of each key, largest group first; of equal ones the lower key first."""
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    groups = np.split(order, starts[1:]) if len(order) else []
    return sorted(groups, key=len, reverse=True)


def _lesion(
    number: int,
    subtype: str,
    volume: Volume,
    index: NDArray[np.intp],
    weights: NDArray[np.floating],
    spacing_known: bool,
) -> Lesion:
    lowest, highest = index.min(axis=0), index.max(axis=0)
    mask = np.zeros(highest - lowest + 1, dtype=bool)
    mask[tuple((index - lowest).T)] = True
    depth, row, column = index.mean(axis=0).tolist()
    x_mm, y_mm, z_mm = volume.to_world((depth, row, column)).tolist()
    return Lesion(
        number=number,
        subtype=subtype,
        volume_ml=len(index) * volume.voxel_volume_ml if spacing_known else None,
        abc2_ml=abc2_ml(mask, volume.affine[:3, :3]) if spacing_known else None,
        centroid_mm=(x_mm, y_mm, z_mm) if spacing_known else None,
        centroid_index=(depth, row, column),
        first_slice=int(lowest[0]),
        last_slice=int(highest[0]),
        voxels=len(index),
        mean_probability=float(weights.mean(dtype=np.float64)),
    )
