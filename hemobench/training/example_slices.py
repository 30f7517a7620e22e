"""Which test examples a report shows: some chosen by rule, alike for every run, and each run's own best and worst."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.cache import Examples
from hemobench.labels import CLASSES
from hemobench.training.result import CaseScores, Pictures, SlicePredictions

COUNT = 6
BEST, MEDIAN, WORST = "best", "median", "worst"
MISSED, FALSE_ALARM = "missed", "false alarm"
FAILURES = 2
_ANY = CLASSES.index("any")


def volume_pictures(
    examples: Examples, rows: NDArray[np.int64], masks: dict[int, NDArray[np.uint8]], dice: NDArray[np.float64]
) -> Pictures:
    """Cases spread evenly over the sizes of the true structure, then the best, the median and the worst case by Dice.

    Each at the slice with most of the structure, or of the mask where there is none. masks: predicted (D, H, W) by row,
    as np.packbits leaves them; dice: (rows,), NaN where undefined. Cases without foreground come by rule only if no
    other does.
    """
    shape = examples.targets.shape[2:]
    sizes = np.asarray([np.count_nonzero(examples.targets[row]) for row in rows], dtype=np.int64)
    order = rows[np.argsort(sizes, kind="stable")][np.count_nonzero(sizes == 0) if sizes.any() else 0 :]
    chosen = [(int(row), "") for row in order[_spread(len(order))]]
    chosen += [(int(rows[place]), role) for place, role in _by_dice(dice)]
    images, truth, prediction, titles = [], [], [], []
    for row, _ in chosen:
        target = np.asarray(examples.targets[row, 0] > 0).astype(np.uint8)
        mask = np.unpackbits(masks[row], count=int(np.prod(shape))).reshape(shape)
        seen = target if target.any() else mask
        at = int(seen.sum(axis=(1, 2)).argmax()) if seen.any() else shape[0] // 2
        images.append(np.asarray(examples.images[row, 0, at]))
        truth.append(target[at])
        prediction.append(mask[at])
        titles.append(f"{examples.study_ids[row]}, slice {at}")
    blank = np.zeros((0, *shape[1:]), dtype=np.uint8)
    stacked = [np.stack(part) if part else blank for part in (images, truth, prediction)]
    return Pictures(stacked[0], stacked[1], stacked[2], np.asarray(titles, dtype=np.str_), _roles(chosen))


def slice_pictures(examples: Examples, rows: NDArray[np.int64], predictions: SlicePredictions) -> Pictures:
    """For each of the six classes its middle positive slice, and one slice without any finding, first window; then
    the slices with haemorrhage that the run gives the lowest probability, and those without that it gives the highest.

    With exclusive classes, those whose own class gets the lowest. At most two of each, of different studies.
    """
    places: list[int] = []
    for column in predictions.targets.T:
        found = np.flatnonzero(column)
        places += [int(found[len(found) // 2])] if len(found) else []
    without = np.flatnonzero(~predictions.targets.any(axis=1))
    places += [int(without[len(without) // 2])] if len(without) else []
    chosen = [(place, "") for place in dict.fromkeys(places)] + _failures(predictions)
    chosen_places = np.asarray([place for place, _ in chosen], dtype=np.int64)
    shown = rows[chosen_places]
    return Pictures(
        images=np.asarray(examples.images[shown, 0]),
        truth=predictions.targets[chosen_places],
        prediction=np.rint(predictions.probabilities[chosen_places] * 255).astype(np.uint8),
        titles=np.asarray(
            [f"{examples.study_ids[row]}, slice {examples.slice_indices[row]}" for row in shown], dtype=np.str_
        ),
        roles=_roles(chosen),
    )


def dice_of(scores: CaseScores) -> NDArray[np.float64]:
    """The Dice (N,) of a run's whole structure, NaN where undefined."""
    return next((values for name, values in scores.values.items() if name.startswith("dice_")), np.zeros(0))


def _by_dice(dice: NDArray[np.float64]) -> list[tuple[int, str]]:
    """Places of the best, the (lower) median and the worst of the defined; fewer than three of them give none."""
    order = np.argsort(dice, kind="stable")[: np.count_nonzero(np.isfinite(dice))]
    if len(order) < len((BEST, MEDIAN, WORST)):
        return []
    return [(int(order[-1]), BEST), (int(order[(len(order) - 1) // 2]), MEDIAN), (int(order[0]), WORST)]


def _failures(predictions: SlicePredictions) -> list[tuple[int, str]]:
    if predictions.exclusive:
        confidence = predictions.probabilities[predictions.targets > 0]
        return [(place, MISSED) for place in _first_of_studies(np.argsort(confidence), predictions)]
    given, positive = predictions.probabilities[:, _ANY], predictions.targets[:, _ANY] > 0
    order = np.argsort(given, kind="stable")
    missed = _first_of_studies(order[positive[order]], predictions)
    invented = _first_of_studies(order[::-1][~positive[order[::-1]]], predictions)
    return [(place, MISSED) for place in missed] + [(place, FALSE_ALARM) for place in invented]


def _first_of_studies(places: NDArray[np.intp], predictions: SlicePredictions) -> list[int]:
    """The first places of different studies, at most FAILURES."""
    found: dict[str, int] = {}
    for place in places:
        found.setdefault(str(predictions.study_ids[place]), int(place))
        if len(found) == FAILURES:
            break
    return list(found.values())


def _roles(chosen: list[tuple[int, str]]) -> NDArray[np.str_]:
    return np.asarray([role for _, role in chosen], dtype=np.str_)


def _spread(count: int) -> NDArray[np.int64]:
    """At most COUNT places in 0..count-1, evenly."""
    return np.unique(np.linspace(0, max(0, count - 1), min(COUNT, count)).round().astype(np.int64))
