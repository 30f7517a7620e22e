from __future__ import annotations

import math
from pathlib import Path

from hemobench.evaluation.case_predictions import Answer, SliceAnswer
from hemobench.evaluation.journal import Journal

SLICES = Answer(0, slices=SliceAnswer(((0.25,) * 6, (-1.5,) * 6), ((0,) * 6, (1,) * 6), typed=True, by_slice=False))
SCORED = Answer(1, metrics={"dice_any": 0.5, "precision_any": math.nan})
FAILED = Answer(2, error="cannot be read")


def write(folder: Path, *answers: Answer, claim: str = "one") -> Path:
    with Journal(folder, claim) as journal:
        for answer in answers:
            journal.add(answer)
    return journal.path


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    write(tmp_path, SLICES, SCORED, FAILED)
    with Journal(tmp_path, "one") as journal:
        assert journal.answers[0] == SLICES
        assert journal.answers[2] == FAILED
        assert journal.answers[1].metrics is not None
        assert journal.answers[1].metrics["dice_any"] == 0.5
        assert math.isnan(journal.answers[1].metrics["precision_any"])


def test_a_line_that_was_cut_is_answered_again(tmp_path: Path) -> None:
    path = write(tmp_path, SLICES, FAILED)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 9])
    with Journal(tmp_path, "one") as journal:
        assert list(journal.answers) == [0]
        journal.add(SCORED)
    with Journal(tmp_path, "one") as journal:
        assert list(journal.answers) == [0, 1]


def test_answers_to_something_else_are_not_taken(tmp_path: Path) -> None:
    write(tmp_path, SLICES)
    with Journal(tmp_path, "two") as journal:
        assert journal.answers == {}
