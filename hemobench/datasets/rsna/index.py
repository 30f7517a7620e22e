"""Which RSNA image belongs to which patient, study and series, and its labels: an SQLite file in the cache folder.

Built in one pass over the CSV and one over the DICOM headers, which are read in parallel. Rows are appended and sorted
on disk, so memory stays the same and the time per row hardly grows whatever the number of images. The file's name is
made from the content listing (names, sizes, times) and the CSV, it is written under a temporary name and renamed:
two processes that build at once end with one whole index, and a killed build is never taken for one.
"""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hemobench.datasets.nifti_pairs import printable
from hemobench.datasets.rsna.headers import ENDING, Header, read_headers
from hemobench.datasets.tables import csv_reader, whole
from hemobench.errors import UserError
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.machine import cache_home, usable_cores

Progress = Callable[[int, int], None]
INDEX_VERSION = 1
TYPES_MASK = (1 << len(SUBTYPES)) - 1
_ANY = 1 << len(SUBTYPES)
_ALL = (1 << len(CLASSES)) - 1
_BIT = {name: 1 << position for position, name in enumerate(CLASSES)}
_HEADER = ["ID", "Label"]
_MAIN, _BUILDING = "index.sqlite", ".building-"
_CHUNK = 256
# Below this, starting processes takes longer than reading.
_PARALLEL_FROM = 20_000
_MEMORY_KIB = 32 * 1024
_STALE_SECONDS = 24 * 3600
_NAMED = 20


@dataclass(frozen=True)
class Listing:
    """What lies in an image folder: number of files, a digest of names and sizes, and one with times besides."""

    count: int
    digest: str
    state: str


@dataclass(frozen=True)
class SeriesRow:
    """One series: `first` and `last` are its rows in the index; `labels` five bits, the types any image shows."""

    patient: str
    study: str
    series: str
    first: int
    last: int
    labels: int


def list_images(folder: Path) -> Listing:
    """Count and digest the images of a folder in constant memory, whatever the order the system lists them in."""
    count, names, states = 0, 0, 0
    for entry in _images(folder):
        status = entry.stat()
        content = f"{entry.name}\0{status.st_size}".encode()
        # Sums of digests do not depend on the order, and no list has to be kept or sorted.
        names += _digest(content)
        states += _digest(content + f"\0{status.st_mtime_ns}".encode())
        count += 1
    modulus = 1 << 128
    return Listing(count, f"{names % modulus:032x}", f"{states % modulus:032x}")


def get_index(
    folder: Path, table: Path, listing: Listing, table_digest: str, *, jobs: int | None, progress: Progress | None
) -> Path:
    """The index of the images in `folder` and the labels in `table`; built where this content has none yet.

    Raises UserError for a CSV that cannot be understood and for a cache folder that cannot be written.
    """
    key = hashlib.sha256(f"{INDEX_VERSION}/{listing.count}/{listing.state}/{table_digest}".encode()).hexdigest()[:20]
    path = cache_home() / "index" / f"rsna-{key}.sqlite"
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=path.parent) as building:
            with closing(_connect(Path(building))) as database:
                _build(database, folder, table, listing.count, jobs, progress)
            os.replace(Path(building) / _MAIN, path)
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"index {path} cannot be written ({error}); expected a writable folder with space; set "
            "HEMOBENCH_HOME to one"
        ) from error
    return path


def series_rows(index: Path) -> Iterator[SeriesRow]:
    """Every series, by patient, study and series id."""
    with _reading(index) as database:
        for row in database.execute("SELECT patient, study, series, first, last, labels FROM series ORDER BY first"):
            yield SeriesRow(*row)


def images_of(index: Path, first: int, last: int) -> list[tuple[str, int]]:
    """(name, bits of the five types) of the images in rows `first`..`last`."""
    with _reading(index) as database:
        return database.execute("SELECT name, labels FROM image WHERE rowid BETWEEN ? AND ?", (first, last)).fetchall()


def lines(index: Path, kind: str) -> tuple[str, ...]:
    """Lines that the build left: `kind` is "warning" or "note"."""
    with _reading(index) as database:
        return tuple(text for (text,) in database.execute("SELECT text FROM line WHERE kind = ?", (kind,)))


