"""What the leaderboard tab shows: the shipped leaderboard, a board as a table, and its figures. Without Gradio.

Names come from a file that anybody may have written: the table's script puts them in as text, and plotly, which reads
a little HTML and a little template language in its labels, gets them with both disarmed.
"""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from demo.leaderboard_file import parse_leaderboard, read_leaderboard
from demo.shipped_boards import SHIPPED
from demo.texts import REFERENCE_ROW
from hemobench.compare.figures import forest_figure, per_type_figure
from hemobench.compare.leaderboard import Board, Entry, Leaderboard, MetricScore, direction_arrow
from hemobench.compare.terminal_tables import duration, score_number
from hemobench.metrics.definitions import METRICS

__all__ = [
    "SHIPPED",
    "board_table",
    "board_view",
    "leaderboard_mapping",
    "parse_leaderboard",
    "ranking_figure",
    "read_leaderboard",
    "types_figure",
]
_COSTS = (("parameters", "Parameters"), ("train_seconds", "Training"), ("infer_ms_per_case", "Per case"))
_COMMIT_DIGITS = 12
# Names beside the axis in lines of so many letters, so that a phone has room for the scores.
_NAME_COLUMNS = 22
_INK = {True: "#c3cad6", False: "#4a5568"}


def leaderboard_mapping(path: Path = SHIPPED) -> dict[str, Any]:
    """The content of a leaderboard.json as the API gives it, after the same checks as a dropped one."""
    read_leaderboard(path)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def board_table(board: Board) -> pd.DataFrame:
    """A row an entry: rank, its interval, name, mean and interval of every shown metric, ties and costs, as numbers."""
    rows = []
    for entry in board.entries:
        low, high = entry.rank_interval or (None, None)
        row: dict[str, Any] = {"rank": entry.rank, "rank_low": low, "rank_high": high, "entry": entry.name}
        for metric in board.shown:
            score = entry.metrics.get(metric)
            row[metric] = score.mean if score else math.nan
            row[f"{metric}_low"], row[f"{metric}_high"] = score.ci if score else (math.nan, math.nan)
        row["p_better_than_next"], row["tied_with"] = entry.p_better_than_next, "; ".join(entry.tied_with)
        rows.append({**row, **{name: getattr(entry, name) for name, _ in _COSTS}})
    return pd.DataFrame(rows).astype(dict.fromkeys(("rank", "rank_low", "rank_high", "parameters"), "Int64"))


AS_SHIPPED = "hemobench, as shipped"


def board_view(leaderboard: Leaderboard, number: int, *, source: str = AS_SHIPPED, refusal: str = "") -> dict[str, Any]:
    """Everything that the table's script writes, as text and numbers that JSON takes.

    `number` of the board, `source`: where it comes from, `refusal` for the line about one that was not taken.
    """
    board = leaderboard.boards[number]
    return {
        "refusal": refusal,
        "title": board.title,
        "description": leaderboard.description,
        "marks": list(board.marks),
        "facts": [{"name": name, "value": value} for name, value in _facts(leaderboard, board, source)],
        "columns": _columns(board),
        "rows": [_row(board, entry) for entry in board.entries],
        "notes": [*_tie_notes(board), *board.cautions, *(f"Left out: {reason}" for reason in leaderboard.skipped)],
        "settings": [
            {"name": entry.name, "text": json.dumps({**entry.config, "seeds": list(entry.seeds)}, indent=1)}
            for entry in board.entries
            if entry.config
        ],
    }


def ranking_figure(board: Board, *, dark: bool = False) -> go.Figure:
    """The ranking metric of each entry with its 95% interval, and each seed as a dot."""
    figure = _inked(forest_figure(_disarmed(board, wrap=_NAME_COLUMNS)), dark)
    if all(math.isnan(entry.metrics[board.rank_by].mean) for entry in board.entries):
        figure.update_xaxes(range=[0, 1])
        figure.add_annotation(
            text="undefined for every entry", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
        )
    return figure


