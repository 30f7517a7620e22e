"""A dropped leaderboard.json: read as written, refused in one line otherwise, shown as numbers, words and figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from demo.leaderboard import (
    SHIPPED,
    board_table,
    board_view,
    choices,
    leaderboard_mapping,
    plain_for_plotly,
    ranking_figure,
    types_figure,
)
from demo.leaderboard_file import MOST_BYTES, parse_leaderboard, read_leaderboard
from hemobench.compare.leaderboard import Board, Entry, Leaderboard, MetricScore, to_json
from hemobench.errors import UserError

HOSTILE = '<img src=x onerror=alert(1)> %{x} <a href="https://example.org">'


def entry(name: str, rank: int | None, mean: float, tied: tuple[str, ...] = ()) -> Entry:
    score = MetricScore(mean, (mean - 0.1, mean + 0.1), 0.02, 120, 3)
    return Entry(
        name,
        rank,
        None if rank is None else (1, 2),
        {"auroc_any": score},
        0.75 if rank == 1 else None,
        tied,
        1_946_330 if rank else None,
        75.0 if rank else None,
        4.26 if rank else None,
        {"model": "paper_cnn"},
        (0, 1),
        {"auroc_any": (mean - 0.01, mean + 0.01)},
    )


def leaderboard(name: str = "cnn", leaky: bool = False) -> Leaderboard:
    entries = (entry(name, 1, 0.8, ("other",)), entry("other", 2, 0.75, (name,)), entry("position", None, 0.6))
    split = {"train_patients": 60, "validation_patients": 15, "test_patients": 25}
    board = Board(
        "classification",
        "Which types?",
        "phantom",
        "abc",
        True,
        {},
        split,
        "auroc_any",
        ("auroc_any", "ap_any"),
        2000,
        entries,
        leaky,
    )
    return Leaderboard("quick", "Quick", "Two nets.", "2026-11-22T10:00:00+00:00", "f" * 40, (0, 1), (board,))


def changed(**values: Any) -> str:
    """The JSON of a leaderboard in which the first entry has other values; `board__x` changes the board's."""
    content = json.loads(to_json(leaderboard()))
    for name, value in values.items():
        where = content["boards"][0] if name.startswith("board__") else content["boards"][0]["entries"][0]
        where[name.removeprefix("board__")] = value
    return json.dumps(content)


def test_what_compare_writes_comes_back_as_it_was() -> None:
    written = leaderboard(leaky=True)
    read = parse_leaderboard(to_json(written))
    assert read.boards[0].entries == written.boards[0].entries
    assert read.boards[0].marks == written.boards[0].marks
    assert (read.suite, read.commit, read.seeds) == (written.suite, written.commit, written.seeds)


