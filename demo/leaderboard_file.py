"""A leaderboard.json that anybody may drop in: read with limits, checked field by field, nothing of it trusted.

What `hemobench.compare` writes comes back as its own `Leaderboard`. Everything else ends in one line that names the
field, what it held and what was expected.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from hemobench.compare.leaderboard import SCHEMA, Board, Entry, Leaderboard, MetricScore
from hemobench.errors import UserError

MOST_BYTES = 4 * 1024**2
MOST_BOARDS = 20
MOST_ENTRIES = 200
MOST_METRICS = 60
MOST_SEEDS = 100
_NAME_LETTERS = 120
_TEXT_LETTERS = 2000
_CONFIG_DEPTH = 8
_LARGEST = 1e12
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,60}")
_REMEDY = "take the leaderboard.json that python -m hemobench.compare wrote"


def read_leaderboard(path: Path) -> Leaderboard:
    """The leaderboard in a file of at most `MOST_BYTES`. Raises UserError, one line, for anything else."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"a file of {size / 1024**2:.1f} MiB; expected at most {MOST_BYTES // 1024**2}; {_REMEDY}")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"the file is gone or cannot be read; expected leaderboard.json; {_REMEDY}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the file is no text; expected leaderboard.json; {_REMEDY}") from error
    return parse_leaderboard(text)


def parse_leaderboard(text: str) -> Leaderboard:
    """The leaderboard in the text of leaderboard.json. Raises UserError as `read_leaderboard` does."""
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the file is no JSON that can be read; expected leaderboard.json; {_REMEDY}") from error
    content = _mapping(content, "the file")
    if content.get("schema") != SCHEMA:
        _refuse_schema(content.get("schema"))
    boards = _list(content.get("boards"), "boards", MOST_BOARDS)
    if not boards:
        _fault("boards", boards, "one board at least")
    return Leaderboard(
        suite=_text(content.get("suite"), "suite"),
        title=_text(content.get("title"), "title"),
        description=_text(content.get("description"), "description", _TEXT_LETTERS),
        created=_text(content.get("created"), "created"),
        commit=_text(content.get("commit"), "commit"),
        seeds=_seeds(content.get("seeds"), "seeds"),
        boards=tuple(_board(one, f"boards[{number}]") for number, one in enumerate(boards)),
        skipped=tuple(
            _text(one, "skipped", _TEXT_LETTERS) for one in _list(content.get("skipped", []), "skipped", MOST_ENTRIES)
        ),
        suite_fingerprint=_text(content.get("suite_fingerprint", ""), "suite_fingerprint"),
        statistics=_whole(content.get("statistics", 0), "statistics", 0),
    )


def _refuse_schema(schema: Any) -> NoReturn:
    came = "the file names no schema" if schema is None else f"the file's schema is {_shown(schema)}"
    raise UserError(f"{came}, so it is no leaderboard that is known here; expected the schema {SCHEMA}; {_REMEDY}")


def _board(value: Any, where: str) -> Board:
    board = _mapping(value, where)
    rank_by = _metric(board.get("rank_by"), f"{where}.rank_by")
    rows = _list(board.get("entries"), f"{where}.entries", MOST_ENTRIES)
    entries = tuple(_entry(one, f"{where}.entries[{number}]", rank_by) for number, one in enumerate(rows))
    names = [entry.name for entry in entries]
    if not names or len(set(names)) < len(names):
        _fault(f"{where}.entries", names, "one entry at least and no name twice")
    shown = _list(board.get("shown"), f"{where}.shown", MOST_METRICS)
    return Board(
        task=_text(board.get("task"), f"{where}.task"),
        title=_text(board.get("title"), f"{where}.title"),
        data=_text(board.get("data"), f"{where}.data"),
        data_fingerprint=_text(board.get("data_fingerprint"), f"{where}.data_fingerprint"),
        phantom=_flag(board.get("phantom"), f"{where}.phantom"),
        view=_settings(board.get("view"), f"{where}.view"),
        split=_settings(board.get("split"), f"{where}.split"),
        rank_by=rank_by,
        shown=tuple(dict.fromkeys((rank_by, *(_metric(one, f"{where}.shown") for one in shown)))),
        resamples=_whole(board.get("resamples"), f"{where}.resamples", 0),
        entries=entries,
        leaky=_flag(board.get("leaky", False), f"{where}.leaky"),
        cautions=tuple(
            _text(one, f"{where}.cautions", _TEXT_LETTERS)
            for one in _list(board.get("cautions", []), f"{where}.cautions", MOST_ENTRIES)
        ),
    )


def _entry(value: Any, where: str, rank_by: str) -> Entry:
    entry = _mapping(value, where)
    metrics = _mapping(entry.get("metrics"), f"{where}.metrics", MOST_METRICS)
    scores = {_metric(key, f"{where}.metrics"): _score(one, f"{where}.metrics.{key}") for key, one in metrics.items()}
    if rank_by not in scores:
        _fault(f"{where}.metrics", sorted(scores), f"a score of {rank_by}, by which the board ranks")
    rank, interval = entry.get("rank"), entry.get("rank_interval")
    by_seed = _mapping(entry.get("seed_scores", {}), f"{where}.seed_scores", MOST_METRICS)
    tied = _list(entry.get("tied_with"), f"{where}.tied_with", MOST_ENTRIES)
    better = entry.get("p_better_than_next")
    parameters, seconds, per_case = (entry.get(name) for name in ("parameters", "train_seconds", "infer_ms_per_case"))
    return Entry(
        name=_text(entry.get("name"), f"{where}.name"),
        rank=None if rank is None else _whole(rank, f"{where}.rank", 1),
        rank_interval=None if interval is None else _ranks(interval, f"{where}.rank_interval"),
        metrics=scores,
        p_better_than_next=None if better is None else _number(better, f"{where}.p_better_than_next", 0.0, 1.0),
        tied_with=tuple(_text(one, f"{where}.tied_with") for one in tied),
        parameters=None if parameters is None else _whole(parameters, f"{where}.parameters", 0),
        train_seconds=None if seconds is None else _number(seconds, f"{where}.train_seconds", 0.0),
        infer_ms_per_case=None if per_case is None else _number(per_case, f"{where}.infer_ms_per_case", 0.0),
        config=_settings(entry.get("config", {}), f"{where}.config"),
        seeds=_seeds(entry.get("seeds", []), f"{where}.seeds"),
        seed_scores={
            _metric(name, f"{where}.seed_scores"): tuple(
                _score_number(one, f"{where}.seed_scores.{name}")
                for one in _list(row, f"{where}.seed_scores.{name}", MOST_SEEDS)
            )
            for name, row in by_seed.items()
        },
    )


def _score(value: Any, where: str) -> MetricScore:
    score = _mapping(value, where)
    limits = _list(score.get("ci"), f"{where}.ci", 2)
    if len(limits) != 2:
        _fault(f"{where}.ci", limits, "a lower and an upper limit")
    low, high = (_score_number(limit, f"{where}.ci") for limit in limits)
    return MetricScore(
        mean=_score_number(score.get("mean"), f"{where}.mean"),
        ci=(low, high),
        sd_seeds=_score_number(score.get("sd_seeds"), f"{where}.sd_seeds"),
        n=_whole(score.get("n"), f"{where}.n", 0),
        undefined=_whole(score.get("undefined"), f"{where}.undefined", 0),
    )


def _score_number(value: Any, where: str) -> float:
    """A score; what was undefined is written as null and becomes NaN again."""
    return math.nan if value is None else _number(value, where)


def _number(value: Any, where: str, low: float = -_LARGEST, high: float = _LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        _fault(where, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _whole(value: Any, where: str, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _LARGEST:
        _fault(where, value, f"a whole number from {low}")
    return value


def _ranks(value: Any, where: str) -> tuple[int, int]:
    limits = [_whole(one, where, 1) for one in _list(value, where, 2)]
    if len(limits) != 2:
        _fault(where, value, "two ranks")
    return limits[0], limits[1]


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    return tuple(_whole(one, where, 0) for one in _list(value, where, MOST_SEEDS))


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        _fault(where, value, "true or false")
    return value


def _metric(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _METRIC.fullmatch(value):
        _fault(where, value, "a metric's name such as auroc_any")
    return value


def _text(value: Any, where: str, most: int = _NAME_LETTERS) -> str:
    """Text without line breaks and without what turns a line's direction or is not seen at all."""
    if not isinstance(value, str) or len(value) > most:
        _fault(where, value, f"text of at most {most} letters")
    clean = "".join(" " if one.isspace() else one for one in value if one.isspace() or _is_seen(one))
    return " ".join(clean.split())


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter)[0] != "C"


def _list(value: Any, where: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        _fault(where, value, f"a list of at most {most}")
    return value


def _mapping(value: Any, where: str, most: int = 1000) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > most:
        _fault(where, value, f"an object of at most {most} fields")
    return value


def _settings(value: Any, where: str) -> Mapping[str, Any]:
    """Any plain settings, but not nested without end."""
    settings = _mapping(value, where)
    if _depth(settings) > _CONFIG_DEPTH:
        _fault(where, "a nest", f"settings nested at most {_CONFIG_DEPTH} deep")
    return settings


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= _CONFIG_DEPTH:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _fault(where: str, value: Any, expected: str) -> NoReturn:
    raise UserError(f"{_text_of(where)} holds {_shown(value)}; expected {expected}; {_REMEDY}")


def _text_of(where: str) -> str:
    return where if len(where) < 80 else f"{where[:77]}..."


def _shown(value: Any) -> str:
    """What came, short enough for a line, without letters that are not seen."""
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return f"{len(value)} items" if value else "no items"
    text = repr(value) if not isinstance(value, str) else f"'{''.join(one for one in value[:41] if _is_seen(one))}'"
    return text if len(text) <= 40 else f"{text[:37]}..."
