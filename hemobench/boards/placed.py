"""Answers of entries that exist in the form that a trained network's have on a suite's board: the same rows, the same
truth, the same grid, the same scores and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hemobench.boards.disagreement_pictures import outlined
from hemobench.boards.entries import Entrant
from hemobench.boards.shared_cases import run_of
from hemobench.case import Case, Dataset
from hemobench.compare.runner import PreparedBoard
from hemobench.datasets.cache import Examples
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import read_ahead
from hemobench.io.atomic import replacing
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES, UNTYPED
from hemobench.training.evaluate import case_table
from hemobench.training.example_slices import dice_of, slice_pictures, volume_pictures
from hemobench.training.result import CaseScores, Pictures, Predictions, RunResult, SlicePredictions
from hemobench.views.render import render_mask
from hemobench.views.view import SegmentationView

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Place:
    """A board's test rows as far as every entry answers for them, fold after fold, and the cases that they are of.

    dataset: those who are asked, of whom `numbers` (places in it) are answered for by all.
    """

    board: PreparedBoard
    dataset: Dataset
    numbers: tuple[int, ...]

    @property
    def examples(self) -> Examples:
        return self.board.examples

    @property
    def studies(self) -> set[str]:
        return {self.dataset.cases[number].study_id for number in self.numbers}

    @property
    def folds(self) -> list[NDArray[np.int64]]:
        """Rows of the examples, a list a fold, in the order in which trained networks answer for them."""
        held = np.isin(self.examples.study_ids, list(self.studies))
        rows = [self.examples.rows_of(split.test) for split in self.board.folds]
        return [own[held[own]] for own in rows]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Those of all folds."""
        return np.concatenate(self.folds)


def slice_runs(entrant: Entrant, place: Place) -> list[RunResult]:
    """A run a fold with an entry's answers to the board's slices, matched by study and slice; the truth is the
    board's."""
    examples = place.examples
    by_study = {}
    for number in place.numbers:
        slices = entrant.answers[number].slices
        assert slices is not None
        logits = np.asarray(slices.logits, dtype=np.float64)
        by_study[place.dataset.cases[number].study_id] = entrant.rule.probabilities("slice", logits)
    runs = []
    for rows in place.folds:
        keys = zip(examples.study_ids[rows].tolist(), examples.slice_indices[rows].tolist(), strict=True)
        given = np.asarray([by_study[study][index] for study, index in keys]).reshape(len(rows), len(CLASSES))
        test = SlicePredictions(
            # Not as float32, in which sure answers would be equal ones.
            cast("NDArray[np.float32]", given),
            np.asarray(examples.targets[rows]),
            examples.patient_ids[rows],
            examples.study_ids[rows],
            examples.slice_indices[rows],
        )
        run = run_of(entrant, test, place.board.spec.task, place.dataset)
        runs.append(replace(run, pictures=slice_pictures(examples, rows, test)))
    return runs


def mask_runs(
    entrant: Entrant, place: Place, types: Collection[str], path: Path, progress: Progress
) -> list[RunResult]:
    """A run a fold with the scores of an entry's masks on the board's grid.

    types: of haemorrhage that the masks tell. path: where the masks on the grid are kept; what is there is read, so the
    name must change with whatever they depend on.
    """
    examples, view = place.examples, place.examples.view
    assert isinstance(view, SegmentationView)
    if not path.is_file():
        _keep_maps(entrant, place.dataset, view, path, progress)
    untold = [f"dice_{name}" for name in SUBTYPES if name not in types]
    tables: dict[int, dict[str, float]] = {}
    masks: dict[int, NDArray[np.uint8]] = {}
    row_of = {study: row for row, study in enumerate(examples.study_ids.tolist())}
    with np.load(path, allow_pickle=False) as kept:
        for done, number in enumerate(place.numbers, start=1):
            row, labels = row_of[place.dataset.cases[number].study_id], kept[str(number)]
            table = case_table(examples, row, labels > 0, labels if view.target == "subtypes" else None)
            tables[row] = {name: value for name, value in table.items() if name not in untold}
            masks[row] = np.packbits(labels > 0)
            progress(done, len(place.numbers))
    runs = []
    for rows in place.folds:
        test = _scores(examples, rows, tables)
        run = run_of(entrant, test, place.board.spec.task, place.dataset)
        runs.append(replace(run, pictures=volume_pictures(examples, rows, masks, dice_of(test))))
    return runs


