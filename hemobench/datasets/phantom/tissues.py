"""Tissues of the phantom: attenuation in HU, brightness on T1-weighted MRI, and where the figures come from.

Sources of the ranges, named beside each row:

- ICRU: ICRU Report 46 compositions turned into HU by Schneider et al., Phys Med Biol 41:111 (1996).
- Radiopaedia: article "Hounsfield unit" (rID 38181), ranges used in clinical reading.
- New: New and Aronow, "Attenuation measurements of whole blood and blood fractions in computed tomography",
  Radiology 121:635 (1976): attenuation of blood rises with its protein (haematocrit), clot is denser than whole blood.
- Bergström: Bergström et al., "Variation with time of the attenuation values of intracranial hematomas", J Comput
  Assist Tomogr 1:57 (1977): density falls over days to weeks, through isodense to below brain.
- Black: Black et al., "Cerebral venous sinus density on noncontrast CT correlates with hematocrit", AJNR 32:1354
  (2011).
- Parizel: Parizel et al., "Intracranial hemorrhage: principles of CT and MRI interpretation", Eur Radiol 11:1770
  (2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Tissue(IntEnum):
    """What a template voxel is made of. BRAIN mixes grey matter, white matter and CSF by the fraction maps."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    CORTICAL_BONE = 4
    DIPLOE = 5
    BRAIN = 6
    VENTRICLE = 7
    VENOUS_SINUS = 8
    DURA = 9
    EYE = 10
    LENS = 11
    MUCOSA = 12
    ARTERY = 13
    CHOROID = 14
    PINEAL = 15
    DEEP_GREY = 16


@dataclass(frozen=True)
class Appearance:
    """Range of a tissue's mean over people: CT in HU (low, high), T1-weighted MRI in units of white matter = 1."""

    hu: tuple[float, float]
    t1: tuple[float, float]
    source: str


APPEARANCE: dict[Tissue, Appearance] = {
    Tissue.AIR: Appearance((-1000, -990), (0.00, 0.02), "by definition"),
    Tissue.SKIN: Appearance((20, 60), (0.55, 0.80), "ICRU skin"),
    Tissue.FAT: Appearance((-110, -70), (1.20, 1.60), "ICRU adipose; Radiopaedia -120 to -90"),
    Tissue.MUSCLE: Appearance((45, 65), (0.45, 0.65), "ICRU; Radiopaedia 35 to 55, neck muscle at its upper end"),
    Tissue.CORTICAL_BONE: Appearance((1100, 1700), (0.02, 0.12), "Radiopaedia 300 to 1900; set on CT-ICH"),
    Tissue.DIPLOE: Appearance((450, 900), (0.50, 1.00), "set on CT-ICH, above ICRU spongiosa with marrow"),
    Tissue.VENTRICLE: Appearance((2, 12), (0.12, 0.28), "Radiopaedia CSF 0 to 15"),
    Tissue.VENOUS_SINUS: Appearance((45, 68), (0.20, 0.50), "Black: mean about 55, anaemia to polycythaemia"),
    Tissue.DURA: Appearance((45, 70), (0.35, 0.60), "Parizel: normal falx and tentorium are slightly dense"),
    Tissue.EYE: Appearance((2, 16), (0.12, 0.28), "ICRU vitreous, as CSF with protein"),
    Tissue.LENS: Appearance((70, 110), (0.30, 0.60), "ICRU eye lens"),
    Tissue.MUCOSA: Appearance((20, 50), (0.40, 0.70), "ICRU soft tissue"),
    Tissue.ARTERY: Appearance((38, 52), (0.20, 0.60), "New: whole blood at normal haematocrit 40 to 50"),
    Tissue.CHOROID: Appearance((38, 60), (0.50, 0.70), "soft choroid; its calcification is a look-alike of its own"),
    Tissue.PINEAL: Appearance((38, 60), (0.60, 0.80), "soft pineal; calcification is a look-alike of its own"),
    Tissue.DEEP_GREY: Appearance((36, 42), (0.80, 0.92), "Radiopaedia grey matter 37 to 45"),
}

GREY_HU = (35.0, 44.0)  # Radiopaedia: grey matter 37 to 45; wider, as scanners and kernels differ
WHITE_HU = (24.5, 32.5)  # Radiopaedia: white matter 20 to 30; the upper end, as CT-ICH has it
CSF_HU = (1.0, 14.0)  # Radiopaedia: CSF 0 to 15
GREY_T1 = (0.68, 0.82)
WHITE_T1 = (0.97, 1.03)
CSF_T1 = (0.12, 0.28)

# Blood by age of the bleed, HU. Parizel and New: clot 60 to 90, unclotted 40 to 60; Bergström: isodense after one to
# three weeks, below brain after that.
BLOOD_HU: dict[str, tuple[float, float]] = {
    "hyperacute": (48.0, 60.0),
    "acute": (56.0, 90.0),
    "subacute": (38.0, 52.0),
    "chronic": (14.0, 28.0),
}
OEDEMA_HU = (16.0, 24.0)  # vasogenic oedema: between CSF and white matter (Parizel)
INFARCT_HU = (6.0, 18.0)  # old infarct: gliosis and CSF
CALCIFICATION_HU = (90.0, 400.0)  # Radiopaedia: physiological calcification from 80 HU up


def hu_table(rng: np.random.Generator) -> NDArray[np.float32]:
    """One person's HU of every tissue, shape (len(Tissue),), by `Tissue`; BRAIN is left 0, its fractions decide."""
    return _draw(rng, {tissue: appearance.hu for tissue, appearance in APPEARANCE.items()})


def t1_table(rng: np.random.Generator) -> NDArray[np.float32]:
    """One scan's T1 brightness of every tissue, white matter near 1, indexed by `Tissue`. Shape (len(Tissue),)."""
    return _draw(rng, {tissue: appearance.t1 for tissue, appearance in APPEARANCE.items()})


def _draw(rng: np.random.Generator, ranges: dict[Tissue, tuple[float, float]]) -> NDArray[np.float32]:
    table = np.zeros(len(Tissue), np.float32)
    for tissue, (low, high) in ranges.items():
        table[tissue] = rng.uniform(low, high)
    return table
