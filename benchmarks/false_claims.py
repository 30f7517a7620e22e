"""How often a board calls equal entries different, and whether it sees those that are: simulated boards of four.

    python benchmarks/false_claims.py [--boards 250] [--patients 6 12 25 60 200] [--seeds 2 5]

Entries are drawn from one distribution, so that every claim among equals is false; at most 5% of boards may hold one.
Either all four are equal, or two are and two others are, far below them: there the first two have to be compared as if
nothing stood beside them, which is what stepping down is for. Dice is a mean over patients; AUROC is of ten slices a
patient that resemble each other. Seeds are of no matter (networks differ by chance on each patient alone), or are as
large as that chance in the mean. "cover": boards on which every limit of a difference holds the truth, where it is
known. The standard error of a share near 5% is 1.4% for 250 boards.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from ratios import Ratio, options, tell, within
from scipy.special import expit

from hemobench.machine import usable_cores
from hemobench.stats import EntrySummary, WeightedStatistic, case_mean, classification_statistic, summarise_entries

ALLOWED = 0.05
ENTRIES = 4
SLICES = 10
FAR = {"dice": 0.4, "auroc": 2.0}
PATIENT, CHANCE = 0.2, 0.1


@dataclass(frozen=True)
class World:
    """A kind of board. pairs: two entries far below two others, in place of four equals. seed: spread of a network's
    mean over seeds, in units of what chance on single patients makes of it."""

    metric: str
    seeds: int
    patients: int
    pairs: bool
    seed: float

    @property
    def equals(self) -> tuple[tuple[int, int], ...]:
        """Pairs of entries between which every claim is false."""
        groups = ((0, 1), (2, 3)) if self.pairs else (tuple(range(ENTRIES)),)
        return tuple((one, other) for group in groups for one in group for other in group if one < other)

    def shift(self, entry: int) -> float:
        """How far an entry lies below the best."""
        return FAR[self.metric] if self.pairs and entry > 1 else 0.0


@dataclass(frozen=True)
class Found:
    """Shares of a world's boards: with a claim among equals, with every true difference seen, with limits that all
    hold the truth (NaN where nobody knows it)."""

    false: float
    seen: float
    cover: float


def dice_entries(world: World, rng: np.random.Generator) -> list[list[WeightedStatistic]]:
    """One value a patient: the patient's own, a network's luck with it, and what its seed is worth."""
    hard, seed = PATIENT * rng.normal(size=world.patients), world.seed * CHANCE / np.sqrt(world.patients)
    return [
        [
            case_mean(0.6 - world.shift(entry) + hard + seed * rng.normal() + CHANCE * rng.normal(size=world.patients))
            for _ in range(world.seeds)
        ]
        for entry in range(ENTRIES)
    ]


def auroc_entries(world: World, rng: np.random.Generator) -> list[list[WeightedStatistic]]:
    """Ten slices a patient, five of which bleed in every second one; patients' slices share most of what is hard."""
    rows = world.patients * SLICES
    person, number = np.divmod(np.arange(rows), SLICES)
    bleeds = ((person % 2 == 0) & (number % 2 == 0)).astype(np.uint8)
    hard = 0.7 * rng.normal(size=world.patients)[person] + 0.7 * rng.normal(size=rows)
    seed = world.seed / np.sqrt(world.patients)
    return [
        [_auroc(_logits(world, entry, bleeds, hard, person, seed, rng), bleeds) for _ in range(world.seeds)]
        for entry in range(ENTRIES)
    ]


def _logits(
    world: World,
    entry: int,
    bleeds: NDArray[np.uint8],
    hard: NDArray[np.float64],
    person: NDArray[np.int64],
    seed: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    skill = 2.5 - world.shift(entry) + seed * rng.normal()
    own = 0.6 * rng.normal(size=world.patients)[person] + 0.4 * rng.normal(size=person.size)
    return skill * bleeds + hard + own


def _auroc(logits: NDArray[np.float64], bleeds: NDArray[np.uint8]) -> WeightedStatistic:
    columns = [np.repeat(one[:, None], 6, axis=1) for one in (expit(logits), bleeds)]
    return classification_statistic("auroc_any", *columns)


def simulate(world: World, boards: int, resamples: int) -> Found:
    """What so many boards of a world say."""
    make = {"dice": dice_entries, "auroc": auroc_entries}[world.metric]
    rows = np.repeat(np.arange(world.patients), SLICES if world.metric == "auroc" else 1)
    rng = np.random.default_rng(2021)
    false, seen, covered = 0, 0, 0
    for number in range(boards):
        board = summarise_entries(make(world, rng), rows, higher_is_better=True, resamples=resamples, seed=number)
        false += any(other not in board[one].tied_with for one, other in world.equals)
        seen += world.pairs and not any(other in board[one].tied_with for one in (0, 1) for other in (2, 3))
        covered += _all_cover(world, board)
    known = world.metric == "dice" or not world.pairs
    return Found(false / boards, seen / boards if world.pairs else np.nan, covered / boards if known else np.nan)


def _all_cover(world: World, board: Sequence[EntrySummary]) -> bool:
    truths = [-world.shift(entry) for entry in range(ENTRIES)]
    return all(
        gap.low - 1e-12 <= truths[one] - truths[other] <= gap.high + 1e-12
        for one, entry in enumerate(board)
        for other, gap in enumerate(entry.to_others)
    )


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Simulate, print a line a world, and how far the mean share of false claims stays below what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=250)
    parser.add_argument("--resamples", type=int, default=399)
    parser.add_argument("--patients", type=int, nargs="+", default=[6, 12, 25, 60, 200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--jobs", type=int, default=usable_cores())
    given = options(parser, argv, {"boards": 2, "resamples": 39, "patients": [6], "seeds": [2], "jobs": 1})
    worlds = [World(*one) for one in product(("dice", "auroc"), given.seeds, given.patients, (False, True), (0.0, 1.0))]
    rest = ([given.boards] * len(worlds), [given.resamples] * len(worlds))
    print(f"{'metric':<8}{'seeds':>6}{'patients':>10}  {'entries':<14}{'seeds matter':<14}  false   seen  cover")
    if given.jobs > 1:
        with ProcessPoolExecutor(given.jobs) as pool:
            found = list(map(told_of, worlds, pool.map(simulate, worlds, *rest)))
    else:
        found = list(map(told_of, worlds, map(simulate, worlds, *rest)))
    for metric, pairs in product(("dice", "auroc"), (False, True)):
        told = zip(worlds, found, strict=True)
        shares = [one.false for world, one in told if (world.metric, world.pairs) == (metric, pairs)]
        what = f"boards with a false claim, {metric}, {'two and two equal' if pairs else 'all equal'}"
        yield within(what, max(float(np.mean(shares)), 0.1 / given.boards), ALLOWED, "of all")


def told_of(world: World, found: Found) -> Found:
    """Print a world's line."""
    entries, matter = "two and two" if world.pairs else "four equal", "as chance" if world.seed else "no"
    shares = ["" if np.isnan(share) else f"{share:.1%}" for share in (found.false, found.seen, found.cover)]
    listed = "".join(f"{share:>7}" for share in shares)
    print(f"{world.metric:<8}{world.seeds:>6}{world.patients:>10}  {entries:<14}{matter:<14}{listed}", flush=True)
    return found


if __name__ == "__main__":
    tell(run())
