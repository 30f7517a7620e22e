"""The ventricles of one scan as numbers, and as lines for whoever reads them: terminal, overview, page.

The mask comes from `networks.find_ventricles`; its threshold is chosen in `release.mask_thresholds`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hemobench.inference.report import Ventricles
from hemobench.metrics.midsagittal import midplane_of
from hemobench.metrics.ventricles import blood_share, evans_index, midline_shift_mm, sides_ml
from hemobench.volume import Volume, slice_number

# What each number was held against; docs/ventricles.md says how, and with what result.
MASKS = "phantoms"
ON_MR = "phantoms, and one head with FreeSurfer's labels"
VALIDATED_ON: dict[str, str] = {
    "volume_ml": MASKS,
    "sides_ml": MASKS,
    "blood_share": f"{MASKS}, with the blood known",
    "evans_index": f"made heads, and {MASKS}",
    "midline_shift_mm": f"made heads, and {MASKS}",
}


class Reading(NamedTuple):
    """One measure in words: its name, its value with a unit, what the value needs to be understood, and what it was
    held against."""

    name: str
    value: str
    remark: str
    validated_on: str


def ventricles_in_mr(mask: Volume, *, spacing_known: bool) -> Ventricles:
    """What is said of ventricles in MR: how large they are. Its skull is dark, so nothing is measured from bone."""
    voxels = int(np.count_nonzero(mask.voxels))
    volume_ml = voxels * mask.voxel_volume_ml if spacing_known else None
    return Ventricles(volume_ml, voxels, validated_on={} if volume_ml is None else {"volume_ml": ON_MR})


def ventricles_in_ct(head: Volume, mask: Volume, blood: NDArray[np.uint8] | None, *, spacing_known: bool) -> Ventricles:
    """All measures of a mask (D, H, W) of the ventricles in a head, CT in HU or grey pictures, on the same grid.

    blood: label map (D, H, W) of haemorrhage, None where nobody looked for it. Without millimetres nothing but the
    share of blood is measured, without bone in HU nothing that depends on the midline.
    """
    voxels = int(np.count_nonzero(mask.voxels))
    plain = Ventricles(voxels * mask.voxel_volume_ml if spacing_known else None, voxels)
    share = None if blood is None else blood_share(blood > 0, mask.voxels > 0)
    measured = dataclasses.replace(
        plain,
        blood_share=share,
        blood_ml=None if share is None or plain.volume_ml is None else share * plain.volume_ml,
    )
    plane = midplane_of(head) if spacing_known and plain.voxels else None
    if plane is None:
        return _with_sources(measured)
    filled = np.asarray(mask.voxels > 0)
    left_ml, right_ml = sides_ml(mask, plane)
    evans = evans_index(head, filled, plane)
    return _with_sources(
        dataclasses.replace(
            measured,
            left_ml=left_ml,
            right_ml=right_ml,
            evans_index=None if evans is None else evans.value,
            evans_slice=None if evans is None else evans.slice_index,
            midline_shift_mm=midline_shift_mm(head, filled, plane),
        )
    )


def _with_sources(found: Ventricles) -> Ventricles:
    """The same with what each measure that is there was held against."""
    there = {name: getattr(found, "left_ml" if name == "sides_ml" else name) is not None for name in VALIDATED_ON}
    return dataclasses.replace(found, validated_on={name: VALIDATED_ON[name] for name in VALIDATED_ON if there[name]})


def readings(found: Ventricles, millilitres: Callable[[float], str]) -> tuple[Reading, ...]:
    """The measures that there are, in the order in which they are read; `millilitres` writes a volume in words."""
    lines = []
    held = found.validated_on
    if found.volume_ml is not None:
        lines.append(Reading("volume", f"{millilitres(found.volume_ml)} mL", "", held.get("volume_ml", "")))
    if found.left_ml is not None and found.right_ml is not None:
        value = f"{millilitres(found.left_ml)} and {millilitres(found.right_ml)} mL"
        lines.append(Reading("left and right", value, "of the midsagittal plane", held.get("sides_ml", "")))
    if found.blood_share is not None:
        amount = "" if not found.blood_ml else f"{millilitres(found.blood_ml)} mL"
        lines.append(Reading("blood in them", share_words(found.blood_share), amount, held.get("blood_share", "")))
    if found.evans_index is not None:
        where = "" if found.evans_slice is None else f"slice {slice_number(found.evans_slice)}"
        lines.append(Reading("Evans' index", f"{found.evans_index:.2f}", where, held.get("evans_index", "")))
    if found.midline_shift_mm is not None:
        lines.append(
            Reading("midline shift", shift_words(found.midline_shift_mm), "septum", held.get("midline_shift_mm", ""))
        )
    return tuple(lines)


def share_words(share: float) -> str:
    """A share as per cent, without digits that nobody measured.

    >>> [share_words(one) for one in (0.0, 0.004, 0.2449)]
    ['0%', 'below 1%', '24%']
    """
    return "below 1%" if 0 < share < 0.01 else f"{share:.0%}"


def shift_words(shift_mm: float) -> str:
    """A shift in whole millimetres and its side, the patient's; below 3 mm the plane itself is no surer.

    >>> [shift_words(one) for one in (-1.2, 4.6, -7.1)]
    ['below 3 mm', '5 mm to the left', '7 mm to the right']
    """
    if abs(shift_mm) < 3:
        return "below 3 mm"
    return f"{abs(shift_mm):.0f} mm to the {'left' if shift_mm > 0 else 'right'}"
