"""Boards of what exists, on heads whose scores one can compute by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from few_heads import STUDIES, halved, heads, truth, write_masks
from hand_made import blood_checkpoint, slice_checkpoint
from rich.console import Console

from hemobench.boards.entries import NOTHING, ask_all, open_checkpoints, parse_entry, without_known
from hemobench.boards.masks import masks_board
from hemobench.boards.probabilities import slices_board, studies_board
from hemobench.boards.session import _evidence
from hemobench.boards.shared_cases import Task
from hemobench.case import Dataset
from hemobench.compare.leaderboard import Leaderboard, to_json
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.report import Costs, render_report
from hemobench.datasets.patient_hashes import People, person_hash
from hemobench.errors import UserError
from hemobench.evaluation.slice_position import SLICE_POSITION
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.views.view import SegmentationView


def ask(
    entries: list[str], output: Path, data: Dataset | None = None, missing: str = "count"
) -> tuple[Task | None, Task | None, Task | None]:
    """The boards of slices, studies and masks."""
    data = data or heads()
    wanted = [parse_entry(text) for text in entries]
    with SuiteProgress(Console(quiet=True)) as progress:
        entrants, nothing = ask_all(
            wanted, open_checkpoints(wanted), data, output, missing=missing, engine="torch", progress=progress
        )
    return (
        slices_board(entrants, data, 100),
        studies_board(entrants, data, 100),
        masks_board(entrants, nothing, data, 100),
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Three tools' answers: right, half of it and one false voxel, and a mask without types."""
    write_masks(tmp_path / "right", {name: truth(n) for n, name in enumerate(STUDIES)})
    half = {name: halved(n) for n, name in enumerate(STUDIES)}
    half["s0"][5, 0, 0] = 2
    write_masks(tmp_path / "half", half)
    write_masks(tmp_path / "untyped", {name: (halved(n) > 0).astype(np.uint8) for n, name in enumerate(STUDIES)})
    return tmp_path


def test_masks_are_ranked_on_the_same_cases_beside_nothing(tools: Path) -> None:
    entries = [
        f"A=predictions:{tools / 'half'}",
        f"B=predictions:{tools / 'right'}",
        f"C=predictions:{tools / 'untyped'}",
    ]
    _, _, task = ask(entries, tools / "out")
    assert task is not None
    board = task.board
    # B is right, C has 2/3 twice, A also invents something in s0.
    assert [(entry.name, entry.rank) for entry in board.entries] == [("B", 1), ("C", 2), ("A", 3), (NOTHING, None)]
    dice = {entry.name: entry.metrics["dice_any"].mean for entry in board.entries}
    assert dice == pytest.approx({"B": 1.0, "C": 2 / 3, "A": 4 / 9, NOTHING: 0.0})
    assert board.entries[3].metrics["abs_volume_error_ml_any"].mean == pytest.approx(2.0)  # 4 mL twice, of four
    assert board.entries[0].config["kind"] == "predictions"
    assert board.entries[0].train_seconds is None
    size, kind = board.breakdowns
    assert (size.groups, size.cases) == (("2 to 5 mL",), (2,))
    assert size.scores["A"][0].mean == pytest.approx(2 / 3)
    assert (kind.groups, kind.cases) == (("intraparenchymal", "subdural"), (1, 1))
    assert kind.scores["A"][1].mean == pytest.approx(2 / 3)
    assert kind.scores["C"] == (None, None)
    # Both empty is right, so s0, where A alone outlines something, differs most.
    first = task.disagreements.cases[0]
    assert (first.case, first.truth) == ("s0", "nothing there")
    assert first.answers == ("nothing outlined", "nothing outlined", "Dice 0.00, 0.0 mL")
    assert any("who taught it is unknown" in line for line in board.cautions)


def test_a_classifier_a_table_and_masks_on_one_board_of_slices(tools: Path) -> None:
    slice_checkpoint(tools / "net", gain=800.0)
    (tools / "table").mkdir()
    rows = [
        f"s{n},{index},{0.9 if truth(n)[index].any() else 0.1 + 0.01 * index}" for n in range(4) for index in range(6)
    ]
    (tools / "table" / "slices.csv").write_text("\n".join(["study,slice,any", *rows]))
    entries = [str(tools / "net"), f"predictions:{tools / 'table'}", f"half=predictions:{tools / 'half'}"]
    slices, studies, masks = ask(entries, tools / "out")
    assert slices is not None
    assert studies is not None
    assert masks is not None
    auroc = {entry.name: entry.metrics["auroc_any"].mean for entry in slices.board.entries}
    # Half finds 2 of 4 slices and ranks them above its false alarm: the others tie at 0 with 19 of 20.
    expected = {"hand-made-slice-classifier": 1.0, "table": 1.0, "half": (2 * 20 + 2 * 19 / 2) / (4 * 20)}
    assert {name: auroc[name] for name in expected} == pytest.approx(expected)
    assert SLICE_POSITION in auroc
    by_name = {entry.name: entry for entry in slices.board.entries}
    assert "ece_any" not in by_name["half"].metrics
    assert "auroc_subdural" not in by_name["table"].metrics
    assert "auroc_macro" not in slices.board.shown  # the table knows no types
    (calls,) = slices.board.breakdowns
    assert (calls.groups, calls.cases) == (("sensitivity", "specificity"), (4, 20))
    assert [score.mean for score in calls.scores["half"]] == pytest.approx([0.5, 19 / 20])
    assert studies.board.entries[0].metrics["auroc_any"].n == 4
    assert len(masks.board.entries) == 2
    assert any("says nothing of masks" in line for line in masks.board.cautions)


