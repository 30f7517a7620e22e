"""Splits that divide pictures instead of patients, as many papers do: a leak, kept to measure what it is worth.

Neighbouring slices of one person look alike, so a network that has learnt from one of them has half seen the other.
Nothing here is for choosing a model; boards made with these splits say so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split, checked_fractions, part_sizes
from hemobench.errors import UserError

IMAGE = "image"


def by_image(examples: Examples) -> Examples:
    """The same examples, with each picture as the unit that a split divides: `<study>#<slice>`.

    Raises UserError for volumes: one a study, they are divided like patients.
    """
    if examples.task != "classification":
        raise UserError("a split by image of volumes; expected slices, of which a patient has many; split by patient")
    pairs = zip(examples.study_ids.tolist(), examples.slice_indices.tolist(), strict=True)
    return dataclasses.replace(examples, unit_ids=np.asarray([f"{study}#{index}" for study, index in pairs]))


def split_by_image(examples: Examples, *, fractions: Sequence[float], seed: int, watch_test: bool = False) -> Split:
    """Divide pictures at random, whoever they are of: the usual leak. `examples` as `by_image` gives them.

    Part sizes are the fractions of the number of pictures. Raises UserError for fractions that do not add up to 1.
    """
    shares = checked_fractions(fractions)
    units = _units(examples)
    order = np.random.default_rng(seed).permutation(len(units))
    ends = np.cumsum(part_sizes(len(units), shares))[:-1]
    train, validation, test = (_sorted(units[rows]) for rows in np.split(order, ends))
    return Split(train, validation, test, seed, IMAGE, watch_test)


def paired_splits(examples: Examples, patients: Split) -> tuple[Split, Split]:
    """An honest split and a leaking one with the same test pictures and equally many to learn from.

    Of each test patient, every second picture by chance is the test part of both. The first learns from the training
    patients. The second learns from the other pictures of the test patients too, in the place of as many pictures of
    training patients. Validation patients choose the epoch of both. So the two differ in the leak, and in that the test
    patients are people more to learn from; their scores can be compared picture by picture.
    `examples` as `by_image` gives them, `patients` a split by patient.
    """
    units, generator = _units(examples), np.random.default_rng(patients.seed)
    rows = {part: _rows_of_patients(examples, getattr(patients, part)) for part in ("train", "validation", "test")}
    asked, beside = [], []
    for patient in patients.test:
        own = generator.permutation(np.flatnonzero(examples.patient_ids == patient))
        asked.append(own[: (len(own) + 1) // 2])
        beside.append(own[(len(own) + 1) // 2 :])
    leaked = np.concatenate(beside)[: len(rows["train"]) - 1]
    kept = generator.permutation(rows["train"])[: len(rows["train"]) - len(leaked)]
    test, validation = _sorted(units[np.concatenate(asked)]), _sorted(units[rows["validation"]])
    honest = Split(_sorted(units[rows["train"]]), validation, test, patients.seed, IMAGE)
    leaking = Split(_sorted(units[np.concatenate([kept, leaked])]), validation, test, patients.seed, IMAGE)
    return honest, leaking


def shared_patients(examples: Examples, split: Split) -> int:
    """How many patients have pictures in the training part and in the test part."""
    sides = [set(examples.patient_ids[examples.rows_of(part)].tolist()) for part in (split.train, split.test)]
    return len(sides[0] & sides[1])


def _units(examples: Examples) -> NDArray[np.str_]:
    if examples.unit_ids is None:
        raise UserError("a split by image of examples by patient; expected those of by_image; call it first")
    return examples.unit_ids


def _rows_of_patients(examples: Examples, patients: tuple[str, ...]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(examples.patient_ids, np.asarray(patients, dtype=np.str_)))


def _sorted(units: NDArray[np.str_]) -> tuple[str, ...]:
    return tuple(sorted(units.tolist()))
