"""Our own answers to a data set as a folder of predictions: label maps, tables of probabilities, and how to read them.

What `analyse` says of each case goes out, so that the whole pipeline, or one network of it, comes round by the same way
as any other tool's answers. Stopped and called again, it goes on with the cases that have no answer yet.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.special import expit, logit

import hemobench
from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.patient_hashes import find_seen, unseen_cases
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer, SliceAnswer, StudyAnswer, mask_path, read_ahead
from hemobench.evaluation.contact_sheet import scan_of
from hemobench.evaluation.journal import Journal
from hemobench.evaluation.scores import Rule
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.config import JOINT_SLICE, JOINT_STUDY
from hemobench.inference.networks import threshold_of
from hemobench.inference.study import analyse
from hemobench.io.atomic import replacing
from hemobench.io.json_files import read_json, write_json
from hemobench.io.nifti import write_nifti
from hemobench.labels import CLASSES, LABEL_IDS
from hemobench.predictions.folder import LEVELS, MADE_BY, THRESHOLDS_FILE
from hemobench.predictions.ids import IDS_FILE

MASKS, SLICES, STUDIES = "masks", "slices.csv", "studies.csv"
_SCHEMA = 1
# As sure as a table's six decimals tell; a report's probabilities have no more.
_SURE = 1e-7
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """How many cases have an answer, why others have none, one line each, and how many people the networks know."""

    answered: int
    left_out: tuple[str, ...]
    seen: int


def write_predictions(
    dataset: Dataset,
    checkpoints: Sequence[Checkpoint],
    folder: Path,
    *,
    engine: str = "auto",
    flip_tta: bool = False,
    strangers: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Analyse every case of a data set and write the answers into `folder`, which `open_predictions` reads.

    masks/STUDY.nii.gz on the case's own grid with `ids.yaml`, slices.csv, studies.csv and `thresholds.yaml`, as far as
    the networks say any of it, and `made-by.json`. strangers: only people whom none of the networks knows. Raises:
    UserError for a folder of other answers, where nobody is left, and where no case gives an answer.
    """
    cases = _unknown_to(checkpoints, dataset) if strangers else dataset.cases
    if not cases:
        raise UserError(
            f"all people of '{dataset.info.name}' are known to the networks; expected strangers; leave out "
            "--strangers, or choose other data"
        )
    made_by = _made_by(dataset, cases, checkpoints, engine, flip_tta)
    claim = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
    _check_folder(folder, made_by)
    with Journal(folder, claim) as journal:
        write_json(folder / MADE_BY, made_by)
        waiting = [(number, case) for number, case in enumerate(cases) if number not in journal.answers]
        for number, loaded in read_ahead(waiting, lambda case: case.load()):
            journal.add(_answer(number, cases[number], loaded, checkpoints, folder, engine, flip_tta))
            if progress is not None:
                progress(len(journal.answers), len(cases))
        answers = [journal.answers[number] for number in range(len(cases))]
    left_out = tuple(answer.error for answer in answers if answer.error is not None)
    if len(left_out) == len(cases):
        raise UserError(
            f"none of {len(cases)} cases of '{dataset.info.name}' gave an answer (first: {left_out[0]}); "
            "expected some; check the data"
        )
    _write_tables(folder, cases, answers)
    _write_readings(folder, checkpoints)
    return Exported(len(cases) - len(left_out), left_out, int(made_by["seen"]))


def _answer(
    number: int,
    case: Case,
    loaded: Loaded | UserError,
    checkpoints: Sequence[Checkpoint],
    folder: Path,
    engine: str,
    flip_tta: bool,
) -> Answer:
    """Analyse a case; its mask goes to disk, its probabilities into the answer, without any target."""
    if isinstance(loaded, UserError):
        return Answer(number, error=str(loaded))
    try:
        report = analyse(scan_of(loaded, case), list(checkpoints), engine=engine, flip_tta=flip_tta)
    except UserError as error:
        return Answer(number, error=f"{case.study_id}: {error}")
    if report.label_map is not None:
        write_nifti(report.label_map, mask_path(folder / MASKS, case))
    if not report.study.probabilities:
        return Answer(number)
    slices = tuple(_logits(one.probabilities) for one in report.slices)
    return Answer(
        number, SliceAnswer(slices, (), False, False), study=StudyAnswer(_logits(report.study.probabilities), (), False)
    )


