"""Entries that exist on the boards of a suite that trains: asked about the same people, scored on the same rows and the
same grid, ranked in one table with the trained ones.

An entry that exists answers once, whichever seeds the others have: it has no variance over seeds, and what separates it
from a trained entry is the patients' and that entry's own (`stats.seeds`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hemobench.boards.entries import FOLDER, NOTHING, Entrant, Wanted, ask_all, without_known
from hemobench.boards.masks import breakdowns
from hemobench.boards.masks import disagreements as masks_apart
from hemobench.boards.placed import Place, mask_runs, nothing_scores, rows_of, slice_runs, staying, types_present
from hemobench.boards.probabilities import SLICE, calls_table
from hemobench.boards.probabilities import disagreements as slices_apart
from hemobench.boards.serving import Guest, answers_metric, open_guest, reason_against
from hemobench.boards.session import Terms
from hemobench.boards.shared_cases import in_common, plain_settings
from hemobench.case import Dataset
from hemobench.compare.folds import by_seed
from hemobench.compare.leaderboard import Board
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, Existing, build_board
from hemobench.compare.report import Disagreements
from hemobench.compare.run_task import slug
from hemobench.compare.runner import PreparedBoard, Ranked
from hemobench.compare.suites import BoardSpec
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer
from hemobench.evaluation.pooled_folds import joined
from hemobench.evaluation.scores import Rule
from hemobench.inference.checkpoint import Checkpoint
from hemobench.labels import CLASSES
from hemobench.predictions.folder import LEVELS, NothingFitsError, plain_thresholds
from hemobench.predictions.names import few
from hemobench.training.result import CaseScores, Predictions, RunResult, SlicePredictions
from hemobench.views.view import SegmentationView

# Trained networks are called from a half on.
_TRAINED = Rule.plain(plain_thresholds(), dict.fromkeys(LEVELS, CLASSES), probabilities_given=True)


@dataclass(frozen=True)
class Seated:
    """A board's entries that exist, with a run a fold each by name. wanted: which they are of those that were asked
    for. cautions: lines that a reader of the board must know."""

    place: Place
    entrants: tuple[Entrant, ...]
    wanted: frozenset[Wanted]
    runs: Mapping[str, list[RunResult]]
    cautions: tuple[str, ...]


class MixedBoards:
    """The guests of a suite (`compare.runner.Guests`): those that its boards name, and `wanted`, each of which stands
    on every board that it can serve."""

    def __init__(self, wanted: Sequence[Wanted], terms: Terms) -> None:
        self._wanted, self._terms = tuple(wanted), terms
        self._guests: list[list[Guest]] = []
        self._seated: dict[int, Seated] = {}

    def check(self, boards: Sequence[BoardSpec], datasets: Sequence[Dataset], progress: SuiteProgress) -> None:
        """Open every entry for its boards. Raises: UserError for one that cannot be opened or serves no board."""
        progress.line("opening entries that exist")
        self._guests = [
            [
                _of_board(Wanted(one.kind, one.name, one.where), spec, dataset, self._terms.missing)
                for one in spec.existing
            ]
            for spec, dataset in zip(boards, datasets, strict=True)
        ]
        for one in self._wanted:
            against = []
            for guests, spec, dataset in zip(self._guests, boards, datasets, strict=True):
                found = _if_serving(one, spec, dataset, self._terms.missing)
                if isinstance(found, Guest):
                    guests.append(found)
                else:
                    against.append(f"'{spec.title}': {found}")
            name = one.name or one.where
            if len(against) == len(boards):
                raise UserError(
                    f"entry '{name}' serves no board of this suite ({'; '.join(against)}); {_EXPECTED}; "
                    "take it off, or choose another suite"
                )
            for line in against:
                progress.line(f"{name} is not on board {line}")
        for guests, spec in zip(self._guests, boards, strict=True):
            _check_names(guests, spec)

    def ask(self, boards: Sequence[PreparedBoard], output: Path, progress: SuiteProgress) -> None:
        """Every entry's answers for those who are tested on its boards. Raises: UserError, also where one has none."""
        self._seated = {}
        for board, guests in zip(boards, self._guests, strict=True):
            seated = _seat(board, guests, output, self._terms, progress) if guests else None
            if seated is not None:
                self._seated[board.number] = seated
        answering = frozenset[Wanted]().union(*(seated.wanted for seated in self._seated.values()))
        for guest in (guest for guests in self._guests for guest in guests):
            if guest.wanted not in answering:
                raise UserError(
                    f"entry '{guest.name}' has no answer about anybody who is tested; expected some about "
                    "the test patients of a board; take it off"
                )

    def rank(
        self,
        board: PreparedBoard,
        facts: BoardFacts,
        runs: Mapping[str, Sequence[RunResult]],
        references: Mapping[str, Predictions],
    ) -> Ranked | None:
        """A board of trained runs and of what exists, on the cases that all answer; None where nothing exists."""
        seated = self._seated.get(board.number)
        return None if seated is None else _ranked(seated, facts, runs, references)


