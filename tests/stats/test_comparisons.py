"""All pairs of a board: verdict, limits and p say the same, and agree with Tukey's test where that is exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, tukey_hsd

from hemobench.stats import (
    Comparisons,
    Question,
    Scores,
    case_mean,
    compare_all,
    summarise_entries,
    summarise_questions,
)
from hemobench.stats.comparisons import step_down


def _compared(gaps: list[float], resamples: int = 1999, seed: int = 0) -> Comparisons:
    rng = np.random.default_rng(seed)
    return compare_all([_scores(gaps, rng.normal(size=(len(gaps), resamples)))])[0]


def _scores(estimates: list[float] | np.ndarray, patient_part: np.ndarray) -> Scores:
    """Of networks with one seed, of which nothing is known but what patients do to them."""
    nothing = np.zeros_like(patient_part)
    return Scores(np.asarray(estimates), patient_part, nothing, np.zeros(len(patient_part)), higher_is_better=True)


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
    (ours,) = compare_all([_scores(means, noise)])
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
    (compared,) = compare_all([_scores([0.5, 0.5, 0.4], patient)])
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


def test_two_questions_are_one_family_by_hand() -> None:
    # Two entries, apart by 1.65 in one score and by 0.95 in the other. Without a difference 39 draws give -1.9, -1.8,
    # ..., 1.9 in the first; in the second the same, but largest where the first is smallest. 1.7 or more is reached in
    # 6 draws of the first score and in 6 others of the second: p is (1 + 12) / 40, where the first alone has 7 / 40
    # and, of two sides, 2 * (1 + 3) / 40. Then the second is left alone: 1.0 or more in 20 draws, 21 / 40, and of two
    # sides 2 * (1 + 10) / 40, which is more.
    steps = np.arange(-19, 20) / 10
    rising = np.argsort(np.abs(steps), kind="stable")
    turned = np.empty(39)
    turned[rising] = steps[rising[::-1]]
    nothing = np.zeros(39)
    one, other = _scores([1.65, 0.0], np.stack([steps, nothing])), _scores([0.95, 0.0], np.stack([turned, nothing]))
    first, second = compare_all([one, other])
    assert (first.p[0, 1], second.p[0, 1]) == pytest.approx((13 / 40, 22 / 40))
    assert compare_all([one])[0].p[0, 1] == pytest.approx(8 / 40)


def test_a_question_more_makes_every_claim_dearer() -> None:
    # 2.1 standard errors of a difference: settled where it is the only question (1.96), not beside a second (2.24).
    rng = np.random.default_rng(8)
    one, other = (_scores([2.1 * np.sqrt(2), 0.0], rng.normal(size=(2, 3999))) for _ in range(2))
    assert not compare_all([one])[0].tied(0, 1)
    assert all(found.tied(0, 1) for found in compare_all([one, _scores([0.0, 0.0], other.patient_part)]))
    # The same score asked twice is one question: the draws say so.
    assert [found.tied(0, 1) for found in compare_all([one, one])] == [False, False]


def test_equal_entries_are_told_apart_in_any_question_on_at_most_5_percent_of_boards() -> None:
    rng = np.random.default_rng(9)
    patients, boards, claims = 60, 200, 0
    for number in range(boards):
        hard = rng.normal(size=patients)
        questions = [
            Question(
                [
                    [case_mean(sign * hard + rng.normal(size=patients) + 0.1 * rng.normal()) for _ in range(2)]
                    for _ in range(3)
                ],
                True,
            )
            for sign in (1, -1)
        ]
        found = summarise_questions(questions, np.arange(patients), resamples=199, seed=number)
        claims += any(len(entry.tied_with) < 2 for question in found for entry in question)
    # 200 boards at 5%: 10, and 17 is beyond 98.5% of what chance gives.
    assert claims <= 17
