"""Stored DICOM pixels to Hounsfield units: decoding, signs, padding, inverted greys, slope and intercept."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy import ndimage

from hemobench.errors import UserError
from hemobench.io.codestreams import codestream_size, frame_marker
from hemobench.io.dicom_headers import BROKEN_DICOM, Coding, Frame, Instance, damaged, quiet, read_dataset
from hemobench.volume import AIR_HU

# The extended CT scale ends at 30,710 HU; what is above has a wrong sign.
_HIGHEST_HU = 31_000
# No CT value is below this but padding: scanners write -1500, -2000, -2048, -3024 outside the field of view.
_LOWEST_HU = -1_100
# Padding at such a value could be tissue too, so that only what touches the border counts.
_TISSUE_FROM_HU = -500
_PADDING_SHARE = 0.01
# Air fills more of any slice of a head than metal does.
_LEAST_AIR = 0.02
_CLEARLY_BRIGHTER_HU = 100
# Of a CT's stored values, overlays and other strays in the upper bits are above; and how many pixels strays touch.
_MOST_STORED, _OVERLAID = 1 << 14, 0.05
_ENDLESS = 0xFFFFFFFF  # the length of an element that says none
_PLUGIN = "pylibjpeg"
_PLAIN_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_ITEM = b"\xfe\xff\x00\xe0"
_HT_J2K_PREFIX = "1.2.840.10008.1.2.4.20"


@dataclass(frozen=True, eq=False)
class Pixels:
    """Slices (F, R, C) float32 HU of one file, and keys of what had to be put right (see `REPAIRS`)."""

    hu: NDArray[np.float32]
    repairs: frozenset[str]


REPAIRS = {
    "sign": "pixels declare the wrong sign (PixelRepresentation); they were read with the sign that gives CT values",
    "padding": "undeclared padding below -1100 HU was set to air",
    "inverted": "pictures are stored inverted (MONOCHROME1); they were turned round",
    "no rescale": "no rescale intercept is given; stored values were taken as Hounsfield units",
    "bits": "pixels declare other bits than they use (BitsAllocated, BitsStored, HighBit); those in use were read",
    "surplus": "more pixels are stored than rows, columns and frames declare; the picture may be cut or torn",
    "range": "values above 31,000 HU remain, which no CT has; check the export",
}


def read_pixels(instance: Instance, *, turned: bool = False) -> Pixels:
    """Decode one file to Hounsfield units; air is -1000 where the file marks padding.

    `turned` turns MONOCHROME1 values round (see `stored_inverted`), and leaves other files as they are. Raises
    UserError for pixels that end early or are damaged, and names the package to install where a decoder for the
    file's compression is missing.
    """
    stored, repairs = _stored(instance)
    repairs |= set() if instance.rescaled or instance.modality != "CT" else {"no rescale"}
    hu = np.empty(stored.shape, dtype=np.float32)
    for target, values, frame in zip(hu, stored, instance.frames, strict=True):
        repairs |= _to_hu(target, values, frame, instance, turned)
    return Pixels(hu, frozenset(repairs))


def _to_hu(
    target: NDArray[np.float32], values: NDArray[np.integer], frame: Frame, instance: Instance, turned: bool
) -> set[str]:
    """Fill `target` (R, C) with the HU of stored `values`; returns the repairs that were needed."""
    if not np.isfinite((frame.slope, frame.intercept)).all() or frame.slope == 0:
        raise UserError(
            f"{instance.entry.path} has rescale slope {frame.slope} and intercept {frame.intercept}; expected numbers, "
            "the slope not 0; export it again"
        )
    repairs: set[str] = set()
    coding = instance.coding
    padded = _padded(values, coding.padding)
    if instance.modality == "CT":
        values, repaired = _right_sign(values, padded, frame, coding)
        repairs |= {"sign"} if repaired else set()
    target[...] = values
    if frame.slope != 1:
        target *= np.float32(frame.slope)
    if frame.intercept != 0:
        target += np.float32(frame.intercept)
    if turned and coding.monochrome1:
        half = 1 << (coding.bits - 1)
        ends = -1 if coding.signed else 2 * half - 1  # lowest and highest stored value, added
        np.subtract(np.float32(frame.slope * ends + 2 * frame.intercept), target, out=target)
        repairs.add("inverted")
    if instance.modality == "CT":
        repairs |= _fill_padding(target, padded)
    elif padded is not None:
        target[padded] = 0
    return repairs


def _padded(values: NDArray[np.integer], padding: tuple[int, int] | None) -> NDArray[np.bool_] | None:
    """Where stored values (R, C) mark padding; None where none does."""
    if padding is None:
        return None
    low, high = padding
    mask = values == low if low == high else (values >= low) & (values <= high)
    return mask if mask.any() else None


def _fill_padding(hu: NDArray[np.float32], padded: NDArray[np.bool_] | None) -> set[str]:
    repairs: set[str] = set()
    if padded is not None:
        if hu.max(where=padded, initial=-np.inf) > _TISSUE_FROM_HU:
            padded = _touching_border(padded)
        np.copyto(hu, np.float32(AIR_HU), where=padded)
    lowest = hu.min()
    if lowest < _LOWEST_HU:
        undeclared = hu == lowest
        if undeclared.mean() >= _PADDING_SHARE:
            hu[undeclared] = AIR_HU
            repairs.add("padding")
    if hu.max() > _HIGHEST_HU:
        repairs.add("range")
    return repairs


def _touching_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of a mask (R, C) that reach the picture's edge."""
    labels, _ = ndimage.label(mask)
    edge = np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))
    return np.isin(labels, edge[edge > 0])


