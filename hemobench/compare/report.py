"""report.html: one self-contained page about a leaderboard. Tables, figures, examples, settings; no network needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import plotly.graph_objects as go
import plotly.offline
import yaml
from markupsafe import Markup
from numpy.typing import NDArray

from hemobench.compare.cases import EntryCases
from hemobench.compare.figures import (
    Curve,
    confusion_figure,
    curves_figure,
    entry_colours,
    forest_figure,
    metric_title,
    per_type_figure,
)
from hemobench.compare.leaderboard import Board, Gap, Leaderboard, direction_arrow, write_text
from hemobench.compare.prediction_curves import Line, Reliability, Volumes
from hemobench.compare.prediction_figures import bland_altman_figure, differences_figure, reliability_figure, roc_figure
from hemobench.compare.sentences import agreement_lines, answer_in_words, better_than_next, gap_to_best, in_words
from hemobench.compare.terminal_tables import duration, score_number
from hemobench.metrics.names import metric_words


@dataclass(frozen=True)
class ExampleCell:
    """One picture of the example rows (an empty data URI leaves the place empty) and what stands under it."""

    picture: str = ""
    alt: str = ""
    caption: str = ""


@dataclass(frozen=True)
class ExampleRow:
    """One row of examples: the truth, or an entry's predictions of the same slices."""

    name: str
    cells: tuple[ExampleCell, ...]


@dataclass(frozen=True)
class Confusion:
    """Counts (K, K) of truth by prediction of one entry, summed over its seeds."""

    entry: str
    matrix: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Disagreement:
    """One case on which entries differ: what it is called, what is known of it, and what each entry says of it."""

    case: str
    truth: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Disagreements:
    """The cases on which entries differ most, the worst first. entries: whose answers, in the order of the board."""

    entries: tuple[str, ...]
    cases: tuple[Disagreement, ...]
    caption: str


@dataclass(frozen=True)
class Evidence:
    """What the report shows of a board beyond its table. unit: what a classifier's answers are of."""

    board: Board
    curves: tuple[Curve, ...] = ()
    validation_metric: str = ""
    confusions: tuple[Confusion, ...] = ()
    confusion_caption: str = ""
    examples: tuple[ExampleRow, ...] = ()
    examples_caption: str = ""
    notes: tuple[str, ...] = ()
    roc: tuple[Line, ...] = ()
    precision_recall: tuple[Line, ...] = ()
    prevalence: float = math.nan
    reliabilities: tuple[Reliability, ...] = ()
    volumes: tuple[Volumes, ...] = ()
    cases: tuple[EntryCases, ...] = ()
    made_with: tuple[str, ...] = ()
    disagreements: Disagreements | None = None
    unit: str = "slice"


@dataclass(frozen=True)
class Costs:
    """Where the time went: stages in order with their seconds, the whole, and the largest memory in use."""

    stages: tuple[tuple[str, float], ...] = ()
    total_seconds: float = 0.0
    peak_memory_gb: float | None = None
    machine: str = ""


@dataclass(frozen=True)
class _Figure:
    title: str
    caption: str
    html: Markup
    wide: bool = False


@dataclass(frozen=True)
class _Section:
    board: Board
    split_counts: list[tuple[str, str]]
    notes: tuple[str, ...]
    agreement: tuple[str, ...]
    pairs: tuple[tuple[str, tuple[tuple[str, str, Gap], ...]], ...]
    figures: list[_Figure]
    confusions: list[_Figure]
    confusion_caption: str
    examples: Mapping[str, Any] | None
    cases: tuple[EntryCases, ...]
    made_with: tuple[str, ...]
    disagreements: Disagreements | None
    unit: str
    settings: list[tuple[str, str]] = field(default_factory=list)


def write_report(
    path: Path, leaderboard: Leaderboard, evidence: Sequence[Evidence], costs: Costs, command: str
) -> None:
    """Write the page; it replaces an older one only when it is whole."""
    write_text(path, render_report(leaderboard, evidence, costs, command))


