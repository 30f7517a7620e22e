"""Single header fields as plain values, straight from their bytes.

pydicom's own conversion is made for every value of every kind, complains about odd ones by quoting them, and takes
most of the time of reading a header. The fields here are few: short ASCII texts, decimal numbers in text, and 16-bit
integers.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_KEYWORDS = (
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber",
    "Modality", "ImageType", "SeriesDescription", "BodyPartExamined", "ConvolutionKernel", "ContrastBolusAgent",
    "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
    "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_TAGS: dict[str, BaseTag] = {keyword: Tag(keyword) for keyword in _KEYWORDS}
# What a reader of scans asks a file for; nothing else of a header is parsed.
FIELDS: tuple[BaseTag, ...] = tuple(_TAGS.values())


def text(dataset: Dataset, keyword: str) -> str:
    """A text without padding, "" where it is missing; several values stay joined by backslashes."""
    value = _raw(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a text, none where it is missing."""
    value = _raw(dataset, keyword)
    if isinstance(value, str):
        return tuple(part.strip(" \0") for part in value.split("\\")) if value.strip(" \0") else ()
    return () if value is None else tuple(str(part) for part in _as_list(value))


def whole(dataset: Dataset, keyword: str) -> int | None:
    """An integer stored as text, None where it is missing."""
    value = text(dataset, keyword)
    return int(float(value)) if value else None


def scalar(dataset: Dataset, keyword: str, default: float) -> float:
    """The first decimal number of a text, `default` where it is missing."""
    values = texts(dataset, keyword)
    return float(values[0]) if values else default


def positive(dataset: Dataset | None, keyword: str) -> float | None:
    """A length in mm between 0 and 1000 (its sign does not count), None where it is missing or absurd."""
    value = 0.0 if dataset is None else abs(scalar(dataset, keyword, 0.0))
    return value if 0 < value < 1000 else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite decimal numbers, None where they are missing or not all there."""
    values = tuple(float(value) for value in texts(dataset, keyword))
    return values if len(values) == count and all(math.isfinite(value) for value in values) else None


def short(dataset: Dataset, keyword: str) -> int | None:
    """A 16-bit integer as unsigned (US, or SS whose sign the caller knows), None where it is missing."""
    value = _element(dataset, keyword)
    if value is None or value.value is None or value.value == "":
        return None
    if isinstance(value.value, bytes):
        if len(value.value) < 2:
            return None
        little = bool(getattr(value, "is_little_endian", True))
        return int(struct.unpack("<H" if little else ">H", value.value[:2])[0])
    return int(_as_list(value.value)[0])


def first_item(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """The first item of a sequence, None where there is none."""
    items = None if dataset is None else dataset.get(keyword, None)
    return items[0] if items else None


def _element(dataset: Dataset, keyword: str) -> Any:
    tag = _TAGS[keyword]
    return dataset.get_item(tag) if tag in dataset else None


def _raw(dataset: Dataset, keyword: str) -> Any:
    element = _element(dataset, keyword)
    value = None if element is None else element.value
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | int | float) else list(value)
