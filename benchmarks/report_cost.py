"""What the report of a large board costs: seconds and size for 20 entries with 5 seeds each, from runs that exist.

Run from the repository: `python benchmarks/report_cost.py FOLDER [--entries 20] [--seeds 5]`, FOLDER being the output
of `hemobench compare`. Its runs of each board are dealt out to the entries again and again, so curves, pictures and
answers are real and as large as they come. Statistics are not counted (benchmarks/board_statistics.py counts them).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hemobench.compare.evidence import board_evidence
from hemobench.compare.leaderboard import Leaderboard
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Costs, write_report
from hemobench.training.result import RunResult

TARGET_SECONDS, TARGET_MB = 20.0, 15.0


def boards_of(folder: Path) -> dict[str, list[RunResult]]:
    """Finished runs of a comparison by the number of their board."""
    found: dict[str, list[RunResult]] = {}
    for header in sorted((folder / "runs").glob("*/run.json")):
        found.setdefault(header.parent.name.partition("-")[0], []).append(RunResult.load(header.parent))
    return found


def main() -> None:
    """Measure and print a line a board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    shown = {
        int(number): board["rank_by"]
        for number, board in enumerate(json.loads((asked.folder / "leaderboard.json").read_text())["boards"], start=1)
    }
    print(f"{'board':<26}{'cases':>8}{'seconds':>10}{'MB':>8}   targets: {TARGET_SECONDS:.0f} s, {TARGET_MB:.0f} MB")
    for number, runs in boards_of(asked.folder).items():
        dealt = itertools.cycle(runs)
        configs = [replace(runs[0].config, seed=seed) for seed in range(asked.seeds)]
        entries = {
            f"entry {entry}": [replace(next(dealt), config=config) for config in configs]
            for entry in range(asked.entries)
        }
        rank_by, task = shown[int(number)], runs[0].config.task
        facts = BoardFacts(task, f"board {number}", runs[0].dataset, "-", True, rank_by, (rank_by,), 50)
        board = build_board(facts, entries)
        leaderboard = Leaderboard("cost", "cost", "", "", "", tuple(range(asked.seeds)), (board,))
        with TemporaryDirectory() as place:
            path = Path(place) / "report.html"
            begin = time.perf_counter()
            write_report(path, leaderboard, [board_evidence(board, entries)], Costs(), "")
            seconds, size_mb = time.perf_counter() - begin, path.stat().st_size / 1e6
        title = f"{number} {task}"
        verdict = "within" if seconds <= TARGET_SECONDS and size_mb <= TARGET_MB else "above"
        print(f"{title:<26}{len(runs[0].test.patient_ids):>8}{seconds:>10.1f}{size_mb:>8.1f}   {verdict}")


if __name__ == "__main__":
    main()