def render_report(leaderboard: Leaderboard, evidence: Sequence[Evidence], costs: Costs, command: str) -> str:
    """The page's HTML: plotly.js is in it once, pictures are data URIs, every text is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(metric=metric_title, number=score_number, duration=duration)
    environment.filters.update(words=metric_words, answer=answer_in_words, arrow=direction_arrow)
    environment.filters.update(better=better_than_next, gap=gap_to_best)
    environment.filters.update(asked=lambda question: in_words(question.answer, question.metric))
    template = environment.from_string((files("hemobench.compare") / "report.html.j2").read_text(encoding="utf-8"))
    longest = max((seconds for _, seconds in costs.stages), default=1.0) or 1.0
    return template.render(
        leaderboard=leaderboard,
        board_title=leaderboard.title,
        plotly_js=Markup(plotly.offline.get_plotlyjs()),  # plotly's own code, not input
        sections=[_section(item, number) for number, item in enumerate(evidence)],
        stages=[{"name": name, "seconds": seconds, "share": 100 * seconds / longest} for name, seconds in costs.stages],
        total_seconds=costs.total_seconds,
        peak_memory_gb=costs.peak_memory_gb,
        machine=costs.machine,
        command=command,
    )


def _section(evidence: Evidence, number: int) -> _Section:
    board = evidence.board
    counts = [(name, str(value)) for name, value in board.split.items() if name == "folds" or name.endswith("patients")]
    examples = {"caption": evidence.examples_caption, "rows": evidence.examples} if evidence.examples else None
    return _Section(
        board=board,
        split_counts=[(name.replace("_", " "), value) for name, value in counts],
        notes=evidence.notes,
        agreement=agreement_lines(board),
        pairs=_pairs(board),
        figures=_figures(evidence, number),
        confusions=[
            _Figure(
                item.entry,
                "",
                _html(confusion_figure(item.matrix, item.labels), f"confusion-{number}-{place}"),
            )
            for place, item in enumerate(evidence.confusions)
        ],
        confusion_caption=evidence.confusion_caption,
        examples=examples,
        cases=evidence.cases,
        made_with=evidence.made_with,
        disagreements=evidence.disagreements,
        unit=evidence.unit,
        settings=_settings(board),
    )


def _pairs(board: Board) -> tuple[tuple[str, tuple[tuple[str, str, Gap], ...]], ...]:
    """By metric, the ranking's first, every pair of entries in the ranking's order with the difference between them."""
    ranked = [entry.name for entry in board.entries if entry.rank is not None]
    by_metric = [(board.rank_by, {entry.name: entry.to_others for entry in board.entries if entry.to_others})]
    by_metric += [(question.metric, dict(question.gaps)) for question in board.questions]
    found = []
    for metric, gaps in by_metric:
        pairs = [
            (one, other, gaps[one][other])
            for place, one in enumerate(ranked)
            if one in gaps
            for other in ranked[place + 1 :]
            if other in gaps[one]
        ]
        if pairs:
            found.append((metric, tuple(pairs)))
    return tuple(found)


def _figures(evidence: Evidence, number: int) -> list[_Figure]:
    board = evidence.board
    figures = [
        _Figure(
            "Ranking",
            f"{metric_title(board.rank_by)}: the diamond is the mean over seeds, its bar the 95% interval, "
            "the open circles are the seeds.",
            _html(forest_figure(board), f"forest-{number}"),
        )
    ]
    differences = differences_figure(board)
    if differences is not None:
        figures.append(_Figure("Differences and ranks", _DIFFERENCES, _html(differences, f"differences-{number}")))
    per_type = per_type_figure(board)
    if per_type is not None:
        caption = "Area under the ROC curve for each haemorrhage type, with its 95% interval by patient."
        figures.append(_Figure("By haemorrhage type", caption, _html(per_type, f"types-{number}")))
    figures += _answer_figures(evidence, number)
    if evidence.curves:
        figure = curves_figure(evidence.curves, entry_colours(board), evidence.validation_metric)
        caption = "One line a run: the colour is the entry, the dash the seed. Click an entry to hide or show it."
        figures.append(_Figure("Training", caption, _html(figure, f"curves-{number}")))
    return figures


def _answer_figures(evidence: Evidence, number: int) -> list[_Figure]:
    """What the test answers look like: ROC, precision-recall and reliability, or volumes."""
    colours, figures = entry_colours(evidence.board), []
    if evidence.roc:
        figure = roc_figure(evidence.roc, evidence.precision_recall, evidence.prevalence, colours)
        figures.append(_Figure("ROC and precision-recall", _ROC.format(evidence.unit), _html(figure, f"roc-{number}")))
    if evidence.reliabilities:
        figure = reliability_figure(evidence.reliabilities, colours)
        words = _RELIABILITY.format(evidence.unit)
        figures.append(_Figure("Reliability", words, _html(figure, f"reliability-{number}")))
    if evidence.volumes:
        agreements = {
            entry.name: entry.volume_agreement for entry in evidence.board.entries if entry.volume_agreement is not None
        }
        figure = bland_altman_figure(evidence.volumes, agreements, colours)
        figures.append(_Figure("Volumes (Bland and Altman)", _VOLUMES, _html(figure, f"volumes-{number}"), wide=True))
    return figures


_DIFFERENCES = (
    "Left: each entry minus the best on the same patients; limits hold for all pairs of the board together with 95%, "
    "an open circle is tied with the best. Right: the entry's rank and the interval of its rank."
)
_ROC = (
    "Any haemorrhage, by {0}, mean over seeds (the band, on boards of up to three entries, spans them). Dotted: chance."
)
_RELIABILITY = (
    "Any haemorrhage: of what was given a probability, the share that had one; ten bins of equally many, by {0}, all "
    "seeds together. On the dotted line probabilities can be taken at their word. Right: after Platt's fit "
    "on each run's validation patients, where enough of them bled."
)
_VOLUMES = (
    "Predicted minus true volume over the mean of both, test cases of the first seed. Dotted: no difference. Solid: "
    "the bias, dashed: the 95% limits of agreement, both over all seeds."
)


def _settings(board: Board) -> list[tuple[str, str]]:
    """Split, view and each entry's resolved configuration as YAML text."""
    settings = [("data, view and split", {"data": board.data, "view": dict(board.view), "split": dict(board.split)})]
    settings += [(entry.name, dict(entry.config)) for entry in board.entries if entry.config]
    return [(name, yaml.safe_dump(content, sort_keys=False, allow_unicode=True)) for name, content in settings]


def _html(figure: go.Figure, identifier: str) -> Markup:
    """A figure as an HTML fragment; names in it were escaped by plotly's JSON encoder."""
    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    fragment = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=identifier, config=config, default_width="100%"
    )
    return Markup(fragment)


def plain(value: Any) -> Any:
    """A configuration as values that YAML and JSON can hold: tuples become lists, NaN stays out.

    >>> plain({"sizes": (1, 2), "rate": float("nan")})
    {'sizes': [1, 2], 'rate': None}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and math.isnan(value) else value
