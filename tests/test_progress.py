"""Bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hemobench.progress import ConsoleReporter, reporting_progress


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemobench.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    with ConsoleReporter(Console(file=stream, width=40)) as reporter:
        reporter.start("epoch 1 of 1", 2)
        reporter.advance()
        reporter.say("[0.2, 0.8] a line that is longer than the console is wide")
    assert stream.getvalue() == "epoch 1 of 1: 1 of 2\n[0.2, 0.8] a line that is longer than the console is wide\n"


def test_plain_lines_name_the_part_at_work_and_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemobench.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    with ConsoleReporter(Console(file=stream)) as reporter:
        reporter.expect("runs", 2)
        reporter.begin("paper_cnn, seed 0")
        reporter.start("epoch 1 of 3", 5)
        reporter.reach(2, 5)
        reporter.finish("[1/2] paper_cnn, seed 0: done")
    assert stream.getvalue() == "paper_cnn, seed 0: epoch 1 of 3: 2 of 5\n[1/2] paper_cnn, seed 0: done\n"


def test_a_terminal_shows_the_whole_and_the_work_at_hand() -> None:
    screen = io.StringIO()
    with ConsoleReporter(Console(file=screen, force_terminal=True, width=100)) as reporter:
        reporter.expect("runs", 2)
        reporter.begin("paper_cnn")
        reporter.start("epoch 1 of 3", 5)
        reporter.advance(5)
        reporter.finish("paper_cnn: done")
        reporter.finish("unet: done")
    shown = screen.getvalue()
    assert "runs: paper_cnn" in shown
    assert "paper_cnn: epoch 1 of 3" in shown
    assert "5/5" in shown
    assert "2/2" in shown
    assert "unet: done" in shown


def test_one_piece_of_work_whose_size_is_told_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemobench.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    with reporting_progress("checking phantom", Console(file=stream)) as progress:
        progress(1, 3)
    assert stream.getvalue() == "checking phantom: 1 of 3\n"


def test_quick_work_has_one_line_at_its_end() -> None:
    stream = io.StringIO()
    with reporting_progress("checking phantom", Console(file=stream)) as progress:
        progress(1, 2)
        progress(2, 2)
    assert stream.getvalue() == "checking phantom: 2 of 2\n"
