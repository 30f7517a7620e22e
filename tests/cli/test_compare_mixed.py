"""`hemobench compare SUITE --entry ...` as its users run it: what exists beside what is trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "boards"))

from hand_made import slice_checkpoint
from mixed_suites import masks, slices, write_masks, write_scans, write_table

from hemobench.cli.compare import app
from hemobench.cli.run import run_app
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.views.view import view_from_mapping


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A suite of two boards, one of which names a folder of answers, a checkpoint and another folder."""
    folder = tmp_path_factory.mktemp("beside")
    write_scans(folder / "scans")
    write_masks(folder / "upper", upper=True)
    write_table(folder / "wrong", sign=-1)
    slice_checkpoint(folder / "net", gain=800.0)
    boards = [slices(Path("scans"), {"name": "Wrong", "predictions": "wrong"}), masks(Path("scans"))]
    (folder / "mine.yaml").write_text(yaml.safe_dump({"seeds": 1, "boards": boards}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(folder / "home"))
        patch.chdir(folder)
        data = open_dataset(str(boards[0]["data"]))
        for board in boards:
            # In this process: starting a pool takes longer than eight tiny heads.
            build_examples(data, view_from_mapping(str(board["task"]), board["view"]), jobs=1)  # type: ignore[arg-type]
        yield folder


def compare(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="python -m hemobench.compare", args=arguments)
    return int(caught.value.code or 0)


BESIDE = ("mine.yaml", "--jobs", "1", "--entry", "net", "--entry", "Half a tool=predictions:upper", "-o", "out")


def names(output: Path) -> list[list[str]]:
    boards = json.loads((output / "leaderboard.json").read_text())["boards"]
    return [sorted(entry["name"] for entry in board["entries"] if entry["rank"]) for board in boards]


def test_a_suite_trains_and_ranks_what_exists_beside_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(*BESIDE) == 0
    out, err = capsys.readouterr()
    assert names(place / "out") == [
        ["Half a tool", "Wrong", "cnn", "hand-made-slice-classifier"],
        ["Half a tool", "unet"],
    ]
    assert "net is not on board 'Masks': it is a checkpoint for slice-classifier, not for masks of haemorrhage" in err
    assert "Half a tool: 4 of 4 cases answered" in err
    # Once, though both boards are on these patients.
    assert err.count("note: 4 of 8 patients of nifti-folder are tested; --folds 5 tests all of them") == 1
    assert "Not trained for this board, with one answer beside every seed: Half a tool; their masks" in out
    assert {path.name for path in (place / "out").iterdir()} >= {"entries", "runs", "splits", "report.html"}
    page = (place / "out" / "report.html").read_text().rpartition("<header>")[2]  # plotly's code is above
    assert page.count("Where entries disagree most") == 2
    command = "python -m hemobench.compare mine.yaml --entry net --entry &#39;Half a tool=predictions:upper&#39;"
    assert command in page
    first = json.loads((place / "out" / "leaderboard.json").read_text())["boards"]
    assert compare(*BESIDE) == 0
    _, err = capsys.readouterr()
    assert err.count("all kept from before") == 4
    assert json.loads((place / "out" / "leaderboard.json").read_text())["boards"] == first


def test_a_file_names_what_exists_and_the_options_reach_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(place / "some", studies=["a0", "a1", "a2", "a3", "a4", "a5"])
    some = ("mine.yaml", "--jobs", "1", "--entry", "predictions:some", "-o", "out")
    assert compare(*some) == 0
    assert "MISSING: some has no answers by slice for 1 of 4 cases" in capsys.readouterr().out
    assert names(place / "out")[1] == ["unet"]
    assert compare(*some, "--missing", "empty") == 0
    out, _ = capsys.readouterr()
    assert "MISSING: 1 of 4 cases have no answer by slice and count as empty" in out
    assert "are left out for every entry" not in out
    page = (place / "out" / "report.html").read_text()
    assert "--entry predictions:some --missing empty" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # The default suite is trained where it was said, and not where it was not.
        (
            ("quick", "--entry", "predictions:nowhere", "--data", "nifti-folder:scans,mask_ids=types", "--seeds", "1"),
            "no folder nowhere",
        ),
        (("--entry", "predictions:nowhere", "--data", "nifti-folder:scans", "--seeds", "1"), "--seeds with --entry"),
        (("mine.yaml", "--entry", "net", "--engine", "torch"), "unknown engine 'torch'; known: local, ray"),
        (("mine.yaml", "--entry", "net", "--missing", "zero"), "unknown --missing 'zero'"),
        (("mine.yaml", "--entry", "predictions:"), "--entry 'predictions:'; expected"),
        (("smoke", "--missing", "empty"), "--missing without --entry"),
        (("--list", "--leave-out-seen"), "--leave-out-seen without --entry"),
        (("mine.yaml", "--entry", "Wrong=predictions:upper"), "two entries 'Wrong' on board 'Slices'"),
    ],
)
def test_mistakes_are_one_line_before_anything_trains(
    place: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(*arguments, "-o", "nothing") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.strip().splitlines()[-1]
    assert not (place / "nothing").exists()


def test_mistakes_in_a_file_name_their_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (place / "mine.yaml").read_text().splitlines()
    at = next(number for number, line in enumerate(lines, start=1) if "predictions: wrong" in line)
    indent = lines[at - 1].index("predictions")
    path = "boards[0].entries[1]"
    for change, words in (
        ("epochs: 3", f"line {at + 1}: {path}.epochs is 3; expected nothing to train beside predictions, which exists"),
        ("checkpoint: net", f"line {at}: {path}.predictions is 'wrong'; expected one of checkpoint and predictions"),
    ):
        changed = [*lines[:at], " " * indent + change, *lines[at:]]
        Path("changed.yaml").write_text("\n".join(changed))
        assert compare("changed.yaml") == 2
        assert f"changed.yaml, {words}" in capsys.readouterr().err
    text = "\n".join(lines)
    for old, new, words in (
        ("predictions: wrong", "predictions:", f"line {at}: {path}.predictions is empty; expected a text"),
        ("name: Wrong", "name: cnn", "expected a name that no other entry of this board has"),
        ("  - name: cnn\n", "", "boards[0].entries is [{'name': 'Wrong'"),
        ("  - name: cnn\n", "", "expected at least one to train beside those that exist"),
        # The place of an entry to train is counted among all.
        (
            "- name: unet",
            "- {name: a, predictions: upper}\n  - {name: unet, model: nothing}",
            "boards[1].entries[1] 'unet'",
        ),
    ):
        Path("changed.yaml").write_text(text.replace(old, new))
        assert compare("changed.yaml") == 2
        assert words in capsys.readouterr().err
