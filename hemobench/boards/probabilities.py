"""The boards of probabilities, by slice and by study: every entry's answers on the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hemobench.boards.entries import Entrant
from hemobench.boards.shared_cases import Common, Task, by_group, in_common, metric_score, ranked
from hemobench.case import Dataset
from hemobench.compare.cases import type_words
from hemobench.compare.leaderboard import Breakdown
from hemobench.compare.ranking import OPERATING
from hemobench.compare.report import Disagreement, Disagreements
from hemobench.evaluation.case_predictions import Answer
from hemobench.evaluation.scores import Rule, call_statistics, is_answered, scored
from hemobench.evaluation.slice_position import SLICE_POSITION, height_probabilities, relative_height
from hemobench.inference.context import study_logits
from hemobench.labels import CLASSES
from hemobench.stats import mean_over_seeds
from hemobench.training.result import Predictions, SlicePredictions

SLICE, STUDY = "slice", "study"
# By entry, its answers with each seed: one where it was not trained.
Tests = Mapping[str, Sequence[SlicePredictions]]
_METRICS = ("auroc_any", "auroc_macro", "ap_any", "logloss_rsna")
_ANY = CLASSES.index("any")
_LISTED, _OF_ONE_STUDY = 12, 2
# Not a study's slice.
_WHOLE = -1


def slices_board(entrants: Sequence[Entrant], dataset: Dataset, resamples: int) -> Task | None:
    """The board of slices, beside what their position alone would score; None where none is answered or labelled."""
    common = in_common(
        entrants, dataset, lambda answer: answer.slices is not None and answer.slices.by_slice, "answers by slice"
    )
    if common is None:
        return None
    tests = {one.name: _of_slices(one, common, dataset) for one in common.entrants}
    first = tests[common.entrants[0].name]
    references: dict[str, Predictions] = {}
    if len(np.unique(first.study_ids)) < len(first.study_ids):
        heights = relative_height(first.study_ids, first.slice_indices)
        # Learnt from these very slices: as good as position can be, if not better.
        blind = height_probabilities(heights, first.targets, heights)
        references[SLICE_POSITION] = replace(first, probabilities=blind)
    return _task("Slices", SLICE, common, tests, dataset, references, resamples)


def studies_board(entrants: Sequence[Entrant], dataset: Dataset, resamples: int) -> Task | None:
    """The board of studies; None where none is answered or labelled, and where studies are single pictures."""
    common = in_common(
        entrants, dataset, lambda answer: answer.study is not None or answer.slices is not None, "answers by study"
    )
    if common is None or _single(common):
        return None
    tests = {one.name: _of_studies(one, common, dataset) for one in common.entrants}
    return _task("Studies", STUDY, common, tests, dataset, {}, resamples)


def _single(common: Common) -> bool:
    """Whether every case is one picture, of which the board of slices tells all."""
    answers = [one.answers[number] for one in common.entrants for number in common.numbers]
    return all(
        answer.study is None and answer.slices is not None and len(answer.slices.logits) == 1 for answer in answers
    )


def _of_slices(entrant: Entrant, common: Common, dataset: Dataset) -> SlicePredictions:
    kept = [(dataset.cases[number], entrant.answers[number].slices) for number in common.numbers]
    held = [(case, slices) for case, slices in kept if slices is not None]
    counts = [len(slices.logits) for _, slices in held]
    logits = np.concatenate([np.asarray(slices.logits, dtype=np.float64) for _, slices in held])
    return _predictions(
        entrant.rule.probabilities(SLICE, logits),
        np.concatenate([np.asarray(slices.targets, dtype=np.uint8) for _, slices in held]),
        np.repeat([case.patient_id for case, _ in held], counts),
        np.repeat([case.study_id for case, _ in held], counts),
        np.concatenate([np.arange(count) for count in counts]),
    )


def _of_studies(entrant: Entrant, common: Common, dataset: Dataset) -> SlicePredictions:
    rows = [_study_row(entrant.answers[number], entrant.rule.study_slices) for number in common.numbers]
    cases = [dataset.cases[number] for number in common.numbers]
    return _predictions(
        entrant.rule.probabilities(STUDY, np.stack([logits for logits, _ in rows])),
        np.stack([targets for _, targets in rows]),
        np.asarray([case.patient_id for case in cases]),
        np.asarray([case.study_id for case in cases]),
        np.full(len(cases), _WHOLE),
    )


def _study_row(answer: Answer, study_slices: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Logits and targets (6,) of a study: those that it has of its own, else those of its highest slices."""
    if answer.study is not None:
        return np.asarray(answer.study.logits), np.asarray(answer.study.targets, dtype=np.uint8)
    assert answer.slices is not None
    logits = study_logits(np.asarray(answer.slices.logits, dtype=np.float64), study_slices)
    return np.asarray(logits, dtype=np.float64), np.asarray(answer.slices.targets, dtype=np.uint8).max(axis=0)


