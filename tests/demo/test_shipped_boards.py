"""The shipped leaderboards: not older than the code that would make them, and what docs/results says."""

from __future__ import annotations

import ast
import csv
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

import hemobench.stats
from demo.leaderboard_file import parse_leaderboard, read_leaderboard
from demo.shipped_boards import FOLDER, RESULTS, SHIPPED, board_of_tables, main, shipped_boards, stale_reasons
from hemobench.compare.fingerprint import suite_fingerprint
from hemobench.compare.leaderboard import Leaderboard, to_json
from hemobench.compare.suite_files import load_suite
from hemobench.stats import STATISTICS

# What hemobench.stats computes, by its code without words. Where this differs: raise STATISTICS if a board would say
# something else than before, and make the shipped one anew; in either case put the new hash here.
COMPUTES = {1: "54efa3b709637a3f"}


def computed() -> str:
    parts = []
    for path in sorted(Path(hemobench.stats.__file__).parent.glob("*.py")):
        if path.name == "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            first = body[0] if isinstance(body, list) and body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(body) > 1:
                del body[0]
        # Written back, because the dump of a tree differs by Python's version.
        parts.append(ast.unparse(tree))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def test_the_shipped_leaderboard_is_not_older_than_its_suite_and_statistics() -> None:
    # Where this fails: python -m demo.shipped_boards
    assert stale_reasons(read_leaderboard(SHIPPED)) == []


def test_the_version_of_the_statistics_is_that_of_their_code() -> None:
    assert COMPUTES.get(STATISTICS) == computed()


def test_another_suite_and_other_statistics_are_said() -> None:
    made_of = suite_fingerprint(load_suite("quick"))
    fresh = Leaderboard("quick", "t", "", "now", "c", (0,), (), suite_fingerprint=made_of, statistics=STATISTICS)
    assert stale_reasons(fresh) == []
    assert "another one by now" in stale_reasons(replace(fresh, suite="smoke"))[0]
    assert "version 0" in stale_reasons(replace(fresh, statistics=0))[0]
    more = load_suite("quick").with_seeds(4)
    assert suite_fingerprint(more) != fresh.suite_fingerprint


def test_what_a_leaderboard_was_made_of_comes_back_from_its_file() -> None:
    whole = replace(read_leaderboard(FOLDER / "masks-ct-ich.json"), suite_fingerprint="abc", statistics=7)
    read = parse_leaderboard(to_json(whole))
    assert (read.suite_fingerprint, read.statistics) == ("abc", 7)


def test_a_stale_run_is_not_taken(tmp_path: Path) -> None:
    old = replace(read_leaderboard(SHIPPED), statistics=0)
    (tmp_path / "leaderboard.json").write_text(to_json(old), encoding="utf-8")
    before = SHIPPED.read_bytes()
    with pytest.raises(SystemExit, match=r"is not taken: .*run the suite anew"):
        main(["--from", str(tmp_path)])
    assert SHIPPED.read_bytes() == before


def test_phantoms_come_first_and_patients_after_them() -> None:
    words = [one for one, _ in shipped_boards()]
    assert words[0] == "Phantoms: quick"
    assert words[1:] == [f"Patients of ct-ich: {suite}" for suite in ("instability", "leakage", "masks", "weights")]


@pytest.mark.parametrize("name", ["weights-ct-ich", "leakage-ct-ich", "instability-ct-ich"])
def test_a_board_of_patients_says_what_its_tables_say(name: str) -> None:
    shipped = read_leaderboard(FOLDER / f"{name}.json")
    assert to_json(shipped) == to_json(read_again(board_of_tables(RESULTS / name)))
    (board,) = shipped.boards
    entries = {one.name: one for one in board.entries}
    with (RESULTS / name / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        entry = entries[row["entry"]]
        assert row["rank"] == ("" if entry.rank is None else str(entry.rank))
        mean = entry.metrics[row["metric"]].mean
        assert math.isnan(mean) if not row["mean"] else mean == float(row["mean"])
    assert not board.phantom
    assert board.marks == () or name.startswith("leakage")


def test_the_board_of_masks_says_what_its_table_says() -> None:
    # Two boards have one ranking metric, and some entries stand on both.
    found: dict[tuple[str, str], list[float]] = {}
    for board in read_leaderboard(FOLDER / "masks-ct-ich.json").boards:
        for entry in board.entries:
            for metric, score in entry.metrics.items():
                found.setdefault((entry.name, metric), []).append(score.mean)
    with (RESULTS / "masks" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mean"]]
    assert len(rows) > 50
    for row in rows:
        means = found[row["entry"], row["metric"]]
        assert any(math.isclose(mean, float(row["mean"]), rel_tol=1e-5) for mean in means), row


def read_again(board: Leaderboard) -> Leaderboard:
    return parse_leaderboard(to_json(board))
