"""The boards as printed text: rich tables that fit the width there is, nothing cut off, nothing left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hemobench.compare.leaderboard import Board, Breakdown, Entry, MetricScore, direction_arrow
from hemobench.compare.sentences import agreement_lines, better_than_next, gap_to_best

PLAIN_WIDTH = 120
HEADING_WIDTH = 15


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; 120 columns and no colour codes where there is none."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH, no_color=True)


def print_board(console: Console, board: Board) -> None:
    """Print a board; metrics that do not fit beside each other go into further tables below the first."""
    console.print()
    console.print(Text(board.marked_title, style="bold"), soft_wrap=True)
    ranked = sum(entry.rank is not None for entry in board.entries)
    heading = (
        f"{board.task} on {board.data}; {ranked} entries ranked by {board.rank_by}; mean ± spread over seeds, "
        f"[95% interval over {board.resamples} draws of the test patients and of seeds]"
    )
    console.print(Text(heading), soft_wrap=True)
    if board.answer:
        console.print(Text(f"answer: {board.answer}", style="bold"), soft_wrap=True)
    for question in board.questions:
        console.print(Text(f"also asked: {question.answer}", style="bold"), soft_wrap=True)
    for table in board_tables(board, console):
        console.print(table)
    above: set[str] = set()
    for entry in board.entries:
        above.add(entry.name)
        below = [name for name in entry.tied_with if name not in above]
        if below:
            console.print(Text(f"tied: {entry.name} with {', '.join(below)}"), soft_wrap=True)
        if gap_to_best(entry):
            console.print(Text(f"to the best: {entry.name} {gap_to_best(entry)}"), soft_wrap=True)
    for line in agreement_lines(board):
        console.print(Text(f"volume of {line}"), soft_wrap=True)
    for breakdown in board.breakdowns:
        console.print(Text(breakdown.title, style="bold"), soft_wrap=True)
        console.print(_breakdown_table(breakdown))
    for line in (*board.cautions, *((board.method,) if board.method else ())):
        console.print(Text(f"note: {line}"), soft_wrap=True)


def board_tables(board: Board, console: Console) -> list[Table]:
    """The board as tables no wider than the console: costs in the first, metrics over as many as needed.

    What the board holds beside the metrics that it shows (misses, operating points, calibration) comes last.
    """
    left, tables = [*board.shown, *board.also], list[Table]()
    while left or not tables:
        first = not tables
        count = len(left)
        while count > (0 if first else 1) and _too_wide(_table(board, left[:count], costs=first), console):
            count -= 1
        tables.append(_table(board, left[:count], costs=first))
        left = left[count:]
    return tables


def _breakdown_table(breakdown: Breakdown) -> Table:
    """A row a group, a column an entry: few groups and long names fit the page this way round."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("cases", justify="right", no_wrap=True)
    for name in breakdown.scores:
        table.add_column(Text(name), justify="right", overflow="fold")
    for number, (group, cases) in enumerate(zip(breakdown.groups, breakdown.cases, strict=True)):
        scores = [row[number] for row in breakdown.scores.values()]
        table.add_row(Text(group), str(cases), *(_score(score, False) for score in scores))
    return table


def timing_table(stages: Sequence[tuple[str, float]], total_seconds: float) -> Table:
    """Where the time went: each stage with its seconds and its share of the whole."""
    table = Table(title="where the time went", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stage", overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for name, seconds in stages:
        table.add_row(Text(name), f"{seconds:.1f}", f"{100 * seconds / max(total_seconds, 1e-9):.0f}%")
    table.add_row("total", f"{total_seconds:.1f}", "")
    return table


def score_number(value: float) -> str:
    """A score with three decimals below ten, fewer above; "undefined" for NaN.

    >>> score_number(0.81249), score_number(23.456), score_number(float("nan"))
    ('0.812', '23.5', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A duration as people say it.

    >>> duration(4.26), duration(75), duration(3700)
    ('4.3 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _table(board: Board, metrics: Sequence[str], *, costs: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("entry", overflow="fold", min_width=16)
    for metric in metrics:
        table.add_column(Text(_heading(metric)), justify="right", no_wrap=True)
    if costs:
        for heading in ("beats\nnext", "para-\nmeters", "train", "ms per\ncase"):
            table.add_column(heading, justify="right", no_wrap=True)
    for entry in board.entries:
        cells = [_rank(entry), Text(entry.name)]
        cells += [_score(entry.metrics.get(metric), entry.rank is not None) for metric in metrics]
        table.add_row(*cells, *(_costs(entry) if costs else ()))
    return table


def _heading(metric: str) -> str:
    """The metric's name over two lines if it is long, and the direction that is better."""
    arrow = direction_arrow(metric)
    at = metric.rfind("_", 0, HEADING_WIDTH) if len(metric) > HEADING_WIDTH else -1
    name = metric if at < 0 else f"{metric[:at]}\n{metric[at:]}"
    return f"{name} {arrow}".rstrip()


def _rank(entry: Entry) -> Text:
    if entry.rank is None:
        return Text("-")
    low, high = entry.rank_interval or (entry.rank, entry.rank)
    return Text(str(entry.rank) if low == high else f"{entry.rank}\n{low} to {high}")


def _score(score: MetricScore | None, trained: bool) -> Text:
    if score is None:
        return Text("n/a")
    if math.isnan(score.mean):
        return Text("undefined")
    spread = f" ± {score_number(score.sd_seeds)}" if trained and math.isfinite(score.sd_seeds) else ""
    undefined = f"\n{score.undefined} undefined" if score.undefined else ""
    low, high = (score_number(limit) for limit in score.ci)
    return Text(f"{score_number(score.mean)}{spread}\n[{low}, {high}]{undefined}")


def _costs(entry: Entry) -> tuple[str, str, str, str]:
    better = better_than_next(entry).replace(" ", "\n")
    parameters = "" if entry.parameters is None else _thousands(entry.parameters)
    train = "" if entry.train_seconds is None else f"{entry.train_seconds:.0f} s"
    infer = "" if entry.infer_ms_per_case is None else f"{entry.infer_ms_per_case:.3g}"
    return better, parameters, train, infer


def _thousands(count: int) -> str:
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"


def _too_wide(table: Table, console: Console) -> bool:
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum > console.width
