"""The leaderboard's value types and its two files: what a board says, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hemobench.metrics.definitions import METRICS

SCHEMA = "hemobench.leaderboard/1"
PHANTOM_MARK = "PHANTOM patients: not a clinical score"
LEAK_MARK = "LEAK: patients unknown, pictures of one person may be in training and in test"


@dataclass(frozen=True)
class MetricScore:
    """One metric of one entry: mean over seeds, its 95% interval by patient and seed, the spread over seeds.

    `n` counts the test units (slices, studies with `_study` metrics, volumes), `undefined` what the mean leaves out:
    volumes without a value, or types without an AUROC in `auroc_macro`; for one seed, as all see the same patients.
    """

    mean: float
    ci: tuple[float, float]
    sd_seeds: float
    n: int
    undefined: int


@dataclass(frozen=True)
class Gap:
    """An entry's ranking score minus another's, or that in another metric that the board asks about: limits that hold
    for all pairs and metrics together with 95%, and a p that is adjusted for all of them; the two are tied where p is
    above 0.05."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Question:
    """A metric beside that of the ranking, in which a board tests all pairs of entries too: what is settled, in a
    sentence, and each entry's score minus each other's, by name. All its questions and the ranking are one family."""

    metric: str
    answer: str
    gaps: Mapping[str, Mapping[str, Gap]]


@dataclass(frozen=True)
class Agreement:
    """Bland and Altman's numbers in mL: mean difference from the true volume, its standard deviation over cases and
    seeds, 95% limits of agreement, and how many cases they come from."""

    bias_ml: float
    sd_ml: float
    low_ml: float
    high_ml: float
    n: int


@dataclass(frozen=True)
class Entry:
    """One row of a board. A row with `rank` None stands outside the ranking (a reference that saw no image).

    p_better_than_next: share of draws in which it beats the next, that pair alone; settled_from_next, tied_with,
    tied_with_best, to_best and to_others (by name) take all pairs of the board together. variance_shares: which part of
    the variance of its mean score comes from patients, seeds, folds where there are any, and chance (`interaction`), of
    the score that its cautions name. calibration: slope and offset of the logit of `any`, fitted on validation slices,
    one pair a run: a seed, or in each seed a fold. train_seconds: of a seed, all its folds together.
    """

    name: str
    rank: int | None
    rank_interval: tuple[int, int] | None
    metrics: Mapping[str, MetricScore]
    p_better_than_next: float | None
    tied_with: tuple[str, ...]
    parameters: int | None
    train_seconds: float | None
    infer_ms_per_case: float | None
    config: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    seed_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    settled_from_next: bool = False
    tied_with_best: bool = False
    to_best: Gap | None = None
    to_others: Mapping[str, Gap] = field(default_factory=dict)
    variance_shares: Mapping[str, float] = field(default_factory=dict)
    calibration: tuple[tuple[float, float], ...] = ()
    volume_agreement: Agreement | None = None


@dataclass(frozen=True)
class Breakdown:
    """A table beside a board: of each group (of cases, or of calls) a score of each entry by name, None where it has
    none. cases: how many cases a group has. note: how it is to be read."""

    title: str
    groups: tuple[str, ...]
    cases: tuple[int, ...]
    scores: Mapping[str, tuple[MetricScore | None, ...]]
    note: str = ""