def test_an_undefined_score_is_nan_again() -> None:
    content = json.loads(to_json(leaderboard()))
    content["boards"][0]["entries"][0]["metrics"]["auroc_any"]["mean"] = None
    assert math.isnan(parse_leaderboard(json.dumps(content)).boards[0].entries[0].metrics["auroc_any"].mean)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"schema": NaN}', "no JSON"),
        ("1" * 5000, "no JSON"),
        ("[1, 2]", "expected an object"),
        ("{}", "names no schema, .*; expected the schema hemobench.leaderboard/1"),
        ('{"schema": "other"}', "schema is 'other', so it is no leaderboard"),
        (changed(rank=0), r"boards\[0\].entries\[0\].rank holds 0; expected a whole number from 1"),
        (changed(rank=True), "rank holds True"),
        (changed(rank="1"), "rank holds '1'"),
        (changed(p_better_than_next=1.5), "p_better_than_next holds 1.5; expected a number from 0 to 1"),
        (changed(train_seconds=1e999), "no JSON|train_seconds"),
        (changed(name="x" * 500), "expected text of at most 120 letters"),
        (changed(name="other"), "no name twice"),
        (changed(metrics={}), "a score of auroc_any"),
        (changed(metrics={"<script>": {}}), "a metric's name"),
        (changed(metrics={"auroc_any": {"mean": 1, "ci": [1], "sd_seeds": 0, "n": 1, "undefined": 0}}), "upper limit"),
        (changed(config={"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}), "nested at most 8"),
        (changed(board__entries=[]), "one entry at least"),
        (changed(board__phantom="no"), "phantom holds 'no'; expected true or false"),
        (changed(board__entries=[{}] * 201), "a list of at most 200"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        parse_leaderboard(text)
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 400
    assert "python -m hemobench.compare" in line


def test_a_large_or_binary_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.json", tmp_path / "binary.json"
    large.write_bytes(b" " * (MOST_BYTES + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"4\.0 MiB; expected at most 4"):
        read_leaderboard(large)
    with pytest.raises(UserError, match="no text"):
        read_leaderboard(binary)
    with pytest.raises(UserError, match="gone"):
        read_leaderboard(tmp_path / "none.json")


def test_letters_that_turn_a_line_around_are_taken_out() -> None:
    read = parse_leaderboard(changed(name="good\u202egnp\u0000\nnet"))
    assert read.boards[0].entries[0].name == "goodgnp net"


def test_the_table_holds_numbers() -> None:
    table = board_table(leaderboard().boards[0])
    assert table["rank"].tolist()[:2] == [1, 2]
    assert table["rank"].isna().tolist() == [False, False, True]
    assert table["auroc_any"].tolist() == [0.8, 0.75, 0.6]
    assert table["auroc_any_low"].iloc[0] == pytest.approx(0.7)
    assert table["ap_any"].isna().all()
    assert table["tied_with"].tolist() == ["other", "cnn", ""]


def test_the_view_says_marks_ranks_ties_and_chances() -> None:
    view = board_view(leaderboard(leaky=True), 0)
    json.dumps(view, allow_nan=False)
    assert [mark.split()[0] for mark in view["marks"]] == ["PHANTOM", "LEAK:"]
    first, _, reference = view["rows"]
    assert first["cells"]["rank"] == {"text": "1", "sort": 1, "small": "1 to 2"}
    assert first["cells"]["entry"]["small"] == "tied with other"
    assert first["cells"]["auroc_any"]["text"] == "0.800"
    assert first["cells"]["auroc_any"]["spread"] == "± 0.020"
    assert first["cells"]["auroc_any"]["small"] == "0.700 to 0.900, 3 undefined"
    # Over all entries the intervals run from 0.5 to 0.9.
    assert first["cells"]["auroc_any"]["bar"] == [50.0, 75.0, 100.0]
    assert first["cells"]["better"]["text"] == "75%"
    assert first["cells"]["parameters"]["text"] == "1.95M"
    assert reference["reference"]
    assert reference["cells"]["rank"]["sort"] is None
    assert view["notes"] == ["Tied, as far as these patients tell: cnn and other."]


def test_figures_have_intervals_and_seeds_as_dots() -> None:
    figure = ranking_figure(leaderboard().boards[0])
    seeds = [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert list(seeds[0].x) == [0.79, 0.81]
    means = [trace for trace in figure.data if trace.marker.symbol == "diamond"]
    assert means[0].error_x.array[0] == pytest.approx(0.1)
    types = types_figure(leaderboard().boards[0])
    assert types is not None
    assert list(types.data[0].x) == ["any"]


def test_plotly_is_given_no_tag_and_no_template_of_a_name() -> None:
    figure = ranking_figure(leaderboard(HOSTILE).boards[0])
    types = types_figure(leaderboard(HOSTILE).boards[0])
    assert types is not None
    for text in (figure.to_json(), types.to_json()):
        read = json.dumps(json.loads(text), ensure_ascii=False)
        assert "<img" not in read
        assert "<a " not in read
        assert "%{x} &lt;a" not in read
    assert plain_for_plotly("a < b") == "a &lt; b"


def test_boards_of_one_title_are_told_apart_by_their_data() -> None:
    one = leaderboard().boards[0]
    assert choices([one]) == [("Which types?", 0)]
    assert choices([one, one]) == [("1: Which types? (phantom)", 0), ("2: Which types? (phantom)", 1)]


def test_the_shipped_leaderboard_is_from_a_clean_commit_and_says_phantom() -> None:
    shipped = read_leaderboard(SHIPPED)
    assert shipped.suite == "quick"
    assert len(shipped.commit) == 40
    assert all(board.phantom for board in shipped.boards)
    assert all(len(one.seeds) >= 2 for board in shipped.boards for one in board.entries if one.rank is not None)
    assert leaderboard_mapping()["boards"][0]["title"] == shipped.boards[0].title
