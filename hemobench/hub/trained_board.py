"""What a leaderboard of trained networks says of itself when it is shared, and whose answers are behind it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from hemobench.boards.record import Record, Row
from hemobench.datasets.opening import dataset_info, known_datasets
from hemobench.errors import UserError
from hemobench.evaluation.scores import Rule

LEADERBOARD, REPORT, RUNS = "leaderboard.json", "report.html", "runs.csv"
_PICTURE, _BODY = b"data:image/png", b"<header>"  # above the body stands plotly's own code
_ANSWERS = "predictions.npz"


def trained_record(folder: Path) -> Record:
    """The leaderboard that `compare SUITE` wrote into a folder, as far as its page tells: without answers that others
    could rank their entries against. Its rows' `sha256` is of the answers of all runs of an entry, seed by seed.

    Raises: UserError for a folder without one.
    """
    content = _content(folder / LEADERBOARD)
    try:
        boards = content["boards"]
        names = list(
            dict.fromkeys(
                str(entry["name"]) for board in boards for entry in board["entries"] if entry["rank"] is not None
            )
        )
        data = list(dict.fromkeys(str(board["data"]) for board in boards))
        prints = ", ".join(dict.fromkeys(str(board["data_fingerprint"]) for board in boards))
        phantom, patients = bool(content["phantom"]), max(int(board["patients"]) for board in boards)
    except (KeyError, TypeError, ValueError) as error:
        raise _no_leaderboard(folder / LEADERBOARD) from error
    hashes = _hashes(folder)
    rule = Rule({}, {})
    rows = tuple(Row(name, "", {"kind": "trained"}, rule, (), "", hashes.get(name, "")) for name in names)
    report = (folder / REPORT).read_bytes() if (folder / REPORT).is_file() else b""
    yours = any(name not in known_datasets() or dataset_info(name).yours for name in data)
    return Record(
        folder, " and ".join(data), prints, phantom, patients, yours, not phantom and shows_pictures(report), rows
    )


def shows_pictures(report: bytes) -> bool:
    """Whether a report's page holds pictures."""
    return _PICTURE in report.rpartition(_BODY)[2]


def _hashes(folder: Path) -> dict[str, str]:
    """By entry, the SHA-256 of its runs' answers, one after the other."""
    if not (folder / RUNS).is_file():
        return {}
    found: dict[str, Any] = defaultdict(hashlib.sha256)
    with (folder / RUNS).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            answers = folder / "runs" / row["folder"] / _ANSWERS
            found[row["entry"]].update(answers.read_bytes() if answers.is_file() else b"")
    return {name: digest.hexdigest() for name, digest in found.items()}


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _no_leaderboard(path) from error
    if not isinstance(content, dict):
        raise _no_leaderboard(path)
    return content


def _no_leaderboard(path: Path) -> UserError:
    return UserError(f"{path} is no leaderboard; expected a folder that `compare` wrote; check the path")
