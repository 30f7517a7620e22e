"""The report's plotly figures. Each takes plain values and returns a figure that is legible on light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from hemobench.compare.leaderboard import Board, Entry, direction_arrow
from hemobench.labels import SUBTYPES
from hemobench.metrics.names import metric_words

# Mid-tone colours of the Okabe-Ito family: told apart by the colour-blind, legible on white and on near-black.
COLOURS = ("#3B82C4", "#E08A1E", "#1FA37A", "#C4629A", "#D1572B", "#7C6FD6", "#4BA9D6", "#9A8A2B")
NEUTRAL = "#808890"
DASHES = ("solid", "dot", "dash", "dashdot", "longdash")


@dataclass(frozen=True)
class Curve:
    """The history of one run: values by epoch, NaN where an epoch has none."""

    entry: str
    seed: int
    epochs: Sequence[float]
    train_loss: Sequence[float]
    validation: Sequence[float]


def forest_figure(board: Board) -> go.Figure:
    """The ranking metric of every entry: mean over seeds, 95% interval by patient, and each seed as an open dot."""
    figure = go.Figure()
    names, colours = [entry.name for entry in board.entries], entry_colours(board)
    for entry in board.entries:
        score, colour = entry.metrics[board.rank_by], colours[entry.name]
        seeds = entry.seed_scores.get(board.rank_by, ())
        figure.add_scatter(
            x=list(seeds),
            y=[entry.name] * len(seeds),
            mode="markers",
            showlegend=False,
            marker={"color": colour, "size": 8, "symbol": "circle-open"},
            hovertemplate="one seed: %{x:.3f}<extra></extra>",
        )
        figure.add_scatter(
            x=[score.mean],
            y=[entry.name],
            mode="markers",
            showlegend=False,
            marker={"color": colour, "size": 13, "symbol": "diamond"},
            error_x=_error_bar(entry, board.rank_by, colour),
            hovertemplate=f"{score.mean:.3f} [{score.ci[0]:.3f}, {score.ci[1]:.3f}]<extra></extra>",
        )
    # Said, not guessed: plotly takes names such as 1e-3 for numbers and drops the others.
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1], automargin=True)
    figure.update_xaxes(title=metric_title(board.rank_by))
    return styled(figure, height=90 + 44 * len(names), top=12)


def per_type_figure(board: Board) -> go.Figure | None:
    """AUROC by haemorrhage type with its interval, entries side by side; None when the board has none."""
    types = [name for name in ("any", *SUBTYPES) if any(_defined(entry, f"auroc_{name}") for entry in board.entries)]
    if not types:
        return None
    figure, colours = go.Figure(), entry_colours(board)
    for entry in board.entries:
        scores = [entry.metrics.get(f"auroc_{name}") for name in types]
        means = [score.mean if score else math.nan for score in scores]
        figure.add_scatter(
            x=types,
            y=means,
            name=entry.name,
            mode="markers",
            marker={"color": colours[entry.name], "size": 9},
            error_y={
                "type": "data",
                "symmetric": False,
                "color": colours[entry.name],
                "thickness": 1.6,
                "width": 4,
                "array": [score.ci[1] - score.mean if score else math.nan for score in scores],
                "arrayminus": [score.mean - score.ci[0] if score else math.nan for score in scores],
            },
            hovertemplate="%{x}: %{y:.3f}<extra>" + entry.name + "</extra>",
        )
    figure.add_hline(y=0.5, line={"color": NEUTRAL, "dash": "dot", "width": 1})
    lowest = min(
        entry.metrics[f"auroc_{name}"].ci[0]
        for entry in board.entries
        for name in types
        if _defined(entry, f"auroc_{name}")
    )
    figure.update_yaxes(title="AUROC (0.5 is chance)", range=[min(0.45, lowest - 0.05), 1.02])
    figure.update_layout(scattermode="group", scattergap=0.5)
    figure.update_xaxes(automargin=True)
    return styled(figure, height=400, top=12)


def curves_figure(curves: Sequence[Curve], colours: Mapping[str, str], validation_metric: str) -> go.Figure:
    """Training loss and validation metric by epoch; colour says the entry, the dash says the seed."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    seeds = sorted({curve.seed for curve in curves})
    for curve in curves:
        line = {"color": colours[curve.entry], "dash": DASHES[seeds.index(curve.seed) % len(DASHES)]}
        for row, values in ((1, curve.train_loss), (2, curve.validation)):
            figure.add_scatter(
                x=list(curve.epochs),
                y=list(values),
                mode="lines+markers",
                line=line,
                marker={"size": 5},
                name=curve.entry,
                legendgroup=curve.entry,
                showlegend=row == 1 and curve.seed == seeds[0],
                row=row,
                col=1,
                hovertemplate=f"epoch %{{x}}: %{{y:.4f}}<extra>{curve.entry}, seed {curve.seed}</extra>",
            )
    last = max((max(curve.epochs, default=1) for curve in curves), default=1)
    figure.update_xaxes(dtick=max(1, round(last / 10)))
    figure.update_xaxes(title="epoch", row=2, col=1)
    figure.update_yaxes(title="training loss", row=1, col=1)
    figure.update_yaxes(title=f"validation {metric_title(validation_metric)}", row=2, col=1)
    return styled(figure, height=560)


