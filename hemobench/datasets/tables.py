"""Label tables as they come: CSV in UTF-8 with or without a byte-order mark, read line by line and within limits.

Columns are separated by commas, semicolons (Excel in much of Europe, which then writes decimal commas), tabs or bars:
the header tells by which. Tables that people made themselves may have lines above the header, and be in another
encoding: `layout_of` finds out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from hemobench.errors import UserError

LINE_LIMIT = 16 * 2**20
COLUMN_LIMIT = 10_000
TABLE_ENDINGS = (".csv", ".tsv")
_SEPARATORS = (",", ";", "\t", "|")
# A line that Excel writes and reads above the header.
_TOLD = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_DECIMALS = re.compile(r"(?<=\d)[.,]0*$")
_PIECE_BYTES = 2**20
# A header stands among the first lines.
_HEADER_WITHIN = 10
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Layout:
    """How a table is written: its encoding, and the lines above its header, whose separator is known if there are."""

    encoding: str = "utf-8-sig"
    above: int = 0
    separator: str | None = None


PLAIN = Layout()


def layout_of(path: Path, fits: Callable[[tuple[str, ...]], bool]) -> tuple[Layout, list[str]]:
    """How a table that somebody made by hand is written, and a line for what is odd about it.

    fits: whether column names are those that are wanted. Text that is no UTF-8 is taken as Windows' (cp1252), and a row
    among the first ten as the header, where its names fit. PLAIN where none do: `read_rows` then says what is wrong.
    """
    encoding = _encoding_of(path)
    if encoding is None:
        return PLAIN, []
    with path.open(encoding=encoding, newline="") as stream:
        lines = [stream.readline(LINE_LIMIT) for _ in range(_HEADER_WITHIN)]
    for above, line in enumerate(lines):
        fitting = [separator for separator in _SEPARATORS if fits(_names(line, separator))]
        if not fitting:
            continue
        odd = [] if encoding == PLAIN.encoding else [f"{path.name}: no UTF-8; read as Windows' (cp1252) text"]
        if not above or (above == 1 and _TOLD.fullmatch(lines[0])):
            return Layout(encoding), odd
        odd.append(f"{path.name}: its header is line {above + 1}; what stands above was skipped")
        return Layout(encoding, above, max(fitting, key=line.count)), odd
    return PLAIN, []


def _encoding_of(path: Path) -> str | None:
    """UTF-8 or cp1252, whichever decodes a file to text; None for neither, and for what cannot be read."""
    for encoding in (PLAIN.encoding, "cp1252"):
        try:
            with path.open(encoding=encoding, newline="") as stream:
                plain = all(not _NO_TEXT.search(piece) for piece in iter(lambda: stream.read(_PIECE_BYTES), ""))
        except (UnicodeDecodeError, OSError):
            continue
        return encoding if plain or encoding == PLAIN.encoding else None
    return None


def _names(line: str, separator: str) -> tuple[str, ...]:
    try:
        return tuple(name.strip() for name in next(csv.reader((line,), delimiter=separator), []))
    except csv.Error:
        return ()


def read_header(path: Path, layout: Layout = PLAIN) -> tuple[str, ...]:
    """Column names of a CSV, without surrounding blanks. Raises UserError as `read_rows` does."""
    return tuple(next(_records(path, None, layout))[1])


def read_rows(path: Path, columns: Sequence[str], layout: Layout = PLAIN) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, the values of `columns` in this order) of each row; rows without any value are passed over.

    Reads as it goes: memory stays that of one row. Raises UserError, naming the line, for a file that is missing, is no
    UTF-8 or holds NULs, lacks one of the columns or has it twice, for a row with more or fewer fields than the header,
    and for a line of more than LINE_LIMIT bytes.
    """
    rows = _records(path, columns, layout)
    next(rows)
    return rows


def csv_reader(stream: TextIO, columns: Sequence[str] = (), *, strict: bool = False, layout: Layout = PLAIN) -> Any:
    """A csv.reader of a table, whose first row is the header; `columns` are names that should be in it.

    The separator is that by which the header has most of them, then that by which it has most columns; the comma
    before others.
    """
    for _ in islice(stream, layout.above):
        pass
    first = stream.readline()
    told = _TOLD.fullmatch(first)
    separator = layout.separator or (told[1] if told else _separator(first, columns))
    reader = csv.reader(chain((first,), stream), delimiter=separator, strict=strict)
    if told:
        next(reader)
    return reader


