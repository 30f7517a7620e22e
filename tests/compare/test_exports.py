"""leaderboard.md and leaderboard.tex say what the board says, and their mark-up holds whatever names hold."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from hemobench.compare.exports import to_latex, to_markdown, write_tables
from hemobench.compare.leaderboard import Leaderboard
from hemobench.compare.ranking import BoardFacts, build_board


@pytest.fixture
def leaderboard(segmentation_run) -> Leaderboard:
    runs = {
        "unet3d [0.2, 0.8] & 50%_<b>|": [segmentation_run([0.8, 0.9, 0.7], seed) for seed in (0, 1)],
        "unet2d": [segmentation_run([0.5, 0.6, 0.4], seed) for seed in (0, 1)],
    }
    facts = BoardFacts(
        "segmentation",
        "Where?",
        "phantom",
        "d1",
        True,
        "dice_any",
        ("dice_any", "hd95_mm_any"),
        50,
        questions=("hd95_mm_any",),
    )
    return Leaderboard("s", "A & B", "Text.", "2026", "abc", (0, 1), (build_board(facts, runs),))


def _tables(text: str) -> list[list[list[str]]]:
    """Cells of every Markdown table."""
    tables: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def test_what_else_was_asked_stands_in_both(leaderboard):
    said = leaderboard.boards[0].questions[0].answer
    assert said.startswith(("Settled in hd95_mm_any", "No difference in hd95_mm_any"))
    assert said.replace("_", r"\_").partition(" over ")[0].partition(": ")[0] in to_markdown(leaderboard)
    assert "hd95\\_mm\\_any" in to_latex(leaderboard).partition(r"\begin{tabular}")[0]


def test_markdown_rows_are_the_entries_in_order(leaderboard):
    text = to_markdown(leaderboard)
    table = _tables(text)[0]
    assert len({len(row) for row in table}) == 1, "a name with | broke a row"
    assert [row[1] for row in table[2:]] == [r"unet3d \[0.2, 0.8\] & 50%\_&lt;b>\|", "unet2d"]
    best = leaderboard.boards[0].entries[0].metrics["dice_any"]
    assert table[2][2].startswith(f"{best.mean:.3f} ± {best.sd_seeds:.3f}<br>\\[{best.ci[0]:.3f}, {best.ci[1]:.3f}")
    assert "PHANTOM patients: not a clinical score" in text
    assert "Few patients: 3 were tested" in text


def test_latex_escapes_and_balances(leaderboard):
    text = to_latex(leaderboard)
    assert r"unet3d [0.2, 0.8] \& 50\%\_\textless{}b\textgreater{}\textbar{}" in text
    assert r"dice\_any $\uparrow$" in text
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns.group(1))}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(leaderboard, tmp_path):
    write_tables(leaderboard, tmp_path)
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{leaderboard.tex}\\end{document}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
