"""The statistics against simulated benchmarks whose truth is known: errors, coverage, power; fixed random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import nct, t

from hemobench.stats import EntrySummary, case_mean, patient_bootstrap, summarise_entries
from hemobench.stats.statistics import WeightedStatistic, classification_statistic

PATIENTS, SEEDS, BENCHMARKS = 60, 5, 400
# Two-sided binomial noise of 400 benchmarks at 5%: standard deviation 1.1%.
NOISE = 2.33 * np.sqrt(0.05 * 0.95 / BENCHMARKS)
TRUTH = 0.6


@dataclass(frozen=True)
class World:
    """Standard deviations of a case's score: between patients, between seeds, chance between the two, and how much
    better a model is on one patient than on another."""

    patient: float = 0.2
    seed: float = 0.02
    chance: float = 0.1
    liking: float = 0.0

    def entries(self, rng: np.random.Generator, shifts: tuple[float, ...], seeds: int) -> list[list[WeightedStatistic]]:
        """A benchmark's entries, the mean of each being TRUTH and its shift."""
        patients = self.patient * rng.normal(size=PATIENTS)
        found = []
        for shift in shifts:
            own = TRUTH + shift + patients + self.liking * rng.normal(size=PATIENTS)
            found.append(
                [
                    case_mean(own + self.seed * rng.normal() + self.chance * rng.normal(size=PATIENTS))
                    for _ in range(seeds)
                ]
            )
        return found


def simulate(world: World, shifts: tuple[float, ...], seeds: int = SEEDS) -> list[tuple[EntrySummary, ...]]:
    """The summaries of 400 benchmarks."""
    rng = np.random.default_rng(2021)
    return [
        summarise_entries(
            world.entries(rng, shifts, seeds), np.arange(PATIENTS), higher_is_better=True, resamples=399, seed=number
        )
        for number in range(BENCHMARKS)
    ]


def share_with_a_difference(boards: list[tuple[EntrySummary, ...]]) -> float:
    return float(np.mean([any(len(entry.tied_with) < len(board) - 1 for entry in board) for board in boards]))


@pytest.mark.parametrize(
    ("world", "count", "seeds"),
    [
        pytest.param(World(), 2, 5, id="every cause"),
        pytest.param(World(patient=0.05, seed=0.05, chance=0.02), 2, 5, id="seeds above all"),
        pytest.param(World(), 2, 2, id="two seeds", marks=pytest.mark.slow),
        pytest.param(World(seed=0.0), 2, 1, id="one seed that does not matter", marks=pytest.mark.slow),
        pytest.param(World(), 6, 5, id="six entries", marks=pytest.mark.slow),
    ],
)
def test_equal_models_are_called_different_in_5_percent_and_intervals_cover_in_95(
    world: World, count: int, seeds: int
) -> None:
    boards = simulate(world, (0.0,) * count, seeds)
    # Of all pairs of a board together, whichever lie farthest apart.
    assert share_with_a_difference(boards) <= 0.05 + NOISE
    covered = np.mean([entry.low <= TRUTH <= entry.high for board in boards for entry in board])
    assert 0.92 <= covered <= 0.98 + (NOISE if seeds == 2 else 0)


def test_equals_beside_far_worse_entries_are_compared_as_if_they_stood_alone() -> None:
    # Two of four are far below the others, so that two of six pairs are equal. One step for all pairs would call one of
    # them different in 2% (Tukey's 5% point of four means, 3.63 / sqrt(2), is a p of 1.0% each), as it did.
    boards = simulate(World(), (0.0, 0.0, -0.3, -0.3))
    assert all(2 not in board[0].tied_with and 3 not in board[1].tied_with for board in boards)
    wrong = np.mean([1 not in board[0].tied_with or 3 not in board[2].tied_with for board in boards])
    assert 0.02 < wrong <= 0.05 + NOISE


@pytest.mark.parametrize(
    ("gap", "at_least"), [pytest.param(0.02, 0.05, marks=pytest.mark.slow), (0.06, 0.5), (0.09, 0.9)]
)
def test_a_real_difference_is_found_as_often_as_theory_says(gap: float, at_least: float) -> None:
    world = World(seed=0.01, liking=0.1)
    of_patients = 2 * (world.liking**2 + world.chance**2 / SEEDS) / PATIENTS
    of_seeds = 2 * world.seed**2 / SEEDS
    error = np.sqrt(of_patients + of_seeds)
    freedom = error**4 / (of_patients**2 / (PATIENTS - 1) + of_seeds**2 / (2 * (SEEDS - 1)))
    power = float(nct.sf(t.ppf(0.975, freedom), freedom, gap / error))
    assert power > at_least, "the case is not the one that was meant"
    found = np.mean([not better.tied_with for better, _ in simulate(world, (gap, 0.0))])
    # Three standard deviations of 400 trials, and 3% for what the estimate of the seeds' part costs.
    assert abs(found - power) < 3 * np.sqrt(power * (1 - power) / BENCHMARKS) + 0.03


def test_seeds_that_are_left_out_of_the_draws_would_find_differences_between_equals() -> None:
    # Why the seeds are in them: the same boards by patients alone, as if the networks were all that matters.
    world = World(patient=0.05, seed=0.05, chance=0.02)
    rng = np.random.default_rng(7)
    wrong = 0
    for number in range(100):
        (one,), (other,) = world.entries(rng, (0.0, 0.0), 1)
        values = [np.array([entry(np.array([row])) for row in range(PATIENTS)]) for entry in (one, other)]
        interval = patient_bootstrap(case_mean(values[0] - values[1]), np.arange(PATIENTS), resamples=200, seed=number)
        wrong += not interval.low <= 0 <= interval.high
    assert wrong > 50


def test_intervals_of_auroc_by_patient_cover_the_truth() -> None:
    # Two slices a patient with a common part; the true AUROC of N(1, 1.25) against N(0, 1.25) is Phi(1 / sqrt(2.5)).
    rng = np.random.default_rng(11)
    ids = np.repeat(np.arange(PATIENTS), 2)
    covered = []
    for number in range(BENCHMARKS):
        bleeds = (np.arange(PATIENTS) % 2)[ids]
        logits = bleeds + rng.normal(size=PATIENTS)[ids] + 0.5 * rng.normal(size=ids.size)
        probabilities = np.repeat(1 / (1 + np.exp(-logits))[:, None], 6, axis=1)
        statistic = classification_statistic("auroc_any", probabilities, np.repeat(bleeds[:, None], 6, axis=1))
        board = summarise_entries([[statistic]], ids, higher_is_better=True, resamples=399, seed=number)
        covered.append(board[0].low <= 0.7364553715672 <= board[0].high)
    assert 0.92 <= np.mean(covered) <= 0.98
