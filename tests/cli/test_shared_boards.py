"""A leaderboard that goes round: one measures and pushes, another ranks an entry of their own against it and pushes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bleeding_scans import write_mask, write_scan
from hand_made import slice_checkpoint

from hemobench.cli.compare import app as compare_app
from hemobench.cli.hub import app as hub_app
from hemobench.cli.run import run_app

from ..local_hub import LocalHub

DATA = ("--data", "nifti-folder:scans", "--engine", "torch", "--no-pictures")
BOARD = "datasets/alice/heads"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scans with masks, a checkpoint, and the masks of two tools, the second of which misses some."""
    folder = tmp_path_factory.mktemp("made")
    slice_checkpoint(folder / "net", gain=800.0)
    for number in range(8):
        found = write_scan(folder, number)
        found[:, 8:9] = 0
        write_mask(found, folder / "one" / f"a{number}.nii.gz")
        found[:, :, 12 + number :] = 0
        write_mask(found, folder / "two" / f"a{number}.nii.gz")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.point_client_at(monkeypatch, tmp_path / "hub-cache")
        yield server


@pytest.fixture
def as_somebody(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a command as somebody who has a copy of the data of their own."""

    def run(who: str, app: Any, *arguments: str) -> tuple[int, str, str]:
        place = tmp_path / who
        if not place.exists():
            shutil.copytree(made, place)
        monkeypatch.chdir(place)
        monkeypatch.setenv("HF_TOKEN", f"hf_{who}")
        with pytest.raises(SystemExit) as caught:
            run_app(app, prog_name="hemobench", args=arguments)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def pushed_by_alice(as_somebody: Call) -> None:
    entries = ("--entry", "Net=net", "--entry", "Tool one=predictions:one")
    assert as_somebody("alice", compare_app, *entries, *DATA, "-o", "out")[0] == 0
    code, out, err = as_somebody("alice", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 0, err
    assert out.startswith("pushed to alice/heads, commit ")


def shared(hub: LocalHub) -> dict[str, bytes]:
    repository = hub.repositories[BOARD]
    return repository.commits[repository.references["main"]]


def test_a_second_person_adds_an_entry_as_if_one_had_measured_all(hub: LocalHub, as_somebody: Call) -> None:
    pushed_by_alice(as_somebody)
    before = shared(hub)
    assert {path for path in before if path != ".gitattributes"} == {
        "leaderboard.json",
        "report.html",
        "board.json",
        "README.md",
        "answers/net.jsonl",
        "answers/tool-one.jsonl",
    }
    own = ("--entry", "predictions:two")
    code, out, err = as_somebody("bob", compare_app, *own, "--entry", "board:alice/heads", *DATA, "-o", "out")
    assert code == 0, err
    assert "2 entries from the board alice/heads" in err
    assert "Measured by alice: Net, Tool one." in out
    assert "Measured here: two." in out
    code, _, err = as_somebody("bob", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 0, err
    after = shared(hub)
    assert {path: after[path] for path in before if path.startswith("answers/")} == {
        path: content for path, content in before.items() if path.startswith("answers/")
    }
    boards = json.loads(after["leaderboard.json"])["boards"]
    people = {entry["name"]: entry["config"].get("measured_by") for entry in boards[2]["entries"] if entry["rank"]}
    assert people == {"Tool one": "alice", "two": "bob"}
    assert "| two | bob | predictions |" in after["README.md"].decode()
    assert "Measured by bob: two." in boards[2]["cautions"]

    everything = ("--entry", "predictions:two", "--entry", "Net=net", "--entry", "Tool one=predictions:one")
    assert as_somebody("carol", compare_app, *everything, *DATA, "-o", "out")[0] == 0
    alone = json.loads(Path("out/leaderboard.json").read_text())["boards"]
    for board, other in zip(boards, alone, strict=True):
        for entry, same in zip(board["entries"], other["entries"], strict=True):
            for name in ("name", "rank", "rank_interval", "metrics", "to_best", "to_others", "tied_with"):
                assert entry[name] == same[name], (board["title"], entry["name"], name)


def test_nothing_of_the_data_is_shared(hub: LocalHub, as_somebody: Call) -> None:
    pushed_by_alice(as_somebody)
    for name, content in shared(hub).items():
        if name.startswith("answers/"):
            assert b"a1" not in content
            assert b"targets" not in content
        assert b"data:image/png" not in content.rpartition(b"<header>")[2], name
        assert b"alice/scans" not in content.rpartition(b"<header>")[2], name


def test_a_board_only_grows(hub: LocalHub, as_somebody: Call) -> None:
    pushed_by_alice(as_somebody)
    assert as_somebody("bob", compare_app, "--entry", "predictions:two", *DATA, "-o", "out")[0] == 0
    push = ("push-board", "out", "alice/heads", "--names-are-public")
    code, _, err = as_somebody("bob", hub_app, *push)
    assert code == 2
    assert "has 'Net', measured by alice, and this one lacks it" in err
    other = ("--entry", "predictions:two", "--entry", "Tool one=predictions:two", "--entry", "Net=net")
    assert as_somebody("bob", compare_app, *other, *DATA, "-o", "out")[0] == 0
    assert "this one has another" in as_somebody("bob", hub_app, *push)[2]
    # Whoever measured a row may take it back.
    assert as_somebody("alice", compare_app, "--entry", "predictions:two", *DATA, "-o", "out")[0] == 0
    assert as_somebody("alice", hub_app, *push)[0] == 0
    assert sorted(path for path in shared(hub) if path.startswith("answers/")) == ["answers/two.jsonl"]


def test_a_leaderboard_of_trained_networks_is_shared_and_stays_its_owners(hub: LocalHub, as_somebody: Call) -> None:
    push = ("push-board", "out", "alice/trained")
    assert as_somebody("alice", compare_app, "smoke", "--jobs", "1", "-o", "out")[0] == 0
    code, _, err = as_somebody("alice", hub_app, *push)
    assert code == 0, err
    repository = hub.repositories["datasets/alice/trained"]
    files = repository.commits[repository.references["main"]]
    assert set(files) - {".gitattributes"} == {"leaderboard.json", "report.html", "README.md"}
    board = json.loads(files["leaderboard.json"])["boards"][0]
    assert {entry["config"].get("measured_by") for entry in board["entries"] if entry["rank"]} == {"alice"}
    card = files["README.md"].decode()
    row = next(line for line in card.splitlines() if line.startswith("| ") and "| alice | trained |" in line)
    assert len(row.split("|")[-2].strip(" `")) == 12, "the answers behind it are told by their hash"
    assert "To add an entry" not in card
    assert as_somebody("alice", hub_app, *push)[0] == 0
    assert as_somebody("bob", compare_app, "smoke", "--jobs", "1", "-o", "out")[0] == 0
    code, _, err = as_somebody("bob", hub_app, *push)
    assert code == 2
    assert "alice/trained holds a leaderboard that alice measured" in err


def test_what_would_tell_of_patients_is_refused(hub: LocalHub, as_somebody: Call) -> None:
    entries = ("--entry", "predictions:two", "--entry", "predictions:one")
    assert as_somebody("alice", compare_app, *entries, *DATA[:-1], "-o", "out")[0] == 0
    code, _, err = as_somebody("alice", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 2
    assert "report shows slices of patients" in err
    assert as_somebody("alice", compare_app, *entries, *DATA, "-o", "out")[0] == 0
    code, _, err = as_somebody("alice", hub_app, "push-board", "out", "alice/heads")
    assert code == 2
    assert "add --names-are-public" in err
    assert BOARD not in hub.repositories


def test_names_of_a_tools_files_and_paths_of_a_machine_stay_there(
    hub: LocalHub, as_somebody: Call, tmp_path: Path
) -> None:
    entries = ("--entry", f"Tool=predictions:{tmp_path / 'alice' / 'one'}", "--entry", "predictions:two")
    assert as_somebody("alice", compare_app, *entries, *DATA, "-o", "out")[0] == 0
    page = Path("out/report.html").read_text().rpartition("<header>")[2]
    assert "predictions:one" in page
    assert str(tmp_path) not in page
    shutil.copy("one/a1.nii.gz", "one/DOE_JOHN.nii.gz")
    assert as_somebody("alice", compare_app, *entries, *DATA, "-o", "out")[0] == 0
    record = json.loads(Path("out/board.json").read_text())
    assert record["own_names"] is True
    assert "DOE" in json.dumps(record), "named here, so that it can be put right"


@pytest.mark.parametrize("name", ["leaderboard.json", "report.html", "leaderboard.md"])
def test_what_was_changed_since_is_not_pushed(hub: LocalHub, as_somebody: Call, name: str) -> None:
    assert as_somebody("alice", compare_app, "--entry", "predictions:one", *DATA, "-o", "out")[0] == 0
    Path("out", name).write_text(Path("out", name).read_text() + " ")
    code, _, err = as_somebody("alice", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 2
    assert f"{name} is not what board.json says" in err
    assert BOARD not in hub.repositories


def test_nobody_adds_a_row_in_anothers_name_or_ends_a_board(hub: LocalHub, as_somebody: Call) -> None:
    pushed_by_alice(as_somebody)
    own = ("--entry", "predictions:two", "--entry", "board:alice/heads")
    assert as_somebody("bob", compare_app, *own, *DATA, "-o", "out")[0] == 0
    record = json.loads(Path("out/board.json").read_text())
    record["rows"][0]["measured_by"] = "alice"
    Path("out/board.json").write_text(json.dumps(record))
    code, _, err = as_somebody("bob", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 2
    assert "'two' is said to be measured by alice, and the repository's board does not have it" in err
    Path("out/board.json").unlink()
    code, _, err = as_somebody("bob", hub_app, "push-board", "out", "alice/heads", "--names-are-public")
    assert code == 2
    assert "holds a board that others add to" in err


@pytest.mark.parametrize(
    "line", ['{"number": 0, "metrics": []}', '{"number": 0, "metrics": {"dice_any": 5.0}}', "[" * 99_999]
)
def test_answers_that_nobody_can_have_are_one_line(hub: LocalHub, as_somebody: Call, line: str) -> None:
    assert as_somebody("alice", compare_app, "--entry", "predictions:one", *DATA, "-o", "out")[0] == 0
    path, answers = Path("out/board.json"), Path("out/answers/one.jsonl")
    answers.write_text("\n".join([line, *answers.read_text().splitlines()[1:]]))
    record = json.loads(path.read_text())
    record["rows"][0]["sha256"] = hashlib.sha256(answers.read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    code, _, err = as_somebody("alice", compare_app, "--entry", "board:out", *DATA, "-o", "again")
    assert code == 2
    assert "answers of 'one' hold a line that is no answer" in err


def test_a_board_of_other_data_or_with_changed_answers_is_refused(hub: LocalHub, as_somebody: Call) -> None:
    pushed_by_alice(as_somebody)
    own = ("--entry", "Tool one=predictions:two", "--entry", "board:alice/heads")
    code, _, err = as_somebody("bob", compare_app, *own, *DATA, "-o", "out")
    assert code == 2
    assert "two entries 'Tool one', one of them from a board" in err
    Path("scans/images/a7.nii.gz").unlink()
    Path("scans/masks/a7.nii.gz").unlink()
    own = ("--entry", "predictions:two", "--entry", "board:alice/heads")
    code, _, err = as_somebody("bob", compare_app, *own, *DATA, "-o", "out")
    assert code == 2
    assert "the board is of 8 cases of 'nifti-folder'" in err
    hub.commit(BOARD, {**shared(hub), "answers/tool-one.jsonl": b'{"number": 0}\n'})
    code, _, err = as_somebody("carol", compare_app, *own, *DATA, "-o", "out")
    assert code == 2
    assert "answers/tool-one.jsonl is not what board.json says" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--entry", "board:nowhere"), "board 'nowhere' is no folder"),
        (("--entry", "board:alice/nothing"), "board alice/nothing is no folder here and cannot be fetched"),
        (("--entry", "Mine=board:alice/heads"), "leave 'Mine=' out"),
    ],
)
def test_mistakes_are_one_line(hub: LocalHub, as_somebody: Call, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = as_somebody("bob", compare_app, *arguments, *DATA)
    assert (code, out) == (2, "")
    assert words in err.strip().splitlines()[-1]


def test_a_push_without_a_board_or_a_name_is_one_line(
    hub: LocalHub, as_somebody: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = as_somebody("alice", hub_app, "push-board", "one", "alice/heads")
    assert code == 2
    assert "leaderboard.json is no leaderboard; expected a folder that `compare` wrote" in err
    code, _, err = as_somebody("alice", hub_app, "push-board", "one", "heads")
    assert code == 2
    assert "expected user/name" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda board: board | {"schema": "other/1"}, "schema is 'other/1'"),
        (lambda board: board | {"rows": []}, "expected a list with at least one item"),
        (lambda board: board | {"cases": 0}, "expected a whole number of at least 1"),
        (lambda board: board | {"rows": board["rows"] * 2}, "no name twice"),
        (lambda board: board | {"rows": [board["rows"][0] | {"file": "../../x"}]}, "answers/ and the entry's name"),
        (lambda board: board | {"rows": [board["rows"][0] | {"name": "a\u202eb"}]}, "a line of at most"),
        (lambda board: board | {"rows": [board["rows"][0] | {"rule": {}}]}, "rule.thresholds is missing"),
    ],
)
def test_a_record_that_somebody_made_up_is_one_line(
    hub: LocalHub, as_somebody: Call, change: Callable[[dict[str, Any]], dict[str, Any]], words: str
) -> None:
    assert as_somebody("alice", compare_app, "--entry", "predictions:one", *DATA, "-o", "out")[0] == 0
    path = Path("out/board.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    code, _, err = as_somebody("alice", compare_app, "--entry", "board:out", *DATA, "-o", "again")
    assert code == 2
    assert words in err.strip().splitlines()[-1]
