"""What a board's statistics cost: 20 entries x 5 seeds x 1,000 patients x 2,000 resamples, by metric.

Run from the repository: `python benchmarks/board_statistics.py [--entries 20] [--patients 1000] [--slices 30]`. Each
line is one metric of the whole board: intervals, ranks, all comparisons, variance parts. CPU seconds say what it costs
on a machine that is busy with other work, with OPENBLAS_NUM_THREADS=1, as threads that wait for each other count too;
wall time is only fair on an idle one. Metrics of slices are shown beside those of patients: all are summed up by
patient before anything is drawn.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from ratios import Ratio, load_average, options, tell, within

from hemobench.stats import WeightedStatistic, case_mean, classification_statistic, summarise_entries

TARGET_SECONDS = 5.0
Board = list[list[WeightedStatistic]]


def case_board(entries: int, seeds: int, patients: int, rng: np.random.Generator) -> Board:
    """Dice of one case a patient, one in ten undefined."""
    hard = rng.normal(0, 0.2, patients)
    hard[rng.random(patients) < 0.1] = np.nan
    return [
        [case_mean(0.6 + 0.005 * entry + hard + rng.normal(0, 0.1, patients)) for _ in range(seeds)]
        for entry in range(entries)
    ]


def answers(rows: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Probabilities and targets (rows, 6), one in eight positive."""
    targets = np.zeros((rows, 6), dtype=np.uint8)
    targets[:, 5] = targets[:, 1] = np.arange(rows) % 8 == 0
    return 1 / (1 + np.exp(-(rng.normal(size=targets.shape) + 2.0 * targets))), targets


def classifier_board(name: str, entries: int, seeds: int, rows: int, rng: np.random.Generator) -> Board:
    """Statistics of a classification metric, answers of each seed its own."""
    return [[classification_statistic(name, *answers(rows, rng)) for _ in range(seeds)] for _ in range(entries)]


def timed(
    title: str, build: Callable[[], Board], patient_ids: Sequence[int] | NDArray[np.int64], resamples: int
) -> Ratio:
    """Print CPU and wall seconds of a board's statistics, the sorting of its answers included."""
    cpu, wall = time.process_time(), time.perf_counter()
    summarise_entries(build(), patient_ids, higher_is_better=True, resamples=resamples)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{title:<34}{cpu:>9.2f}{wall:>10.2f}{'   within' if cpu <= TARGET_SECONDS else '   above'} the target")
    return within(f"statistics of a board by {title}", cpu, TARGET_SECONDS, "CPU s")


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("entries", 20), ("seeds", 5), ("patients", 1000), ("resamples", 2000), ("slices", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = options(parser, argv, {"entries": 2, "seeds": 2, "patients": 12, "resamples": 20, "slices": 2})
    size = (chosen.entries, chosen.seeds)
    rng = np.random.default_rng(0)
    print(
        f"{chosen.entries} entries x {chosen.seeds} seeds x {chosen.patients} patients x {chosen.resamples} resamples; "
        f"target {TARGET_SECONDS:.0f} s; {os.cpu_count()} cores, load average {load_average():.1f}"
    )
    print(f"{'metric':<34}{'CPU s':>9}{'wall s':>10}")
    people = np.arange(chosen.patients)
    yield timed("dice_any", lambda: case_board(*size, chosen.patients, rng), people, chosen.resamples)
    for name in ("auroc_any", "brier_any", "ece_any", "ap_any", "sens_at_spec90_any"):
        yield timed(
            f"{name}, one row a patient",
            lambda name=name: classifier_board(name, *size, chosen.patients, rng),
            people,
            chosen.resamples,
        )
    rows = np.repeat(people, chosen.slices)
    for name in ("auroc_any", "brier_any", "ap_any", "sens_at_spec90_any") if chosen.slices > 1 else ():
        yield timed(
            f"{name}, {chosen.slices} slices a patient",
            lambda name=name: classifier_board(name, *size, rows.size, rng),
            rows,
            chosen.resamples,
        )


if __name__ == "__main__":
    tell(run())