def label_rows(table: Path) -> Iterator[tuple[str, int, int]]:
    """(image, bits of its labels, bits of the labels that were given) for each run of lines about one image.

    The CSV has lines `ID_<image>_<type>,<0 or 1>`. Raises UserError for a file that is none, naming the line.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            yield from _grouped(csv_reader(file, _HEADER), table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        kind = type(error).__name__
        raise UserError(f"{table} is no CSV in UTF-8 ({kind}); expected ID,Label; copy it again") from error


def _grouped(reader: Any, table: Path) -> Iterator[tuple[str, int, int]]:
    header = [field.strip() for field in next(reader, [])]
    if header != _HEADER:
        shown = printable(", ".join(header)[:80]) or "nothing"
        raise UserError(f"{table} begins with {shown}; expected the header ID,Label; copy it again")
    current, labels, given = "", 0, 0
    for row in reader:
        if len(row) == 2:
            name, _, kind = row[0].rpartition("_")
            bit, value = _BIT.get(kind, 0), row[1] if row[1] in ("0", "1") else whole(row[1])
        else:
            name, bit, value = "", 0, ""
        if not bit or not name or value not in ("0", "1"):
            if not any(row):
                continue
            shown = printable(",".join(row)[:60])
            raise UserError(
                f"{table} line {reader.line_num} is '{shown}'; expected ID_<image>_<type>,<0 or 1> with a "
                f"type of {', '.join(CLASSES)}; correct it"
            )
        if name != current:
            if current:
                yield current, labels, given
            current, labels, given = name, 0, 0
        labels |= bit if value == "1" else 0
        given |= bit
    if current:
        yield current, labels, given


def _build(
    database: sqlite3.Connection, folder: Path, table: Path, count: int, jobs: int | None, progress: Progress | None
) -> None:
    """Append labels and headers to the attached `stage` as they come, then join and sort them on disk."""
    database.executescript(
        "CREATE TABLE stage.given (name TEXT, labels INT, seen INT);"
        "CREATE TABLE stage.header (name TEXT, patient TEXT, study TEXT, series TEXT, problem TEXT);"
        "CREATE TABLE stage.label (name TEXT PRIMARY KEY, labels INT, seen INT, times INT, same INT) WITHOUT ROWID;"
        "CREATE TABLE main.line (kind TEXT, text TEXT);"
    )
    database.executemany("INSERT INTO given VALUES (?, ?, ?)", label_rows(table))
    # Of lines that contradict each other, a type counts when one has it.
    database.execute(
        f"INSERT INTO label SELECT name, {_either('labels', len(CLASSES))}, {_either('seen', len(CLASSES))}, count(*), "
        "min(labels) = max(labels) FROM given GROUP BY name"
    )
    headers = _headers(folder, count, jobs, progress)
    database.executemany("INSERT INTO header VALUES (?, ?, ?, ?, ?)", headers)
    database.executescript(
        "CREATE INDEX stage.header_name ON header (name);"
        "CREATE TABLE stage.joined AS "
        f"SELECT h.name AS name, patient, study, series, l.labels & {TYPES_MASK} AS labels "
        f"FROM header AS h JOIN label AS l ON l.name = h.name WHERE l.seen = {_ALL} AND h.problem = '' "
        "ORDER BY patient, study, series, h.name;"
        "CREATE TABLE main.image AS SELECT name, labels FROM joined ORDER BY rowid;"
        "CREATE TABLE main.series AS SELECT patient, study, series, min(rowid) AS first, max(rowid) AS last, "
        f"{_either('labels', len(SUBTYPES))} AS labels FROM joined GROUP BY patient, study, series;"
    )
    _write_lines(database, folder.name, table.name)
    database.commit()


def _either(column: str, bits: int) -> str:
    """SQL for the bits that any row of a group has: SQLite has no such aggregate."""
    return " | ".join(f"max({column} & {1 << bit})" for bit in range(bits))


def _write_lines(database: sqlite3.Connection, folder: str, table: str) -> None:
    """Warnings and notes about images and labels that do not fit, the first of each kind by name."""
    kinds = (
        ("problem", "header WHERE problem != ''", f"{folder}/{{}}{ENDING}: {{}}; image left out"),
        ("''", f"label WHERE seen != {_ALL}", f"{table}: {{}} lacks some of its {len(CLASSES)} lines; image left out"),
        ("''", "label WHERE NOT same", f"{table}: {{}} is labelled twice, differently; either one's types count"),
        (
            "''",
            f"label WHERE seen = {_ALL} AND ((labels & {_ANY}) != 0) != ((labels & {TYPES_MASK}) != 0)",
            f"{table}: {{}}_any contradicts its types; the types are used",
        ),
        (
            "''",
            "label WHERE NOT EXISTS (SELECT 1 FROM header WHERE header.name = label.name)",
            f"{folder}/{{}}{ENDING}: in {table} but not on disk",
        ),
        (
            "''",
            "header WHERE problem = '' AND NOT EXISTS (SELECT 1 FROM label WHERE label.name = header.name)",
            f"{folder}/{{}}{ENDING}: not in {table}; image left out",
        ),
    )
    for detail, where, text in kinds:
        (count,) = database.execute(f"SELECT count(*) FROM {where}").fetchone()
        rows = database.execute(f"SELECT name, {detail} FROM {where} ORDER BY name LIMIT {_NAMED}").fetchall()
        found = [text.format(printable(name), more) for name, more in rows]
        if count > _NAMED:
            found.append(f"and {count - _NAMED:,} more like the last line")
        database.executemany("INSERT INTO line VALUES ('warning', ?)", ((one,) for one in found))
    (twice,) = database.execute("SELECT count(*) FROM label WHERE times > 1 AND same").fetchone()
    if twice:
        note = f"{table}: {twice} images listed twice alike; counted once"
        database.execute("INSERT INTO line VALUES ('note', ?)", (note,))


def _headers(folder: Path, count: int, jobs: int | None, progress: Progress | None) -> Iterator[Header]:
    """The header row of every image, in any order."""
    done = 0
    files = (entry.name for entry in _images(folder))
    for rows in _read_chunks(str(folder), _chunks(files), count, jobs or usable_cores()):
        for row in rows:
            done += 1
            total = max(count, done)
            # A call for each thousandth: as many as a bar can show, and the tenths that plain lines need.
            if progress is not None and done * 1000 // total != (done - 1) * 1000 // total:
                progress(done, total)
            yield row


def _read_chunks(folder: str, chunks: Iterable[list[str]], count: int, jobs: int) -> Iterator[list[Header]]:
    """Headers of each chunk; at most a few chunks are under way, so that memory does not grow with their number."""
    if jobs <= 1 or count < _PARALLEL_FROM:
        yield from (read_headers(folder, chunk) for chunk in chunks)
        return
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(method))
    try:
        pending: deque[Future[list[Header]]] = deque()
        for chunk in chunks:
            pending.append(pool.submit(read_headers, folder, chunk))
            if len(pending) >= 4 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            f"a process that was reading headers died ({jobs} ran at once), probably of too little memory; "
            "expected all to finish; run again with fewer jobs"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _images(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(ENDING) and not entry.name.startswith(".") and entry.is_file():
                    yield entry
    except OSError as error:
        raise UserError(f"cannot list {folder} ({error.strerror}); expected a folder of images; check it") from error


def _chunks(names: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(names, _CHUNK)):
        yield chunk


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")


def _connect(building: Path) -> sqlite3.Connection:
    database = sqlite3.connect(building / _MAIN)
    database.execute("ATTACH ? AS stage", (str(building / "stage.sqlite"),))
    # Nobody else sees the files before one is renamed, and a build that dies is thrown away: no journal, no waiting.
    for name in ("main", "stage"):
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_MEMORY_KIB}"):
            database.execute(f"PRAGMA {name}.{setting}")
    database.execute("PRAGMA temp_store = FILE")
    return database


@contextmanager
def _reading(index: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise UserError(
            f"index {index} cannot be read ({error}); expected the one made when the data set was opened; "
            "delete it if it is there, and run again"
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what builds killed more than a day ago left behind."""
    for leftover in folder.glob(f"{_BUILDING}*"):
        try:
            stale = time.time() - leftover.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(leftover, ignore_errors=True)
