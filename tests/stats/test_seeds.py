"""What retraining adds: shrunken variances, what patients' draws carry already, draws with the tails of Student's t."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import chi2, t

from hemobench.errors import UserError
from hemobench.stats.seeds import (
    SeedVariance,
    inverse_trigamma,
    moderated_variances,
    seed_draws,
    seed_patient_variance,
    seed_variances,
)


def test_variances_that_scatter_by_chance_alone_are_pooled_and_gain_all_freedom() -> None:
    shrunken, freedom = moderated_variances([1.0, 1.1, 0.9], [2, 2, 4])
    np.testing.assert_allclose(shrunken, (2 * 1.0 + 2 * 1.1 + 4 * 0.9) / 8)
    np.testing.assert_allclose(freedom, 8)


def test_variances_that_truly_differ_are_shrunk_little_and_keep_their_order() -> None:
    own = np.array([1e-4, 1e-2, 1.0, 1e2, 1e4])
    shrunken, freedom = moderated_variances(own, [9] * 5)
    assert (np.diff(shrunken) > 0).all()
    np.testing.assert_allclose(np.log(shrunken[1:]), np.log(own[1:]), atol=0.2)
    assert shrunken[0] < 30 * own[0]
    assert (freedom < 11).all()


def test_prior_of_many_variances_is_found_again() -> None:
    # Smyth's model: 1 / variance is chi-squared with 6 degrees of freedom over 6 times 0.5.
    rng = np.random.default_rng(0)
    true = 6 * 0.5 / rng.chisquare(6, size=4000)
    own = true * rng.chisquare(3, size=4000) / 3
    shrunken, freedom = moderated_variances(own, np.full(4000, 3.0))
    assert freedom[0] - 3 == pytest.approx(6, rel=0.2)
    expected = (6 * 0.5 + 3 * own) / 9
    np.testing.assert_allclose(shrunken, expected, rtol=0.15)


def test_one_entry_keeps_its_own_variance_and_equal_seeds_have_none() -> None:
    assert [item.tolist() for item in moderated_variances([0.3], [1])] == [[0.3], [1.0]]
    assert moderated_variances([0.0, 0.0], [1, 1])[0].tolist() == [0.0, 0.0]
    with pytest.raises(UserError, match="leave out entries with one seed"):
        moderated_variances([0.3, 0.2], [1, 0])


@pytest.mark.parametrize("value", [1e-3, 0.4, 3.0, 1e3])
def test_inverse_of_trigamma(value: float) -> None:
    assert float(polygamma(1, inverse_trigamma(value))) == pytest.approx(value, rel=1e-8)


def test_draws_have_students_tails_and_lack_what_patients_carry() -> None:
    (draws,) = seed_draws([SeedVariance(of_mean=0.04, freedom=4.0, interaction=0.0)], 20_000, seed=1)
    for tail in (0.025, 0.2, 0.9, 0.975):
        assert np.quantile(draws, tail) == pytest.approx(0.2 * t.ppf(tail, 4), rel=0.07)
    (lesser,) = seed_draws([SeedVariance(of_mean=0.04, freedom=1e6, interaction=0.03)], 20_000, seed=1)
    assert lesser.std() == pytest.approx(0.1, rel=0.02)
    # Where the patients explain all of it, seeds add something only if luck made them look too much alike.
    (little,) = seed_draws([SeedVariance(of_mean=0.04, freedom=4.0, interaction=0.04)], 20_000, seed=1)
    assert np.mean(little == 0) == pytest.approx(chi2.sf(4, 4), abs=0.01)


def test_chance_between_seeds_and_patients_is_told_from_a_better_seed() -> None:
    rng = np.random.default_rng(2)
    weights = rng.multinomial(50, np.full(50, 1 / 50), size=3000) / 50
    cases = 0.5 + rng.normal(size=50) + rng.normal(size=(5, 50)) * 0.4
    cases[3] += 0.2
    resampled = cases @ weights.T
    # By hand: the residual mean square of the table over patients and seeds, as the bootstrap sees it, (n - 1) / n.
    left = cases - cases.mean(axis=0) - cases.mean(axis=1, keepdims=True) + cases.mean()
    residual = (left**2).sum() / (4 * 49) * 49 / 50
    assert seed_patient_variance(resampled) == pytest.approx(residual / 250, rel=0.05)
    (one, single) = seed_variances([cases.mean(axis=1), np.array([0.5])], [resampled, resampled[:1]])
    assert one.of_mean == pytest.approx(cases.mean(axis=1).var(ddof=1) / 5)
    assert one.alone == pytest.approx(one.of_mean - one.interaction)
    assert (single.alone, single.of_mean) == (0.0, 0.0)
