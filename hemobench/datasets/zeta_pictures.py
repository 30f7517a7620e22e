"""One of Zeta's pictures: renders in several windows to Hounsfield units or to grey, outlines to a label map.

The renders are 512x512 JPEG in matplotlib's `bone` colours. Grey comes back from their brightness, which rises along
that map and is what JPEG keeps best. Hounsfield units come back from three windows: 0.31 HU a step in 0..80 (brain), 1
HU in -27..227 (subdural), 11 HU in -800..2000 (bone), with JPEG noise of one to three steps on top and more at edges.
The windows' values are not documented for Zeta; they are fastai's (`dicom_windows`), whose code made such renders.
`max_contrast_window` has no units: it is grey in 0..1, of modality "grey".

The pictures carry no geometry: 250 mm over the picture and 5 mm a slice are nominal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.datasets.case import Loaded
from hemobench.datasets.zeta_locations import UNTYPED, Outline
from hemobench.errors import UserError
from hemobench.io.bone_map import bone_map
from hemobench.io.pictures import read_grey
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.volume import AIR_HU, GREY, Volume, display_affine
from hemobench.windows import WINDOWS, Window, hu_from_grey

SLICE_MM = 5.0
FIELD_OF_VIEW_MM = 250.0
PAPER_STRIDE = 4
LARGEST_SIDE = 4096
# Role of a window -> preset of its values; from the coarsest to the finest, each refines the one before.
HU_WINDOWS = {"bone": WINDOWS["bone"], "subdural": WINDOWS["subdural-wide"], "brain": WINDOWS["brain"]}
# JPEG blurs the ends of the grey scale: these many levels next to black and white count as saturated.
_SATURATED_LEVELS = 2
# Two windows agree to some steps of the coarser one; farther apart it is ringing at an edge.
_AGREEMENT_STEPS = 6.0
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)


@dataclass(frozen=True)
class Rendering:
    """How the pictures of one class folder are read.

    folders: role (brain, subdural, bone, max-contrast) and path of each window's folder. protocol: "hounsfield",
    "max-contrast" or "paper". gray: "invert-bone", "mean", or "plain" where a copy has no colours.
    """

    folders: tuple[tuple[str, Path], ...]
    ending: str
    protocol: str
    gray: str


def load_zeta(rendering: Rendering, picture: str, types: int, outlines: tuple[Outline, ...] | None) -> Loaded:
    """Decode one picture as a volume of one slice.

    types: the five types as bits in the order of SUBTYPES. outlines: of its blood, () where it is known to have none,
    None where nobody drew any. The label map is None where outlines do not cover the picture's types one for one; what
    is outlined without saying its type is in `blood_mask`.
    """
    folders = dict(rendering.folders)
    if rendering.protocol == "hounsfield":
        levels = {role: read_render(folders[role] / f"{picture}{rendering.ending}", rendering.gray)
                  for role in HU_WINDOWS if role in folders}
        plane = _combined(levels, folders, picture)
        modality = "CT"
    else:
        plane = read_render(folders["max-contrast"] / f"{picture}{rendering.ending}", rendering.gray) / np.float32(255)
        modality = GREY
    label_map, blood_mask = _masks(types, outlines, plane.shape)
    stride = PAPER_STRIDE if rendering.protocol == "paper" else 1
    cut = (slice(None, None, stride), slice(None, None, stride))
    pixel_mm = FIELD_OF_VIEW_MM / max(plane.shape)
    voxels = np.ascontiguousarray(plane[cut], dtype=np.float32)[None]
    affine = display_affine(voxels.shape, (SLICE_MM, pixel_mm * stride, pixel_mm * stride))
    return Loaded(
        Volume(voxels, affine, modality),
        None if label_map is None else label_map[cut][None],
        np.array([[types >> bit & 1 for bit in range(len(SUBTYPES))]], dtype=np.uint8),
        blood_mask=None if blood_mask is None else blood_mask[cut][None],
    )


def read_render(path: Path, gray: str) -> NDArray[np.float32]:
    """Grey levels 0..255 (rows, columns) of a render, float32: whole numbers unless `gray` is "mean" = (R+G+B)/3."""
    if gray == "mean":
        return _mean(path)
    luma = _luma(path)
    return np.take(_inverse_of_bone(), luma) if gray == "invert-bone" else luma.astype(np.float32)


@lru_cache(maxsize=1)
def _inverse_of_bone() -> NDArray[np.float32]:
    """Grey level for each brightness of the map."""
    brightness = bone_map().astype(np.float32) @ _LUMA
    return np.rint(np.interp(np.arange(256), brightness, np.arange(256))).astype(np.float32)


def _luma(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("JPEG",)) as picture:
            _check_size(picture, path)
            # The decoder then leaves the colours out, which halves its time.
            picture.draft("L", picture.size)
            return np.asarray(picture.convert("L"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # PNG copies come here, and damaged files, for which this says what is wrong.
        return read_grey(path)


def _check_size(picture: Image.Image, path: Path) -> None:
    """From the header, before anything is decoded."""
    if max(picture.size) > LARGEST_SIDE:
        raise UserError(f"{path} is {picture.size[0]} x {picture.size[1]}; expected at most {LARGEST_SIDE}; resize it")


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Colours (rows, columns, 3) of a render."""
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            _check_size(picture, path)
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # The same file is refused again, with the one line that says what is wrong.
        return np.repeat(read_grey(path)[..., None], 3, axis=-1)


