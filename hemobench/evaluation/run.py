"""One checkpoint on one data set: answers, kept as they come, and the files that are made of them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import hemobench
from hemobench.case import Case, Dataset
from hemobench.datasets.patient_hashes import People, Seen, find_seen, unseen_cases
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer, answer_cases
from hemobench.evaluation.journal import Journal
from hemobench.evaluation.scores import (
    Rule,
    Scores,
    SliceTable,
    StudyTable,
    case_scores,
    slice_scores,
    study_scores,
)
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.config import VENTRICLE_ROLES
from hemobench.inference.engine import shared_engine
from hemobench.io.atomic import replacing
from hemobench.io.json_files import read_json, write_json
from hemobench.labels import CLASSES

SCHEMA = 1
METRICS, PREDICTIONS, SLICES, MASKS = "metrics.json", "predictions.csv", "slices.csv", "masks"
STUDIES = "studies.csv"
Progress = Callable[[int, int], None]
_BLOOD = ("haemorrhage", "subtypes")


@dataclass(frozen=True)
class Subject:
    """Whose answers are measured. told: what metrics.json says of it. people: who made it, None where nobody says.
    notes: lines that a reader of its scores must know."""

    name: str
    told: Mapping[str, Any]
    rule: Rule
    people: People | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, checkpoint: Checkpoint, dataset: Dataset) -> Subject:
        """A checkpoint whose answers are measured on a data set."""
        told = {
            "name": checkpoint.name,
            "revision": checkpoint.revision,
            "sha256": checkpoint.sha256,
            "commit": checkpoint.commit,
            "version": hemobench.__version__,
        }
        notes = []
        if checkpoint.people is None and not checkpoint.config.training.get("phantom") and not dataset.info.phantom:
            notes.append("the checkpoint does not say who taught it: whether it saw these people cannot be checked")
        if checkpoint.config.task == "segmentation" and checkpoint.config.role not in VENTRICLE_ROLES:
            spots = "likeliest spots" if "slice" in checkpoint.config.calibration else "likeliest voxel"
            notes.append(f"probabilities of slices are those of a segmenter's {spots}")
        return cls(checkpoint.name, told, Rule.of(checkpoint.config), checkpoint.people, tuple(notes))


@dataclass(frozen=True)
class Evaluation:
    """What metrics.json holds. metrics, position: name -> {mean, ci, sd_seeds, n, undefined}.

    checkpoint: whose answers these are, a checkpoint's or, of `kind` "predictions", another tool's.
    unit: what intervals are drawn from, "patient", or "image" where nobody knows the patients. seen: people of the data
    who made the network, by what they did. left_out: why a case has no answer, one line each.
    """

    checkpoint: Mapping[str, Any]
    data: str
    phantom: bool
    fingerprint: str
    unit: str
    patients: int
    studies: int
    slices: int
    metrics: Scores
    position: Scores
    notes: tuple[str, ...]
    seen: Mapping[str, int]
    left_out: tuple[str, ...]
    speed: Mapping[str, Any]
    claim: str

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"schema": SCHEMA, **self.__dict__}


def check_seen(checkpoint: Checkpoint, dataset: Dataset, *, allow: bool = False, leave_out: bool = False) -> Dataset:
    """The data set, without the people who made the network where `leave_out` says so.

    Raises: UserError where there are such people and neither is said, and where nobody is left.
    """
    people = checkpoint.people or People()
    seen = find_seen(people, dataset)
    if not seen.count or allow:
        return dataset
    if not leave_out:
        raise UserError(
            f"{seen.taught} people of '{dataset.info.name}' taught checkpoint {checkpoint.name} and {seen.chose} "
            "helped to choose it; expected people it never saw; add --leave-out-seen, or --allow-seen to measure all "
            "and mark it"
        )
    cases = unseen_cases(people, dataset)
    if not cases:
        raise UserError(
            f"all people of '{dataset.info.name}' made checkpoint {checkpoint.name}; expected some it "
            "never saw; choose other data"
        )
    left = hashlib.sha256("\0".join([dataset.fingerprint, *(case.study_id for case in cases)]).encode()).hexdigest()
    return replace(dataset, cases=cases, fingerprint=left)


def check_measurable(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise UserError where a data set has nothing to compare this network's answers with."""
    info, role = dataset.info, checkpoint.config.role
    fits = (
        "ventricles" in info.masks
        if role in VENTRICLE_ROLES
        else ("classification" in info.tasks or any(mask in info.masks for mask in _BLOOD))
    )
    if not fits:
        held = ", ".join(info.masks) or "none"
        raise UserError(
            f"data set '{info.name}' is for {', '.join(info.tasks)} (masks: {held}) and {checkpoint.name} "
            f"is for {role}; expected data that knows of it; choose another data set or checkpoint"
        )


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    folder: Path,
    *,
    engine: str = "auto",
    masks: bool = False,
    again: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a checkpoint on a data set; writes metrics.json and predictions.csv into `folder`.

    Stopped and called again with the same folder, it goes on with the cases that have no answer yet; finished, it
    reads what is there (unless `again`). masks: write each label map to masks/. People whom the network knows are not
    left out here: see `check_seen`. Raises: UserError where no case has an answer.
    """
    check_measurable(checkpoint, dataset)
    claim = claim_of(checkpoint, dataset, engine, masks)
    finished = None if again else finished_in(folder, claim)
    if finished is not None:
        return finished
    with Journal(folder, claim) as journal:
        speed = collect(checkpoint, dataset, journal, folder, engine=engine, masks=masks, progress=progress)
        answers = [journal.answers[number] for number in range(len(dataset.cases))]
        subject = Subject.of(checkpoint, dataset)
        result = score_answers(subject, dataset, answers, speed, claim)
        write_files(folder, subject.rule, dataset.cases, answers, result)
    journal.remove()
    return result


def collect(
    checkpoint: Checkpoint,
    dataset: Dataset,
    journal: Journal,
    folder: Path,
    *,
    engine: str = "auto",
    masks: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask a checkpoint about the cases that a journal lacks, and keep its answers there; gives how fast it was."""
    runner = shared_engine(checkpoint, engine)
    start = time.perf_counter()
    before = len(journal.answers)
    waiting = [(number, case) for number, case in enumerate(dataset.cases) if number not in journal.answers]
    sliced = 0
    for answer in answer_cases(checkpoint, runner, waiting, masks=folder / MASKS if masks else None):
        journal.add(answer)
        sliced += len(answer.slices.logits) if answer.slices is not None else 0
        if progress is not None:
            progress(len(journal.answers), len(dataset.cases))
    seconds = time.perf_counter() - start
    return {
        "engine": runner.description,
        "seconds": round(seconds, 3),
        "cases": len(waiting),
        "slices": sliced,
        "cases_before": before,
    }


