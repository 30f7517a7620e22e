from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hand_made import slice_checkpoint
from PIL import Image

from hemobench.cli.evaluate import HEADINGS, app
from hemobench.cli.run import run_app
from hemobench.evaluation.run import METRICS, PREDICTIONS
from hemobench.io.nifti import write_nifti
from hemobench.volume import LABEL_MAP, Volume, display_affine


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that sees bright spots, and pictures with a table whose columns have names of their own."""
    folder = tmp_path_factory.mktemp("place")
    slice_checkpoint(folder / "net", threshold_hu=40.0, gain=800.0)
    pictures = folder / "pictures"
    pictures.mkdir()
    random = np.random.default_rng(0)
    lines = ["scan, person, blood"]
    for number in range(24):
        grey = random.integers(60, 90, (64, 64)).astype(np.uint8)
        if number % 3 == 0:
            grey[20:34, 20:34] = 220
        Image.fromarray(grey).save(pictures / f"{number:03d}.png")
        lines.append(f"{number}, person{number // 4}, {int(number % 3 == 0)}")
    (pictures / "labels.csv").write_text("\n".join(lines))
    return folder


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hemobench.evaluate", *arguments]
    env = {**os.environ, "HEMOBENCH_HOME": str(place / "home")}
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False, env=env, cwd=place)


COLUMNS = ("--image-column", "scan", "--label", "any=blood", "--patient-column", "person")


def test_a_folder_of_pictures_with_any_column_names(place: Path) -> None:
    done = run(place, "net", "--data", "image-folder:pictures", *COLUMNS, "--engine", "torch")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert tuple(lines[1]) == HEADINGS
    assert ["auroc_any", "1.000", "1.000 to 1.000", "24", ""] in lines
    assert "on image-folder: 6 patients" in done.stdout
    assert "intervals: 95%, from 1000 draws of patients" in done.stdout
    assert "24 slices in" in done.stdout
    folder = place / "hemobench-evaluation" / "hand-made-slice-classifier"
    content = json.loads((folder / METRICS).read_text())
    assert content["metrics"]["auroc_any_patient"]["n"] == 6
    with (folder / PREDICTIONS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target_any"] for row in rows] == [str(int(number % 3 == 0)) for number in range(24)]


def test_without_patients_it_says_that_intervals_are_by_image(place: Path) -> None:
    spec = "image-folder:pictures,id_column=scan,any_column=blood"
    done = run(place, "net", "--data", spec, "--output", "out", "--engine", "torch")
    assert done.returncode == 0, done.stderr
    assert "unknown patients, 24 images" in done.stdout
    assert "patients are unknown: intervals are by image" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "--data", "phantom"), "neither a folder nor a Hub id"),
        (("net", "--data", "image-folder:nowhere"), "no folder nowhere"),
        (("net", "--data", "image-folder:pictures", "--label", "blood=any"), "unknown class 'blood'"),
        (("net", "--data", "image-folder:pictures", "--label", "any"), "expected CLASS=COLUMN"),
        (("net", "--data", "ct-ich:pictures", "--image-column", "scan"), "columns for data set 'ct-ich'"),
        (("net", "--data", "phantom-t1"), "choose another data set or checkpoint"),
        (("net", "--data", "phantom", "--engine", "fast"), "unknown engine 'fast'"),
        (("net",), "Missing option '--data'"),
        (("predictions:nowhere", "--data", "phantom"), "no folder nowhere; expected predictions:FOLDER"),
        (("predictions:pictures", "--data", "phantom", "--missing", "none"), "unknown --missing 'none'"),
        (("predictions:pictures", "--data", "phantom", "--allow-seen"), "--allow-seen; expected it with a checkpoint"),
        (("net", "--data", "phantom", "--ids", "1=blood"), "--ids; expected it with predictions:FOLDER alone"),
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
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="python -m hemobench.evaluate", args=arguments)
    captured = capsys.readouterr()
    assert (caught.value.code, captured.out) == (2, "")
    assert words in captured.err.strip().splitlines()[-1]


def test_predictions_of_another_tool_on_a_folder_of_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    affine = display_affine((4, 16, 16), (5.0, 2.0, 2.0))
    for number in range(3):
        blood = np.zeros((4, 16, 16), dtype=np.uint8)
        blood[1:3, 4:8, 4 : 8 + number] = 1
        scan = np.where(blood > 0, 70.0, 30.0).astype(np.float32)
        write_nifti(Volume(scan, affine), tmp_path / "scans" / "images" / f"a{number}.nii.gz")
        write_nifti(Volume(blood, affine, LABEL_MAP), tmp_path / "scans" / "masks" / f"a{number}.nii.gz")
        if number:
            write_nifti(Volume(blood, affine, LABEL_MAP), tmp_path / "made" / f"a{number}_pred.nii.gz")
    words = ("predictions:made", "--data", "nifti-folder:scans", "--name", "TotalSegmentator")
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="python -m hemobench.evaluate", args=words)
    said = capsys.readouterr().out
    assert caught.value.code == 0
    lines = [line.split("\t") for line in said.splitlines()]
    assert ["dice_any", "1.000", "1.000 to 1.000", "2", ""] in lines
    assert said.startswith("TotalSegmentator (")
    assert "MISSING: 1 of 3 cases have no mask and are left out (--missing empty takes them for empty): a0" in said
    assert "who taught it is unknown" in said
    assert (tmp_path / "hemobench-evaluation" / "totalsegmentator" / METRICS).is_file()