def _predictions(
    probabilities: NDArray[np.float64],
    targets: NDArray[np.uint8],
    patient_ids: NDArray[np.str_],
    study_ids: NDArray[np.str_],
    indices: NDArray[np.int64],
) -> SlicePredictions:
    # Not as float32, in which sure answers would be equal ones.
    return SlicePredictions(cast("NDArray[np.float32]", probabilities), targets, patient_ids, study_ids, indices)


def _task(
    title: str,
    unit: str,
    common: Common,
    tests: Mapping[str, SlicePredictions],
    dataset: Dataset,
    references: Mapping[str, Predictions],
    resamples: int,
) -> Task:
    typed = _typed(common)

    def answered(one: Entrant, metric: str) -> bool:
        told = typed or metric.endswith("_any")
        return told and is_answered(metric, one.rule, unit)

    def shared(metrics: Sequence[str]) -> list[str]:
        return [name for name in metrics if all(answered(one, name) for one in common.entrants)]

    # Calibration is told of entries that give probabilities; another's cells are empty.
    also = [name for name in OPERATING if name.endswith("_any") and any(answered(one, name) for one in common.entrants)]
    board, runs = ranked(
        "classification",
        f"{title}: which haemorrhages does a {unit} show",
        common,
        tests,
        dataset,
        shown=shared(_METRICS),
        also=also,
        references=references,
        resamples=resamples,
        answered=answered,
    )
    order = [entry.name for entry in board.entries if entry.name in tests]
    single, rules = {name: [test] for name, test in tests.items()}, {one.name: one.rule for one in common.entrants}
    board = replace(board, breakdowns=calls_table(single, order, rules, unit))
    return Task(board, runs, disagreements(single, order, rules, unit), unit)


def _typed(common: Common) -> bool:
    """Whether the labels of all cases tell types, not only whether there is blood."""
    for number in common.numbers:
        answers = [one.answers[number] for one in common.entrants]
        told = [answer.slices or answer.study for answer in answers]
        if not all(one is not None and one.typed for one in told):
            return False
    return True


def calls_table(tests: Tests, order: Sequence[str], rules: Mapping[str, Rule], unit: str) -> tuple[Breakdown, ...]:
    """Sensitivity and specificity for any haemorrhage at each entry's own threshold, the mean over seeds. order:
    entries as on the board."""
    rows = {}
    for name in order:
        own = [
            call_statistics(
                np.asarray(test.probabilities, dtype=np.float64), test.targets, rules[name].thresholds[unit], ("any",)
            )
            for test in tests[name]
        ]
        rates = {rate: mean_over_seeds([statistics[rate] for statistics in own]) for rate in own[0]}
        rows[name] = [metric_score(score) for score in scored(rates, tests[name][0].patient_ids).values()]
    targets = tests[order[0]][0].targets
    positive = int((targets[:, _ANY] > 0).sum())
    counts = {"sensitivity": positive, "specificity": len(targets) - positive}
    table = by_group(
        "Calls of any haemorrhage at each entry's own threshold",
        counts,
        rows,
        f"Cases are the {'slices' if unit == SLICE else 'studies'} with and without one.",
    )
    return () if table is None else (table,)


def disagreements(tests: Tests, order: Sequence[str], rules: Mapping[str, Rule], unit: str) -> Disagreements:
    """Slices or studies by how far the probabilities of any haemorrhage are apart, few of one study. Of several seeds
    it is their mean."""
    given = {name: np.stack([test.probabilities[:, _ANY] for test in tests[name]]) for name in order}
    spread, first = np.ptp([seeds.mean(axis=0) for seeds in given.values()], axis=0), tests[order[0]][0]
    cases: list[Disagreement] = []
    listed: dict[str, int] = {}
    for row in np.argsort(-spread, kind="stable"):
        study = str(first.study_ids[row])
        if spread[row] <= 0 or len(cases) == _LISTED:
            break
        if listed.get(study, 0) == _OF_ONE_STUDY:
            continue
        listed[study] = listed.get(study, 0) + 1
        place = f", slice {first.slice_indices[row]}" if unit == SLICE else ""
        answers = tuple(_told(seeds[:, row], rules[name], unit) for name, seeds in given.items())
        cases.append(Disagreement(f"{study}{place}", type_words(first.targets[row]), answers))
    caption = (
        f"{'Slices, at most two a study,' if unit == SLICE else 'Studies'} by how far the entries' answers for "
        "any haemorrhage are apart; calls at each entry's own threshold."
    )
    return Disagreements(tuple(order), tuple(cases), caption)


def _told(given: NDArray[np.floating], rule: Rule, unit: str) -> str:
    """What an entry says of one row, from its probabilities (S,) with each seed."""
    called = int((given >= rule.thresholds[unit][_ANY]).sum())
    some = f"called by {called} of {len(given)} seeds"
    words = "called" if called == len(given) else some if called else "not called"
    return f"{100 * given.mean():.0f}%, {words}" if rule.probabilities_given else words