def score_answers(
    subject: Subject, dataset: Dataset, answers: Sequence[Answer], speed: Mapping[str, Any], claim: str = ""
) -> Evaluation:
    """Scores of answers to all cases of a data set. Raises: UserError where none of them is one."""
    left_out = tuple(answer.error for answer in answers if answer.error is not None)
    given = [answer for answer in answers if answer.error is None]
    if not given:
        raise UserError(
            f"none of {len(answers)} cases of '{dataset.info.name}' gave an answer (first: {left_out[0]}); "
            "expected some; check the data"
        )
    table, studies = SliceTable.of(dataset.cases, given), StudyTable.of(dataset.cases, given)
    metrics: Scores = {}
    position: Scores = {}
    columns = _case_columns(given)
    cases = [dataset.cases[answer.number] for answer in given]
    if columns:
        with_masks = [dataset.cases[answer.number] for answer in given if answer.metrics is not None]
        metrics |= case_scores(columns, np.asarray([case.patient_id for case in with_masks]))
    if table is not None:
        of_slices, position = slice_scores(table, subject.rule, grouped=studies is None)
        metrics |= of_slices
    if studies is not None:
        metrics |= study_scores(studies, subject.rule)
    seen = find_seen(subject.people or People(), dataset)
    return Evaluation(
        checkpoint=subject.told,
        data=dataset.info.name,
        phantom=dataset.info.phantom,
        fingerprint=dataset.fingerprint,
        unit="image" if dataset.leaky else "patient",
        patients=len({case.patient_id for case in cases}),
        studies=len({case.study_id for case in cases}),
        slices=0 if table is None else len(table.logits),
        metrics=metrics,
        position=position,
        notes=tuple(_notes(subject, dataset, table, seen)),
        seen={"taught": seen.taught, "chose": seen.chose},
        left_out=left_out,
        speed=speed,
        claim=claim,
    )


def _notes(subject: Subject, dataset: Dataset, table: SliceTable | None, seen: Seen) -> list[str]:
    """What a reader of the scores must know."""
    notes = []
    if seen.count:
        notes.append(
            f"SEEN: {seen.taught} of these people taught the network and {seen.chose} helped to choose it; "
            "these scores are no test"
        )
    if seen.doubt is not None:
        notes.append(seen.doubt)
    if dataset.info.phantom:
        notes.append("PHANTOMS: these patients are generated; scores on phantoms are scores on phantoms")
    if dataset.leaky:
        notes.append("patients are unknown: intervals are by image, and too narrow where one person has several")
    if len({case.patient_id for case in dataset.cases}) < 2:
        notes.append("one patient: there is no interval")
    notes += subject.notes
    if table is None:
        return notes
    if not table.by_slice.all():
        notes.append("labels of studies, not of slices: scores by slice leave those studies out")
    if not table.typed.any():
        notes.append("labels say whether there is blood, not which type: no scores of types")
    if table.heights is None:
        notes.append("single pictures: where in its stack a slice lies is unknown, so no position baseline")
    return notes


