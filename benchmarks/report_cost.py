"""What the report of a large board costs: seconds and size for 20 entries with 5 seeds each, from runs that exist.

Run from the repository: `python benchmarks/report_cost.py [FOLDER] [--entries 20] [--seeds 5]`, FOLDER being the output
of `hemobench compare`; without it the suite `quick` is trained for a few steps. Its runs of each board are dealt out to
the entries again and again, so curves, pictures and answers are real and as large as they come. Statistics are not
counted (benchmarks/board_statistics.py counts them).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ratios import Ratio, options, processes, tell, within
from rich.console import Console

from hemobench.compare.costs import StageClock
from hemobench.compare.evidence import board_evidence
from hemobench.compare.leaderboard import Leaderboard, write_leaderboard
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.report import Costs, write_report
from hemobench.compare.runner import Workforce, run_suite
from hemobench.compare.suite_files import load_suite
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.training.result import RunResult

TARGET_SECONDS, TARGET_MB = 20.0, 15.0


def boards_of(folder: Path) -> dict[str, list[RunResult]]:
    """Finished runs of a comparison by the number of their board."""
    found: dict[str, list[RunResult]] = {}
    for header in sorted((folder / "runs").glob("*/run.json")):
        found.setdefault(header.parent.name.partition("-")[0], []).append(RunResult.load(header.parent))
    return found


def briefly_trained(name: str, output: Path, jobs: int | None) -> Path:
    """A shipped suite's first two boards, one seed, four steps a run: what it leaves, without its answers' worth."""
    suite, brief = load_suite(name), {"epochs": 1, "max_steps": 4}
    boards = tuple(replace(board, baseline={**board.baseline, **brief}) for board in suite.boards[:2])
    for board in boards if jobs else ():
        build_examples(open_dataset(board.dataset, **dict(board.options)), board.view, jobs=jobs)
    with SuiteProgress(Console(quiet=True)) as progress:
        result = run_suite(
            replace(suite, boards=boards).with_seeds(1),
            output,
            workforce=Workforce(jobs=jobs),
            progress=progress,
            clock=StageClock(),
        )
    write_leaderboard(result.leaderboard, output)
    return output


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print a line a board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--entries", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    asked = options(parser, argv, {"entries": 2, "seeds": 2})
    with TemporaryDirectory() as place:
        suite = "smoke" if asked.smoke else "quick"
        folder = asked.folder or briefly_trained(suite, Path(place), processes(asked))
        yield from measure(folder, asked.entries, asked.seeds)


def measure(folder: Path, entry_count: int, seed_count: int) -> Iterator[Ratio]:
    """Reports of boards of so many entries and seeds, made of the runs in a folder."""
    shown = {
        int(number): board["rank_by"]
        for number, board in enumerate(json.loads((folder / "leaderboard.json").read_text())["boards"], start=1)
    }
    print(f"{'board':<26}{'cases':>8}{'seconds':>10}{'MB':>8}   targets: {TARGET_SECONDS:.0f} s, {TARGET_MB:.0f} MB")
    for number, runs in boards_of(folder).items():
        dealt = itertools.cycle(runs)
        configs = [replace(runs[0].config, seed=seed) for seed in range(seed_count)]
        entries = {
            f"entry {entry}": [replace(next(dealt), config=config) for config in configs]
            for entry in range(entry_count)
        }
        rank_by, task = shown[int(number)], runs[0].config.task
        facts = BoardFacts(task, f"board {number}", runs[0].dataset, "-", True, rank_by, (rank_by,), 50)
        board = build_board(facts, entries)
        leaderboard = Leaderboard("cost", "cost", "", "", "", tuple(range(seed_count)), (board,))
        with TemporaryDirectory() as place:
            path = Path(place) / "report.html"
            begin = time.perf_counter()
            write_report(path, leaderboard, [board_evidence(board, entries)], Costs(), "")
            seconds, size_mb = time.perf_counter() - begin, path.stat().st_size / 1e6
        title = f"{number} {task}"
        verdict = "within" if seconds <= TARGET_SECONDS and size_mb <= TARGET_MB else "above"
        print(f"{title:<26}{len(runs[0].test.patient_ids):>8}{seconds:>10.1f}{size_mb:>8.1f}   {verdict}")
        what = f"the report of {entry_count} entries x {seed_count} seeds, board {title}"
        yield within(what, seconds, TARGET_SECONDS)
        yield within(f"{what}: its size", size_mb, TARGET_MB, "MB")


if __name__ == "__main__":
    tell(run())
