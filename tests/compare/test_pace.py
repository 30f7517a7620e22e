"""The forecast of a suite's rest, against sums on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from hemobench.compare.pace import Pace
from hemobench.compare.run_task import RunTask
from hemobench.datasets.splits import Split
from hemobench.training.config import TrainConfig

CONFIG = TrainConfig.from_mapping({"task": "classification", "model": "paper_cnn"})


def task(board: int, entry: str, number: int) -> RunTask:
    # The forecast asks for board, entry and folder alone; what a run learns from is not opened.
    return RunTask(board, entry, CONFIG, Path(f"{board}-{entry}-{number}"), None, Split((), (), (), 0))  # type: ignore[arg-type]


def test_runs_cost_what_the_others_of_their_entry_cost_else_of_their_board_else_of_all():
    a1, a2, b1, c1, c2 = (task(0, "a", 1), task(0, "a", 2), task(0, "b", 1), task(1, "c", 1), task(1, "c", 2))
    pace = Pace([a1, a2, b1, c1, c2], jobs=1)
    assert pace.seconds_left == 0
    pace.ended(a1, 10)
    assert pace.seconds_left == pytest.approx(4 * 10)
    pace.ended(c1, 100)
    assert pace.seconds_left == pytest.approx(10 + 10 + 100)
    pace.ended(b1, 40)
    assert pace.seconds_left == pytest.approx(10 + 100)
    pace.ended(a2, 20)
    pace.ended(c2, 100)
    assert pace.seconds_left == 0


def test_several_at_once_share_what_is_left_while_there_is_enough_for_all():
    tasks = [task(0, "a", number) for number in range(5)]
    pace = Pace(tasks, jobs=2)
    pace.ended(tasks[0], 30)
    assert pace.seconds_left == pytest.approx(4 * 30 / 2)
    for one in tasks[1:4]:
        pace.ended(one, 30)
    assert pace.seconds_left == pytest.approx(30)
