"""Answers on disk while an evaluation runs, so that the same command goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hemobench.evaluation.case_predictions import Answer, SliceAnswer, StudyAnswer

NAME = ".answers.jsonl"


class Journal:
    """One line an answer, after a first one that says what they are answers to. Context manager.

    A journal of something else is begun anew; a line that was cut half-way counts as not written.
    """

    def __init__(self, folder: Path, claim: str) -> None:
        self.path = folder / NAME
        self._claim = claim
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._answers = self._read()
        # Written anew, so that a cut line at the end does not stay between whole ones.
        with self.path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"claim": self._claim}) + "\n")
            file.writelines(_line(answer) for answer in self._answers.values())
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def answers(self) -> dict[int, Answer]:
        """By the case's number."""
        return self._answers

    def add(self, answer: Answer) -> None:
        """Keep an answer."""
        assert self._file is not None
        self._answers[answer.number] = answer
        self._file.write(_line(answer))
        self._file.flush()

    def remove(self) -> None:
        """Delete the file: what came of the answers has been written."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[int, Answer]:
        if not self.path.is_file():
            return {}
        found: dict[int, Answer] = {}
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                try:
                    content = json.loads(line)
                    if number == 0:
                        if content["claim"] != self._claim:
                            return {}
                        continue
                    answer = _answer(content)
                except (ValueError, KeyError, TypeError):
                    break
                found[answer.number] = answer
        return found


def _line(answer: Answer) -> str:
    content = {name: value for name, value in dataclasses.asdict(answer).items() if value is not None}
    if answer.metrics is not None:
        content["metrics"] = {name: None if math.isnan(value) else value for name, value in answer.metrics.items()}
    return json.dumps(content) + "\n"


def _answer(content: dict[str, Any]) -> Answer:
    slices, metrics = content.get("slices"), content.get("metrics")
    if slices is not None:
        rows = {name: tuple(tuple(row) for row in slices[name]) for name in ("logits", "targets")}
        slices = SliceAnswer(**rows, typed=slices["typed"], by_slice=slices["by_slice"])
    if metrics is not None:
        metrics = {name: math.nan if value is None else float(value) for name, value in metrics.items()}
    study = content.get("study")
    if study is not None:
        study = StudyAnswer(tuple(study["logits"]), tuple(study["targets"]), study["typed"])
    return Answer(int(content["number"]), slices, metrics, content.get("error"), study)
