"""Where the blood is in Zeta's pictures: the `Results_….csv` files of both schemas, as outlines and masks.

The detection files have a row for each polygon of the majority (`Majority Label`, JSON) and repeat the expert's list of
polygons (`Correct Label`, a Python repr) and every reader's (`All Labels`, an array of JSON texts) on each of them. The
intraventricular file has `ROI`, JSON. Nothing in them is evaluated: texts of other characters than polygons need are
refused before they are parsed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.polygons import paint_polygon
from hemobench.datasets.tables import read_header, read_rows
from hemobench.errors import UserError, unknown_name
from hemobench.labels import LABEL_IDS, SUBTYPES

OUTLINE_SOURCES = ("best", "correct", "majority", "all")
UNTYPED = 0
_FINISHED = ("gold standard", "labeled")
_UNFINISHED = ("ready", "in progress")
_KEYS = ("Origin", "Labeling State")
_DETECTION = ("Majority Label", "Correct Label", "All Labels")
_ROI = ("ROI",)
_TEXT_LIMIT = 4 * 2**20
_POINT_LIMIT = 20_000
# Hand-drawn outlines end a little outside the picture; farther out it is another unit or a mistake.
_MARGIN = 0.05
_POLYGON_TEXT = re.compile(r"""[\[\]{}"':,.\s0-9eE+\-xy]*""")
_QUOTED = re.compile(r"'([^']*)'")
Polygon = NDArray[np.float64]
Polygons = tuple[Polygon, ...]


