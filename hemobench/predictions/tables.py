"""Tables of probabilities by slice or study, their columns named as people name them, and RSNA's `ID_type,Label`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemobench.datasets.nifti_pairs import printable
from hemobench.datasets.tables import read_header, read_rows, whole
from hemobench.errors import UserError
from hemobench.labels import CLASSES

# What people call the columns, in lower case, letters and digits alone.
_CLASS_NAMES = {
    "epidural": ("epidural", "edh", "extradural"),
    "intraparenchymal": ("intraparenchymal", "iph", "intracerebral"),
    "intraventricular": ("intraventricular", "ivh"),
    "subarachnoid": ("subarachnoid", "sah"),
    "subdural": ("subdural", "sdh"),
    "any": (
        "any",
        "ich",
        "hemorrhage",
        "haemorrhage",
        "bleed",
        "bleeding",
        "blood",
        "positive",
        "prediction",
        "probability",
        "score",
    ),
}
_STUDY_NAMES = (
    "study",
    "studyid",
    "studyinstanceuid",
    "series",
    "scan",
    "scanid",
    "case",
    "caseid",
    "image",
    "imageid",
    "id",
    "file",
    "filename",
    "name",
    "patient",
    "patientid",
    "subject",
    "subjectid",
)
_SLICE_NAMES = ("slice", "sliceindex", "sliceid", "slicenumber", "sliceno", "z")
_AROUND = re.compile(
    r"^(probability|probabilities|prob|predicted|prediction|pred|score|p|y)(?=.)|"
    r"(?<=.)(hemorrhage|haemorrhage|probability|prob|prediction|pred|score)$"
)
# Of our own tables: what is known, what was called.
_NOT_ANSWERS = re.compile(r"^(target|called|truth|label|gt)[_ -]", re.IGNORECASE)
_LONG = re.compile(rf"(?P<image>.+)_(?P<name>{'|'.join(CLASSES)})")


@dataclass(frozen=True)
class Row:
    """Probabilities of one slice or study, in the order of the table's `classes`, and the line where they stand."""

    values: tuple[float, ...]
    line: int


@dataclass(frozen=True)
class Table:
    """A table's answers: by the name of a study or picture, or by its name and the number of the slice."""

    path: Path
    classes: tuple[str, ...]
    by_slice: bool
    rows: dict[tuple[str, str], Row]


def read_table(path: Path) -> Table | None:
    """A table of probabilities; None for one that holds none, such as the scores that `evaluate` writes of masks.

    Raises UserError, naming the line, for a value that is no probability and for a slice or study that stands twice.
    """
    header = read_header(path)
    plain = [_plain(name) for name in header]
    if plain == ["id", "label"]:
        return _long_table(path, header)
    study = next((header[plain.index(name)] for name in _STUDY_NAMES if name in plain), None)
    number = next((header[plain.index(name)] for name in _SLICE_NAMES if name in plain), None)
    columns = {name: found for name in CLASSES if (found := _class_column(path, header, name, (study, number)))}
    if not columns:
        return None
    if study is None:
        raise UserError(
            f"{path} has no column that names the study (its columns: {', '.join(header)[:200]}); expected "
            "one called study, scan, id or image; rename it"
        )
    rows: dict[tuple[str, str], Row] = {}
    for line, fields in read_rows(path, (study, *([number] if number else []), *columns.values())):
        key = (fields[0].strip(), _slice_number(fields[1], path, line) if number else "")
        given = fields[2:] if number else fields[1:]
        if not any(text.strip() for text in given):
            continue  # a scan that its tool gave no answer to, which is one without an answer here
        values = tuple(
            _probability(text, column, path, line) for column, text in zip(columns.values(), given, strict=True)
        )
        if key in rows:
            raise UserError(
                f"{path} line {line} has {_told(key)} again (first in line {rows[key].line}); expected one "
                "answer for it; delete one"
            )
        rows[key] = Row(values, line)
    return Table(path, tuple(columns), number is not None, rows)


def _long_table(path: Path, header: Sequence[str]) -> Table:
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for line, (name, text) in read_rows(path, header):
        match = _LONG.fullmatch(name.strip())
        if match is None:
            raise UserError(
                f"{path} line {line} has ID '{printable(name[:60])}'; expected <image>_<type> with one of "
                f"{', '.join(CLASSES)}; correct it"
            )
        row, value = found.setdefault(match["image"], {}), _probability(text, header[1], path, line)
        # Challenges' own tables repeat some lines.
        if match["name"] in row and row[match["name"]][0] != value:
            raise UserError(
                f"{path} line {line} has {printable(name[:60])} again (first in line "
                f"{row[match['name']][1]}); expected it once; delete one"
            )
        row[match["name"]] = value, line
    classes = tuple(name for name in CLASSES if all(name in row for row in found.values()))
    for image, row in found.items():
        if len(row) != len(classes):
            raise UserError(
                f"{path} has {', '.join(row)} of {printable(image)} and less of others; expected the same "
                "types of each; complete it"
            )
    rows = {
        (image, ""): Row(tuple(row[name][0] for name in classes), min(line for _, line in row.values()))
        for image, row in found.items()
    }
    return Table(path, classes, False, rows)


def _class_column(path: Path, header: Sequence[str], name: str, taken: Sequence[str | None]) -> str | None:
    """The column of a class: by a name of its own before one with words around it."""
    free = [column for column in header if column not in taken and not _NOT_ANSWERS.match(column)]
    for form in (_plain, _bare):
        matching = [column for column in free if form(column) in _CLASS_NAMES[name]]
        if len(matching) > 1:
            raise UserError(
                f"{path} has the columns {' and '.join(matching)}; expected one of {name}; rename the other"
            )
        if matching:
            return matching[0]
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _bare(name: str) -> str:
    """A name without the words around a class's.

    >>> _bare("prob_SDH"), _bare("Epidural hemorrhage"), _bare("probability_any")
    ('sdh', 'epidural', 'any')
    """
    plain = _plain(name)
    for _ in range(2):
        plain = _AROUND.sub("", plain, count=1)
    return plain


def _probability(text: str, column: str, path: Path, line: int) -> float:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError(
            f"{path} line {line} has {printable(column)} '{printable(text[:40])}'; expected a probability "
            "from 0 to 1; correct it"
        )
    return value


def _slice_number(text: str, path: Path, line: int) -> str:
    number = whole(text)
    if not (number.isascii() and number.isdigit()):
        raise UserError(
            f"{path} line {line} has slice '{printable(text[:40])}'; expected a whole number from 0, the "
            "lowest slice; correct it"
        )
    return str(int(number))


def _told(key: tuple[str, str]) -> str:
    return printable(f"{key[0][:60]}, slice {key[1][:12]}" if key[1] else key[0][:60])


def list_tables(folder: Path) -> Iterator[Path]:
    """CSV and TSV files directly in a folder, sorted."""
    yield from sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".csv", ".tsv") and path.is_file() and not path.name.startswith(".")
    )
