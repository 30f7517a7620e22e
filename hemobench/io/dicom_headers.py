"""What a DICOM file says of its pictures, read into plain values: only the fields that reading a scan needs.

Names and dates of patients are never asked for, their id only to tell one from another (its hash is kept), and
pydicom's own complaints about damaged values, which can quote them, go neither into a warning nor into an error.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from hemobench.errors import UserError
from hemobench.io.archive import Entry
from hemobench.io.dicom_fields import (
    FIELDS,
    FieldError,
    counter,
    first_item,
    numbers,
    positive,
    says_enhanced,
    scalar,
    short,
    stated,
    text,
    texts,
    whole,
)
from hemobench.io.dicom_syntax import believable
from hemobench.io.scan import check_size

# All that pydicom raises on damaged files, found by mutating them.
BROKEN_DICOM = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
    MemoryError,
    AssertionError,
    StopIteration,
)
_TALKATIVE = ("pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle", "highdicom")
_MAX_FRAMES = 4096
_HEADER_BYTES = 256 * 1024
_PREAMBLE_BYTES = 144
_MAX_INFLATED_BYTES = 256 * 1024**2
_LONGEST_REPORT = 64 * 1024


@dataclass(frozen=True)
class Frame:
    """One picture: where it lies, in DICOM's L-P-S millimetres, and how its values become Hounsfield units.

    `position` (3) and `orientation` (6: along a row, then along a column) are None where the file gives none, `spacing`
    is (between rows, between columns).
    """

    index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float


@dataclass(frozen=True)
class Coding:
    """How a file stores its pixels. `pixels_at` is the offset of the pixel element in the file, -1 where not known.

    `shift`: by how many bits the values stand above the lowest bit. `padding` is the range of stored values that mark
    padding, under the pixels' own sign.
    """

    syntax: UID
    allocated: int
    bits: int
    shift: int
    signed: bool
    monochrome1: bool
    padding: tuple[int, int] | None
    pixels_at: int


@dataclass(frozen=True)
class Instance:
    """One DICOM image file. `description` serves to find localisers, `time` to tell passes apart; neither is shown.

    `burned_in`: the file says that text stands in its pixels. `person` tells patients apart and says nothing of them.
    `location` is the slice's place in mm where positions fail.
    """

    entry: Entry
    sop_uid: str
    study_uid: str
    series_uid: str
    series_number: int | None
    acquisition: int | None
    number: int | None
    time: str
    person: int
    location: float | None
    burned_in: bool
    modality: str
    image_type: tuple[str, ...]
    description: str
    body_part: str
    kernel: str
    contrast: bool
    thickness_mm: float | None
    rows: int
    columns: int
    samples: int
    rescaled: bool
    coding: Coding
    frames: tuple[Frame, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """Run pydicom and its plugins without their checks, warnings and logs, which repeat header values."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    silent = logging.CRITICAL + 1
    # A change of level empties every logger's cache, so one block around many files saves much.
    changed = [logger for logger in loggers if logger.level != silent]
    for logger in changed:
        logger.setLevel(silent)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            if logger in changed:
                logger.setLevel(level)


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file that begins with `head` (132 bytes or more) is DICOM, with preamble or without."""
    if head[128:132] == b"DICM":
        return True
    # Without preamble the first element is of group 0002 or 0008, little or big endian; a VR or a small length follows.
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\x00", b"\x08\x00") and element[1:] == b"\x00"
    big = group in (b"\x00\x02", b"\x00\x08") and element[:1] == b"\x00"
    plausible = head[4:6].isupper() or head[6:8] == b"\x00\x00"
    return len(head) >= 132 and (little or big) and plausible


class NoDicomError(Exception):
    """A file that is no DICOM at all; carries its first bytes."""

    def __init__(self, head: bytes) -> None:
        super().__init__("no DICOM")
        self.head = head


def read_instance(entry: Entry) -> Instance | None:
    """The header of a DICOM file, or None where it holds no picture (a report, a directory of a disc).

    Raises NoDicomError for a file of another kind, and UserError for one that is damaged or declares more than the
    limits of `hemobench.io.scan`.
    """
    if entry.archive is not None:
        # Inflating whole members for their headers alone would take its time, and some may be no DICOM.
        start = entry.head(_HEADER_BYTES)
        if not looks_like_dicom(start):
            raise NoDicomError(start)
        if len(start) == _HEADER_BYTES and not _is_deflated(start):
            with suppress(UserError):  # a longer header is cut here; the whole file decides
                instance = _read_header(entry, BytesIO(start))
                if instance is not None and instance.coding.pixels_at < _HEADER_BYTES:
                    return instance
    with entry.open() as stream:
        return _read_header(entry, stream)


def _read_header(entry: Entry, stream: BinaryIO) -> Instance | None:
    head = stream.read(_PREAMBLE_BYTES)
    stream.seek(0)
    if not looks_like_dicom(head):
        raise NoDicomError(head)
    try:
        with quiet():
            stream, moved = believable(entry, stream)
            deflated = _check_deflated(entry, stream)
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=list(FIELDS))
            pixels_at = -1 if deflated else stream.tell() - moved
            if dataset.file_meta.get("MediaStorageSOPClassUID", "") == MediaStorageDirectoryStorage:
                return None
            return _instance(entry, dataset, pixels_at)
    except FieldError as error:
        raise UserError(
            f"{entry.path} has no number in {error.keyword}; expected one or more; correct the header or "
            "export it again"
        ) from None
    except UserError:
        raise
    except BROKEN_DICOM:
        raise damaged(entry) from None


def read_dataset(entry: Entry) -> Dataset:
    """The whole DICOM data set of a file, pixels included."""
    try:
        with quiet(), entry.open() as opened:
            stream, _ = believable(entry, opened)
            _check_deflated(entry, stream)
            return pydicom.dcmread(stream, force=True)
    except UserError:
        raise
    except BROKEN_DICOM:
        raise damaged(entry) from None


def damaged(entry: Entry) -> UserError:
    """The error for a file that pydicom cannot make sense of; it quotes nothing of the header."""
    return UserError(f"{entry.path} is a damaged DICOM file; expected a whole image; copy or export it again")


def _check_deflated(entry: Entry, stream: BinaryIO) -> bool:
    """Whether a data set is deflated; one that grows beyond the limit is refused before pydicom inflates it."""
    head = stream.read(1024)
    deflated = _is_deflated(head)
    if deflated:
        # Element (0002,0000), always the first: the length of the part that is not deflated.
        (length,) = struct.unpack("<I", head[140:144])
        stream.seek(144 + length)
        content = stream.read()
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, _MAX_INFLATED_BYTES + 1)
        if len(inflated) > _MAX_INFLATED_BYTES:
            raise UserError(
                f"{entry.path} inflates beyond {_MAX_INFLATED_BYTES:,} bytes; expected one image; store it uncompressed"
            )
    stream.seek(0)
    return deflated


def _is_deflated(head: bytes) -> bool:
    return head[128:132] == b"DICM" and DeflatedExplicitVRLittleEndian.encode() in head[:1024]


def _instance(entry: Entry, dataset: Dataset, pixels_at: int) -> Instance | None:
    rows, columns = short(dataset, "Rows"), short(dataset, "Columns")
    if rows is None or columns is None:
        if _should_be_picture(dataset, pixels_at):
            raise damaged(entry)
        return None
    count = whole(dataset, "NumberOfFrames") or 1
    check_size(entry.path, (count, rows, columns))
    if count > _MAX_FRAMES:
        raise UserError(f"{entry.path} declares {count:,} frames; expected at most {_MAX_FRAMES:,}; split it")
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    per_frame = list(dataset.get("PerFrameFunctionalGroupsSequence", None) or [])
    frames = tuple(
        _frame(index, dataset, per_frame[index] if index < len(per_frame) else None, shared) for index in range(count)
    )
    measures = first_item(shared, "PixelMeasuresSequence")
    return Instance(
        entry=entry,
        sop_uid=text(dataset, "SOPInstanceUID"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=counter(dataset, "SeriesNumber"),
        acquisition=counter(dataset, "AcquisitionNumber"),
        number=counter(dataset, "InstanceNumber"),
        time=text(dataset, "AcquisitionTime") or text(dataset, "ContentTime"),
        person=hash(text(dataset, "PatientID")),  # salted anew in each process
        location=_location(dataset),
        burned_in=stated(dataset, "BurnedInAnnotation").startswith("Y"),
        modality=text(dataset, "Modality").upper() or "CT",
        image_type=tuple(part.upper() for part in texts(dataset, "ImageType")),
        description=text(dataset, "SeriesDescription").upper(),
        body_part=text(dataset, "BodyPartExamined").upper(),
        kernel=stated(dataset, "ConvolutionKernel"),
        contrast=_is_enhanced(dataset),
        thickness_mm=positive(dataset, "SpacingBetweenSlices")
        or positive(dataset, "SliceThickness")
        or positive(measures, "SpacingBetweenSlices")
        or positive(measures, "SliceThickness"),
        rows=rows,
        columns=columns,
        samples=short(dataset, "SamplesPerPixel") or 1,
        rescaled="RescaleIntercept" in dataset or bool(per_frame) or bool(shared),
        coding=_coding(dataset, pixels_at),
        frames=frames,
    )


def _is_enhanced(dataset: Dataset) -> bool:
    """Whether a contrast agent was given, by its field, its volume or the description of the series."""
    with suppress(FieldError):
        if scalar(dataset, "ContrastBolusVolume", 0.0) > 0:
            return True
    described = text(dataset, "SeriesDescription").upper()
    return bool(stated(dataset, "ContrastBolusAgent")) or says_enhanced(described)


def _location(dataset: Dataset) -> float | None:
    with suppress(FieldError):
        values = numbers(dataset, "SliceLocation", 1)
        return None if values is None else values[0]
    return None


def _should_be_picture(dataset: Dataset, length: int) -> bool:
    """Whether a file without rows and columns, of so many bytes, has lost them: its class is that of an image, or is
    none that is known, and it is longer than reports are."""
    declared = str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    name = UID(declared).name
    return "Image Storage" in name or (name == declared and length > _LONGEST_REPORT)


def _coding(dataset: Dataset, pixels_at: int) -> Coding:
    allocated = short(dataset, "BitsAllocated") or 16
    bits = min(short(dataset, "BitsStored") or allocated, allocated)
    high = short(dataset, "HighBit")
    return Coding(
        syntax=_transfer_syntax(dataset),
        allocated=allocated,
        bits=bits,
        shift=0 if high is None or not bits <= high < allocated else high + 1 - bits,
        signed=bool(short(dataset, "PixelRepresentation")),
        monochrome1=text(dataset, "PhotometricInterpretation") == "MONOCHROME1",
        padding=_padding_range(dataset, allocated),
        pixels_at=pixels_at,
    )


def _transfer_syntax(dataset: Dataset) -> UID:
    declared = dataset.file_meta.get("TransferSyntaxUID", None)
    if declared:
        return UID(str(declared))
    implicit, little = dataset.original_encoding
    if little is False:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _padding_range(dataset: Dataset, allocated: int) -> tuple[int, int] | None:
    """Lowest and highest stored value that marks padding, under the sign of the pixels, whatever the tag's own is."""
    value, limit = short(dataset, "PixelPaddingValue"), short(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    ends = [value, value if limit is None else limit]
    if short(dataset, "PixelRepresentation"):
        ends = [end - 0x10000 if end >= 0x8000 else end for end in ends]
    elif allocated > 16:
        ends = [end & 0xFFFF for end in ends]
    return min(ends), max(ends)


def _frame(index: int, dataset: Dataset, own: Dataset | None, shared: Dataset | None) -> Frame:
    """Geometry and rescale of one frame: from its own functional groups, the shared ones, or the file's top level."""

    def group(sequence: str) -> Dataset:
        return first_item(own, sequence) or first_item(shared, sequence) or dataset

    rescale = group("PixelValueTransformationSequence")
    return Frame(
        index=index,
        position=numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing=numbers(group("PixelMeasuresSequence"), "PixelSpacing", 2),
        slope=scalar(rescale, "RescaleSlope", 1.0),
        intercept=scalar(rescale, "RescaleIntercept", 0.0),
    )