_EXPECTED = "expected answers by slice for classification, masks for segmentation"


def _of_board(wanted: Wanted, spec: BoardSpec, dataset: Dataset, missing: str) -> Guest:
    """An entry that a board itself names, which it must therefore be able to serve."""
    guest = open_guest(wanted, dataset, missing)
    reason = reason_against(guest, spec)
    if reason is not None:
        raise UserError(f"entry '{guest.name}' of board '{spec.title}' {reason}; {_EXPECTED}; take it off the board")
    return guest


def _if_serving(wanted: Wanted, spec: BoardSpec, dataset: Dataset, missing: str) -> Guest | str:
    """An entry that stands on the boards that it can serve, or why it does not stand on this one."""
    try:
        guest = open_guest(wanted, dataset, missing)
    except NothingFitsError as error:
        return str(error)
    reason = reason_against(guest, spec)
    return guest if reason is None else f"it {reason}"


def _check_names(guests: Sequence[Guest], spec: BoardSpec) -> None:
    taken = {slug(entry.name) for entry in spec.entries}
    for guest in guests:
        if slug(guest.name) in taken:
            raise UserError(
                f"two entries '{guest.name}' on board '{spec.title}'; expected a name of its own for each; "
                "say --entry NAME=..."
            )
        taken.add(slug(guest.name))


def _seat(
    board: PreparedBoard, guests: Sequence[Guest], output: Path, terms: Terms, progress: SuiteProgress
) -> Seated | None:
    """Ask a board's entries about those who are tested; None where none of them says anything of these."""
    tested = _tested(board)
    known = [guest.opened for guest in guests if isinstance(guest.opened, Checkpoint)]
    kept = without_known(known, tested, allow=terms.allow_seen, leave_out=terms.leave_out_seen)
    studies = {case.study_id for case in kept.cases}
    cautions = [
        f"{guest.name} says nothing of those who are tested here and is not on this board."
        for guest in guests
        if not guest.speaks_of(board.dataset, studies)
    ]
    if len(kept.cases) < len(tested.cases):
        cautions.append(
            f"{len(tested.cases) - len(kept.cases)} of {len(tested.cases)} cases are of people whom a "
            "checkpoint knows and are left out for every entry."
        )
        progress.line(f"board '{board.spec.title}': {cautions[-1]}")
    guests = [guest for guest in guests if guest.speaks_of(board.dataset, studies)]
    if not guests:
        return None
    # Boards on which the same people are tested share the answers.
    folder = output / FOLDER / f"{slug(kept.info.name)}-{kept.fingerprint[:12]}"
    entrants, _ = ask_all(
        [guest.wanted for guest in guests],
        {place: guest.opened for place, guest in enumerate(guests) if isinstance(guest.opened, Checkpoint)},
        kept,
        folder,
        missing=terms.missing,
        engine=terms.engine,
        progress=progress,
        left_out=[case for case in board.dataset.cases if case.study_id not in studies],
    )
    outlines = isinstance(board.spec.view, SegmentationView)
    common = in_common(
        entrants,
        kept,
        partial(_serves, outlines=outlines),
        "masks" if outlines else "answers by slice",
        asked=range(len(kept.cases)),
    )
    if common is None:
        return None
    place = Place(board, kept, common.numbers)
    by_name = {one.name: guest for one, guest in zip(entrants, guests, strict=True)}
    runs = {one.name: _runs(one, by_name[one.name], place, folder, terms, progress) for one in common.entrants}
    wanted = frozenset(by_name[one.name].wanted for one in common.entrants)
    return Seated(place, common.entrants, wanted, runs, (*cautions, *common.cautions))


