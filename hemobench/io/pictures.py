"""Pictures of slices, PNG and JPEG: grey levels as an array, or Hounsfield units of one slice."""

from __future__ import annotations

import warnings as warnings_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.errors import UserError
from hemobench.io.bone_map import bone_to_grey, is_bone_coloured
from hemobench.io.scan import GridSource, Scan, Space
from hemobench.volume import Volume, display_affine
from hemobench.windows import Window, get_window, hu_from_grey

_FORMATS = ("JPEG", "PNG")
_MODES = ("L", "1", "P", "LA", "RGB", "RGBA")
# Channels farther apart than this are colour and not JPEG's noise.
_COLOURED_FROM = 24


# Longer sides than any CT's picture, short of what would take gigabytes.
MAX_PIXELS = 4096 * 4096
# A picture carries no millimetres. These are a usual head: 250 mm of field of view over the longer side.
NOMINAL_FIELD_MM = 250.0
NOMINAL_SLICE_MM = 5.0


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Grey levels (rows, columns) uint8 of an 8-bit PNG or JPEG; colour is turned to its luma.

    Raises UserError for a file that is missing, is no such picture, ends early, or has more than 8 bits.
    """
    with _opened(path) as picture:
        if picture.mode not in _MODES:
            raise UserError(f"{path} is a picture of mode {picture.mode}; expected 8 bits a channel; convert it")
        return np.asarray(picture if picture.mode == "L" else picture.convert("L"), dtype=np.uint8)


def read_picture(path: Path, window: Window | str = "brain") -> Scan:
    """One slice from a PNG or JPEG: grey, grey in colour, with transparency (on black), 16 bits, or `bone`-coloured.

    Black to white is taken as `window` in Hounsfield units, so that what was saturated stays so. 16 bits are taken as
    finer greys of the same window. Millimetres are nominal: `spacing_known` is False. The picture is taken as the
    radiological view (anterior up, the patient's right on the left).
    """
    preset = get_window(window) if isinstance(window, str) else window
    with _opened(path) as picture:
        grey, remark = _grey_of(picture, path)
    hu = hu_from_grey(grey, preset)[None]
    pixel_mm = NOMINAL_FIELD_MM / max(grey.shape)
    affine = display_affine(hu.shape, (NOMINAL_SLICE_MM, pixel_mm, pixel_mm))
    warnings = [
        f"a picture carries no Hounsfield units; black to white was taken as {preset.low_hu:g} to "
        f"{preset.high_hu:g} HU ('{preset.name}' window)",
        "a picture carries no millimetres; sizes and volumes are nominal",
        *remark,
    ]
    space = Space(affine, (1, grey.shape[0], grey.shape[1]))
    return Scan(Volume(hu, affine), "picture", tuple(warnings), GridSource(path, space), spacing_known=False)


def _grey_of(picture: Image.Image, path: Path) -> tuple[NDArray[np.floating | np.uint8], list[str]]:
    """Grey levels 0..255 (rows, columns) of an open picture, and remarks on how they were found."""
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype(np.float32)
        if levels.min() < 0 or levels.max() > 65535:
            raise UserError(f"{path} has grey values beyond 16 bits; expected 0..65535; convert it")
        return levels * np.float32(255 / 65535), ["16-bit greys were taken as finer steps of that window, not as HU"]
    if picture.mode not in (*_MODES, "PA", "CMYK", "YCbCr"):
        raise UserError(f"{path} is a picture of mode {picture.mode}; expected grey or RGB; convert it")
    if picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        black = Image.new("RGBA", with_alpha.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, with_alpha).convert("RGB")
    if picture.mode in ("L", "1"):
        return np.asarray(picture if picture.mode == "L" else picture.convert("L")), []
    rgb = np.asarray(picture.convert("RGB"))
    if is_bone_coloured(rgb):
        return bone_to_grey(rgb), ["the picture is in the 'bone' colour map, which was inverted"]
    spread = np.ptp(rgb.astype(np.int16), axis=-1)
    coloured = float((spread > _COLOURED_FROM).mean())
    remark = f"{coloured:.0%} of the picture is coloured; colours were taken as brightness"
    return np.asarray(picture.convert("L")), [remark] if coloured > 0.001 else []


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An opened PNG or JPEG whose size was checked; whatever Pillow raises, then or on decoding, in one line."""
    try:
        with warnings_module.catch_warnings():
            warnings_module.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise UserError(
                        f"{path} has {picture.width} x {picture.height} pixels; expected at most {MAX_PIXELS:,}; "
                        "crop it or scale it down"
                    )
                picture.load()
                yield picture
    except FileNotFoundError as error:
        raise UserError(f"no picture {path}; expected a PNG or JPEG; check the path") from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path} is no picture; expected a PNG or JPEG; export or copy it again") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} is too large for a CT slice; expected at most some megapixels; crop it") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow says so by three types: truncated data, a broken PNG chunk, a size that does not add up.
        raise UserError(f"{path} is damaged or ends early; expected a whole PNG or JPEG; copy it again") from error
