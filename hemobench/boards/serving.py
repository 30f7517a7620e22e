"""Which boards of a suite an entry that exists can stand on, known before anything is decoded or trained."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hemobench.boards.entries import CHECKPOINT, PREDICTIONS, Wanted
from hemobench.case import Dataset
from hemobench.compare.calibrated import CALIBRATED
from hemobench.compare.suites import BoardSpec
from hemobench.errors import UserError
from hemobench.evaluation import run
from hemobench.evaluation.scores import Rule, is_answered
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.config import VENTRICLE_ROLES
from hemobench.labels import SUBTYPES
from hemobench.metrics.classification import STUDY
from hemobench.predictions import measure
from hemobench.predictions.folder import Predictions, open_predictions
from hemobench.views.view import SegmentationView

_VENTRICLES, _BLOOD = "ventricles", "haemorrhage"


@dataclass(frozen=True)
class Guest:
    """An entry that exists, opened for one board. wanted: as asked for, under the name that it goes by. predictions are
    matched to all cases of the board's data."""

    wanted: Wanted
    opened: Checkpoint | Predictions

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def types(self) -> tuple[str, ...]:
        """The types of haemorrhage that its masks tell."""
        if isinstance(self.opened, Predictions):
            return self.opened.types
        return SUBTYPES if self.opened.config.role == _BLOOD else ()

    def speaks_of(self, dataset: Dataset, studies: set[str]) -> bool:
        """Whether it has anything to say of these studies of the data that it was opened for."""
        if isinstance(self.opened, Checkpoint):
            return True
        held = (self.opened.masks, self.opened.slices, self.opened.studies)
        return any(dataset.cases[number].study_id in studies for answers in held for number in answers)

    def claim(self, dataset: Dataset, engine: str, on: str) -> str:
        """Changes with whatever its answers about this data depend on, and with `on`, what they are made of."""
        own = (
            measure.claim_of(self.opened, dataset)
            if isinstance(self.opened, Predictions)
            else run.claim_of(self.opened, dataset, engine, masks=True)
        )
        return hashlib.sha256(f"{own} {on}".encode()).hexdigest()


def open_guest(wanted: Wanted, dataset: Dataset, missing: str) -> Guest:
    """An entry, ready to be asked about this data. Raises: UserError."""
    if wanted.kind == CHECKPOINT:
        checkpoint = open_checkpoint(wanted.where)
        return Guest(Wanted(CHECKPOINT, wanted.name or checkpoint.name, wanted.where), checkpoint)
    if wanted.kind != PREDICTIONS:
        raise UserError(
            f"{wanted.kind}:{wanted.where} beside a suite that trains; expected checkpoints and "
            "predictions; rank it without the suite, on --data"
        )
    folder = Path(wanted.where).expanduser()
    name = wanted.name or folder.resolve().name
    return Guest(Wanted(PREDICTIONS, name, wanted.where), open_predictions(folder, dataset, name=name, missing=missing))


def reason_against(guest: Guest, board: BoardSpec) -> str | None:
    """Why an entry cannot stand on a board, in words that follow its name; None where it can."""
    if isinstance(board.view, SegmentationView):
        return _without_masks(guest, board.view, board.rank_by)
    if isinstance(guest.opened, Checkpoint):
        if guest.opened.config.role in VENTRICLE_ROLES:
            return "outlines ventricles and says nothing of slices"
        rule = Rule.of(guest.opened.config)
    else:
        rule = measure.rule_of(guest.opened)
    if not answers_metric(board.rank_by, rule):
        return f"gives no answers that {board.rank_by}, by which the board ranks, can score"
    return None


def _without_masks(guest: Guest, view: SegmentationView, rank_by: str) -> str | None:
    if isinstance(guest.opened, Checkpoint):
        outlines = _VENTRICLES if guest.opened.config.role in VENTRICLE_ROLES else guest.opened.config.role
        wanted = _VENTRICLES if view.target == _VENTRICLES else _BLOOD
        if outlines != wanted:
            return f"is a checkpoint for {outlines}, not for masks of {wanted}"
    elif "masks" not in guest.opened.kinds:
        return "holds no masks"
    kind = rank_by.rpartition("_")[2]
    if kind in SUBTYPES and kind not in guest.types:
        return f"has masks that do not tell {kind}, by which the board ranks"
    return None


def answers_metric(metric: str, rule: Rule) -> bool:
    """Whether answers by slice, read by a rule, can be scored by a board's metric: those fitted on validation patients
    score trained networks alone."""
    return metric not in CALIBRATED and is_answered(metric.removesuffix(STUDY), rule, "slice")
