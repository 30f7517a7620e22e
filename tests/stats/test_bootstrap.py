"""The patient bootstrap: known answers, coverage, pairing, ranks, the fast route against the plain one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hemobench.errors import UserError
from hemobench.metrics.classification import BASE_METRICS, classification_metrics
from hemobench.stats import (
    WeightedStatistic,
    bootstrap_scores,
    case_mean,
    classification_statistic,
    mean_over_seeds,
    p_better,
    paired_patient_bootstrap,
    patient_bootstrap,
    patient_draws,
    percentile_interval,
    rank_intervals,
    summarise_entries,
)


def _slices(seed: int, patients: int = 20, per_patient: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (N, 6), targets (N, 6), patient ids (N,) in shuffled order; every third patient has no bleed."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.repeat([f"p{k:02d}" for k in range(patients)], per_patient))
    targets = np.zeros((ids.size, 6), dtype=np.uint8)
    bleeds = np.isin(ids, [f"p{k:02d}" for k in range(patients) if k % 3])
    targets[bleeds, :5] = rng.random((np.count_nonzero(bleeds), 5)) < 0.1
    targets[:, 5] = targets[:, :5].max(axis=1)
    return 1 / (1 + np.exp(-(rng.normal(size=targets.shape) + targets))), targets, ids


def test_draws_take_as_many_patients_as_there_are_and_follow_the_seed() -> None:
    draws = patient_draws(12, 2000, seed=1)
    assert draws.shape == (2000, 12)
    assert np.all(draws.sum(axis=1) == 12)
    # A patient is left out of a draw with probability (1 - 1/12)^12.
    assert np.mean(draws == 0) == pytest.approx((11 / 12) ** 12, abs=0.01)
    np.testing.assert_array_equal(draws, patient_draws(12, 2000, seed=1))
    assert not np.array_equal(draws, patient_draws(12, 2000, seed=2))


@pytest.mark.parametrize("name", [*BASE_METRICS, "auroc_any_study", "auroc_macro_study", "brier_any_study"])
def test_the_weighted_route_gives_what_resampling_rows_gives(name: str) -> None:
    probabilities, targets, ids = _slices(0)

    def plainly(rows: np.ndarray) -> float:
        # A study drawn twice is two studies, so only metrics of slices may repeat rows as they are.
        if not name.endswith("_study"):
            return classification_metrics(probabilities[rows], targets[rows])[name]
        _, copies = np.unique(np.sort(rows), return_counts=True)
        turn = np.concatenate([np.arange(count) for count in copies])
        again = [f"{ids[row]}-{number}" for row, number in zip(np.sort(rows), turn, strict=True)]
        return classification_metrics(probabilities[np.sort(rows)], targets[np.sort(rows)], again)[name]

    fast = classification_statistic(name, probabilities, targets, ids)
    scores = bootstrap_scores([fast, plainly], ids, resamples=25, seed=4)
    assert np.isfinite(scores).sum() > 25
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-12)


def test_blocks_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, targets, ids = _slices(1)
    statistic = classification_statistic("auroc_any", probabilities, targets)
    whole = bootstrap_scores([statistic], ids, resamples=50, seed=3)
    monkeypatch.setattr("hemobench.stats.bootstrap._CHUNK_ELEMENTS", 7 * ids.size)
    np.testing.assert_array_equal(whole, bootstrap_scores([statistic], ids, resamples=50, seed=3))


def test_estimate_is_that_of_all_rows_and_agrees_with_scikit_learn() -> None:
    probabilities, targets, ids = _slices(2)
    interval = patient_bootstrap(classification_statistic("auroc_any", probabilities, targets), ids, resamples=200)
    assert interval.estimate == pytest.approx(roc_auc_score(targets[:, 5], probabilities[:, 5]))
    assert interval.low < interval.estimate < interval.high
    assert (interval.undefined, interval.resamples) == (0, 200)


def test_interval_of_a_mean_over_clusters_has_the_width_that_theory_gives() -> None:
    # Rows of a patient are copies, so the standard error is that of 60 values, not of 600.
    values = np.random.default_rng(3).normal(size=60)
    rows, ids = np.repeat(values, 10), np.repeat(np.arange(60), 10)
    interval = patient_bootstrap(case_mean(rows), ids, resamples=4000, seed=5)
    standard_error = values.std() / math.sqrt(60)
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(standard_error, rel=0.06)
    assert interval.estimate == pytest.approx(values.mean())


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 40 patients with 5 slices each around the patient's own level; the true mean is 0.
    rng = np.random.default_rng(6)
    ids = np.repeat(np.arange(40), 5)
    covered_by_patient, covered_by_slice = 0, 0
    for trial in range(200):
        values = rng.normal(size=40)[ids] + 0.3 * rng.normal(size=200)
        interval = patient_bootstrap(case_mean(values), ids, resamples=300, seed=trial)
        covered_by_patient += interval.low <= 0 <= interval.high
        naive = patient_bootstrap(case_mean(values), np.arange(200), resamples=300, seed=trial)
        covered_by_slice += naive.low <= 0 <= naive.high
    # 95% nominal; binomial noise has sd 1.5%, forty patients cost about 1.5% more.
    assert 0.89 <= covered_by_patient / 200 <= 0.98
    assert covered_by_slice / 200 < 0.75


def test_case_mean_leaves_out_and_counts_undefined_cases() -> None:
    statistic = case_mean([0.5, np.nan, 1.0, np.nan, 0.0])
    assert statistic.undefined == 2
    assert statistic(np.arange(5)) == 0.5
    assert statistic(np.array([2, 2, 4, 1])) == pytest.approx(2 / 3)
    assert math.isnan(statistic(np.array([1, 3, 3])))


def test_draws_without_a_score_are_counted_and_left_out() -> None:
    # One of three patients has a defined case: it is missed by (2/3)^3 of the draws.
    interval = patient_bootstrap(case_mean([0.7, np.nan, np.nan]), ["a", "b", "c"], resamples=3000, seed=7)
    assert interval.undefined / 3000 == pytest.approx(8 / 27, abs=0.03)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.7, 0.7, 0.7))


def test_a_score_that_is_never_defined_has_no_interval() -> None:
    interval = patient_bootstrap(case_mean([np.nan, np.nan]), ["a", "b"], resamples=10)
    assert np.isnan([interval.estimate, interval.low, interval.high]).all()
    assert interval.undefined == 10


def test_auroc_draws_without_positives_are_undefined() -> None:
    probabilities, targets, ids = _slices(8, patients=4, per_patient=5)
    targets[:] = 0
    targets[ids == "p02"] = 1
    targets[np.flatnonzero(ids == "p02")[0]] = 0
    interval = patient_bootstrap(classification_statistic("auroc_any", probabilities, targets), ids, resamples=2000)
    assert interval.undefined / 2000 == pytest.approx((3 / 4) ** 4, abs=0.04)


def test_paired_difference_is_far_narrower_than_the_unpaired_one() -> None:
    rng = np.random.default_rng(9)
    ids = np.arange(30)
    hard = rng.normal(size=30)
    a, b = case_mean(hard + 0.1 + 0.02 * rng.normal(size=30)), case_mean(hard)
    paired = paired_patient_bootstrap(a, b, ids, resamples=1000, seed=1)
    alone = patient_bootstrap(a, ids, resamples=1000, seed=1)
    assert paired.estimate == pytest.approx(0.1, abs=0.02)
    assert paired.low > 0
    assert paired.p_better == 1.0
    assert (alone.high - alone.low) > 10 * (paired.high - paired.low)


def test_p_better_follows_the_direction_and_counts_ties_half() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 4.0, np.nan]), np.array([0.0, 2.0, 5.0, 1.0, 1.0])
    assert p_better(a, b, True) == 2.5 / 4
    assert p_better(a, b, False) == 1.5 / 4
    same = paired_patient_bootstrap(case_mean([1.0, 3.0]), case_mean([1.0, 3.0]), [0, 1], resamples=20)
    assert (same.estimate, same.low, same.high, same.p_better) == (0.0, 0.0, 0.0, 0.5)
    losses = case_mean([0.2, 0.1]), case_mean([0.5, 0.6])
    assert paired_patient_bootstrap(*losses, [0, 1], higher_is_better=False, resamples=20).p_better == 1.0


def test_percentile_interval_by_hand() -> None:
    scores = np.append(np.arange(101.0), np.nan)
    assert percentile_interval(scores, 0.9) == (pytest.approx(5.0), pytest.approx(95.0), 1)


def test_rank_intervals_by_hand() -> None:
    scores = np.array([[0.9] * 10, [0.5] * 9 + [0.95], [0.1] * 10])
    ranks = rank_intervals(scores, True, confidence=0.7)
    np.testing.assert_array_equal(ranks.rank, [1, 2, 3])
    np.testing.assert_array_equal(ranks.low, [1, 2, 3])
    np.testing.assert_array_equal(ranks.high, [1, 2, 3])
    wide = rank_intervals(scores, True, confidence=0.95)
    np.testing.assert_array_equal(wide.low, [1, 1, 3])
    np.testing.assert_array_equal(wide.high, [2, 2, 3])
    np.testing.assert_array_equal(rank_intervals(scores, False).rank, [3, 2, 1])


def test_ranks_share_ties_put_undefined_last_and_follow_given_estimates() -> None:
    scores = np.array([[0.5, 0.5, np.nan]] * 3 + [[np.nan, np.nan, np.nan]])
    ranks = rank_intervals(scores, True)
    np.testing.assert_array_equal(ranks.rank, [1, 1, 1, 4])
    np.testing.assert_array_equal(ranks.high, [1, 1, 1, 4])
    np.testing.assert_array_equal(rank_intervals(scores, True, estimates=[0.1, 0.2, 0.3, 0.4]).rank, [4, 3, 2, 1])
    nothing = rank_intervals(np.full((2, 4), np.nan), True)
    np.testing.assert_array_equal((nothing.low, nothing.high), ([1, 1], [2, 2]))


def test_mean_over_seeds_is_the_mean_in_every_draw() -> None:
    probabilities, targets, ids = _slices(10)
    others, _, _ = _slices(11)
    seeds = [classification_statistic("ap_any", p, targets) for p in (probabilities, others)]
    scores = bootstrap_scores([*seeds, mean_over_seeds(seeds)], ids, resamples=20)
    np.testing.assert_allclose(scores[2], scores[:2].mean(axis=0))
    plain = mean_over_seeds([lambda rows: float(rows.size), lambda rows: 0.0])
    assert plain(np.arange(8)) == 4.0


def test_summary_of_a_board_with_a_winner_two_equals_and_a_loser() -> None:
    rng = np.random.default_rng(12)
    ids = np.repeat(np.arange(40), 2)
    cases = rng.normal(0.5, 0.1, size=80)
    noise = 0.2 * rng.normal(size=80)
    noise -= noise.mean()
    levels = {"loser": -0.3, "equal": 0.0, "winner": 0.3, "equal too": 0.0}
    entries = [
        [case_mean(cases + level + (noise if name == "equal too" else 0)), case_mean(cases + level - 0.02)]
        for name, level in levels.items()
    ]
    loser, equal, winner, equal_too = summarise_entries(entries, ids, higher_is_better=True, resamples=500, seed=3)
    assert winner.estimate == pytest.approx(cases.mean() + 0.29)
    assert winner.sd_seeds == pytest.approx(0.02 / math.sqrt(2))
    assert (winner.rank, winner.rank_interval, winner.tied_with) == (1, (1, 1), ())
    assert (loser.rank, loser.rank_interval, loser.tied_with) == (4, (4, 4), ())
    assert (equal.tied_with, equal_too.tied_with) == ((3,), (1,))
    assert equal.rank_interval == equal_too.rank_interval == (2, 3)
    assert winner.p_better_than_next == 1.0
    assert math.isnan(loser.p_better_than_next)
    assert equal.p_better_than[3] + equal_too.p_better_than[1] == pytest.approx(1.0)
    assert winner.low < winner.estimate < winner.high


def test_a_summary_counts_what_is_undefined_and_calls_an_undefined_comparison_a_tie() -> None:
    ids = ["a", "b", "c"]
    entries = [[case_mean([0.5, np.nan, 0.7])], [case_mean([np.nan, np.nan, np.nan])]]
    first, second = summarise_entries(entries, ids, higher_is_better=True, resamples=100)
    assert (first.undefined, second.undefined) == (1, 3)
    assert second.undefined_resamples == 100
    assert (first.rank, second.rank) == (1, 2)
    assert (first.tied_with, second.tied_with) == ((1,), (0,))
    assert math.isnan(first.sd_seeds)


def test_macro_auroc_counts_the_subtypes_it_leaves_out() -> None:
    probabilities, targets, _ = _slices(13)
    targets[:, 2] = 0
    assert classification_statistic("auroc_macro", probabilities, targets).undefined == 1
    assert classification_statistic("auroc_any", probabilities, targets).undefined == 0


def test_bad_input_is_named() -> None:
    probabilities, targets, ids = _slices(14)
    with pytest.raises(UserError, match="entry 0 has 3 rows and there are 2 patient ids"):
        bootstrap_scores([case_mean([1.0, 2.0, 3.0])], ["a", "b"])
    with pytest.raises(UserError, match="pass study_ids"):
        classification_statistic("auroc_any_study", probabilities, targets)
    with pytest.raises(UserError, match=r"unknown classification metric 'auc_study'.*auroc_any_study"):
        classification_statistic("auc_study", probabilities, targets, ids)
    with pytest.raises(UserError, match="confidence 95"):
        percentile_interval(np.arange(3.0), 95)
    with pytest.raises(UserError, match="raise them"):
        patient_draws(3, 0, 0)
    with pytest.raises(UserError, match="mixed kinds"):
        mean_over_seeds([case_mean([1.0]), lambda rows: 0.0])


def test_a_study_shared_by_two_patients_is_refused_when_they_are_drawn_apart() -> None:
    probabilities, targets, ids = _slices(15)
    statistic = classification_statistic("auroc_any_study", probabilities, targets, np.zeros(ids.size))
    assert isinstance(statistic, WeightedStatistic)
    with pytest.raises(UserError, match="make study ids differ between patients"):
        bootstrap_scores([statistic], ids, resamples=5)
