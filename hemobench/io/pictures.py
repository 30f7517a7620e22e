"""Pictures of slices, PNG and JPEG: grey levels as an array, or Hounsfield units of one slice."""

from __future__ import annotations

import struct
import warnings as warnings_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hemobench.errors import UserError
from hemobench.io.annotation import TEXT_OUTSIDE, burned_in_text
from hemobench.io.archive import Entry, file_entry
from hemobench.io.bone_map import bone_to_grey, is_bone_coloured
from hemobench.io.polarity import TURNED, UNSURE, Polarity, polarity_of, without_page
from hemobench.io.remarks import note, part
from hemobench.io.scan import GridSource, Scan, Space
from hemobench.io.values import moved_to_hounsfield
from hemobench.views.windows import Window, apply_window, get_window, hu_from_grey
from hemobench.volume import Volume, display_affine

_FORMATS = ("JPEG", "PNG")
_MODES = ("L", "1", "P", "LA", "RGB", "RGBA")
# Channels farther apart than this are colour and not JPEG's noise.
_COLOURED_FROM = 24
_WINDOW = "brain"
_ORIENTATION = 0x0112  # EXIF

# Longer sides than any CT's picture, short of what would take gigabytes.
MAX_PIXELS = 4096 * 4096
# A picture carries no millimetres. These are a usual head: 250 mm of field of view over the longer side.
NOMINAL_FIELD_MM = 250.0
NOMINAL_SLICE_MM = 5.0


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Grey levels (rows, columns) uint8 of an 8-bit PNG or JPEG, upright by EXIF; colour is turned to its luma.

    Raises UserError for a file that is missing, is no such picture, ends early, or has more than 8 bits.
    """
    with _opened(path, file_entry(path)) as picture:
        if picture.mode not in _MODES:
            raise UserError(f"{path} is a picture of mode {picture.mode}; expected 8 bits a channel; convert it")
        upright, _ = _upright(picture)
        return np.asarray(upright if upright.mode == "L" else upright.convert("L"), dtype=np.uint8)


def read_picture(path: Path, window: Window | str | None = None, entry: Entry | None = None) -> Scan:
    """One slice from a PNG or JPEG: grey, grey in colour, with transparency (on black), 16 bits, or `bone`-coloured.

    Black to white is taken as `window` in Hounsfield units (without one, the brain window), so that what was saturated
    stays so. Without a window, 16 bits that hold Hounsfield units, as HU + 1024, are these; other 16 bits are finer
    greys. EXIF's orientation is followed, swapped black and white are turned round, a white page around the picture is
    turned black. Millimetres are nominal: `spacing_known` is False. The picture is taken as the radiological view
    (anterior up, the patient's right on the left). Text outside the head is warned of. `entry` is where the picture
    lies in an archive or folder, `path` then that.
    """
    entry = entry or file_entry(path)
    preset = get_window(window) if isinstance(window, str) else window or get_window(_WINDOW)
    with _opened(path, entry) as picture:
        upright, turned = _upright(picture)
        moved = _hounsfield_of(upright) if window is None else None
        coloured = 0.0
        if moved is not None:
            hu, remarks = moved[0], [moved[1]]
            grey: NDArray[np.floating | np.uint8] = apply_window(hu, preset) * np.float32(255)
        else:
            grey, remarks = _usual_polarity(*_grey_of(upright, path))
            coloured = _coloured_share(upright)
            hu = hu_from_grey(grey, preset)
            taken = f"{preset.low_hu:g} to {preset.high_hu:g} HU ('{preset.name}' window)"
            remarks.insert(0, note(f"a picture carries no Hounsfield units; black to white was taken as {taken}"))
    pixel_mm = NOMINAL_FIELD_MM / max(grey.shape)
    affine = display_affine((1, *grey.shape), (NOMINAL_SLICE_MM, pixel_mm, pixel_mm))
    remarks += [note("a picture carries no millimetres; sizes and volumes are nominal"), *turned, *_damage(entry)]
    has_text = burned_in_text(grey)
    remarks += [TEXT_OUTSIDE] if has_text else []
    space = Space(affine, (1, grey.shape[0], grey.shape[1]))
    source = GridSource(path, space)
    return Scan(Volume(hu[None], affine), "picture", tuple(remarks), source, False, has_text, coloured=coloured)


def _damage(entry: Entry) -> list[str]:
    """A line where a JPEG can be decoded and is not whole: its data end early, or their codes do not add up. What is
    changed so that all codes fit is not seen: the format has no checksum."""
    content = entry.read()
    if content[:2] != b"\xff\xd8":
        return []  # PNG has checksums, which Pillow tests
    try:
        simplejpeg.decode_jpeg(content, colorspace="GRAY", strict=True)
    except ValueError:
        return [part("the JPEG's data are damaged, so that part of the picture is wrong; copy or export it again")]
    return []


def _upright(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    """The picture as viewers show it, and a note where EXIF (or XMP) says to turn it."""
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
        if orientation not in range(2, 9):
            return picture, []
        turned = ImageOps.exif_transpose(picture)
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, SyntaxError, struct.error):
        # Camera tags that cannot be read say nothing of the pixels.
        return picture, ["the orientation that EXIF gives cannot be read; the picture was taken as it is"]
    return turned, [note("the picture was turned upright, as its EXIF orientation says")]


def _hounsfield_of(picture: Image.Image) -> tuple[NDArray[np.float32], str] | None:
    """HU (rows, columns) and a line, of 16 bits that hold them: HU + 1024, say, in the lower or upper 12 bits."""
    if not picture.mode.startswith("I"):
        return None
    stored = np.asarray(picture)
    for levels in (stored, stored // 16) if not (stored % 16).any() else (stored,):
        moved = moved_to_hounsfield(levels[None])
        if moved is not None:
            return moved[0][0], moved[1]
    return None


def _usual_polarity(
    grey: NDArray[np.floating | np.uint8], remarks: list[str]
) -> tuple[NDArray[np.floating | np.uint8], list[str]]:
    found = polarity_of(grey)
    if found is Polarity.SWAPPED:
        return 255 - grey, [*remarks, TURNED]
    if found is Polarity.UNSURE:
        return grey, [*remarks, UNSURE]
    grey, line = without_page(grey)
    return grey, [*remarks, line] if line else remarks


def _grey_of(picture: Image.Image, path: Path) -> tuple[NDArray[np.floating | np.uint8], list[str]]:
    """Grey levels 0..255 (rows, columns) of an open picture, and remarks on how they were found."""
    if picture.mode.startswith("I"):
        return _grey_of_16_bits(np.asarray(picture), path)
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
        return bone_to_grey(rgb), [note("the picture is in the 'bone' colour map, which was inverted")]
    coloured = _coloured_share(picture)
    remark = f"{coloured:.0%} of the picture is coloured; colours were taken as brightness"
    return np.asarray(picture.convert("L")), [remark] if coloured > 0.001 else []


def _coloured_share(picture: Image.Image) -> float:
    """How much of a picture is in colours other than those of the `bone` map."""
    if picture.mode in ("L", "1", "LA") or picture.mode.startswith(("I", "F")):
        return 0.0
    rgb = np.asarray(picture.convert("RGB"))
    if is_bone_coloured(rgb):
        return 0.0
    return float((np.ptp(rgb.astype(np.int16), axis=-1) > _COLOURED_FROM).mean())


def _grey_of_16_bits(levels: NDArray[np.integer], path: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Grey 0..255 of 16-bit levels that are no Hounsfield units: white is the end of the bits that are in use."""
    if levels.min() < 0 or levels.max() > 65535:
        raise UserError(f"{path} has grey values beyond 16 bits; expected 0..65535; convert it")
    bits = next(bits for bits in (8, 12, 16) if levels.max() < 2**bits)
    scaled = levels.astype(np.float32) * np.float32(255 / (2**bits - 1))
    if bits == 16:
        return scaled, [note("16-bit greys were taken as finer steps of that window, not as HU")]
    return scaled, [f"16-bit greys use {bits} bits alone; {2**bits - 1} was taken as white of that window, not as HU"]


@contextmanager
def _opened(path: Path, entry: Entry) -> Iterator[Image.Image]:
    """An opened PNG or JPEG whose size was checked; whatever Pillow raises, then or on decoding, in one line."""
    if not path.exists():
        raise UserError(f"no picture {path}; expected a PNG or JPEG; check the path")
    try:
        with warnings_module.catch_warnings():
            warnings_module.simplefilter("ignore", Image.DecompressionBombWarning)
            with entry.open() as stream, Image.open(stream, formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise UserError(
                        f"{path} has {picture.width} x {picture.height} pixels; expected at most {MAX_PIXELS:,}; "
                        "crop it or scale it down"
                    )
                picture.load()
                yield picture
    except UserError:
        raise  # of the size, or of whoever looks at the picture
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path} is no picture; expected a PNG or JPEG; export or copy it again") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} is too large for a CT slice; expected at most some megapixels; crop it") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow says so by three types: truncated data, a broken PNG chunk, a size that does not add up.
        raise UserError(f"{path} is damaged or ends early; expected a whole PNG or JPEG; copy it again") from error