def _mean(path: Path) -> NDArray[np.float32]:
    rgb = read_rgb(path)
    total = rgb[..., 0].astype(np.uint16)
    total += rgb[..., 1]
    total += rgb[..., 2]
    return total.astype(np.float32) / np.float32(3)


def _combined(
    levels: dict[str, NDArray[np.float32]], folders: dict[str, Path], picture: str
) -> NDArray[np.float32]:
    """Hounsfield units from the grey levels of each window, the finest that is not saturated at each pixel."""
    sizes = {role: plane.shape for role, plane in levels.items()}
    if len(set(sizes.values())) > 1:
        folder = folders[next(iter(levels))].parent
        raise UserError(f"{folder.name}/*/{picture} has sizes {sizes}; expected one for all windows; copy it again")
    hu: NDArray[np.float32] | None = None
    step = 0.0
    for role, plane in levels.items():
        window = HU_WINDOWS[role]
        hu = _coarsest(plane, window) if hu is None else _refined(hu, step, plane, window)
        step = window.width_hu / 255.0
    assert hu is not None
    return hu


def _coarsest(levels: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    hu = hu_from_grey(levels, window)
    if window is HU_WINDOWS["bone"]:
        hu[levels <= _SATURATED_LEVELS] = AIR_HU
    return hu


def _refined(
    coarse: NDArray[np.float32], coarse_step: float, levels: NDArray[np.float32], window: Window
) -> NDArray[np.float32]:
    """`coarse` Hounsfield units, replaced where this window shows them finer; its ends bound them where saturated."""
    fine = hu_from_grey(levels, window)
    agree = np.abs(fine - coarse) <= _AGREEMENT_STEPS * coarse_step
    hu = np.where(agree, fine, coarse)
    black, white = levels <= _SATURATED_LEVELS, levels >= 255 - _SATURATED_LEVELS
    hu[black] = np.minimum(coarse[black], np.float32(window.low_hu))
    hu[white] = np.maximum(coarse[white], np.float32(window.high_hu))
    return hu


def _masks(
    types: int, outlines: tuple[Outline, ...] | None, shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_] | None]:
    """Label map and blood of unknown type, each (rows, columns) or None."""
    if outlines is None:
        return None, None
    label_map = np.zeros(shape, dtype=np.uint8)
    if not types:
        return label_map, None
    present = [LABEL_IDS[name] for bit, name in enumerate(SUBTYPES) if types >> bit & 1]
    drawn = [(outline.subtype, outline.mask(shape)) for outline in outlines]
    if len(present) == 1:
        # A file that names no type outlines the only one there is.
        drawn = [(present[0] if subtype == UNTYPED else subtype, mask) for subtype, mask in drawn]
    if any(subtype == UNTYPED for subtype, _ in drawn):
        return None, np.logical_or.reduce([mask for _, mask in drawn])
    if {subtype for subtype, _ in drawn} != set(present):
        return None, None
    for subtype, mask in drawn:
        label_map[mask] = subtype
    return label_map, None
