"""Single header fields as plain values, straight from their bytes.

pydicom's own conversion is made for every value of every kind, complains about odd ones by quoting them, and takes
most of the time of reading a header. The fields here are few: short ASCII texts, decimal numbers in text, and 16-bit
integers. What the bytes are counts, not the kind (VR) that the file declares them to be.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_KEYWORDS = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "AcquisitionTime",
    "ContentTime",
    "BurnedInAnnotation",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "BodyPartExamined",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "ContrastBolusVolume",
    "PatientID",
    "SliceLocation",
    "HighBit",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_TAGS: dict[str, BaseTag] = {keyword: Tag(keyword) for keyword in _KEYWORDS}
# What a reader of scans asks a file for; nothing else of a header is parsed.
FIELDS: tuple[BaseTag, ...] = tuple(_TAGS.values())


# Workstations of half of Europe write decimal commas, and some programs the unit behind the number.
_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?:mm|hu)?", re.IGNORECASE)
_BLANK = " \0\t\r\n"
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_ASCII_NUMBER = re.compile(rb"[\d.,+\-eE\\ \0]+")
# What people and machines write into a field to say that there is none of it.
_ABSENT = re.compile(
    r"|0+(\.0*)?\s*(ML|CC|MG)?|-+|\.+|\?+|N|NO|NON|NONE|NIL|NULL|N\.?\s?/?\s?A\.?|NOT? .*|UNKNOWN|UNK|UNSPECIFIED"
    r"|FALSE|F|NEIN|NON[ -]?(CONTRAST|ENHANCED)( CT)?|UNENHANCED|PRE[ -]?CONTRAST|.* NOT (GIVEN|USED|ADMINISTERED)"
    r"|NONE (GIVEN|USED|ADMINISTERED)"
    r"|(W/O|WO|WITHOUT|OHNE|SANS|SIN|SENZA|SEM|ZONDER|UTAN|KEIN|KEINE|KEINES|NATIVE?|PLAIN|EMPTY)\b(?!.*\b(WITH|W)\b).*"
)
# A series after a contrast agent by its description, unless it says at once that it is without.
_ENHANCED = re.compile(
    r"\b(CTA|ANGIO\w*|POST[ -]?(CONTRAST|KM|IV)|WITH CONTRAST|ENHANCED|PERFUSION|ARTERIAL|VENOUS|MIT KM)\b|\bC\+|\+C\b"
)
_PLAIN = re.compile(r"\b(W/O|WO|WITHOUT|NON|PRE|UNENHANCED|NATIV\w*|OHNE|SANS)\b")


class FieldError(ValueError):
    """A field that should hold numbers and does not; carries its keyword, and nothing of its content."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def text(dataset: Dataset, keyword: str) -> str:
    """A text without padding, "" where it is missing; several values stay joined by backslashes."""
    value = _raw(dataset, keyword)
    return "" if value is None else str(value).strip(_BLANK)


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a text, none where it is missing."""
    value = _raw(dataset, keyword)
    if isinstance(value, str):
        return tuple(part.strip(_BLANK) for part in value.split("\\")) if value.strip(_BLANK) else ()
    return () if value is None else tuple(str(part) for part in _as_list(value))


def stated(dataset: Dataset, keyword: str) -> str:
    """A text in upper case, "" where it is missing or says that there is nothing (NONE, N/A, W/O, 0 ...)."""
    value = text(dataset, keyword).upper()
    return "" if _ABSENT.fullmatch(value.rstrip(".")) else value


def says_enhanced(description: str) -> bool:
    """Whether a series' description (upper case) says that a contrast agent was given.

    >>> [says_enhanced(words) for words in ("CTA HEAD", "HEAD POST CONTRAST", "HEAD W/O CONTRAST", "PRE-CONTRAST CTA")]
    [True, True, False, False]
    """
    words = description.replace("_", " ")
    return _ENHANCED.search(words) is not None and _PLAIN.search(words) is None


def decimal(value: str) -> float:
    """A decimal number in text, with a point or a comma, its unit (mm, HU) behind it or not. Raises: ValueError.

    >>> decimal("0.5"), decimal(" 0,488 mm"), decimal("+1.E-2")
    (0.5, 0.488, 0.01)
    """
    found = _NUMBER.fullmatch(value.strip(_BLANK))
    if found is None:
        raise ValueError("no number")
    return float(found[1].replace(",", "."))


def whole(dataset: Dataset, keyword: str) -> int | None:
    """An integer stored as text, None where it is missing. Raises: FieldError where it is none."""
    values = _decimals(dataset, keyword)
    return int(values[0]) if values else None


def counter(dataset: Dataset, keyword: str) -> int | None:
    """An integer that only puts things in order, None where it is missing or none."""
    try:
        return whole(dataset, keyword)
    except (FieldError, OverflowError):
        return None


def scalar(dataset: Dataset, keyword: str, default: float) -> float:
    """The first decimal number of a text, `default` where it is missing. Raises: FieldError where it is none."""
    values = _decimals(dataset, keyword)
    return values[0] if values else default


def positive(dataset: Dataset | None, keyword: str) -> float | None:
    """A length in mm between 0 and 1000 (its sign does not count), None where it is missing or absurd."""
    value = 0.0 if dataset is None else abs(scalar(dataset, keyword, 0.0))
    return value if 0 < value < 1000 else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite decimal numbers, None where they are missing or not all there. Raises: FieldError where some are
    no numbers."""
    values = _decimals(dataset, keyword, count)
    return values if len(values) == count and all(math.isfinite(value) for value in values) else None


def _decimals(dataset: Dataset, keyword: str, count: int = 1) -> tuple[float, ...]:
    parts = texts(dataset, keyword)
    if len(parts) == 1 < count and "." in parts[0] and "," in parts[0]:
        parts = tuple(parts[0].split(","))  # commas in place of backslashes
    try:
        # Empty values are those of a field that is there and says nothing.
        return () if not any(parts) else tuple(decimal(part) for part in parts)
    except ValueError:
        raise FieldError(keyword) from None


def short(dataset: Dataset, keyword: str) -> int | None:
    """A 16-bit integer as unsigned (US, or SS whose sign the caller knows), None where it is missing."""
    value = _element(dataset, keyword)
    if value is None or value.value is None or value.value == "":
        return None
    if isinstance(value.value, bytes):
        if _is_text(value.VR, value.value):
            return whole(dataset, keyword)
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
    if not isinstance(value, bytes):
        return value
    kind = _BINARY.get(element.VR or "")
    if kind is None or _ASCII_NUMBER.fullmatch(value) or len(value) % struct.calcsize(kind):
        return value.decode("latin-1")
    order = "<" if getattr(element, "is_little_endian", True) else ">"
    return list(struct.unpack(f"{order}{len(value) // struct.calcsize(kind)}{kind}", value))


def _is_text(kind: str | None, value: bytes) -> bool:
    """Whether an integer stands as digits: declared so, or too long for the two bytes of the number it should be."""
    return bool(_ASCII_NUMBER.fullmatch(value)) and (kind in ("IS", "DS", "LO", "SH") or len(value) > 2)


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | int | float) else list(value)
