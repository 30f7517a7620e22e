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

from hemobench.case import Loaded
from hemobench.datasets.zeta.locations import UNTYPED, Outline
from hemobench.errors import UserError
from hemobench.io.bone_map import bone_map
from hemobench.io.pictures import read_grey
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.views.windows import WINDOWS, hu_from_grey
from hemobench.volume import AIR_HU, GREY, Volume, display_affine

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
        bright = {
            role: read_luma(folders[role] / f"{picture}{rendering.ending}") for role in HU_WINDOWS if role in folders
        }
        size = _one_size(bright, folders, picture)
        plane, stride, modality = _hounsfield(bright, rendering.gray), 1, "CT"
    else:
        path, modality = folders["max-contrast"] / f"{picture}{rendering.ending}", GREY
        stride = PAPER_STRIDE if rendering.protocol == "paper" else 1
        plane, size = _grey(path, rendering.gray, stride)
    label_map, blood_mask = _masks(types, outlines, size)
    cut = (slice(None, None, stride), slice(None, None, stride))
    pixel_mm = FIELD_OF_VIEW_MM / max(size)
    affine = display_affine((1, *plane.shape), (SLICE_MM, pixel_mm * stride, pixel_mm * stride))
    return Loaded(
        Volume(plane[None], affine, modality),
        None if label_map is None else label_map[cut][None],
        np.array([[types >> bit & 1 for bit in range(len(SUBTYPES))]], dtype=np.uint8),
        blood_mask=None if blood_mask is None else blood_mask[cut][None],
    )


def _grey(path: Path, gray: str, stride: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Grey in 0..1 of every `stride`th row and column, and the whole picture's size."""
    if gray == "mean":
        rgb = read_rgb(path)
        total = rgb[::stride, ::stride].sum(axis=-1, dtype=np.uint16)
        return total * np.float32(1 / (3 * 255)), rgb.shape[:2]
    luma = read_luma(path)
    return _looked_up(level_of_luma(gray) / np.float32(255), luma[::stride, ::stride]), luma.shape


@lru_cache(maxsize=4)
def level_of_luma(gray: str) -> NDArray[np.float32]:
    """Grey level 0..255 for each brightness of a render; whole numbers."""
    if gray == "plain":
        return np.arange(256, dtype=np.float32)
    brightness = bone_map().astype(np.float32) @ _LUMA
    return np.rint(np.interp(np.arange(256), brightness, np.arange(256))).astype(np.float32)


def read_luma(path: Path) -> NDArray[np.uint8]:
    """Brightness (rows, columns) of a render."""
    try:
        with Image.open(path, formats=("JPEG",)) as picture:
            _check_size(picture, path)
            # The decoder then leaves the colours out, which halves its time.
            picture.draft("L", picture.size)
            return np.asarray(picture if picture.mode == "L" else picture.convert("L"), dtype=np.uint8)
    except UserError:
        raise  # of its size
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
    except UserError:
        raise  # of its size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # The same file is refused again, with the one line that says what is wrong.
        return np.repeat(read_grey(path)[..., None], 3, axis=-1)


def _one_size(bright: dict[str, NDArray[np.uint8]], folders: dict[str, Path], picture: str) -> tuple[int, ...]:
    sizes = {role: plane.shape for role, plane in bright.items()}
    if len(set(sizes.values())) > 1:
        folder = folders[next(iter(bright))].parent
        raise UserError(f"{folder.name}/*/{picture} has sizes {sizes}; expected one for all windows; copy it again")
    return next(iter(sizes.values()))


def _hounsfield(bright: dict[str, NDArray[np.uint8]], gray: str) -> NDArray[np.float32]:
    """Hounsfield units from the brightness of each window, the finest that is not saturated at each pixel."""
    (coarse, plane), *finer = bright.items()
    if not finer:
        return _looked_up(_hu_of_luma(coarse, gray), plane)
    (fine, other), *finest = finer
    pairs = plane.astype(np.uint16)
    pairs <<= 8
    pairs |= other
    hu = _looked_up(_pair_table(coarse, fine, gray), pairs)
    for role, last in finest:
        _refine(hu, fine, _looked_up(_hu_of_luma(role, gray), last), role)
    return hu


def _looked_up(table: NDArray[np.float32], index: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    found = np.empty(index.shape, dtype=np.float32)
    # "clip" needs no look at the indices first, which all fit.
    return np.take(table, index, out=found, mode="clip")


@lru_cache(maxsize=8)
def _hu_of_luma(role: str, gray: str) -> NDArray[np.float32]:
    """Hounsfield units for each brightness of a window's render; its saturated levels stand for its ends."""
    window, levels = HU_WINDOWS[role], level_of_luma(gray)
    hu = hu_from_grey(levels, window)
    hu[levels <= _SATURATED_LEVELS] = AIR_HU if role == "bone" else window.low_hu
    hu[levels >= 255 - _SATURATED_LEVELS] = window.high_hu
    return hu


@lru_cache(maxsize=8)
def _pair_table(coarse: str, fine: str, gray: str) -> NDArray[np.float32]:
    """Hounsfield units for each pair of brightnesses, [coarse, fine] flat: the rule is applied once, not at pixels."""
    table = np.repeat(_hu_of_luma(coarse, gray)[:, None], 256, axis=1)
    _refine(table, coarse, np.repeat(_hu_of_luma(fine, gray)[None], 256, axis=0), fine)
    return table.ravel()


def _refine(hu: NDArray[np.float32], coarse: str, fine_hu: NDArray[np.float32], role: str) -> None:
    """Put a window's units in place of coarser ones where they agree; where it is saturated its ends bound them."""
    window = HU_WINDOWS[role]
    black, white = fine_hu <= window.low_hu, fine_hu >= window.high_hu
    difference = np.subtract(fine_hu, hu)
    np.abs(difference, out=difference)
    agree = difference <= _AGREEMENT_STEPS * HU_WINDOWS[coarse].width_hu / 255.0
    agree &= ~(black | white)
    np.copyto(hu, fine_hu, where=agree)
    np.minimum(hu, fine_hu, out=hu, where=black)
    np.maximum(hu, fine_hu, out=hu, where=white)


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