def confusion_figure(matrix: NDArray[np.int64], labels: Sequence[str]) -> go.Figure:
    """One confusion matrix, (K, K) counts of truth by prediction: colour is the share of a truth's row."""
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=list(labels),
            y=list(labels),
            text=[[_count(item) for item in row] for row in matrix],
            texttemplate="%{text}",
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
            colorscale=[[0, "rgba(59,130,196,0.08)"], [1, "rgba(59,130,196,0.85)"]],
            hovertemplate="truth %{y}<br>prediction %{x}<br>%{text}, %{z:.1%} of the truth's row<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title="truth", automargin=True, showgrid=False)
    figure.update_xaxes(title="prediction", automargin=True, showgrid=False)
    return styled(figure, height=110 + 36 * len(labels), top=12)


def metric_title(name: str) -> str:
    """A metric's name in words, with the direction that is better.

    >>> metric_title("sens_at_spec90_any")
    'sensitivity at 90% specificity ↑'
    """
    return f"{metric_words(name)} {direction_arrow(name)}".rstrip()


def entry_colours(board: Board) -> dict[str, str]:
    """Each entry's colour in every figure of its board; a reference outside the ranking is grey."""
    ranked = sorted(entry.name for entry in board.entries if entry.rank is not None)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(ranked)}
    return {entry.name: colours.get(entry.name, NEUTRAL) for entry in board.entries}


def _error_bar(entry: Entry, metric: str, colour: str) -> Mapping[str, object]:
    score = entry.metrics[metric]
    return {
        "type": "data",
        "symmetric": False,
        "color": colour,
        "thickness": 2,
        "width": 6,
        "array": [score.ci[1] - score.mean],
        "arrayminus": [score.mean - score.ci[0]],
    }


def _defined(entry: Entry, metric: str) -> bool:
    return metric in entry.metrics and math.isfinite(entry.metrics[metric].mean)


def _count(value: int) -> str:
    """A count short enough for a cell.

    >>> _count(950), _count(12_500), _count(3_400_000)
    ('950', '12.5k', '3.4M')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= 10 * size or (letter == "M" and value >= size):
            return f"{value / size:.3g}{letter}"
    return str(int(value))


def styled(figure: go.Figure, *, height: int, top: int = 40) -> go.Figure:
    """Transparent background and neutral grey, which the page's script replaces by the reader's own scheme."""
    grid = "rgba(128,136,144,0.25)"
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": NEUTRAL},
        margin={"l": 60, "r": 20, "t": top, "b": 50},
        legend={"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
    figure.update_yaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
    return figure