def _right_sign(
    values: NDArray[np.integer], padded: NDArray[np.bool_] | None, frame: Frame, coding: Coding
) -> tuple[NDArray[np.integer], bool]:
    """Stored values under the other sign where the declared one cannot be CT.

    Two faults are known. Negative numbers declared unsigned show as values at the top of the range: beyond any CT value
    with 16 bits, and with 12 bits where the intercept is near 0 (RSNA's files), so that no air could be there.
    Unsigned numbers declared signed wrap to far below the lowest CT value where they need the uppermost bit.
    """
    if coding.signed and (coding.bits == 16 or frame.intercept > -900):
        return values, False
    seen = values if padded is None else values[~padded]
    if seen.size == 0:
        return values, False
    low, high = int(seen.min()), int(seen.max())
    span = 1 << coding.bits
    if not coding.signed and coding.bits == 16 and high * frame.slope + frame.intercept > _HIGHEST_HU:
        return np.where(values >= span // 2, values.astype(np.int32) - span, values), True
    wraps_from = span - 1000
    if (
        not coding.signed
        and coding.bits == 12
        and frame.intercept > -100
        and low >= 0
        and wraps_from <= high < span
        and (seen >= wraps_from).mean() > _LEAST_AIR
    ):
        return np.where(values >= wraps_from, values.astype(np.int32) - span, values), True
    if coding.signed and _wrapped_below(seen, frame):
        return np.where(values < 0, values.astype(np.int32) + span, values), True
    return values, False


def _wrapped_below(seen: NDArray[np.integer], frame: Frame) -> bool:
    """Whether negative stored values, but for one constant that would be padding, lie far below any CT value."""
    negative, counts = np.unique(seen[seen < 0], return_counts=True)
    if negative.size and counts.max() > counts.sum() / 2:
        negative, counts = np.delete(negative, counts.argmax()), np.delete(counts, counts.argmax())
    if not negative.size:
        return False
    median = negative[np.searchsorted(np.cumsum(counts), counts.sum() / 2)]
    return bool(median * frame.slope + frame.intercept < _LOWEST_HU - 400)


def stored_inverted(instance: Instance) -> bool:
    """Whether a MONOCHROME1 file holds its values turned round, judged on its middle frame.

    MONOCHROME1 speaks of display only, and Hounsfield units then stand as they are; but there are files whose values
    were turned round as well. There the corners, where air is, hold much more than the average.
    """
    frame = instance.frames[len(instance.frames) // 2]
    values = _stored(instance)[0][frame.index].astype(np.float32)
    padded = _padded(values, instance.coding.padding)
    if padded is not None:
        values[padded] = np.nan
    edge = max(1, min(values.shape) // 16)
    sides = (slice(edge), slice(-edge, None))
    corners = np.concatenate([values[rows, columns].ravel() for rows in sides for columns in sides])
    if np.isnan(corners).all():
        return False
    return bool((np.nanmedian(corners) - np.nanmean(values)) * abs(frame.slope) > _CLEARLY_BRIGHTER_HU)


def _stored(instance: Instance) -> tuple[NDArray[np.integer], set[str]]:
    """Stored values (F, R, C) as integers, decoded and with their declared sign, and what had to be put right."""
    coding = instance.coding
    if coding.syntax in _PLAIN_SYNTAXES:
        if coding.allocated not in (8, 16, 32):
            raise UserError(
                f"{instance.entry.path} has {coding.allocated} bits a pixel; expected 8, 16 or 32; convert it"
            )
        plain = _plain(instance) if coding.pixels_at >= 0 else None
        if plain is not None:
            return plain
    return _decoded(instance), set()


def _plain(instance: Instance) -> tuple[NDArray[np.integer], set[str]] | None:
    """Pixels that are not compressed, straight from the file; None where the pixel element is not as expected."""
    coding = instance.coding
    order = ">" if coding.syntax == ExplicitVRBigEndian else "<"
    count = len(instance.frames) * instance.rows * instance.columns
    with instance.entry.open() as stream:
        stream.seek(coding.pixels_at)
        head = stream.read(8)
        explicit = coding.syntax != ImplicitVRLittleEndian
        if explicit and head[4:6] not in (b"OW", b"OB"):
            return None
        length = stream.read(4) if explicit else head[4:8]
        if len(length) < 4 or struct.unpack(f"{order}HH", head[:4]) != (0x7FE0, 0x0010):
            return None
        (declared,) = struct.unpack(f"{order}I", length)
        wide = coding.allocated == 8 and declared // 2 * 2 == 2 * count
        allocated = 16 if wide else coding.allocated  # the bytes are those of two a pixel
        content = stream.read(count * allocated // 8)
    kind = "i" if coding.signed else "u"
    if len(content) * 8 != count * allocated or (order == ">" and head[4:6] == b"OW" and allocated == 8):
        return None
    values = np.frombuffer(content, dtype=f"{order}{kind}{allocated // 8}")
    shaped = values.reshape(len(instance.frames), instance.rows, instance.columns)
    surplus = {"surplus"} if _ENDLESS > declared > len(content) + 1 else set()
    if wide:
        return shaped, {"bits"}
    used, repairs = _used_bits(shaped, coding.bits, coding.shift)
    return used, repairs | surplus


def _used_bits(values: NDArray[np.integer], bits: int, shift: int) -> tuple[NDArray[np.integer], set[str]]:
    """Values without their unused upper bits, which may hold anything (PS3.5 8.1.1): overlays, or no sign. Where many
    pixels have some, the number of bits is wrong and the values are whole."""
    native = values.astype(values.dtype.newbyteorder("="))
    unused = 8 * native.dtype.itemsize - bits
    if shift and not (native & ((1 << shift) - 1)).any():
        return native >> shift, {"bits"}
    if unused == 0:
        return values, set()
    cut = native << unused >> unused
    most = int(np.abs(native, dtype=np.int64).max())
    if most < _MOST_STORED and np.mean(cut != native) > _OVERLAID:
        return native, {"bits"}
    return cut, set()


def _decoded(instance: Instance) -> NDArray[np.integer]:
    """Pixels by pydicom and its plugins, by the compression that they have and not the one that is declared."""
    _check_decoder(instance, instance.coding.syntax)
    dataset = read_dataset(instance.entry)
    if "PixelData" not in dataset:
        raise UserError(f"{instance.entry.path} has no pixels; expected an image; copy or export it again")
    syntax = _syntax_of(dataset, instance)
    decoder = _check_decoder(instance, syntax)
    try:
        with quiet():
            if syntax.is_encapsulated:
                _check_codestreams(dataset, instance, syntax)
            dataset.file_meta.TransferSyntaxUID = syntax
            # The same decoder everywhere, whatever else (gdcm, Pillow) happens to be installed.
            plugin = _PLUGIN if _PLUGIN in decoder.available_plugins else ""
            array, _ = decoder.as_array(dataset, raw=True, decoding_plugin=plugin)
            return array.reshape(len(instance.frames), instance.rows, instance.columns)
    except UserError:
        raise
    except BROKEN_DICOM:
        raise damaged(instance.entry) from None
    except BaseException as error:
        # pylibjpeg-rle is written in Rust, whose panics are no Exception and have no type that can be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise damaged(instance.entry) from None


def _check_decoder(instance: Instance, syntax: UID) -> Decoder:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UserError(
            f"{instance.entry.path} is compressed as {_shown(syntax)}; expected a still-image syntax of DICOM; "
            "decompress it, with gdcmconv --raw say"
        ) from None
    if not decoder.is_available:
        raise UserError(
            f"{instance.entry.path} is compressed as {_shown(syntax)}, for which no decoder is installed; "
            f"expected one of pylibjpeg's plugins; pip install pylibjpeg {_plugin(syntax)}"
        )
    return decoder


def _syntax_of(dataset: Dataset, instance: Instance) -> UID:
    """The declared transfer syntax, or what the pixel element shows where it is another kind: whole pixels where a
    compression is declared, fragments where none is, or another family's codestream."""
    declared = instance.coding.syntax
    element = dataset["PixelData"]
    content = element.value
    if not isinstance(content, bytes):
        return declared
    if not (element.is_undefined_length or content[:4] == _ITEM):
        count = len(instance.frames) * instance.rows * instance.columns * instance.coding.allocated // 8
        whole = declared not in _PLAIN_SYNTAXES and len(content) in (count, count + count % 2)
        return ExplicitVRLittleEndian if whole else declared
    try:
        first = next(iter(generate_frames(content, number_of_frames=len(instance.frames))), b"")
    except BROKEN_DICOM:
        return declared
    shown = _compression_of(first)
    return declared if shown is None or _plugin(shown) == _plugin(declared) != "" else shown


def _compression_of(codestream: bytes) -> UID | None:
    """A transfer syntax of the family that a codestream is of, None where it is of none that is known."""
    if codestream[:4] == b"\xff\x4f\xff\x51" or codestream[4:8] == b"jP  ":
        return JPEG2000Lossless
    if codestream[:2] == b"\xff\xd8":
        marker = frame_marker(codestream)
        return {0xF7: JPEGLSLossless, 0xC3: JPEGLosslessSV1, 0xC1: JPEGExtended12Bit}.get(marker or 0, JPEGBaseline8Bit)
    segments = int.from_bytes(codestream[:4], "little")
    offset = int.from_bytes(codestream[4:8], "little")
    return RLELossless if 1 <= segments <= 15 and offset == 64 else None


def _shown(syntax: UID) -> str:
    # An unknown UID is text of the file's; only what the standard names is shown by name.
    return syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"


def _plugin(syntax: UID) -> str:
    """The package that decodes a compression, "" for what is not compressed."""
    if syntax in _PLAIN_SYNTAXES:
        return ""
    if syntax in JPEG2000TransferSyntaxes or syntax.startswith(_HT_J2K_PREFIX):
        return "pylibjpeg-openjpeg"
    return "pylibjpeg-rle" if syntax == RLELossless else "pylibjpeg-libjpeg"


def _check_codestreams(dataset: Dataset, instance: Instance, syntax: UID) -> None:
    """Refuse compressed frames whose own header declares another size: a decoder would allocate what it says."""
    if syntax == RLELossless:
        return
    for codestream in generate_frames(dataset.PixelData, number_of_frames=len(instance.frames)):
        size = codestream_size(codestream)
        if size != (instance.rows, instance.columns):
            raise UserError(
                f"{instance.entry.path} declares {instance.rows} x {instance.columns} pixels, its "
                f"compressed picture {size or 'none'}; expected the same; export it again"
            )
