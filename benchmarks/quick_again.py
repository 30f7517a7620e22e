"""The quick board from empty caches, again and again with other phantoms, splits and seeds: what is settled each time?

    python benchmarks/quick_again.py                                  # once: minutes and memory
    python benchmarks/quick_again.py --runs 5 --output runs/again     # do two runs settle opposite things?

Run 1 is the suite as it ships; run k has phantoms, split and training seeds of its own. Each is what a user types, in a
process of its own with a cache of its own, which is deleted afterwards. In --output a finished run is kept and read,
its minutes with it, so that an interrupted series goes on. Two runs contradict each other where both settle the
difference of the same two entries in the same metric, with opposite signs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ratios import Ratio, load_average, options, tell, within

from hemobench.compare.costs import MemoryWatch
from hemobench.compare.suite_files import shipped_suites

SETTLED_P = 0.05
MINUTES, GIGABYTES = 8.0, 4.0  # on two cores without AMX, caches empty


class Difference(NamedTuple):
    """A settled difference of a board: one entry's score minus the other's in a metric, with its limits."""

    board: int
    metric: str
    one: str
    other: str
    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.metric}: {self.one} - {self.other} = {self.difference:+.3f} [{self.low:.3f}, {self.high:.3f}]"


def variant(suite: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The suite with phantoms, split and training seeds of its own; number 1 is the suite itself."""
    if number == 1:
        return dict(suite)
    boards = []
    for board in suite["boards"]:
        data = {**board["data"], "seed": board["data"]["seed"] + 1000 * (number - 1)}
        boards.append({**board, "data": data, "split": {**board["split"], "seed": number - 1}})
    count = suite["seeds"] if isinstance(suite["seeds"], int) else len(suite["seeds"])
    return {**suite, "seeds": [100 * (number - 1) + seed for seed in range(count)], "boards": boards}


def settled(leaderboard: Mapping[str, Any]) -> list[Difference]:
    """The differences that a leaderboard.json calls settled, each once, the larger score first."""
    found = []
    for place, board in enumerate(leaderboard["boards"], start=1):
        gaps = {(board["rank_by"], entry["name"]): entry["to_others"] for entry in board["entries"]}
        for asked in board["questions"]:
            gaps |= {(asked["metric"], one): others for one, others in asked["gaps"].items()}
        for (metric, one), others in gaps.items():
            found += [
                Difference(place, metric, one, other, gap["difference"], gap["low"], gap["high"])
                for other, gap in others.items()
                if gap["p"] is not None and gap["p"] <= SETTLED_P and gap["difference"] > 0
            ]
    return found


def contradictions(runs: Sequence[Sequence[Difference]]) -> list[str]:
    """Pairs of runs that settle opposite things."""
    told = []
    for first, found in enumerate(runs):
        for second, others in enumerate(runs[first + 1 :], start=first + 1):
            turned = {(one.board, one.metric, one.other, one.one) for one in others}
            told += [f"runs {first + 1} and {second + 1}: {one}" for one in found if one[:4] in turned]
    return told


def complete_run(suite: Mapping[str, Any], number: int, folder: Path, empty: bool) -> dict[str, Any]:
    """Run the variant as a user does, unless it is finished: its minutes, GB and leaderboard. empty: without caches."""
    costs = folder / "costs.json"
    if not costs.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "suite.yaml"
        file.write_text(yaml.safe_dump(variant(suite, number), sort_keys=False), encoding="utf-8")
        with tempfile.TemporaryDirectory() as home, MemoryWatch() as memory:
            load, begin, caches = load_average(), time.perf_counter(), {"HEMOBENCH_HOME": home} if empty else {}
            subprocess.run(
                [sys.executable, "-m", "hemobench.compare", str(file), "--output", str(folder / "results")],
                check=True,
                env={**os.environ, **caches},
                stdout=subprocess.DEVNULL,
            )
            minutes = (time.perf_counter() - begin) / 60
        told = {"minutes": minutes, "gb": memory.peak_gb, "load": load}
        costs.write_text(json.dumps(told), encoding="utf-8")
    board = json.loads((folder / "results" / "leaderboard.json").read_text(encoding="utf-8"))
    return {**json.loads(costs.read_text(encoding="utf-8")), "board": board}


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--suite", default="quick", help="a shipped suite")
    parser.add_argument("--output", type=Path, help="where runs are kept (default: a folder that is deleted)")
    given = options(parser, argv, {"suite": "smoke"})
    suite = yaml.safe_load(shipped_suites()[given.suite].read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        output = given.output or Path(temporary)
        runs = [
            complete_run(suite, number, output / f"run{number}", not given.smoke) for number in range(1, given.runs + 1)
        ]
    found = [settled(one["board"]) for one in runs]
    for number, (one, differences) in enumerate(zip(runs, found, strict=True), start=1):
        seeds, commit = ", ".join(map(str, one["board"]["seeds"])), one["board"]["commit"][:7]
        print(
            f"run {number} (seeds {seeds}; {one['minutes']:.1f} min, {one['gb']:.2f} GB, "
            f"load before {one['load']:.1f}, commit {commit}): {len(differences)} differences settled"
        )
        for difference in differences:
            print(f"  board {difference.board}, {difference}")
    opposite = contradictions(found)
    print("\n".join(opposite) if opposite else f"no two of {len(runs)} runs settle opposite things")
    yield within(f"minutes of the board {given.suite}", max(one["minutes"] for one in runs), MINUTES, "min")
    yield within(f"memory of the board {given.suite}", max(one["gb"] for one in runs), GIGABYTES, "GB")


if __name__ == "__main__":
    tell(run())
