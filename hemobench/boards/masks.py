"""The board of outlines: overlap, surfaces, lesions and volumes of every entry's masks on the same cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hemobench.boards.entries import NOTHING, Entrant
from hemobench.boards.shared_cases import Common, Task, by_group, in_common, metric_score, ranked
from hemobench.case import Dataset
from hemobench.compare.leaderboard import Breakdown, MetricScore
from hemobench.compare.report import Disagreement, Disagreements
from hemobench.evaluation.scores import scored
from hemobench.labels import SUBTYPES
from hemobench.metrics.definitions import METRICS
from hemobench.release.outline_page import SIZES_ML
from hemobench.stats import case_mean, mean_over_seeds
from hemobench.training.result import CaseScores

# By entry, its scores with each seed: one where it was not trained.
Tests = Mapping[str, Sequence[CaseScores]]
_SHOWN = ("dice", "nsd_2mm", "hd95_mm", "lesion_f1", "abs_volume_error_ml")
_LISTED = 12


def masks_board(entrants: Sequence[Entrant], nothing: Entrant | None, dataset: Dataset, resamples: int) -> Task | None:
    """The board of masks; None where no entry has any to compare."""
    common = in_common(entrants, dataset, lambda answer: answer.metrics is not None, "masks")
    if common is None:
        return None
    tests = {one.name: _scores(one, common, dataset) for one in common.entrants}
    held = set.intersection(*(set(test.values) for test in tests.values()))
    suffix = next(name for name in held if name.startswith("dice_filled_")).removeprefix("dice_filled_")
    shown = [f"{name}_{suffix}" for name in _SHOWN if f"{name}_{suffix}" in held]
    known = {name for name in held if name in METRICS}
    # What is not a metric of boards, or of some entries alone, has tables of its own.
    comparable = {
        name: CaseScores(
            {key: test.values[key] for key in test.values if key in known}, test.patient_ids, test.study_ids
        )
        for name, test in tests.items()
    }
    references = {} if nothing is None else {NOTHING: _scores(nothing, common, dataset)}
    board, runs = ranked(
        "segmentation",
        f"Masks of {'ventricles' if suffix == 'ventricles' else 'haemorrhage'}",
        common,
        comparable,
        dataset,
        shown=shown,
        also=None,
        references=references,
        resamples=resamples,
        answered=lambda one, metric: True,
    )
    order = [entry.name for entry in board.entries if entry.name in tests]
    single = {name: [test] for name, test in tests.items()}
    board = replace(board, breakdowns=breakdowns(single, order, suffix, _types_present(common)))
    return Task(board, runs, disagreements(single, order, suffix), "study")


def _scores(entrant: Entrant, common: Common, dataset: Dataset) -> CaseScores:
    tables = [entrant.answers[number].metrics or {} for number in common.numbers]
    names = dict.fromkeys(name for table in tables for name in table)
    cases = [dataset.cases[number] for number in common.numbers]
    return CaseScores(
        {name: np.asarray([table.get(name, math.nan) for table in tables]) for name in names},
        np.asarray([case.patient_id for case in cases]),
        np.asarray([case.study_id for case in cases]),
    )


def breakdowns(
    tests: Tests, order: Sequence[str], suffix: str, present: NDArray[np.bool_] | None
) -> tuple[Breakdown, ...]:
    """Dice by size and by type. order: entries as on the board. present: which types each case has, (N, 5); None where
    labels do not tell."""
    found = [_by_size(tests, order, suffix), None if present is None else _by_type(tests, order, present)]
    return tuple(one for one in found if one is not None)


def _by_size(tests: Tests, order: Sequence[str], suffix: str) -> Breakdown | None:
    """Dice in bins of the true volume; None where millilitres are unknown."""
    true = next(iter(tests.values()))[0].values.get(f"volume_ml_true_{suffix}")
    if true is None:
        return None
    groups = {
        f"above {low:g} mL" if math.isinf(high) else f"{low:g} to {high:g} mL": (true > low) & (true <= high)
        for low, high in itertools.pairwise(SIZES_ML)
    }
    rows = {name: [_mean(tests[name], f"dice_{suffix}", own) for own in groups.values()] for name in order}
    counts = {name: int(own.sum()) for name, own in groups.items()}
    return by_group("Dice by size of what is there", counts, rows, "Mean over the cases whose true volume lies there.")


def _by_type(tests: Tests, order: Sequence[str], present: NDArray[np.bool_]) -> Breakdown | None:
    """Dice of each type over the cases that have it; entries whose masks do not tell a type have none."""
    rows = {
        name: [_mean(tests[name], f"dice_{kind}", present[:, place]) for place, kind in enumerate(SUBTYPES)]
        for name in order
    }
    counts = {kind: int(present[:, place].sum()) for place, kind in enumerate(SUBTYPES)}
    note = "Mean over the cases that have the type: blood there that is called another type counts as missed."
    return by_group("Dice by type", counts, rows, note)


def _types_present(common: Common) -> NDArray[np.bool_] | None:
    """Which types each case has, (N, 5); None where labels do not tell."""
    rows = []
    for number in common.numbers:
        told = next((one.answers[number].slices for one in common.entrants if one.answers[number].slices), None)
        if told is None or not told.typed:
            return None
        rows.append(np.asarray(told.targets)[:, : len(SUBTYPES)].any(axis=0))
    return np.asarray(rows)


def _mean(tests: Sequence[CaseScores], metric: str, cases: NDArray[np.bool_]) -> MetricScore | None:
    """A metric over some cases (N,), the mean over seeds."""
    if metric not in tests[0].values or not cases.any():
        return None
    own = [case_mean(test.values[metric][cases]) for test in tests]
    return metric_score(scored({metric: mean_over_seeds(own)}, tests[0].patient_ids[cases])[metric], seeds=len(own))


def disagreements(tests: Tests, order: Sequence[str], suffix: str) -> Disagreements:
    """Cases by how far the entries' Dice are apart; finding nothing where nothing is counts as a Dice of 1. Of several
    seeds it is their mean."""
    # Both empty: undefined, and right.
    dice = np.stack([np.nan_to_num(_over_seeds(tests[name], f"dice_{suffix}"), nan=1.0) for name in order])
    spread = np.ptp(dice, axis=0)
    first = tests[order[0]][0]
    cases = []
    for place in np.argsort(-spread, kind="stable")[:_LISTED]:
        if spread[place] <= 0:
            break
        answers = tuple(_told(tests[name], place, suffix) for name in order)
        cases.append(Disagreement(str(first.study_ids[place]), _true(first, place, suffix), answers))
    return Disagreements(tuple(order), tuple(cases), "Cases by how far the entries' Dice are apart.")


def _over_seeds(tests: Sequence[CaseScores], metric: str) -> NDArray[np.float64]:
    """Mean (N,) over the seeds in which a case has a value, NaN where it has none."""
    values = np.stack([test.values[metric] for test in tests])
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _told(tests: Sequence[CaseScores], place: int, suffix: str) -> str:
    dice, volume = _over_seeds(tests, f"dice_{suffix}")[place], f"volume_ml_pred_{suffix}"
    amount = f", {_over_seeds(tests, volume)[place]:.1f} mL" if volume in tests[0].values else ""
    return "nothing outlined" if math.isnan(dice) else f"Dice {dice:.2f}{amount}"


def _true(test: CaseScores, place: int, suffix: str) -> str:
    volumes = test.values.get(f"volume_ml_true_{suffix}")
    if volumes is None:
        # Without millimetres: a miss is defined where there is something to miss.
        return "nothing there" if math.isnan(test.values[f"missed_{suffix}"][place]) else "something there"
    return f"{volumes[place]:.1f} mL" if volumes[place] else "nothing there"