def _logits(probabilities: Mapping[str, float]) -> tuple[float, ...]:
    given = np.clip([probabilities[name] for name in CLASSES], _SURE, 1 - _SURE)
    return tuple(float(value) for value in logit(given))


def _write_tables(folder: Path, cases: Sequence[Case], answers: Sequence[Answer]) -> None:
    columns = [f"probability_{name}" for name in CLASSES]
    by_slice = [
        [case.patient_id, case.study_id, index, *_written(row)]
        for case, answer in zip(cases, answers, strict=True)
        if answer.slices is not None
        for index, row in enumerate(answer.slices.logits)
    ]
    by_study = [
        [case.patient_id, case.study_id, *_written(answer.study.logits)]
        for case, answer in zip(cases, answers, strict=True)
        if answer.study is not None
    ]
    for name, head, rows in (
        (SLICES, ["patient", "study", "slice"], by_slice),
        (STUDIES, ["patient", "study"], by_study),
    ):
        if rows:
            with replacing(folder / name) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([[*head, *columns], *rows])


def _written(logits: Sequence[float]) -> list[str]:
    return [f"{value:.7f}" for value in expit(np.asarray(logits))]


def _write_readings(folder: Path, checkpoints: Sequence[Checkpoint]) -> None:
    """What the masks' ids are and from which probability on something is called."""
    by_role = {one.config.role: one for one in checkpoints}
    if "haemorrhage" in by_role:
        _write_yaml(folder / IDS_FILE, {number: name for name, number in LABEL_IDS.items()})
    levels = _thresholds(by_role)
    if levels:
        _write_yaml(folder / THRESHOLDS_FILE, levels)


def _thresholds(by_role: Mapping[str, Checkpoint]) -> dict[str, dict[str, float]]:
    """By level and class, of the network that decides in `analyse`: both where they judge together."""
    classifier, segmenter = by_role.get("slice-classifier"), by_role.get("haemorrhage")
    if classifier is not None and segmenter is not None and segmenter.config.joint_with == classifier.config.name:
        joint = dict(zip(LEVELS, (JOINT_SLICE, JOINT_STUDY), strict=True))
        return {
            level: {name: threshold_of(segmenter.config, own, name) for name in CLASSES} for level, own in joint.items()
        }
    decides = classifier or segmenter
    if decides is None:
        return {}
    rule = Rule.of(decides.config)
    return {level: dict(zip(CLASSES, rule.thresholds[level], strict=True)) for level in LEVELS}


def _write_yaml(path: Path, content: Mapping[Any, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")


def _made_by(
    dataset: Dataset, cases: Sequence[Case], checkpoints: Sequence[Checkpoint], engine: str, flip_tta: bool
) -> dict[str, Any]:
    """Whose answers these are: networks, data, and how many of the people the networks know."""
    known = {case.patient_id for one in checkpoints for case in _known(one, dataset, cases)}
    return {
        "schema": _SCHEMA,
        "version": hemobench.__version__,
        "data": dataset.info.name,
        "fingerprint": dataset.fingerprint,
        "cases": len(cases),
        "engine": engine,
        "tta": flip_tta,
        "seen": len(known),
        "checkpoints": [{"role": one.config.role, "name": one.name, "sha256": one.sha256} for one in checkpoints],
    }


def _known(checkpoint: Checkpoint, dataset: Dataset, cases: Sequence[Case]) -> list[Case]:
    if checkpoint.people is None or not find_seen(checkpoint.people, dataset).count:
        return []
    unknown = {case.study_id for case in unseen_cases(checkpoint.people, dataset)}
    return [case for case in cases if case.study_id not in unknown]


def _unknown_to(checkpoints: Sequence[Checkpoint], dataset: Dataset) -> tuple[Case, ...]:
    known = {case.study_id for one in checkpoints for case in _known(one, dataset, dataset.cases)}
    return tuple(case for case in dataset.cases if case.study_id not in known)


def _check_folder(folder: Path, made_by: Mapping[str, Any]) -> None:
    """Raise UserError where a folder holds something else than answers of exactly these networks to these data."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--masks {folder} is a file; expected a folder; name another")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    held = read_json(folder / MADE_BY) if (folder / MADE_BY).is_file() else None
    if held != dict(made_by):
        raise UserError(
            f"--masks {folder} holds other files, or answers of other networks or data; expected a new "
            "folder, or one of the same command; name another"
        )
