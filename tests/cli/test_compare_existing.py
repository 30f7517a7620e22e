"""`hemobench compare --entry ...` as its users run it, on a folder of scans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bleeding_scans import write_mask, write_scan
from hand_made import slice_checkpoint

from hemobench.cli.compare import app
from hemobench.cli.run import run_app


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, four scans with masks, and two tools' masks, one of which lacks a case."""
    folder = tmp_path_factory.mktemp("existing")
    slice_checkpoint(folder / "net", gain=800.0)
    for number in range(4):
        blood = write_scan(folder, number)
        write_mask(blood, folder / "one" / f"a{number}.nii.gz")
        blood[1] = 0
        if number:
            write_mask(blood, folder / "two" / f"a{number}.nii.gz")
    return folder


def compare(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="python -m hemobench.compare", args=arguments)
    return int(caught.value.code or 0)


ENTRIES = ("--entry", "net", "--entry", "Tool one=predictions:one", "--entry", "predictions:two", "--engine", "torch")


def test_three_boards_and_a_second_run_that_asks_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert compare(*ENTRIES, "--data", "nifti-folder:scans", "-o", "out") == 0
    out, err = capsys.readouterr()
    assert "two: 3 of 4 cases answered" in err
    assert "MISSING: two has no masks for 1 of 4 cases, which are left out for every entry: a0" in out
    assert {path.name for path in (place / "out").iterdir()} == {
        "leaderboard.json",
        "leaderboard.csv",
        "leaderboard.md",
        "leaderboard.tex",
        "report.html",
        "entries",
        "board.json",
        "answers",
    }
    boards = json.loads((place / "out" / "leaderboard.json").read_text())["boards"]
    assert [board["title"].partition(":")[0] for board in boards] == ["Slices", "Studies", "Masks of haemorrhage"]
    assert [entry["name"] for entry in boards[2]["entries"]][:2] == ["Tool one", "two"]
    page = (place / "out" / "report.html").read_text().rpartition("<header>")[2]  # plotly's code is above
    assert "Where entries disagree most" in page
    # Two of the three common cases bleed, one of them where tool two finds nothing: the truth and two masks of each.
    assert page.count("data:image/png;base64,") == 2 * 3
    assert compare(*ENTRIES, "--data", "nifti-folder:scans", "-o", "out") == 0
    _, err = capsys.readouterr()
    assert err.count("all kept from before") == 3
    assert compare(*ENTRIES, "--data", "nifti-folder:scans", "-o", "out", "--no-pictures") == 0
    assert "data:image/png" not in (place / "out" / "report.html").read_text().rpartition("<header>")[2]
    again = json.loads((place / "out" / "leaderboard.json").read_text())["boards"]
    assert again == boards


def test_a_file_of_entries_says_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    Path("board.yaml").write_text(
        "data: nifti-folder:scans\nmissing: empty\nentries:\n  - {name: Tool, predictions: one}\n  - predictions: two\n"
    )
    assert compare("board.yaml", "-o", "from-file") == 0
    out, _ = capsys.readouterr()
    assert "MISSING: 1 of 4 cases have no mask and count as empty: a0" in out
    boards = json.loads((place / "from-file" / "leaderboard.json").read_text())["boards"]
    assert boards[-1]["split"]["cases"] == 4
    assert [entry["name"] for entry in boards[-1]["entries"]][:2] == ["Tool", "two"]
    for text, words in (
        ("entries: []", "expected a list with at least one item"),
        ("entries: [{predictions: a, checkpoint: b}]", "line 1: entries[0].checkpoint is 'b'; expected one of"),
        ("entries: [{predictions: one, seeds: 2}]", "unknown key 'seeds'"),
        ("entries: [{predictions: one}]", "add --data NAME:PATH"),
    ):
        Path("wrong.yaml").write_text(text)
        assert compare("wrong.yaml") == 2
        assert words in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--entry", "net"), "--entry without --data"),
        (("--entry", "net", "--data", "phantom", "--seeds", "2"), "--seeds with --entry"),
        (("--entry", "net", "--data", "phantom", "--engine", "ray"), "unknown engine 'ray'"),
        (("--entry", "net", "--data", "phantom", "--missing", "zero"), "unknown --missing 'zero'"),
        (("--entry", "nowhere", "--data", "phantom"), "neither a folder nor a Hub id"),
        (("--entry", "predictions:nowhere", "--data", "nifti-folder:scans"), "no folder nowhere"),
        (("--entry", "net", "--data", "phantom-t1"), "choose another data set or checkpoint"),
        (("--allow-seen",), "--allow-seen without --entry"),
    ],
)
def test_mistakes_are_one_line(
    place: Path,
    arguments: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert compare(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.strip().splitlines()[-1]