def test_cases_that_one_lacks_are_left_out_for_all_and_named(tools: Path) -> None:
    write_masks(tools / "some", {name: truth(n) for n, name in enumerate(STUDIES) if name != "s3"})
    entries = [f"A=predictions:{tools / 'half'}", f"B=predictions:{tools / 'some'}"]
    _, _, counted = ask(entries, tools / "a")
    assert counted is not None
    assert counted.board.split["cases"] == 3
    assert any(
        line.startswith("MISSING: B has no masks for 1 of 4 cases") and "s3" in line for line in counted.board.cautions
    )
    _, _, empty = ask(entries, tools / "b", missing="empty")
    assert empty is not None
    assert empty.board.split["cases"] == 4
    assert {entry.name: entry.metrics["dice_any"].mean for entry in empty.board.entries}["B"] == 0.5


def test_a_second_call_asks_nothing_again(tools: Path) -> None:
    blood_checkpoint(tools / "net", view=SegmentationView("subtypes", (5.0, 2.0, 2.0), (8, 24, 24), "brain"))
    entries = [str(tools / "net"), f"predictions:{tools / 'half'}"]
    first = ask(entries, tools / "out")
    kept = {path: path.read_bytes() for path in (tools / "out").rglob("*.jsonl")}
    assert len(kept) == 3

    def damaged() -> None:
        raise UserError("asked again")

    data = heads()
    unreadable = replace(data, cases=tuple(replace(case, load=damaged) for case in data.cases))
    second = ask(entries, tools / "out", data=unreadable)
    for one, other in zip(first, second, strict=True):
        assert one is not None
        assert other is not None
        assert _scores(one) == _scores(other)


def _scores(task: Task) -> list[tuple[str, dict[str, float | None]]]:
    return [
        (entry.name, {name: None if math.isnan(score.mean) else score.mean for name, score in entry.metrics.items()})
        for entry in task.board.entries
    ]


def test_people_that_a_checkpoint_knows_are_refused_left_out_for_all_or_marked(tools: Path) -> None:
    opened = open_checkpoint(slice_checkpoint(tools / "net", gain=800.0))
    people = People((person_hash("rsna", "p1"),), (), ("rsna",))
    taught: list[Checkpoint] = [replace(opened, people=people)]
    data = heads()
    with pytest.raises(UserError, match="1 people of 'bhsd' taught checkpoint"):
        without_known(taught, data, allow=False, leave_out=False)
    assert len(without_known(taught, data, allow=False, leave_out=True).cases) == 3
    wanted = [parse_entry(str(tools / "net")), parse_entry(f"half=predictions:{tools / 'half'}")]
    with SuiteProgress(Console(quiet=True)) as progress:
        entrants, _ = ask_all(
            wanted, {0: taught[0]}, data, tools / "out", missing="count", engine="torch", progress=progress
        )
    assert entrants[0].name == "hand-made-slice-classifier [SEEN: knows 1 of these people]"
    rest = without_known(taught, data, allow=False, leave_out=True)
    with SuiteProgress(Console(quiet=True)) as progress:
        entrants, _ = ask_all(
            wanted[1:],
            {},
            rest,
            tools / "rest",
            missing="count",
            engine="torch",
            progress=progress,
            left_out=data.cases[1:2],
        )
    assert [answer.error for answer in entrants[0].answers] == [None] * 3
    assert not any("fit no case" in line or "MISSING" in line for line in entrants[0].remarks)


def test_the_report_and_the_file_hold_what_the_boards_say(tools: Path) -> None:
    slice_checkpoint(tools / "net", gain=800.0)
    tasks = ask(
        [str(tools / "net"), f"A <b>=predictions:{tools / 'half'}", f"C=predictions:{tools / 'untyped'}"], tools / "out"
    )
    boards = [task for task in tasks if task is not None]
    leaderboard = Leaderboard(
        "entries",
        "t",
        "",
        "now",
        "c",
        (0,),
        tuple(task.board for task in boards),
        protocol="No entry was trained here.",
    )
    page = render_report(leaderboard, [_evidence(task) for task in boards], Costs(), "command")
    assert page.count("Where entries disagree most") == 3
    assert "Dice by size of what is there" in page
    assert "No entry was trained here." in page
    assert "it was trained on the same patients" not in page
    assert "<b>=" not in page
    assert "A &lt;b&gt;" in page
    content = json.loads(to_json(leaderboard))
    assert [board["title"].partition(":")[0] for board in content["boards"]] == [
        "Slices",
        "Studies",
        "Masks of haemorrhage",
    ]
    assert content["boards"][2]["breakdowns"][1]["scores"]["C"] == [None, None]


def test_entries_without_a_name_of_their_own_or_nobody_in_common_are_one_line(tools: Path) -> None:
    half = f"predictions:{tools / 'half'}"
    with pytest.raises(UserError, match="two entries 'half'"):
        ask([half, half], tools / "out")
    write_masks(tools / "one", {"s1": truth(1)})
    with pytest.raises(UserError, match="answers by slice: 1 cases that all of half, one answer; expected at"):
        ask([half, f"predictions:{tools / 'one'}"], tools / "out")
    for text in ("", "A=", "=predictions:x", "predictions:"):
        with pytest.raises(UserError, match="--entry"):
            parse_entry(text)
