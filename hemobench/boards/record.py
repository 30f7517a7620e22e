"""A board as it is handed on: who stands on it, measured by whom, and every entry's answers, case by case.

`board.json` and `answers/*.jsonl` lie beside a board's leaderboard.json. Cases go by their place in the data set, whose
fingerprint is told, and never by name; labels and pictures stay with the data. Whoever has the same data can rank other
entries against these, pair by pair, without the networks or the masks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.boards.entries import Entrant
from hemobench.case import Dataset
from hemobench.compare.leaderboard import write_text
from hemobench.compare.run_task import slug
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer, SliceAnswer, StudyAnswer
from hemobench.evaluation.scores import Rule
from hemobench.inference.hub_copy import hub_copy, is_repository
from hemobench.io.strict_yaml import Fields, Source
from hemobench.labels import CLASSES
from hemobench.metrics.definitions import METRICS, metric_range
from hemobench.predictions.folder import STRANGERS

SCHEMA = "hemobench.board/1"
RECORD, ANSWERS = "board.json", "answers"
LEVELS = ("slice", "study")
MEASURED_BY = "measured_by"
_MOST_BYTES = 512 * 1024**2
_MOST_ROWS, _MOST_REMARKS, _MOST_SETTINGS, _LETTERS = 200, 30, 60, 1000
_LARGEST_LOGIT = 1e4
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,79}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "take a folder that `compare --entry` wrote, or what `hub push-board` shared, as it is"


@dataclass(frozen=True)
class Row:
    """One entry: how its answers are read, and where they are. measured_by: a name, "" for whoever has the folder.

    answers: file beneath the folder and its SHA-256. told, remarks: as of an `Entrant`.
    """

    name: str
    measured_by: str
    told: Mapping[str, Any]
    rule: Rule
    remarks: tuple[str, ...]
    file: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """A board's data and entries. own_names: whether its cases are named by files of the user's, which may say who a
    patient is. pictures: whether its report shows slices of patients. files: SHA-256, by name, of what lies beside it.
    """

    folder: Path
    data: str
    fingerprint: str
    phantom: bool
    cases: int
    own_names: bool
    pictures: bool
    rows: tuple[Row, ...]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """What `board.json` holds."""
        rows = [{**dataclasses.asdict(row), "rule": dataclasses.asdict(row.rule)} for row in self.rows]
        return {
            "schema": SCHEMA,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "phantom": self.phantom,
            "cases": self.cases,
            "own_names": self.own_names,
            "pictures": self.pictures,
            "rows": rows,
            "files": dict(self.files),
        }


def open_record(where: str) -> Record:
    """A board by its folder, or by its repository `user/name[@revision]` of the Hub's data sets. Raises: UserError."""
    folder = Path(where).expanduser()
    if not folder.is_dir():
        repository, _, revision = where.partition("@")
        if not is_repository(repository):
            raise UserError(
                f"board '{where}' is no folder; expected one that `compare --entry` wrote, or user/name on "
                "the Hub; correct it"
            )
        folder, _ = hub_copy(repository, revision or None, (RECORD, f"{ANSWERS}/*.jsonl"), dataset=True)
    return read_record(folder)


def write_record(folder: Path, entrants: Sequence[Entrant], dataset: Dataset, *, pictures: bool) -> Record:
    """Write `board.json` and the answers of each entry beside it; answers of entries that are gone are deleted."""
    (folder / ANSWERS).mkdir(parents=True, exist_ok=True)
    rows = []
    for one in entrants:
        text = "".join(_line(answer) for answer in one.answers)
        file = f"{ANSWERS}/{slug(one.name)}.jsonl"
        write_text(folder / file, text)
        told = {name: value for name, value in one.told.items() if value is not None and name != MEASURED_BY}
        rows.append(Row(one.name, one.measured_by, told, one.rule, one.remarks, file, _sha256(text.encode())))
    record = Record(
        folder,
        dataset.info.name,
        dataset.fingerprint,
        dataset.info.phantom,
        len(dataset.cases),
        dataset.info.yours or any(STRANGERS in remark for one in entrants for remark in one.remarks),
        pictures and not dataset.info.phantom,
        tuple(rows),
    )
    write_text(folder / RECORD, json.dumps(record.to_mapping(), indent=1) + "\n")
    kept = {row.file for row in rows}
    for path in (folder / ANSWERS).glob("*.jsonl"):
        if f"{ANSWERS}/{path.name}" not in kept:
            path.unlink()
    return record