@dataclass(frozen=True, eq=False)
class Outline:
    """Blood of one type in a picture. subtype: an id of LABEL_IDS, or UNTYPED. reads: each reader's polygons.

    Polygons are (n, 2), x and y as fractions of width and height.
    """

    subtype: int
    reads: tuple[Polygons, ...]

    def mask(self, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Pixels (rows, columns) that at least half of the reads mark."""
        masks = [np.zeros((int(shape[0]), int(shape[1])), dtype=bool) for _ in self.reads]
        for marked, polygons in zip(masks, self.reads, strict=True):
            for polygon in polygons:
                paint_polygon(marked, polygon)
        if len(masks) == 1:
            return masks[0]
        votes = np.sum(masks, axis=0)
        return np.asarray(2 * votes >= len(masks)) & (votes > 0)


@dataclass
class Locations:
    """Outlines by picture id, what was wrong, and what was passed over by the files' own rules."""

    outlines: dict[str, tuple[Outline, ...]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Record:
    """What one file says about one picture, over all its rows."""

    majority: dict[str, Polygons] = field(default_factory=dict)
    correct: Polygons = ()
    reads: tuple[Polygons, ...] = ()


def read_locations(paths: Iterable[Path], wanted: Collection[str], source: str = "best") -> Locations:
    """Outlines of the pictures in `wanted` (ids without ending) from all files; byte-identical files count once.

    source: "correct" (the expert's), "majority" (the readers' common one; the intraventricular file's ROI), "all" (what
    at least half of the readers marked) or "best": the expert's where there is one, else the majority's. A file or
    field that cannot be understood becomes a warning that names it; an unknown source raises UserError.
    """
    if source not in OUTLINE_SOURCES:
        raise unknown_name("source of outlines", source, OUTLINE_SOURCES)
    found = Locations()
    seen: dict[str, str] = {}
    for path in sorted(paths):
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest in seen:
                found.notes.append(f"{path.name}: the same bytes as {seen[digest]}; read once")
                continue
            seen[digest] = path.name
            records = _read_file(path, wanted, found)
        except UserError as error:
            found.warnings.append(f"location file left out: {error}")
            continue
        subtype = subtype_of_file(path.name)
        for picture, record in records.items():
            reads = _chosen(record, source)
            if any(reads):
                found.outlines[picture] = (*found.outlines.get(picture, ()), Outline(subtype, reads))
    return found


def subtype_of_file(name: str) -> int:
    """Label id of the type that a file's name says, UNTYPED where it names none or says multiple.

    >>> subtype_of_file("Results_Epidural Hemorrhage Detection_2020-11-16_21.31.26.148.csv")
    1
    """
    named = [subtype for subtype in SUBTYPES if subtype in name.lower()]
    return LABEL_IDS[named[0]] if len(named) == 1 else UNTYPED


def parse_polygons(text: str) -> Polygons:
    """Polygons of JSON or of a Python repr: one polygon `[{"x": 0.4, "y": 0.8}, …]` or a list of them.

    Blank texts, `[]`, `[[]]` and `[[], []]` give none. Raises ValueError with what is wrong.

    >>> [polygon.tolist() for polygon in parse_polygons("[[{'x': 0, 'y': 0}, {'x': 1, 'y': 0}, {'x': 1, 'y': 1}], []]")]
    [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]
    """
    if len(text) > _TEXT_LIMIT:
        raise ValueError(f"{len(text)} characters, at most {_TEXT_LIMIT} are read")
    if not text.strip():
        return ()
    if not _POLYGON_TEXT.fullmatch(text):
        raise ValueError("characters that no polygon has")
    try:
        value = json.loads(text.replace("'", '"'))
    except (ValueError, RecursionError) as error:
        raise ValueError("no list of points") from error
    return tuple(_polygon(points) for points in _point_lists(value))


def parse_reads(text: str) -> tuple[Polygons, ...]:
    """Each reader's polygons from `All Labels`: an array of JSON texts as NumPy or JSON writes it, blank for none."""
    if len(text) > _TEXT_LIMIT:
        raise ValueError(f"{len(text)} characters, at most {_TEXT_LIMIT} are read")
    quoted = _QUOTED.findall(text)
    if not quoted and '"' in text:
        try:
            quoted = [entry for entry in json.loads(text) if isinstance(entry, str)]
        except (ValueError, RecursionError, TypeError) as error:
            raise ValueError("no array of texts") from error
    return tuple(parse_polygons(entry) for entry in quoted)


def _point_lists(value: object) -> Iterator[list[object]]:
    if not isinstance(value, list):
        raise ValueError("no list of points")
    if value and all(isinstance(entry, dict) for entry in value):
        yield value
        return
    for entry in value:
        if not isinstance(entry, list) or not all(isinstance(point, dict) for point in entry):
            raise ValueError("no list of points")
        if entry:
            yield entry


def _polygon(points: list[object]) -> Polygon:
    try:
        pairs = [(point["x"], point["y"]) for point in points]  # type: ignore[index]
        array = np.array(pairs, dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError("a point without numbers x and y") from error
    if not 3 <= len(array) <= _POINT_LIMIT:
        raise ValueError(f"a polygon of {len(array)} points")
    if not np.all((array >= -_MARGIN) & (array <= 1 + _MARGIN)):
        raise ValueError("a point outside the picture")
    return np.clip(array, 0.0, 1.0)


def _read_file(path: Path, wanted: Collection[str], found: Locations) -> dict[str, _Record]:
    header = read_header(path)
    columns = _ROI if set(_ROI) <= set(header) and "Majority Label" not in header else _DETECTION
    records: dict[str, _Record] = {}
    unfinished, absent = 0, set()
    for line, (origin, state, *texts) in read_rows(path, (*_KEYS, *columns)):
        picture = picture_id(origin)
        if picture not in wanted:
            absent.add(picture)
        elif state.strip().lower() in _UNFINISHED:
            unfinished += 1
        elif state.strip().lower() not in _FINISHED:
            found.warnings.append(f"{path.name} line {line}: Labeling State '{state[:40]}' is unknown; row left out")
        else:
            try:
                _add(records.setdefault(picture, _Record()), columns, texts)
            except ValueError as error:
                found.warnings.append(f"{path.name} line {line}: outlines of {picture} have {error}; row left out")
    if unfinished:
        found.notes.append(f"{path.name}: {unfinished} rows not read to the end (Ready, In Progress); left out")
    if absent:
        found.notes.append(f"{path.name}: outlines of {len(absent)} pictures that are not used here")
    return records


def picture_id(origin: str) -> str:
    """Id of a picture from its file name or URL: `ID_004c4b319.jpg` -> `ID_004c4b319`."""
    return origin.strip().rpartition("/")[2].partition(".")[0]


def _add(record: _Record, columns: tuple[str, ...], texts: Sequence[str]) -> None:
    """One row more: the majority's polygons add up over rows, the other columns repeat on each."""
    majority = record.majority.get(texts[0])
    if majority is None:
        majority = parse_polygons(texts[0])
    if columns == _DETECTION:
        correct, reads = record.correct or parse_polygons(texts[1]), record.reads or parse_reads(texts[2])
        record.correct, record.reads = correct, reads
    record.majority[texts[0]] = majority


def _chosen(record: _Record, source: str) -> tuple[Polygons, ...]:
    majority = tuple(polygon for polygons in record.majority.values() for polygon in polygons)
    if source == "all":
        return record.reads or (majority,)
    if source == "correct":
        return (record.correct,)
    return (record.correct or majority,) if source == "best" else (majority,)
