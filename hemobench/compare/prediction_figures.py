"""Figures of a board's answers: what separates entries, ROC and precision-recall, reliability, Bland-Altman."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hemobench.compare.figures import NEUTRAL, entry_colours, metric_title, styled
from hemobench.compare.leaderboard import Agreement, Board
from hemobench.compare.prediction_curves import Line, Reliability, Volumes

# Bands of more entries would hide each other.
_BANDS = 3
_CLOUDS_A_ROW = 3
_NEUTRAL_LINE = {"color": NEUTRAL, "dash": "dot", "width": 1}


def differences_figure(board: Board) -> go.Figure | None:
    """Each entry minus the best with limits that hold for all pairs together, and beside it the interval of its rank;
    None for a board of one entry."""
    ranked = [entry for entry in board.entries if entry.rank is not None]
    if len(ranked) < 2:
        return None
    titles = (f"{metric_title(board.rank_by)} minus the best's", "rank")
    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.62, 0.38], horizontal_spacing=0.04)
    colours = entry_colours(board)
    for entry in ranked:
        colour = colours[entry.name]
        gap, rank = entry.to_best, entry.rank_interval
        if gap is not None and math.isfinite(gap.difference):
            figure.add_scatter(
                x=[gap.difference],
                y=[entry.name],
                mode="markers",
                showlegend=False,
                row=1,
                col=1,
                marker={"color": colour, "size": 10, "symbol": "circle-open" if entry.tied_with_best else "circle"},
                error_x=_reach(gap.difference, gap.low, gap.high, colour),
                hovertemplate=f"{gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], p {gap.p:.3g}<extra></extra>",
            )
        if rank is not None and entry.rank is not None:
            figure.add_scatter(
                x=[entry.rank],
                y=[entry.name],
                mode="markers",
                showlegend=False,
                row=1,
                col=2,
                marker={"color": colour, "size": 10, "symbol": "square"},
                error_x=_reach(entry.rank, *rank, colour),
                hovertemplate=f"rank {entry.rank}, {rank[0]} to {rank[1]}<extra></extra>",
            )
    figure.add_vline(x=0, line=_NEUTRAL_LINE, row=1, col=1)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[entry.name for entry in ranked][::-1], automargin=True
    )
    figure.update_xaxes(title=titles[0], row=1, col=1)
    figure.update_xaxes(title=titles[1], dtick=1, range=[0.5, len(ranked) + 0.5], row=1, col=2)
    return styled(figure, height=90 + 40 * len(ranked), top=12)


def roc_figure(
    roc: Sequence[Line], precision_recall: Sequence[Line], share: float, colours: Mapping[str, str]
) -> go.Figure:
    """ROC and precision-recall curves side by side; `share` of the slices are positive: precision by chance."""
    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    for column, lines in ((1, roc), (2, precision_recall)):
        for line in lines:
            colour = colours[line.entry]
            if len(lines) <= _BANDS:
                figure.add_scatter(
                    x=[*line.x, *line.x[::-1]],
                    y=[*line.high, *line.low[::-1]],
                    fill="toself",
                    mode="none",
                    fillcolor=_faint(colour),
                    hoverinfo="skip",
                    showlegend=False,
                    legendgroup=line.entry,
                    row=1,
                    col=column,
                )
            figure.add_scatter(
                x=line.x,
                y=line.y,
                mode="lines",
                name=line.entry,
                legendgroup=line.entry,
                showlegend=column == 1,
                line={"color": colour, "width": 2},
                row=1,
                col=column,
                hovertemplate=f"%{{x:.2f}}, %{{y:.2f}}<extra>{line.entry}</extra>",
            )
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=_NEUTRAL_LINE, row=1, col=1)
    figure.add_hline(y=share, line=_NEUTRAL_LINE, row=1, col=2)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1.01])
    figure.update_xaxes(title="1 - specificity", row=1, col=1)
    figure.update_yaxes(title="sensitivity", row=1, col=1)
    figure.update_xaxes(title="recall (sensitivity)", row=1, col=2)
    figure.update_yaxes(title="precision", row=1, col=2)
    return styled(figure, height=440, top=_legend_room(len(roc)))


def reliability_figure(entries: Sequence[Reliability], colours: Mapping[str, str]) -> go.Figure:
    """Observed frequency over probability of `any`: left as the networks answer, right calibrated on validation."""
    figure = make_subplots(cols=2, horizontal_spacing=0.12, subplot_titles=("as answered", "calibrated on validation"))
    for column in (1, 2):
        for entry in entries:
            probability, frequency = entry.raw if column == 1 else entry.calibrated
            figure.add_scatter(
                x=probability,
                y=frequency,
                mode="lines+markers",
                name=entry.entry,
                legendgroup=entry.entry,
                showlegend=column == 1,
                line={"color": colours[entry.entry]},
                marker={"size": 6},
                row=1,
                col=column,
                hovertemplate=f"said %{{x:.2f}}, held %{{y:.2f}}<extra>{entry.entry}</extra>",
            )
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=_NEUTRAL_LINE, row=1, col=column)
    figure.update_xaxes(range=[0, 1], title="mean probability")
    figure.update_yaxes(range=[0, 1.01])
    figure.update_yaxes(title="share with haemorrhage", row=1, col=1)
    figure.update_annotations(font={"size": 13})
    styled(figure, height=440, top=_legend_room(len(entries)) + 20)
    # Above the titles of both halves.
    figure.update_layout(legend={"y": 1.1})
    return figure


def bland_altman_figure(
    clouds: Sequence[Volumes], agreements: Mapping[str, Agreement], colours: Mapping[str, str]
) -> go.Figure:
    """Predicted minus true mL over their mean, a panel an entry, with no difference, the bias and the limits of
    agreement."""
    rows = math.ceil(len(clouds) / _CLOUDS_A_ROW)
    columns = min(len(clouds), _CLOUDS_A_ROW)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[c.entry for c in clouds],
        horizontal_spacing=0.07,
        vertical_spacing=min(0.2, 0.4 / rows),
    )
    for number, cloud in enumerate(clouds):
        row, column = number // _CLOUDS_A_ROW + 1, number % _CLOUDS_A_ROW + 1
        figure.add_scatter(
            x=(cloud.true_ml + cloud.predicted_ml) / 2,
            y=cloud.predicted_ml - cloud.true_ml,
            mode="markers",
            showlegend=False,
            marker={"color": colours[cloud.entry], "size": 6, "opacity": 0.7},
            row=row,
            col=column,
            hovertemplate="mean %{x:.1f} mL, difference %{y:+.1f} mL<extra></extra>",
        )
        # No difference: what bias and limits are read against.
        figure.add_hline(y=0, line={**_NEUTRAL_LINE, "width": 1.5}, row=row, col=column)
        found = agreements.get(cloud.entry)
        if found is not None:
            for value, dash in ((found.bias_ml, "solid"), (found.low_ml, "dash"), (found.high_ml, "dash")):
                if math.isfinite(value):
                    line = {"color": NEUTRAL, "dash": dash, "width": 1}
                    figure.add_hline(y=value, line=line, row=row, col=column)
        figure.update_xaxes(showticklabels=True, ticks="outside", row=row, col=column)
        figure.update_yaxes(showticklabels=True, ticks="outside", row=row, col=column)
        if row == rows or number + _CLOUDS_A_ROW >= len(clouds):
            figure.update_xaxes(title="mean, mL", row=row, col=column)
        if column == 1:
            figure.update_yaxes(title="difference, mL", row=row, col=column)
    figure.update_annotations(font={"size": 12})
    return styled(figure, height=110 + 250 * rows, top=36)


def _reach(value: float, low: float, high: float, colour: str) -> Mapping[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value],
        "arrayminus": [value - low],
        "color": colour,
        "thickness": 2,
        "width": 6,
    }


def _faint(colour: str) -> str:
    """
    >>> _faint("#3B82C4")
    'rgba(59,130,196,0.15)'
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _legend_room(entries: int) -> int:
    """Pixels above a figure for a legend that wraps after about four names."""
    return 24 + 20 * int(np.ceil(entries / 4))