def _case_columns(answers: Sequence[Answer]) -> dict[str, Any]:
    """Segmentation metrics by name, (N,) over the cases that have a mask; a name that one lacks is NaN there."""
    tables = [answer.metrics for answer in answers if answer.metrics is not None]
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: np.asarray([table.get(name, math.nan) for table in tables]) for name in names}


def claim_of(checkpoint: Checkpoint, dataset: Dataset, engine: str, masks: bool) -> str:
    """Changes with whatever the answers or their scores depend on."""
    config = checkpoint.config.to_mapping()
    settings = [SCHEMA, checkpoint.sha256, config, dataset.fingerprint, engine, masks, hemobench.__version__]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def finished_in(folder: Path, claim: str) -> Evaluation | None:
    """The evaluation that a folder holds, where it is one of exactly this claim."""
    if not (folder / METRICS).is_file():
        return None
    content = read_json(folder / METRICS)
    if content.get("schema") != SCHEMA or content.get("claim") != claim:
        return None
    known = {name: content[name] for name in Evaluation.__dataclass_fields__}
    for name in ("notes", "left_out"):
        known[name] = tuple(known[name])
    return Evaluation(**known)


def write_files(folder: Path, rule: Rule, cases: Sequence[Case], answers: Sequence[Answer], result: Evaluation) -> None:
    """The predictions, then metrics.json, so that a folder with it is whole."""
    (folder / METRICS).unlink(missing_ok=True)
    columns = _case_columns(answers)
    if columns:
        with replacing(folder / PREDICTIONS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["patient", "study", *columns])
            for answer in answers:
                if answer.metrics is not None:
                    case = cases[answer.number]
                    values = [_cell(answer.metrics.get(name, math.nan)) for name in columns]
                    writer.writerow([case.patient_id, case.study_id, *values])
    table = SliceTable.of(cases, answers)
    if table is not None:
        _write_slices(folder / (SLICES if columns else PREDICTIONS), table, rule)
    studies = StudyTable.of(cases, answers)
    if studies is not None:
        _write_studies(folder / (STUDIES if columns or table is not None else PREDICTIONS), studies, rule)
    write_json(folder / METRICS, result.to_mapping())


def _write_slices(path: Path, table: SliceTable, rule: Rule) -> None:
    probabilities = rule.probabilities("slice", table.logits)
    called = probabilities >= np.asarray(rule.thresholds["slice"])
    columns = [number for number, name in enumerate(CLASSES) if name in rule.classes["slice"]]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        answered = [CLASSES[number] for number in columns]
        groups = (("target", CLASSES), ("probability", answered), ("called", answered))
        writer.writerow(["patient", "study", "slice", *(f"{kind}_{name}" for kind, names in groups for name in names)])
        for row in range(len(probabilities)):
            # What labels do not tell stays empty.
            known = [bool(table.typed[row])] * (len(CLASSES) - 1) + [True]
            targets = [
                int(value) if told and table.by_slice[row] else ""
                for value, told in zip(table.targets[row], known, strict=True)
            ]
            writer.writerow(
                [
                    table.patient_ids[row],
                    table.study_ids[row],
                    int(table.slice_indices[row]),
                    *targets,
                    *(f"{value:.6f}" for value in probabilities[row, columns]),
                    *map(int, called[row, columns]),
                ]
            )


def _write_studies(path: Path, table: StudyTable, rule: Rule) -> None:
    probabilities = rule.probabilities("study", table.logits)
    called = probabilities >= np.asarray(rule.thresholds["study"])
    names = [name for name in CLASSES if name in rule.classes["study"]]
    columns = [CLASSES.index(name) for name in names]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        kinds = ("target", "probability", "called")
        writer.writerow(["patient", "study", *(f"{kind}_{name}" for kind in kinds for name in names)])
        for row, targets in enumerate(table.targets):
            writer.writerow(
                [
                    table.patient_ids[row],
                    table.study_ids[row],
                    *(int(targets[one]) if table.typed[row] or one == columns[-1] else "" for one in columns),
                    *(f"{value:.6f}" for value in probabilities[row, columns]),
                    *map(int, called[row, columns]),
                ]
            )


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
