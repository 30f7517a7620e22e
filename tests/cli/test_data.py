"""`hemobench data`, through its real entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.cli.data import app
from hemobench.cli.run import run_app
from hemobench.datasets.opening import known_datasets

CSV = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No_Hemorrhage,"
    "Fracture_Yes_No\n49,1,0,0,0,1,0,0,0\n49,2,0,0,0,0,0,1,0\n50,1,0,0,0,0,0,1,0\n50,2,0,0,0,0,0,1,0\n"
)


def make_copy(root: Path) -> Path:
    for patient in ("049", "050"):
        for window in ("brain", "bone"):
            folder = root / "Patients_CT" / patient / window
            folder.mkdir(parents=True)
            for number in (1, 2):
                Image.fromarray(np.full((16, 16), 100, dtype=np.uint8)).save(folder / f"{number}.jpg")
    (root / "hemorrhage_diagnosis.csv").write_text(CSV, encoding="utf-8-sig")
    return root


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="hemobench data", args=args)
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def process(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *args]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**os.environ, **environment}, check=False
    )


def test_list_is_tab_separated_away_from_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "list")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [line[0] for line in lines] == ["name", *known_datasets()]
    assert {len(line) for line in lines} == {8}
    assert all(field for line in lines for field in line)


def test_list_is_a_table_on_a_terminal() -> None:
    # rich takes this for a terminal, as CI systems that show colour ask it to.
    result = process("hemobench.data", "list", FORCE_COLOR="1", COLUMNS="150")
    assert result.returncode == 0
    assert "┃" in result.stdout
    assert "\t" not in result.stdout


def test_check_counts_and_names_every_defect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_copy(tmp_path)
    (root / "Patients_CT" / "050" / "bone" / "2.jpg").unlink()
    code, out, err = call(capsys, "check", f"ct-ich:{root}")
    assert code == 0
    assert "2 cases, 2 patients, 3 slices, 0 masks" in out
    assert "epidural\t1\t1" in out
    assert "any\t1\t1" in out
    assert "left out or inconsistent: 1" in out
    assert "Patients_CT/050/bone/2.jpg" in out
    assert "checking ct-ich: 2 of 2" in err


def test_check_of_a_whole_copy_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "check", f"ct-ich:{make_copy(tmp_path)}")
    assert code == 0
    assert "no defects" in out


def test_check_ends_with_one_when_a_case_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_copy(tmp_path)
    (root / "Patients_CT" / "049" / "brain" / "1.jpg").write_text("no picture")
    code, out, _ = call(capsys, "check", f"ct-ich:{root}")
    assert code == 1
    assert "cannot be read: 1" in out
    assert "1.jpg is no picture" in out


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["check", "ct-ihc"], "did you mean 'ct-ich'"),
        (["check", "ct-ich:no/such/folder"], "no folder"),
        (["check", "ct-ich"], "without a path"),
        (["check"], "Missing argument"),
        (["build", "fantom", "--output", "somewhere"], "did you mean 'phantom'"),
        (["build", "phantom"], "Missing option"),
        (["build", "phantom", "--output", "somewhere", "--patients", "0"], "--patients"),
        (["build", "phantom", "--output", "somewhere", "--anatomy", "no/such/folder"], "no folder"),
        (["bulid"], "bulid"),
    ],
)
def test_mistakes_are_one_line(args: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *args)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert part in err


def test_build_leaves_full_folders_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    code, _, err = call(capsys, "build", "phantom", "--output", str(tmp_path))
    assert code == 2
    assert "holds something else" in err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_every_entry_reaches_the_same_command() -> None:
    results = [process(*entry, "list") for entry in (("hemobench.data",), ("hemobench", "data"))]
    assert [result.returncode for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout != ""


def test_cache_counts_what_it_holds_and_clears_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path))
    (tmp_path / "cache" / "one").mkdir(parents=True)
    (tmp_path / "cache" / "one" / "images.npy").write_bytes(bytes(2_000_000))
    (tmp_path / "mine.txt").write_text("kept")
    code, out, _ = call(capsys, "cache")
    assert code == 0
    assert "cache\t2.0 MB" in out
    assert (tmp_path / "cache" / "one" / "images.npy").exists()
    code, out, _ = call(capsys, "cache", "--clear")
    assert code == 0
    assert "deleted\t2.0 MB" in out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