def vouch_for(folder: Path, names: Sequence[str]) -> None:
    """Let the record in a folder say what these files beside it are, so that a change of them is seen."""
    record = read_record(folder)
    files = {name: _sha256((folder / name).read_bytes()) for name in names}
    write_text(folder / RECORD, json.dumps(dataclasses.replace(record, files=files).to_mapping(), indent=1) + "\n")


def read_record(folder: Path) -> Record:
    """The board in a folder, whoever wrote it; answers are read by `answers_of`. Raises UserError, one line."""
    path = folder / RECORD
    try:
        content = json.loads(_limited(path).decode("utf-8"))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{RECORD} is no JSON that can be read; expected a board's; {_REMEDY}") from error
    fields = Fields(content, file=Source(RECORD))
    if fields.value("schema") != SCHEMA:
        raise fields.error("schema", SCHEMA)
    listed = fields.items("rows")
    if len(listed) > _MOST_ROWS:
        raise fields.error("rows", f"at most {_MOST_ROWS}")
    flags = [fields.value(name) for name in ("phantom", "own_names", "pictures")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise fields.error("phantom", "true or false, as own_names and pictures")
    rows = tuple(_row(Fields(item, file=Source(RECORD), where=f"rows[{number}]")) for number, item in enumerate(listed))
    if len({slug(row.name) for row in rows}) < len(rows):
        raise fields.error("rows", "no name twice")
    data, fingerprint = _short(fields, "data"), _short(fields, "fingerprint")
    files = fields.mapping("files")
    if not all(isinstance(value, str) and _SHA256.fullmatch(value) for value in files.values()):
        raise fields.error("files", "SHA-256 by name")
    return Record(
        folder, data, fingerprint, flags[0], fields.whole_number("cases", at_least=1), flags[1], flags[2], rows, files
    )


def contents_of(record: Record) -> dict[str, bytes]:
    """The bytes of each entry's answers by file, made sure to be what the record says. Raises UserError."""
    found = {}
    for row in record.rows:
        content = _limited(record.folder / row.file)
        if _sha256(content) != row.sha256:
            raise UserError(f"{row.file} is not what {RECORD} says; expected SHA-256 {row.sha256[:12]}...; {_REMEDY}")
        found[row.file] = content
    return found


def check_same_data(record: Record, dataset: Dataset) -> None:
    """Raise UserError where a board is of other cases than this data set has."""
    if (record.fingerprint, record.cases) != (dataset.fingerprint, len(dataset.cases)):
        raise UserError(
            f"the board is of {record.cases} cases of '{record.data}', fingerprint "
            f"{record.fingerprint[:12]}, and these are {len(dataset.cases)} of '{dataset.info.name}', "
            f"{dataset.fingerprint[:12]}; expected the same files, nobody left out; take the same copy of "
            "the data, or rank without the board"
        )


def entrants_of(record: Record, truths: Sequence[Answer]) -> list[Entrant]:
    """The entries of a board of the same data, ready to be ranked.

    truths: an answer a case, of anything, that holds the case's labels. Raises: UserError where answers are of other
    shapes than the labels.
    """
    contents = contents_of(record)
    found = []
    for row in record.rows:
        answers = _answers(contents[row.file], row, truths)
        who = row.measured_by or "others"
        found.append(Entrant(row.name, row.rule, answers, {**row.told, MEASURED_BY: who}, row.remarks, {}, who))
    return found


def _row(fields: Fields) -> Row:
    told = fields.mapping("told")
    remarks = fields.value("remarks", [])
    plain = isinstance(remarks, list) and all(isinstance(one, str) and len(one) <= _LETTERS for one in remarks)
    if not plain or len(remarks) > _MOST_REMARKS:
        raise fields.error("remarks", f"at most {_MOST_REMARKS} short lines")
    if len(told) > _MOST_SETTINGS or len(json.dumps(told)) > _MOST_SETTINGS * _LETTERS:
        raise fields.error("told", f"at most {_MOST_SETTINGS} short settings")
    name, by, sha256 = _short(fields, "name"), fields.text("measured_by", ""), fields.text("sha256")
    file = fields.text("file")
    if file != f"{ANSWERS}/{slug(name)}.jsonl":
        raise fields.error("file", f"{ANSWERS}/ and the entry's name")
    if not _SHA256.fullmatch(sha256):
        raise fields.error("sha256", "64 hexadecimal digits")
    rule = _rule(Fields(fields.mapping("rule"), file=fields.file, where=fields.path("rule")))
    return Row(name, by[:_LETTERS], told, rule, tuple(remarks), file, sha256)


def _rule(fields: Fields) -> Rule:
    def of_level(name: str, level: str) -> list[Any]:
        rows = fields.mapping(name).get(level)
        if not isinstance(rows, list) or len(rows) != len(CLASSES):
            raise fields.error(name, f"{len(CLASSES)} values by {' and '.join(LEVELS)}")
        return rows

    def pair(value: Any) -> tuple[float, float]:
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise fields.error("calibration", "slope and offset of each class")
        return float(value[0]), float(value[1])

    thresholds = {level: of_level("thresholds", level) for level in LEVELS}
    if not all(_is_number(value) for row in thresholds.values() for value in row):
        raise fields.error("thresholds", "numbers")
    given = bool(fields.value("probabilities_given", True))
    classes = {level: fields.mapping("classes").get(level) for level in LEVELS}
    if not all(isinstance(names, list) and set(names) <= set(CLASSES) for names in classes.values()):
        raise fields.error("classes", f"some of {', '.join(CLASSES)}")
    return Rule(
        {level: tuple(map(pair, of_level("calibration", level))) for level in LEVELS},
        {level: tuple(map(float, row)) for level, row in thresholds.items()},
        fields.whole_number("study_slices", 1, at_least=1),
        {level: tuple(names or ()) for level, names in classes.items()},
        given,
    )


def _line(answer: Answer) -> str:
    """An answer without labels, and without the words of an error, which may name files."""
    content: dict[str, Any] = {"number": answer.number}
    if answer.slices is not None:
        content["slices"] = answer.slices.logits
    if answer.study is not None:
        content["study"] = answer.study.logits
    if answer.metrics is not None:
        content["metrics"] = {name: value if math.isfinite(value) else None for name, value in answer.metrics.items()}
    return json.dumps(content, separators=(",", ":")) + "\n"


def _answers(content: bytes, row: Row, truths: Sequence[Answer]) -> list[Answer]:
    found: dict[int, Answer] = {}
    for line in content.splitlines():
        try:
            value = json.loads(line)
            number = value["number"]
            if type(number) is not int or not 0 <= number < len(truths) or number in found:
                raise ValueError("number")
            found[number] = _answer(value, truths[number])
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"answers of '{row.name}' hold a line that is no answer to a case of this data; expected "
                f"one a case; {_REMEDY}"
            ) from error
    if len(found) < len(truths):
        raise UserError(
            f"answers of '{row.name}' are to {len(found)} of {len(truths)} cases; expected one each; {_REMEDY}"
        )
    return [found[number] for number in range(len(truths))]


