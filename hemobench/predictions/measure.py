"""Predictions measured on a data set as a checkpoint is: the same scores and files, and it goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hemobench
from hemobench.case import Dataset
from hemobench.evaluation.case_predictions import Answer
from hemobench.evaluation.journal import Journal
from hemobench.evaluation.run import SCHEMA, Evaluation, Progress, Subject, finished_in, score_answers, write_files
from hemobench.evaluation.scores import Rule
from hemobench.predictions.case_predictions import answer_all, classes_of, lacking
from hemobench.predictions.folder import EMPTY, MADE_BY, Predictions
from hemobench.predictions.names import few

READ = "answers read from files"
TAUGHT_BY = "who taught it is unknown: whether it saw these people cannot be checked"
_KINDS = {"masks": "mask", "slices": "answer by slice", "studies": "answer by study"}


def evaluate_predictions(
    predictions: Predictions,
    dataset: Dataset,
    folder: Path,
    *,
    again: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure predictions on the data set that they were opened for; writes metrics.json and predictions.csv into
    `folder` and goes on where it was stopped, as `evaluation.run.evaluate` does. Raises: UserError where no case has
    an answer.
    """
    claim = claim_of(predictions, dataset)
    done = None if again else finished_in(folder, claim)
    if done is not None:
        return done
    start = time.perf_counter()
    with Journal(folder, claim) as journal:
        before = len(journal.answers)
        collect([predictions], [journal], dataset, jobs=jobs, progress=progress)
        answers = [journal.answers[number] for number in range(len(dataset.cases))]
        speed = speed_of(answers, before, time.perf_counter() - start)
        subject = subject_of(predictions, dataset)
        result = score_answers(subject, dataset, answers, speed, claim)
        write_files(folder, subject.rule, dataset.cases, answers, result)
    journal.remove()
    return result


def collect(
    sources: Sequence[Predictions],
    journals: Sequence[Journal],
    dataset: Dataset,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Fill the journal of each source; every case is read once for all that lack it."""
    every = len(dataset.cases)
    waiting = [number for number in range(every) if any(number not in one.answers for one in journals)]
    for done, (number, answers) in enumerate(answer_all(sources, dataset, waiting, jobs), start=1):
        for journal, answer in zip(journals, answers, strict=True):
            if number not in journal.answers:
                journal.add(answer)
        if progress is not None:
            progress(every - len(waiting) + done, every)


def subject_of(predictions: Predictions, dataset: Dataset) -> Subject:
    """Whose answers they are, how they are to be read and what a reader must know of them."""
    notes = [] if dataset.info.phantom else [TAUGHT_BY]
    if predictions.seen:
        notes = [
            f"SEEN: {predictions.seen} of these people made the networks, says {MADE_BY}; these scores are no test"
        ]
    left_out = "are left out (--missing empty takes them for empty)"
    counted = "count as empty" if predictions.missing == EMPTY else left_out
    for kind, studies in lacking(predictions, dataset).items():
        if studies:
            notes.append(
                f"MISSING: {len(studies)} of {len(dataset.cases)} cases have no {_KINDS[kind]} and {counted}: "
                f"{few(studies)}"
            )
    notes += predictions.remarks
    if predictions.outlines_alone:
        notes.append(
            "slices and studies are called where something is outlined, and ranked by how much: nothing is "
            "said of calibration"
        )
    told = {
        "name": predictions.name,
        "revision": None,
        "sha256": predictions.fingerprint,
        "commit": "",
        "version": hemobench.__version__,
        "kind": "predictions",
    }
    return Subject(predictions.name, told, rule_of(predictions), None, tuple(notes))


def rule_of(predictions: Predictions) -> Rule:
    """How their numbers are to be read: as they are, with the folder's thresholds."""
    return Rule.plain(predictions.thresholds, classes_of(predictions), not predictions.outlines_alone)


def claim_of(predictions: Predictions, dataset: Dataset) -> str:
    """Changes with whatever the answers or their scores depend on."""
    settings = [
        SCHEMA,
        "predictions",
        predictions.name,
        predictions.fingerprint,
        sorted(predictions.kinds),
        dataset.fingerprint,
        predictions.missing,
        hemobench.__version__,
    ]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def speed_of(answers: Sequence[Answer], before: int, seconds: float) -> Mapping[str, Any]:
    """As the metrics of a checkpoint tell it."""
    return {
        "engine": READ,
        "seconds": round(seconds, 3),
        "cases": len(answers) - before,
        "slices": 0,
        "cases_before": before,
    }