def _tested(board: PreparedBoard) -> Dataset:
    """The board's data, of those who are tested alone."""
    rows = np.concatenate([board.examples.rows_of(split.test) for split in board.folds])
    people = set(board.examples.patient_ids[rows].tolist())
    cases = tuple(case for case in board.dataset.cases if case.patient_id in people)
    told = "\0".join([board.dataset.fingerprint, *(case.study_id for case in cases)])
    return replace(board.dataset, cases=cases, fingerprint=hashlib.sha256(told.encode()).hexdigest())


def _serves(answer: Answer, *, outlines: bool) -> bool:
    return (answer.metrics if outlines else answer.slices) is not None


def _runs(
    entrant: Entrant, guest: Guest, place: Place, folder: Path, terms: Terms, progress: SuiteProgress
) -> list[RunResult]:
    if not isinstance(place.examples.view, SegmentationView):
        return slice_runs(entrant, place)
    claim = guest.claim(place.dataset, terms.engine, place.examples.fingerprint)
    path = folder / FOLDER / slug(guest.name) / f"grid-{claim[:16]}.npz"
    progress.begin(guest.name)
    progress.start("masks on the board's grid", len(place.numbers))
    return mask_runs(entrant, place, guest.types, path, progress.reach)


def _ranked(
    seated: Seated, facts: BoardFacts, runs: Mapping[str, Sequence[RunResult]], references: Mapping[str, Predictions]
) -> Ranked:
    place, folds = seated.place, seated.place.board.spec.folds
    trained = {name: [staying(run, place.studies) for run in group] for name, group in runs.items()}
    every = {**trained, **seated.runs}
    blind = {name: rows_of(test, place.studies) for name, test in references.items()}
    if isinstance(place.examples.view, SegmentationView):
        blind[NOTHING] = nothing_scores(place)
    people = {place.dataset.cases[number].patient_id for number in place.numbers}
    facts = replace(facts, split={**facts.split, "test_patients": len(people), "cases": len(place.numbers)})
    existing = {
        one.name: Existing(plain_settings(one.told), partial(_answered, one, seated.runs[one.name][0].test))
        for one in seated.entrants
    }
    board = build_board(facts, every, blind, folds=folds, existing=existing)
    order = [entry.name for entry in board.entries if entry.name in every]
    tests = {name: [joined([run.test for run in seed]) for seed in by_seed(every[name], folds)] for name in order}
    board, apart = _with_tables(board, tests, order, seated)
    remarks = dict.fromkeys(line for one in seated.entrants for line in one.remarks)
    cautions = (_how_measured(seated), *seated.cautions, *remarks, *board.cautions)
    return Ranked(replace(board, cautions=cautions), every, apart)


def _answered(entrant: Entrant, test: Predictions, metric: str) -> bool:
    return metric in test.values if isinstance(test, CaseScores) else answers_metric(metric, entrant.rule)


def _with_tables(
    board: Board, tests: Mapping[str, Sequence[Predictions]], order: Sequence[str], seated: Seated
) -> tuple[Board, Disagreements]:
    """The board with its tables by size, type or call, and where its entries differ."""
    view = seated.place.examples.view
    if isinstance(view, SegmentationView):
        scores = {name: [test for test in group if isinstance(test, CaseScores)] for name, group in tests.items()}
        tables = breakdowns(scores, order, view.suffix, types_present(seated.place))
        return replace(board, breakdowns=tables), masks_apart(scores, order, view.suffix)
    slices = {name: [test for test in group if isinstance(test, SlicePredictions)] for name, group in tests.items()}
    rules = dict.fromkeys(order, _TRAINED) | {one.name: one.rule for one in seated.entrants}
    board = replace(board, breakdowns=calls_table(slices, order, rules, SLICE))
    return board, slices_apart(slices, order, rules, SLICE)


def _how_measured(seated: Seated) -> str:
    """Who was not trained here, and that all are measured alike."""
    alike = (
        "masks were brought onto the board's grid as the true ones were and scored by the function that scores trained "
        "networks"
        if isinstance(seated.place.examples.view, SegmentationView)
        else "answers to the board's slices are scored as those of trained networks"
    )
    names = few([one.name for one in seated.entrants])
    return f"Not trained for this board, with one answer beside every seed: {names}; their {alike}."
