"""Boards as Markdown and as LaTeX tables, for issues, READMEs and papers: leaderboard.md and leaderboard.tex."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from hemobench.compare.leaderboard import Board, Entry, Leaderboard, MetricScore, direction_arrow, write_text
from hemobench.compare.sentences import agreement_lines, better_than_next, gap_to_best
from hemobench.compare.terminal_tables import score_number

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def write_tables(leaderboard: Leaderboard, folder: Path) -> None:
    """Write leaderboard.md and leaderboard.tex into a folder."""
    write_text(folder / "leaderboard.md", to_markdown(leaderboard))
    write_text(folder / "leaderboard.tex", to_latex(leaderboard))


def to_markdown(leaderboard: Leaderboard) -> str:
    """The boards as GitHub's Markdown: the answer, what limits it, a table of what is shown and one of the rest."""
    lines = [f"# {_plain(leaderboard.title)}", "", _plain(leaderboard.description), ""]
    seeds = ", ".join(map(str, leaderboard.seeds))
    commit = leaderboard.commit[:12]
    lines += [f"Suite `{leaderboard.suite}`, seeds {seeds}, commit `{commit}`, {leaderboard.created}.", ""]
    for board in leaderboard.boards:
        lines += [f"## {_plain(board.title)}", ""]
        lines += [f"**{mark}.**" for mark in board.marks]
        lines += [""] if board.marks else []
        for said in filter(None, (board.answer, *(question.answer for question in board.questions))):
            lines += [f"**{_plain(said)}**", ""]
        lines += [_facts(board), ""]
        lines += [*_markdown_table(_heads(board.shown), _rows(board)), ""]
        if board.also:
            heads = ["entry", *map(_titled, board.also)]
            rows = [[entry.name, *_scores(entry, board.also, "<br>")] for entry in board.entries]
            lines += [*_markdown_table(heads, rows), ""]
        for breakdown in board.breakdowns:
            rows = [
                [group, str(cases), *(_score(row[place], "<br>") for row in breakdown.scores.values())]
                for place, (group, cases) in enumerate(zip(breakdown.groups, breakdown.cases, strict=True))
            ]
            table = _markdown_table(["group", "cases", *breakdown.scores], rows)
            lines += [f"**{_plain(breakdown.title)}**", "", *table, ""]
        lines += [f"- {_plain(line)}" for line in (*agreement_lines(board), *board.cautions)]
        lines += ["", _plain(board.method), ""] if board.method else [""]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(leaderboard: Leaderboard) -> str:
    """The boards as LaTeX tables with booktabs' rules, \\usepackage{booktabs}; captions say what a paper has to."""
    tables = [_latex_table(board) for board in leaderboard.boards]
    return f"% hemobench suite {leaderboard.suite}, commit {leaderboard.commit}\n" + "\n".join(tables)


def _latex_table(board: Board) -> str:
    heads = ["", "", *(_latex(_titled(name)) for name in board.shown), _latex("to the best")]
    rows = []
    for entry in board.entries:
        cells = [_rank(entry), entry.name, *_scores(entry, board.shown, " ")]
        rows.append(" & ".join(_latex(cell) for cell in (*cells, gap_to_best(entry))) + r" \\")
    caption = " ".join(
        [
            f"{board.title}.",
            *(f"{mark}." for mark in board.marks),
            board.answer,
            *(question.answer for question in board.questions),
            _facts(board),
        ]
    )
    columns = "rl" + "r" * (len(heads) - 2)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _facts(board: Board) -> str:
    """What a table needs beside it to be read: data, patients, what intervals are over."""
    seeds = max((len(entry.seeds) for entry in board.entries), default=1)
    return (
        f"{board.data}, {board.patients} test patients, {seeds} seed{'s' if seeds != 1 else ''}; mean ± standard "
        f"deviation over seeds [95% interval over {board.resamples} draws of patients, and of seeds]; to the best with "
        "limits that hold for all pairs together."
    )


def _heads(shown: Sequence[str]) -> list[str]:
    return ["rank", "entry", *map(_titled, shown), "better than the next", "to the best", "parameters", "training"]


def _rows(board: Board) -> list[list[str]]:
    return [
        [
            _rank(entry),
            entry.name,
            *_scores(entry, board.shown, "<br>"),
            better_than_next(entry),
            gap_to_best(entry),
            "" if entry.parameters is None else f"{entry.parameters:,}",
            "" if entry.train_seconds is None else f"{entry.train_seconds:.0f} s",
        ]
        for entry in board.entries
    ]


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    aligned = [":---" if head in ("entry", "group") else "---:" for head in heads]
    return [_line(heads), _line(aligned), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    """
    >>> _line(["a|b", "c"])
    '| a\\\\|b | c |'
    """
    return "| " + " | ".join(_plain(cell).replace("|", r"\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text that Markdown takes as it is, but for our own line breaks in cells.

    >>> _plain("a*b_c <i>"), _plain("1<br>2")
    ('a\\\\*b\\\\_c &lt;i>', '1<br>2')
    """
    escaped = re.sub(r"([*_`\[\]])", r"\\\1", text)
    return re.sub(r"<(?!br>)", "&lt;", escaped)


def _latex(text: str) -> str:
    """
    >>> _latex("dice_any 95% ↑")
    'dice\\\\_any 95\\\\% $\\\\uparrow$'
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


def _titled(metric: str) -> str:
    return f"{metric} {direction_arrow(metric)}".rstrip()


def _rank(entry: Entry) -> str:
    if entry.rank is None:
        return ""
    low, high = entry.rank_interval or (entry.rank, entry.rank)
    return str(entry.rank) if low == high else f"{entry.rank} ({low} to {high})"


def _scores(entry: Entry, metrics: Sequence[str], between: str) -> list[str]:
    return [_score(entry.metrics.get(metric), between) for metric in metrics]


def _score(score: MetricScore | None, between: str) -> str:
    if score is None or math.isnan(score.mean):
        return "" if score is None else "undefined"
    spread = f" ± {score_number(score.sd_seeds)}" if math.isfinite(score.sd_seeds) else ""
    left_out = f"{between}{score.undefined} undefined" if score.undefined else ""
    limits = f"[{score_number(score.ci[0])}, {score_number(score.ci[1])}]"
    return f"{score_number(score.mean)}{spread}{between}{limits}{left_out}"