def _answer(value: Mapping[str, Any], truth: Answer) -> Answer:
    """Raises ValueError, KeyError or TypeError for what is no answer to the case."""
    slices = study = metrics = None
    labels = truth.slices
    if "slices" in value and labels is not None:
        slices = SliceAnswer(
            _logits(value["slices"], len(labels.targets)), labels.targets, labels.typed, labels.by_slice
        )
    if "study" in value and labels is not None:
        targets = tuple(max(column) for column in zip(*labels.targets, strict=True))
        study = StudyAnswer(_logits([value["study"]], 1)[0], targets, labels.typed)
    if "metrics" in value:
        metrics = {name: math.nan if one is None else float(one) for name, one in value["metrics"].items()}
        if not all(_METRIC.fullmatch(name) and _is_possible(name, one) for name, one in metrics.items()):
            raise ValueError("metrics")
    missing = slices is None and study is None and metrics is None
    return Answer(truth.number, slices, metrics, "no answer" if missing else None, study)


def _is_possible(metric: str, value: float) -> bool:
    least, most = metric_range(metric) if metric in METRICS else (-math.inf, math.inf)
    return math.isnan(value) or (math.isfinite(value) and least <= value <= most)


def _logits(rows: Any, count: int) -> tuple[tuple[float, ...], ...]:
    if len(rows) != count or not all(len(row) == len(CLASSES) for row in rows):
        raise ValueError("shape")
    values = tuple(tuple(float(value) for value in row) for row in rows)
    if not all(abs(value) <= _LARGEST_LOGIT for row in values for value in row):
        raise ValueError("logits")
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if len(value) > _LETTERS or not value.isprintable():
        raise fields.error(key, f"a line of at most {_LETTERS} letters")
    return value


def _limited(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path.name} has more than {_MOST_BYTES // 1024**2} MiB; expected a board's; {_REMEDY}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read; expected a board's {RECORD} and {ANSWERS}; {_REMEDY}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