def types_figure(board: Board, *, dark: bool = False) -> go.Figure | None:
    """AUROC by type, entries side by side; None for a board without."""
    figure = per_type_figure(_disarmed(board))
    return None if figure is None else _inked(figure, dark)


def plain_for_plotly(text: str) -> str:
    """Text that plotly shows as it stands: no tag, no entity and no `%{...}` of it is read.

    >>> plain_for_plotly("<b>a & b</b> %{x}")
    '&lt;b&gt;a &amp; b&lt;/b&gt; %&#123;x}'
    """
    return html.escape(text, quote=False).replace("{", "&#123;")


def _disarmed(board: Board, wrap: int = 0) -> Board:
    """The board with names that plotly takes as text, in lines of about `wrap` letters."""

    def named(name: str) -> str:
        lines = textwrap.wrap(name, wrap, break_on_hyphens=False) if wrap else [name]
        return "<br>".join(map(plain_for_plotly, lines))

    return replace(board, entries=tuple(replace(entry, name=named(entry.name)) for entry in board.entries))


def _inked(figure: go.Figure, dark: bool) -> go.Figure:
    """Ink for the page at hand, as the report's script chooses it for its own."""
    figure.update_layout(font={"color": _INK[dark]}, template=go.layout.Template(), modebar={"remove": _FEW_BUTTONS})
    figure.update_layout(modebar={"bgcolor": "rgba(0,0,0,0)", "color": _INK[dark]})
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(title_font_size=13)
    return figure


_FEW_BUTTONS = ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]


def _facts(leaderboard: Leaderboard, board: Board, source: str) -> Iterable[tuple[str, str]]:
    yield "From", source
    yield "Suite", leaderboard.suite
    yield "Data", f"{board.data} ({board.task})"
    counts = [board.split.get(f"{part}_patients") for part in ("train", "validation", "test")]
    if all(isinstance(count, int) for count in counts):
        yield "Patients", "{} to train, {} to validate, {} to test".format(*counts)
    yield "Ranked by", f"{board.rank_by} {direction_arrow(board.rank_by)}".strip()
    yield "Seeds", ", ".join(map(str, leaderboard.seeds))
    yield "Intervals", f"95%, {board.resamples:,} resamples of the test patients"
    commit, plus, mark = leaderboard.commit.partition("+")
    yield "Commit", f"{commit[:_COMMIT_DIGITS]}{plus}{mark}"
    yield "Made", leaderboard.created[:10]


def _columns(board: Board) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = [
        {"key": "rank", "label": "Rank", "title": "Rank, and below it the ranks it has in 95% of the resamples"},
        {"key": "entry", "label": "Entry", "title": "What was trained, or measured"},
    ]
    chance = {
        "key": "better",
        "label": "P(better than next)",
        "falling": True,
        "title": "Share of the resamples in which it beats the next entry",
    }
    for metric in (board.rank_by, *(one for one in board.shown if one != board.rank_by)):
        known = METRICS.get(metric)
        columns.append(
            {
                "key": metric,
                "label": f"{metric}\u00a0{direction_arrow(metric)}".strip(),
                "title": known.description if known else metric,
                "ranking": metric == board.rank_by,
                "falling": known is None or known.higher_is_better is not False,
            }
        )
        # It speaks of the ranking metric, so it stands beside it.
        columns += [chance] if metric == board.rank_by else []
    titles = {
        "parameters": "How many numbers were learned",
        "train_seconds": "Time to train one seed",
        "infer_ms_per_case": "Time to look at one test unit",
    }
    told = [(key, label) for key, label in _COSTS if any(getattr(entry, key) is not None for entry in board.entries)]
    columns += [{"key": key, "label": label, "title": titles[key]} for key, label in told]
    return columns


