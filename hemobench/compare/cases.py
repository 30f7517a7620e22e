"""An entry's own best, median and worst case as pictures, and its worst failures as a list; from its first run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hemobench.compare.data_uris import PREDICTION_COLOUR, TRUTH_COLOUR, enlarged, overlay, png_data_uri
from hemobench.labels import CLASSES, PAPER_CLASSES, SUBTYPES
from hemobench.training.example_slices import BEST, FALSE_ALARM, MEDIAN, MISSED, WORST, dice_of
from hemobench.training.result import CaseScores, Pictures, RunResult, SlicePredictions

LISTED = 5
_ANY = CLASSES.index("any")


@dataclass(frozen=True)
class OwnCase:
    """One case: what it is among the entry's answers, its pictures as data URIs (truth above prediction; a classifier
    has one) and a caption."""

    role: str
    pictures: tuple[tuple[str, str], ...]
    caption: str


@dataclass(frozen=True)
class EntryCases:
    """An entry's own cases and, in words, its worst failures."""

    entry: str
    cases: tuple[OwnCase, ...]
    failures: tuple[str, ...]


def entry_cases(runs: Mapping[str, Sequence[RunResult]], *, pictures: bool) -> tuple[EntryCases, ...]:
    """Cases and failures of every entry that has any. pictures: False keeps what patients look like out of a page."""
    found = []
    for name, group in runs.items():
        run = group[0]
        shown = _own_cases(run) if pictures else ()
        listed = _slice_failures(run.test) if isinstance(run.test, SlicePredictions) else _case_failures(run.test)
        if shown or listed:
            found.append(EntryCases(name, shown, listed))
    return tuple(found)


def _own_cases(run: RunResult) -> tuple[OwnCase, ...]:
    roles = (BEST, MEDIAN, WORST) if isinstance(run.test, CaseScores) else (MISSED, FALSE_ALARM)
    own = run.pictures
    make = _volume_case if isinstance(run.test, CaseScores) else _slice_case
    return tuple(make(run, own, role, int(place)) for role in roles for place in own.where(role))


def _volume_case(run: RunResult, own: Pictures, role: str, place: int) -> OwnCase:
    assert isinstance(run.test, CaseScores)
    title, grey = str(own.titles[place]), own.images[place]
    study = title.rpartition(", slice ")[0]
    dice = dice_of(run.test)[np.flatnonzero(run.test.study_ids == study)]
    pictures = tuple(
        (png_data_uri(overlay(grey, mask[place] > 0, colour)), f"{title}, {words} mask")
        for mask, colour, words in ((own.truth, TRUTH_COLOUR, "true"), (own.prediction, PREDICTION_COLOUR, "predicted"))
    )
    scored = f"Dice {dice[0]:.2f} of the case" if dice.size else ""
    return OwnCase(role, pictures, f"{title}: {scored}")


def _slice_case(run: RunResult, own: Pictures, role: str, place: int) -> OwnCase:
    assert isinstance(run.test, SlicePredictions)
    title = str(own.titles[place])
    given = own.prediction[place] / 255
    if run.test.exclusive:
        held = int(own.truth[place].argmax())
        said = f"{PAPER_CLASSES[held]} given {100 * given[held]:.0f}%, {PAPER_CLASSES[int(given.argmax())]} called"
    else:
        said = f"{type_words(own.truth[place])}; any {100 * given[_ANY]:.0f}%"
    return OwnCase(role, ((png_data_uri(enlarged(own.images[place])), title),), f"{title}: {said}")


def _case_failures(test: CaseScores) -> tuple[str, ...]:
    """The cases of the lowest Dice below the median; cases where it is undefined are no failures."""
    dice = dice_of(test)
    suffix = next(name.removeprefix("dice_") for name in test.values if name.startswith("dice_"))
    order = np.argsort(dice, kind="stable")[: np.count_nonzero(np.isfinite(dice))]
    lines = []
    for place in order[: min(LISTED, len(order) // 2)]:
        volumes = [test.values.get(f"volume_ml_{kind}_{suffix}") for kind in ("true", "pred")]
        told = (
            ""
            if volumes[0] is None or volumes[1] is None
            else (f", {volumes[0][place]:.1f} mL there, {volumes[1][place]:.1f} mL found")
        )
        lines.append(f"{test.study_ids[place]}: Dice {dice[place]:.2f}{told}")
    return tuple(lines)


def _slice_failures(test: SlicePredictions) -> tuple[str, ...]:
    """The slices whose haemorrhage gets the lowest probability, then those without any that get the highest."""
    if test.exclusive:
        given = test.probabilities[test.targets > 0]
        order = np.argsort(given, kind="stable")[:LISTED]
        return tuple(
            f"{_slice(test, place)}: {PAPER_CLASSES[int(test.targets[place].argmax())]} given {100 * given[place]:.0f}%"
            for place in order
        )
    given, positive = test.probabilities[:, _ANY], test.targets[:, _ANY] > 0
    order = np.argsort(given, kind="stable")
    missed = [place for place in order if positive[place]][:LISTED]
    invented = [place for place in order[::-1] if not positive[place]][:LISTED]
    return tuple(
        f"{words} {_slice(test, place)}: {type_words(test.targets[place])}, any {100 * given[place]:.0f}%"
        for words, places in ((MISSED, missed), (FALSE_ALARM, invented))
        for place in places
    )


def _slice(test: SlicePredictions, place: int) -> str:
    # Boards of whole studies have rows without a slice.
    if test.slice_indices[place] < 0:
        return str(test.study_ids[place])
    return f"{test.study_ids[place]}, slice {test.slice_indices[place]}"


def type_words(targets: np.ndarray) -> str:
    """The types of targets (6,) in words.

    >>> type_words(np.array([0, 1, 0, 0, 1, 1]))
    'intraparenchymal, subdural'
    """
    return ", ".join(name for name, present in zip(SUBTYPES, targets, strict=False) if present) or "no haemorrhage"
