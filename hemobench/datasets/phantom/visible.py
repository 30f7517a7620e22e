"""Which bleeds of a phantom can be seen: a collection of the density of brain is there, and nobody could outline it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.case import Loaded
from hemobench.components import TOUCHING
from hemobench.labels import slice_labels_from_label_map
from hemobench.volume import Volume

_SHELL_MM = 4.0
# What lies beside a bleed and can be mistaken for it: from CSF to clotted blood, and not bone, fat or air.
_SOFT_HU = (-10.0, 80.0)
_FEWEST = 5
_IN_PLANE = np.ones((1, 3, 3), dtype=bool)


def contrasts_hu(image: Volume, label_map: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.intp], float]]:
    """Type, voxels (indices, 3 x N) and contrast of each piece of one type in a label map (D, H, W).

    The contrast is the distance in HU between the median of the piece and that of the soft tissue up to 4 mm around it
    in the plane, leaving out the pixel that both share; infinite where there is next to none.
    """
    found = []
    reach = max(1, round(_SHELL_MM / min(image.spacing_mm[1:])))
    for label in np.unique(label_map[label_map > 0]):
        pieces, _ = ndimage.label(label_map == label, structure=TOUCHING)
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            grown = tuple(
                slice(max(0, side.start - extra), side.stop + extra)
                for side, extra in zip(box, (0, reach + 1, reach + 1), strict=True)
            )
            own = pieces[grown] == number
            near = ndimage.binary_dilation(own, _IN_PLANE)
            shell = ndimage.binary_dilation(near, _IN_PLANE, iterations=reach) & ~near & (label_map[grown] == 0)
            voxels = image.voxels[grown]
            around = voxels[shell]
            around = around[(around > _SOFT_HU[0]) & (around < _SOFT_HU[1])]
            contrast = np.inf if len(around) < _FEWEST else abs(float(np.median(voxels[own]) - np.median(around)))
            place = np.stack(np.nonzero(own)) + np.asarray([[side.start] for side in grown])
            found.append((int(label), place, contrast))
    return found


def seen_alone(loaded: Loaded, least_hu: float) -> Loaded:
    """The same patient, whose bleeds of less contrast than `least_hu` carry no label."""
    if loaded.label_map is None or not least_hu:
        return loaded
    label_map = loaded.label_map.copy()
    for _, place, contrast in contrasts_hu(loaded.image, loaded.label_map):
        if contrast < least_hu:
            label_map[tuple(place)] = 0
    return replace(loaded, label_map=label_map, slice_labels=slice_labels_from_label_map(label_map))