def _row(board: Board, entry: Entry) -> dict[str, Any]:
    cells = {"rank": _rank_cell(entry), "entry": _name_cell(entry)}
    bounds = _bounds(board)
    for metric in board.shown:
        score = entry.metrics.get(metric)
        cells[metric] = _score_cell(score, entry.rank is not None)
        if metric == board.rank_by and score is not None and bounds is not None:
            cells[metric]["bar"] = _bar(score, *bounds)
    better = entry.p_better_than_next
    cells["better"] = _cell("" if better is None else f"{100 * better:.0f}%", better)
    cells["parameters"] = _cell("" if entry.parameters is None else _count(entry.parameters), entry.parameters)
    cells["train_seconds"] = _timed(entry.train_seconds, duration)
    cells["infer_ms_per_case"] = _timed(entry.infer_ms_per_case, lambda value: f"{value:.3g} ms")
    return {"name": entry.name, "cells": cells, "best": entry.rank == 1, "reference": entry.rank is None}


def _rank_cell(entry: Entry) -> dict[str, Any]:
    if entry.rank is None:
        return _cell("–", None)
    low, high = entry.rank_interval or (entry.rank, entry.rank)
    return _cell(str(entry.rank), entry.rank, "" if low == high else f"{low} to {high}")


def _name_cell(entry: Entry) -> dict[str, Any]:
    tied = len(entry.tied_with)
    below = f"tied with {entry.tied_with[0]}" if tied == 1 else f"tied with {tied} others" if tied else ""
    who = entry.config.get("measured_by")
    below = ", ".join([*([f"measured by {who}"] if who else []), *([below] if below else [])])
    return {**_cell(entry.name, None, REFERENCE_ROW if entry.rank is None else below), "sort": entry.name.lower()}


def _score_cell(score: MetricScore | None, trained: bool) -> dict[str, Any]:
    if score is None:
        return _cell("n/a", None)
    if math.isnan(score.mean):
        return _cell("undefined", None)
    spread = f"± {score_number(score.sd_seeds)}" if trained and math.isfinite(score.sd_seeds) else ""
    low, high = (score_number(limit) for limit in score.ci)
    undefined = f", {score.undefined} undefined" if score.undefined else ""
    return {**_cell(score_number(score.mean), score.mean, f"{low} to {high}{undefined}"), "spread": spread}


def _cell(text: str, sort: float | None, small: str = "") -> dict[str, Any]:
    return {"text": text, "sort": sort, "small": small}


def _timed(value: float | None, words: Callable[[float], str]) -> dict[str, Any]:
    if value is None or not math.isfinite(value):
        return _cell("", None)
    return _cell(words(value), value)


def _bounds(board: Board) -> tuple[float, float] | None:
    """Lowest and highest limit of the ranking metric over the entries: the ends of the bars."""
    scores = [entry.metrics[board.rank_by] for entry in board.entries if board.rank_by in entry.metrics]
    ends = [limit for score in scores for limit in (*score.ci, score.mean) if math.isfinite(limit)]
    return (min(ends), max(ends)) if ends and max(ends) > min(ends) else None


def _bar(score: MetricScore, low: float, high: float) -> list[float] | None:
    """Where interval and mean stand between the bounds, in percent: start, mean, end."""
    places = (score.ci[0], score.mean, score.ci[1])
    if not all(math.isfinite(place) for place in places):
        return None
    return [round(100 * (place - low) / (high - low), 2) for place in places]


def _tie_notes(board: Board) -> Iterable[str]:
    above: set[str] = set()
    for entry in board.entries:
        above.add(entry.name)
        below = [name for name in entry.tied_with if name not in above]
        if below:
            yield f"Tied, as far as these patients tell: {entry.name} and {', '.join(below)}."


def _count(value: int) -> str:
    """A number of parameters, short.

    >>> _count(950), _count(30_365), _count(1_946_330)
    ('950', '30k', '1.95M')
    """
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e3 else str(value)


def choices(boards: Iterable[Board]) -> list[tuple[str, int]]:
    """Title and place of each board; numbered, and with their data, where two have one title."""
    listed = list(boards)
    titles = [board.title for board in listed]
    return [
        (board.title if titles.count(board.title) == 1 else f"{number + 1}: {board.title} ({board.data})", number)
        for number, board in enumerate(listed)
    ]
