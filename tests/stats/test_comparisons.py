"""All pairs of a board: verdict, limits and p say the same, and agree with Tukey's test where that is exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, tukey_hsd

from hemobench.stats import Comparisons, case_mean, compare_all, summarise_entries
from hemobench.stats.comparisons import step_down


def _compared(gaps: list[float], resamples: int = 1999, seed: int = 0) -> Comparisons:
    rng = np.random.default_rng(seed)
    patient = rng.normal(size=(len(gaps), resamples))
    nothing = np.zeros_like(patient)
    return compare_all(np.array(gaps), patient, nothing, np.zeros(len(gaps)), higher_is_better=True)


@pytest.mark.parametrize("seed", range(5))
def test_limits_p_and_verdict_never_disagree_and_a_verdict_needs_more_than_97_5_percent(seed: int) -> None:
    gaps = [0.0, *np.random.default_rng(100 + seed).uniform(0, 8, size=7)]
    compared = _compared(gaps, seed=seed)
    verdicts = set()
    for one in range(8):
        for other in range(8):
            if one == other:
                continue
            outside = compared.low[one, other] >= 0 or compared.high[one, other] <= 0
            tied = compared.tied(one, other)
            verdicts.add(tied)
            assert tied == (compared.p[one, other] > 0.05) == (not outside)
            if not tied:
                assert max(compared.better[one, other], 1 - compared.better[one, other]) > 0.975
            assert compared.low[one, other] == -compared.high[other, one]
            assert compared.better[one, other] + compared.better[other, one] == pytest.approx(1)
    assert verdicts == {True, False}


def test_a_share_of_97_percent_is_a_tie_and_so_is_98_5_among_many() -> None:
    # One standard error of a difference of independent entries is sqrt(2).
    two = _compared([1.88 * np.sqrt(2), 0.0])
    assert two.better[0, 1] == pytest.approx(0.97, abs=0.01)
    assert two.tied(0, 1)
    gap = 2.2 * np.sqrt(2)
    assert not _compared([gap, 0.0]).tied(0, 1)
    many = _compared([gap, *np.zeros(9)])
    assert many.better[0, 1] == pytest.approx(0.985, abs=0.01)
    assert many.tied(0, 1)
    assert many.pairs == 45


def test_independent_entries_get_tukeys_p() -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(mean, 1, size=400) for mean in (0, 0.05, 0.2, 0.1)]
    theirs = tukey_hsd(*groups).pvalue
    means = np.array([group.mean() for group in groups])
    noise = rng.normal(size=(4, 8000)) / 20
    ours = compare_all(means, noise, np.zeros_like(noise), np.zeros(4), higher_is_better=True)
    # That of the pair farthest apart, which is the first step; later steps have fewer pairs beside them.
    assert ours.p[0, 2] == pytest.approx(theirs[0, 2], abs=0.01)
    above = np.triu_indices(4, 1)
    assert (ours.p[above] < theirs[above] + 0.01).all()


def test_steps_by_hand() -> None:
    # Sizes in three draws, in another order than the scores. Held against all: the largest are 2.5, 1.5 and 1.2, none
    # of which reaches 3, so p is (1 + 0) / 4. Without that pair they are 0.2, 1.5, 1.2: none reaches 2. The last alone
    # has 0.2, 0.4, 1.2: one reaches 1. In one step the second would have 2/4 and the third 4/4.
    sizes = [[0.2, 0.4, 1.2], [2.5, 0.0, 0.0], [0.0, 1.5, 0.5]]
    assert step_down([1.0, 3.0, 2.0], sizes).tolist() == [0.5, 0.25, 0.25]
    # A larger p of an earlier step stays: the first is reached once of three, and the second no more rarely.
    assert step_down([1.0, 0.9], [[1.1, 0.0, 0.0], [0.0, 0.0, 0.0]]).tolist() == [0.5, 0.5]


def test_steps_of_independent_hypotheses_are_holms_after_sidak() -> None:
    rng = np.random.default_rng(6)
    scores = np.array([2.9, 2.4, 1.0, 2.45])
    found = step_down(scores, np.abs(rng.normal(size=(4, 40_000))))
    alone = 2 * norm.sf(np.sort(scores)[::-1])
    sidak = np.maximum.accumulate(1 - (1 - alone) ** np.array([4, 3, 2, 1]))
    np.testing.assert_allclose(found, sidak[[0, 2, 3, 1]], atol=0.006)


def test_a_far_worse_entry_does_not_hide_the_difference_of_the_others() -> None:
    # 2.15 standard errors of a difference: settled where two are compared (1.96), not among three (Tukey: 2.34).
    gap = 2.15 * np.sqrt(2)
    assert _compared([gap, 0.0, 0.0]).tied(0, 1)
    beside = _compared([gap, 0.0, -40.0])
    assert not beside.tied(0, 1)
    assert beside.p[0, 1] == _compared([gap, 0.0, -40.0]).p[1, 0] <= 0.05
    # The limits are those of one step, 2.34 standard errors wide, and end at 0 where they would reach over it.
    assert beside.low[0, 1] == 0.0
    assert beside.high[0, 1] == pytest.approx(gap + 2.344 * np.sqrt(2), rel=0.05)
    assert beside.high[1, 0] == 0.0


def test_simultaneous_limits_are_wider_than_those_of_one_pair() -> None:
    gap = 2.0
    alone, among = _compared([gap, 0.0]), _compared([gap, *np.zeros(9)])
    width = alone.high[0, 1] - alone.low[0, 1]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(2), rel=0.06)
    # Tukey's 5% point of ten means: 4.47 / sqrt(2) standard errors.
    assert among.high[0, 1] - among.low[0, 1] == pytest.approx(2 * 4.474, rel=0.06)


def test_entries_that_never_differ_are_tied_and_a_constant_gap_is_real() -> None:
    patient = np.tile(np.random.default_rng(4).normal(size=999), (3, 1))
    nothing = np.zeros_like(patient)
    compared = compare_all(np.array([0.5, 0.5, 0.4]), patient, nothing, np.zeros(3), higher_is_better=True)
    assert compared.tied(0, 1)
    assert compared.better[0, 1] == 0.5
    assert not compared.tied(0, 2)
    assert (compared.low[0, 2], compared.high[0, 2]) == pytest.approx((0.1, 0.1))


def test_too_few_draws_settle_nothing() -> None:
    ids = np.arange(30)
    values = np.random.default_rng(5).normal(size=30)
    board = summarise_entries(
        [[case_mean(values + 9 + 0.1 * np.sin(ids))], [case_mean(values)]], ids, higher_is_better=True, resamples=15
    )
    assert board[0].p_better_than_next == 1.0
    assert board[0].tied_with == (1,)
