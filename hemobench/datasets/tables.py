"""Label tables as they come: CSV in UTF-8 with or without a byte-order mark, read line by line and within limits."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from hemobench.errors import UserError

LINE_LIMIT = 16 * 2**20
COLUMN_LIMIT = 10_000
_PIECE_BYTES = 2**20


def read_header(path: Path) -> tuple[str, ...]:
    """Column names of a CSV, without surrounding blanks. Raises UserError as `read_rows` does."""
    return tuple(next(_records(path, None))[1])


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, the values of `columns` in this order) of each row; blank lines are passed over.

    Reads as it goes: memory stays that of one row. Raises UserError, naming the line, for a file that is missing, is no
    UTF-8 or holds NULs, lacks one of the columns or has it twice, for a row with more or fewer fields than the header,
    and for a line of more than LINE_LIMIT bytes.
    """
    rows = _records(path, columns)
    next(rows)
    return rows


def _records(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, fields) of the header, then of every row that is not blank, cut to `columns`."""
    earlier = csv.field_size_limit(LINE_LIMIT)
    try:
        _check_bytes(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = tuple(name.strip() for name in next(reader, []))
            if not any(header) or len(header) > COLUMN_LIMIT:
                came = f"{len(header)} columns" if any(header) else "no header"
                raise UserError(f"{path} has {came}; expected a CSV with column names in its first line; correct it")
            width = len(header)
            take = _selector(path, header, header if columns is None else columns)
            yield reader.line_num, header
            for fields in reader:
                if len(fields) == width:
                    yield reader.line_num, take(fields)
                elif fields:
                    raise UserError(f"{path} line {reader.line_num} has {len(fields)} fields; expected {width} like "
                                    "the header; correct the line")
    except FileNotFoundError as error:
        raise UserError(f"no file {path}; expected a CSV; check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8; expected a CSV; save it again in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is no CSV ({error}); expected one; correct the line") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); expected a CSV file; check the path") from error
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
