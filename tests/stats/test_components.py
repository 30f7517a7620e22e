"""Variance components: a table done by hand, known components found again, designs that are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.stats import variance_components


def _table(rng: np.random.Generator, folds: int, patients: int, seeds: int, sds: dict[str, float]) -> list[np.ndarray]:
    fold, patient, seed = (axis.ravel() for axis in np.indices((folds, patients, seeds)))
    values = sds["fold"] * rng.normal(size=folds)[fold]
    values += sds["patient"] * rng.normal(size=(folds, patients))[fold, patient]
    values += sds["seed"] * rng.normal(size=(folds, seeds))[fold, seed] + sds["residual"] * rng.normal(size=fold.size)
    return [values, patient + 1000 * fold, seed, fold]


def test_two_patients_two_seeds_by_hand() -> None:
    # Rows are seeds 0 and 1: [0, 2] and [4, 10]. Means of seeds 1 and 7, of patients 2 and 6, of all 4. What is left
    # is 1, -1, -1, 1: mean square 4. Seeds: 2 * (9 + 9) = 36 = 4 + 2 v; patients: 2 * (4 + 4) = 16 = 4 + 2 v.
    found = variance_components([0, 2, 4, 10], ["a", "b", "a", "b"], [0, 0, 1, 1])
    assert (found.residual, found.seed, found.patient) == pytest.approx((4, 16, 6))
    assert math.isnan(found.fold)
    assert found.error(patients=2, seeds=2) == pytest.approx(math.sqrt(6 / 2 + 16 / 2 + 4 / 4))


def test_known_components_are_found_again() -> None:
    sds = {"patient": 0.2, "seed": 0.1, "fold": 0.15, "residual": 0.05}
    rng = np.random.default_rng(0)
    found = [variance_components(*_table(rng, 5, 20, 5, sds)) for _ in range(150)]
    for name, sd in sds.items():
        assert np.mean([getattr(one, name) for one in found]) == pytest.approx(sd**2, rel=0.12), name


def test_one_seed_cannot_tell_patient_from_chance_nor_one_fold_its_own_part() -> None:
    found = variance_components([1.0, 3.0, 5.0], [0, 1, 2], [0, 0, 0])
    assert found.patient == pytest.approx(4.0)
    assert math.isnan(found.seed)
    assert math.isnan(found.residual)
    assert found.error(patients=4, seeds=1) == pytest.approx(1.0)


def test_patients_without_a_value_are_left_out() -> None:
    values = [0, 2, math.nan, 4, 10, 3]
    found = variance_components(values, list("abcabc"), [0, 0, 0, 1, 1, 1])
    assert (found.residual, found.seed, found.patient) == pytest.approx((4, 16, 6))


def test_other_designs_are_refused() -> None:
    with pytest.raises(UserError, match="average several scans of a patient first"):
        variance_components([1, 2, 3, 4], ["a", "a", "b", "b"], [0, 0, 0, 0])
    with pytest.raises(UserError, match="train the seeds that are missing"):
        variance_components(np.arange(6), list("ababcd"), [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1])
    with pytest.raises(UserError, match="equally long vectors"):
        variance_components([1, 2], ["a"], [0, 0])
