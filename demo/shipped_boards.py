"""The leaderboards that are shipped with the page: which there are, whether they are stale, and how they are made.

    python -m demo.shipped_boards                 # a release's command: train the quick suite, then write all
    python -m demo.shipped_boards --from FOLDER   # take what `hemobench.compare quick -o FOLDER` has left there
    python -m demo.shipped_boards --tables        # those of patients alone, from the tables in docs/results

Boards of patients are not trained again for a release. Of most of them the tables are kept (`leaderboard.csv` and
`.md`): the page shows what stands in them, and nothing of single seeds.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.leaderboard_file import read_leaderboard
from hemobench.compare.leaderboard import Board, Entry, Leaderboard, MetricScore, to_json, write_text

FOLDER = Path(__file__).parent / "leaderboards"
QUICK = "quick"
SHIPPED = FOLDER / f"{QUICK}.json"
RESULTS = Path(__file__).parents[1] / "docs" / "results"
_TABLES = ("weights-ct-ich", "leakage-ct-ich", "instability-ct-ich")
_ESCAPED = re.compile(r"\\(.)")


def shipped_boards(folder: Path = FOLDER) -> tuple[tuple[str, Path], ...]:
    """Words and file of each shipped leaderboard, that of phantoms first."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stem != QUICK, path.stem))
    return tuple((board_words(read_leaderboard(path)), path) for path in paths)


def board_words(leaderboard: Leaderboard) -> str:
    """What a choice says: of which patients, then which question."""
    data = sorted({"phantoms" if board.phantom else f"patients of {board.data}" for board in leaderboard.boards})
    return f"{', '.join(data).capitalize()}: {leaderboard.suite}"


def stale_reasons(leaderboard: Leaderboard) -> list[str]:
    """Why a leaderboard of a shipped suite should be made anew; nothing where it is up to date."""
    # Here: the page need not load what trains networks.
    from hemobench.compare.fingerprint import suite_fingerprint
    from hemobench.compare.suite_files import load_suite
    from hemobench.stats import STATISTICS

    reasons = []
    if leaderboard.suite_fingerprint != suite_fingerprint(load_suite(leaderboard.suite)):
        reasons.append(f"the suite {leaderboard.suite} is another one by now (it was trained at {leaderboard.commit})")
    if leaderboard.statistics != STATISTICS:
        reasons.append(f"its statistics are of version {leaderboard.statistics}, the code's of {STATISTICS}")
    return reasons


def board_of_tables(folder: Path) -> Leaderboard:
    """The one board of a folder of docs/results, from its two tables. Raises: ValueError where they hold another
    number of boards."""
    words = (folder / "leaderboard.md").read_text(encoding="utf-8")
    with (folder / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    title, (board_title,) = _after(words, "# ")[0], _after(words, "## ")
    facts = re.search(r"^Suite `(.+)`, seeds ([\d, ]+), commit `(\w+)`, (\S+)\.$", words, re.MULTILINE)
    counted = re.search(r"(\d+) test patients.* over (\d+) draws of patients", words)
    assert facts is not None
    assert counted is not None
    shown = re.findall(r"\|\s*([a-z0-9_]+) [↑↓]", _plain(words[words.index("| rank |") :].partition("\n")[0]))
    answer = [one for one in re.findall(r"^\*\*(.+)\*\*$", _plain(words), re.MULTILINE) if not one.startswith("LEAK")]
    leak = re.search(r"from other images of (\d+) of (\d+) test patients", words)
    split = {"test_patients": int(counted[1])}
    both = {"by": "both", "patients_on_both_sides": int(leak[1])} if leak else {}
    names = list(dict.fromkeys(row["entry"] for row in rows))
    first = rows[0]
    board = Board(
        task=first["task"],
        title=board_title,
        data=first["data"],
        data_fingerprint="",
        phantom=first["phantom"] == "true",
        view={},
        split={**split, **both},
        rank_by=first["rank_by"],
        shown=tuple(shown),
        resamples=int(counted[2]),
        entries=tuple(_entry([row for row in rows if row["entry"] == name]) for name in names),
        cautions=tuple(answer),
    )
    description = _plain(words.split("\n\n")[1])
    seeds = tuple(int(seed) for seed in facts[2].split(", "))
    return Leaderboard(facts[1], title, description, facts[4], facts[3], seeds, (board,))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the shipped leaderboards and say which."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="a finished run of the quick suite")
    parser.add_argument("--tables", action="store_true", help="the boards of patients alone")
    given = parser.parse_args(arguments)
    if not given.tables:
        with tempfile.TemporaryDirectory() as scratch:
            source = given.source or Path(scratch)
            if given.source is None:
                command = [sys.executable, "-m", "hemobench.compare", QUICK, "--no-pictures", "--output", scratch]
                subprocess.run(command, check=True)
            _take_quick(source / "leaderboard.json")
    for name in _TABLES:
        write_text(FOLDER / f"{name}.json", to_json(board_of_tables(RESULTS / name)))
    for words, path in shipped_boards():
        sys.stdout.write(f"{path.name}: {words}\n")
    return 0


def _take_quick(path: Path) -> None:
    leaderboard = read_leaderboard(path)
    reasons = stale_reasons(leaderboard)
    if leaderboard.suite != QUICK or reasons:
        raise SystemExit(f"{path} is not taken: {'; '.join(reasons) or 'it is of another suite'}; run the suite anew")
    write_text(SHIPPED, path.read_text(encoding="utf-8"))


def _after(words: str, mark: str) -> list[str]:
    return [_plain(line.removeprefix(mark)) for line in words.splitlines() if line.startswith(mark)]


def _plain(words: str) -> str:
    return _ESCAPED.sub(r"\1", words)


def _entry(rows: Sequence[Mapping[str, str]]) -> Entry:
    """An entry from its rows, one a metric."""
    row = rows[0]
    ranked, seconds, per_case = row["rank"] != "", row["train_seconds"], row["infer_ms_per_case"]
    return Entry(
        name=row["entry"],
        rank=int(row["rank"]) if ranked else None,
        rank_interval=(int(row["rank_low"]), int(row["rank_high"])) if ranked else None,
        metrics={one["metric"]: _score(one) for one in rows},
        p_better_than_next=float(row["p_better_than_next"]) if row["p_better_than_next"] else None,
        tied_with=tuple(name for name in row["tied_with"].split("; ") if name),
        parameters=int(row["parameters"]) if row["parameters"] else None,
        train_seconds=float(seconds) if seconds else None,
        infer_ms_per_case=float(per_case) if per_case else None,
    )


def _score(row: Mapping[str, str]) -> MetricScore:
    mean, low, high, spread = (
        float(row[name]) if row[name] else math.nan for name in ("mean", "ci_low", "ci_high", "sd_seeds")
    )
    return MetricScore(mean, (low, high), spread, int(row["n"]), int(row["undefined"]))


if __name__ == "__main__":
    sys.exit(main())
