"""Label tables that a user may bring, whole and broken."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from hemobench.datasets.tables import LINE_LIMIT, read_header, read_rows
from hemobench.errors import UserError


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_rows_come_in_the_order_that_is_asked_for(tmp_path: Path, mark: bytes, end: bytes) -> None:
    lines = [b" id , any,note", b'7,1,"a, ""b"""', b"", b"8,0,\xc3\xa9"]
    path = write(tmp_path, mark + end.join(lines))
    assert read_header(path) == ("id", "any", "note")
    assert list(read_rows(path, ("note", "id"))) == [(2, ('a, "b"', "7")), (4, ("é", "8"))]
    assert list(read_rows(path, ("id", "note"))) == [(2, ("7", 'a, "b"')), (4, ("8", "é"))]
    assert list(read_rows(path, ("id", "any", "note")))[1] == (4, ("8", "0", "é"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("told", ["", "sep={}\r\n"])
def test_the_separator_is_found_out(tmp_path: Path, separator: str, told: str) -> None:
    rows = [["id", "any", "note, if any"], ["7", "1", "one; two"], ["8", "0", ""]]
    table = io.StringIO(newline="")
    csv.writer(table, delimiter=separator, lineterminator="\r\n").writerows(rows)
    path = write(tmp_path, ("\ufeff" + told.format(separator) + table.getvalue()).encode("utf-8"))
    assert read_header(path) == ("id", "any", "note, if any")
    first = 2 + bool(told)
    assert list(read_rows(path, ("note, if any", "id"))) == [(first, ("one; two", "7")), (first + 1, ("", "8"))]


def test_a_name_that_holds_other_separators_does_not_part_a_table(tmp_path: Path) -> None:
    path = write(tmp_path, b"id,any,a;b;c;d;e\n7,1,x\n")
    assert list(read_rows(path, ("id", "any"))) == [(2, ("7", "1"))]
    assert read_header(write(tmp_path, b"id\n7\n")) == ("id",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header"),
        (b"\n\n", "no header"),
        (b"id,label\n1,0\n", "no column any"),
        (b"id,any,any\n1,0,0\n", "column any twice"),
        (b"id,any\n1\n", "line 2 has 1 fields; expected 2"),
        (b"id,any\n1,0\n2,0,0\n", "line 3 has 3 fields; expected 2"),
        (b"id,any\n1,0\x00\n", "line 2 holds a NUL"),
        (b"\x00" * 100, "NUL"),
        ("id,any\né,1\n".encode("latin-1"), "no text in UTF-8"),
        ("id,any\n1,1\n".encode("utf-16"), "no text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 3 holds a NUL"),
        (b"\x89PNG\r\n\x1a\n", "no text in UTF-8"),
        (b'id,any\n"1,0\n', "line 2 is no CSV"),
        (b'id,any\n"1"x,0\n', "line 2 is no CSV"),
        (b"id,any\n" + b"x" * (LINE_LIMIT + 5) + b",1\n", "longer than"),
        (b'id,any\n"' + b"x\n" * (LINE_LIMIT // 2 + 9) + b'",1\n', "no CSV"),
        (b"," * 20_000 + b"\n", "no header"),
        (b"a," * 20_000 + b"\n", "20001 columns"),
    ],
    ids=range(18),
)
def test_broken_tables_give_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        list(read_rows(write(tmp_path, content), ("id", "any")))
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_long_fields_within_the_limit_are_read(tmp_path: Path) -> None:
    # The csv module alone would stop at 131,072 characters; its own limit is as it was afterwards.
    before = csv.field_size_limit()
    path = write(tmp_path, b"id,any\n" + b"x" * 500_000 + b",1\n")
    ((_, (name, _)),) = read_rows(path, ("id", "any"))
    assert len(name) == 500_000
    assert csv.field_size_limit() == before


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match=r"no file|cannot be read"):
            read_header(path)


def test_rows_that_are_still_waited_for_leave_the_interpreters_limit_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    before = csv.field_size_limit()
    one, other = read_rows(tmp_path / "a.csv", ("a",)), read_rows(tmp_path / "a.csv", ("b",))
    assert next(one)[1] == ("1",)
    assert next(other)[1] == ("2",)
    assert csv.field_size_limit() == before