@dataclass(frozen=True)
class Board:
    """One ranking: its task, data and split, and its entries, best first.

    `also` are metrics for a table of their own: misses and false alarms, operating points, calibration. `answer` is the
    result in a sentence, `cautions` what limits it, `method` how the figures are to be read. abc2_agreement: how far
    the bedside formula, applied to the true lesions, is from their volume. breakdowns: tables by groups of cases.
    questions: what it asks beside the ranking.
    """

    task: str
    title: str
    data: str
    data_fingerprint: str
    phantom: bool
    view: Mapping[str, Any]
    split: Mapping[str, Any]
    rank_by: str
    shown: tuple[str, ...]
    resamples: int
    entries: tuple[Entry, ...]
    leaky: bool = False
    also: tuple[str, ...] = ()
    patients: int = 0
    answer: str = ""
    cautions: tuple[str, ...] = ()
    method: str = ""
    abc2_agreement: Agreement | None = None
    breakdowns: tuple[Breakdown, ...] = ()
    questions: tuple[Question, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """What a reader must know before believing a score: phantom patients, or patients on both sides."""
        return (
            *((PHANTOM_MARK,) if self.phantom else ()),
            *((LEAK_MARK,) if self.leaky else ()),
            *_split_marks(self.split),
        )

    @property
    def marked_title(self) -> str:
        """The title as printed, with the board's marks."""
        return f"{self.title} ({'; '.join(self.marks)})" if self.marks else self.title


@dataclass(frozen=True)
class Leaderboard:
    """Everything that `leaderboard.json` holds. protocol: whose scores these are and how they came about, "" where
    every entry was trained for the board on the same patients. suite_fingerprint, statistics: of which suite and by
    which version of the statistics it was made, by which one knows that it is stale; "" and 0 where nobody said."""

    suite: str
    title: str
    description: str
    created: str
    commit: str
    seeds: tuple[int, ...]
    boards: tuple[Board, ...]
    skipped: tuple[str, ...] = ()
    protocol: str = ""
    suite_fingerprint: str = ""
    statistics: int = 0

    @property
    def phantom(self) -> bool:
        """Whether a board of it scores phantom patients."""
        return any(board.phantom for board in self.boards)


def _split_marks(split: Mapping[str, Any]) -> tuple[str, ...]:
    """What a split of pictures gives away; nothing for one by patient."""
    both = f"{split.get('patients_on_both_sides', '?')} of {split.get('test_patients', '?')} test patients"
    if split.get("by") == "both":
        return (f"LEAK in the rows so marked: they learnt from other images of {both}",)
    if split.get("by") != "image":
        return ()
    watched = "; the epoch was chosen on the test images" if split.get("watched") == "test" else ""
    return (f"LEAK: split by image, {both} were also learnt from{watched}",)


def direction_arrow(metric: str) -> str:
    """An arrow towards the better end of a metric, nothing where neither end is.

    >>> direction_arrow("dice_any"), direction_arrow("logloss_rsna"), direction_arrow("volume_error_ml_any")
    ('↑', '↓', '')
    """
    better = METRICS[metric].higher_is_better if metric in METRICS else None
    return {True: "↑", False: "↓", None: ""}[better]


def to_json(leaderboard: Leaderboard) -> str:
    """The text of `leaderboard.json`: the schema of DESIGN.md; what is undefined (NaN) becomes null."""
    content = {"schema": SCHEMA, "phantom": leaderboard.phantom, **asdict(leaderboard)}
    for board, source in zip(content["boards"], leaderboard.boards, strict=True):
        if source.marks:
            board["notice"] = "; ".join(source.marks)
        for entry in board["entries"]:
            entry["phantom"] = board["phantom"]
    return json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n"


def to_csv(leaderboard: Leaderboard) -> str:
    """The text of `leaderboard.csv`: a row for each entry and metric, each saying whether it is a phantom's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for board in leaderboard.boards:
        for entry in board.entries:
            low, high = entry.rank_interval or ("", "")
            for metric, score in entry.metrics.items():
                row = [leaderboard.suite, board.task, board.data, board.phantom, board.rank_by]
                row += ["" if entry.rank is None else entry.rank, low, high, entry.name, metric]
                row += [_cell(score.mean), _cell(score.ci[0]), _cell(score.ci[1]), _cell(score.sd_seeds)]
                row += [score.n, score.undefined, _cell(entry.p_better_than_next), "; ".join(entry.tied_with)]
                row += [_cell(entry.parameters), _cell(entry.train_seconds), _cell(entry.infer_ms_per_case)]
                gap = entry.to_best
                row += ["", "", "", ""] if gap is None else [_cell(value) for value in vars(gap).values()]
                row += ["" if entry.rank is None else entry.tied_with_best]
                writer.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in row])
    return text.getvalue()


CSV_COLUMNS = (
    *("suite", "task", "data", "phantom", "rank_by", "rank", "rank_low", "rank_high", "entry", "metric"),
    *("mean", "ci_low", "ci_high", "sd_seeds", "n", "undefined", "p_better_than_next", "tied_with"),
    *("parameters", "train_seconds", "infer_ms_per_case"),
    *("to_best", "to_best_low", "to_best_high", "to_best_p", "tied_with_best"),
)


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all: to a temporary name beside it, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_leaderboard(leaderboard: Leaderboard, folder: Path) -> None:
    """Write `leaderboard.json` and `leaderboard.csv` into a folder."""
    write_text(folder / "leaderboard.json", to_json(leaderboard))
    write_text(folder / "leaderboard.csv", to_csv(leaderboard))


def _cell(value: float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