def nothing_scores(place: Place) -> CaseScores:
    """What outlining nothing scores on the board's grid."""
    examples = place.examples
    assert isinstance(examples.view, SegmentationView)
    nothing = np.zeros(examples.view.shape, dtype=np.uint8)
    types = nothing if examples.view.target == "subtypes" else None
    tables = {int(row): case_table(examples, int(row), nothing > 0, types) for row in place.rows}
    return _scores(examples, place.rows, tables)


def types_present(place: Place) -> NDArray[np.bool_] | None:
    """Which types each row's truth has on the board's grid, (N, 5); None where it does not tell them."""
    view = place.examples.view
    if not isinstance(view, SegmentationView) or view.target != "subtypes":
        return None
    truths = [np.unique(place.examples.targets[row]) for row in place.rows]
    if any(UNTYPED in ids for ids in truths):
        return None
    return np.stack([np.isin(list(LABEL_IDS.values()), ids) for ids in truths])


def staying(run: RunResult, studies: set[str]) -> RunResult:
    """A run without the test answers about other studies, and without their pictures."""
    of_studies = [title.rpartition(", slice ")[0] for title in run.pictures.titles.tolist()]
    shown = np.asarray([study in studies for study in of_studies], dtype=bool)
    pictures = Pictures(**{item.name: getattr(run.pictures, item.name)[shown] for item in dataclasses.fields(Pictures)})
    return replace(run, test=rows_of(run.test, studies), pictures=pictures)


def rows_of(test: Predictions, studies: set[str]) -> Predictions:
    """The test answers about these studies."""
    rows = np.isin(test.study_ids, list(studies))
    if isinstance(test, CaseScores):
        values = {name: column[rows] for name, column in test.values.items()}
        return CaseScores(values, test.patient_ids[rows], test.study_ids[rows])
    return SlicePredictions(
        test.probabilities[rows],
        test.targets[rows],
        test.patient_ids[rows],
        test.study_ids[rows],
        test.slice_indices[rows],
        test.exclusive,
    )


def _keep_maps(entrant: Entrant, dataset: Dataset, view: SegmentationView, path: Path, progress: Progress) -> None:
    """Bring an entry's masks of all cases that it answers for onto a view's grid, and keep them under their numbers."""
    numbers = {case.study_id: number for number, case in enumerate(dataset.cases)}
    asked = [(answer.number, dataset.cases[answer.number]) for answer in entrant.answers if answer.metrics is not None]

    def render(case: Case) -> NDArray[np.uint8]:
        loaded = case.load()
        labels = outlined(entrant, numbers[case.study_id], loaded)
        return render_mask(labels, loaded.image, view, spacing_known=case.spacing_known)

    maps = {}
    for done, (number, found) in enumerate(read_ahead(asked, render), start=1):
        if isinstance(found, UserError):
            raise found
        maps[str(number)] = found
        progress(done, len(asked))
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **maps)  # type: ignore[arg-type]


def _scores(examples: Examples, rows: NDArray[np.int64], tables: Mapping[int, Mapping[str, float]]) -> CaseScores:
    names: Iterable[str] = next(iter(tables.values()))
    values = {name: np.asarray([tables[int(row)][name] for row in rows], dtype=np.float64) for name in names}
    return CaseScores(values, examples.patient_ids[rows], examples.study_ids[rows])