def _separator(header: str, columns: Sequence[str]) -> str:
    def rank(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader((header,), delimiter=separator), [])]
        return sum(name in names for name in columns), len(names)

    return max(_SEPARATORS, key=rank)


def whole(text: str) -> str:
    """A field without blanks and without the decimals that a spreadsheet gives a whole number.

    >>> whole("1"), whole(" 12,0 "), whole("1.00"), whole("0.5"), whole("1,5")
    ('1', '12', '1', '0.5', '1,5')
    """
    return _DECIMALS.sub("", text.strip())


def _records(path: Path, columns: Sequence[str] | None, layout: Layout) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, fields) of the header, then of every row that is not blank, cut to `columns`."""
    try:
        _check_bytes(path)
        with path.open(encoding=layout.encoding, newline="") as stream:
            reader = csv_reader(stream, columns or (), strict=True, layout=layout)
            header = tuple(name.strip() for name in _next_row(reader) or ())
            if not any(header) or len(header) > COLUMN_LIMIT:
                came = f"{len(header)} columns" if any(header) else "no header"
                raise UserError(f"{path} has {came}; expected a CSV with column names in its first line; correct it")
            width = len(header)
            take = _selector(path, header, header if columns is None else columns)
            yield reader.line_num + layout.above, header
            while (fields := _next_row(reader)) is not None:
                if not any(map(str.strip, fields)):
                    continue
                if len(fields) == width:
                    yield reader.line_num + layout.above, take(fields)
                else:
                    line = reader.line_num + layout.above
                    raise UserError(
                        f"{path} line {line} has {len(fields)} fields; expected {width} like the header; "
                        "correct the line"
                    )
    except FileNotFoundError as error:
        raise UserError(f"no file {path}; expected a CSV; check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8; expected a CSV; save it again in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is no CSV ({error}); expected one; correct the line") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); expected a CSV file; check the path") from error


def _next_row(reader: Any) -> list[str] | None:
    """The next row, None after the last. The limit of fields is the interpreter's, for all who read CSV in it: it is
    ours for no longer than this takes."""
    earlier = csv.field_size_limit(LINE_LIMIT)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(earlier)


def _selector(path: Path, header: tuple[str, ...], columns: Sequence[str]) -> Callable[[list[str]], tuple[str, ...]]:
    """Takes the fields of `columns` out of a row."""
    if tuple(columns) == header:
        return tuple
    missing = [name for name in columns if name not in header]
    twice = [name for name in columns if header.count(name) > 1]
    if missing or twice:
        fault = f"no column {', '.join(missing)}" if missing else f"column {', '.join(twice)} twice"
        shown = ", ".join(header)[:200]
        raise UserError(f"{path} has {fault} (its columns: {shown}); expected {', '.join(columns)}; correct the header")
    if len(columns) == 1:
        position = header.index(columns[0])
        return lambda fields: (fields[position],)
    return itemgetter(*(header.index(name) for name in columns))


def _check_bytes(path: Path) -> None:
    """Refuse what is no text, and lines that would take memory without end, before anything is parsed.

    In large pieces: a look at each line would cost as much as parsing it.
    """
    number, length = 1, 0
    with path.open("rb") as stream:
        start = stream.read(2)
        if start in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(f"{path} is no text in UTF-8 but in UTF-16; expected a CSV; save it again in UTF-8")
        stream.seek(0)
        while piece := stream.read(_PIECE_BYTES):
            if b"\0" in piece:
                number += piece.count(b"\n", 0, piece.index(b"\0"))
                raise UserError(f"{path} line {number} holds a NUL byte; expected a CSV in UTF-8; export it again")
            # A piece is shorter than the limit, so that only lines that began before it can pass it.
            first = piece.find(b"\n")
            length += len(piece) if first < 0 else first
            if length > LINE_LIMIT:
                raise UserError(f"{path} line {number} is longer than {LINE_LIMIT} bytes; expected a CSV; check it")
            number += piece.count(b"\n")
            length = length if first < 0 else len(piece) - piece.rfind(b"\n") - 1
