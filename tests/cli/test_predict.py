"""`predict` from the command line to the files it writes, with networks set by hand."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import PLANTED, SEARCHED, SeriesPlan, write_series
from hand_made import blood_checkpoint, slice_checkpoint, ventricle_checkpoint
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from hemobench.cli.predict import Reporter, app
from hemobench.cli.prediction_folder import REFUSED, Outcome
from hemobench.cli.run import run_app
from hemobench.datasets.opening import open_dataset
from hemobench.inference.report import StudyReport
from hemobench.predictions.folder import open_predictions

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
GE_HEAD_CT, CT_ICH = SHARED / "ge-head-ct", SHARED / "ct-ich" / "Patients_CT"
SPACING = (5.0, 1.2, 1.0)


def head(depth: int = 10, blood: int = 12) -> NDArray[np.int16]:
    """Slices (D, 80, 72) of HU: tissue without bone, a ball of blood of `blood` pixels in it."""
    z, y, x = np.ogrid[:depth, :80, :72]
    tissue = ((y - 39.5) / 36) ** 2 + ((x - 35.5) / 32) ** 2 + 0 * z < 1
    ball = (5 * (z - depth // 2)) ** 2 + (1.2 * (y - 30)) ** 2 + (x - 45) ** 2 < blood**2
    return np.where(ball, 75, np.where(tissue, 35, -1000)).astype(np.int16)


def oblique() -> NDArray[np.float64]:
    """From (x, y, z) index to RAS+ mm: turned about two axes, anisotropic."""
    first, second = np.radians(12), np.radians(-7)
    about_x = np.array([[1, 0, 0], [0, np.cos(first), -np.sin(first)], [0, np.sin(first), np.cos(first)]])
    about_z = np.array([[np.cos(second), -np.sin(second), 0], [np.sin(second), np.cos(second), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag((-SPACING[2], -SPACING[1], SPACING[0]))
    affine[:3, 3] = (30, 40, -20)
    return affine


def write_scan(path: Path, hu: NDArray[np.int16] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image((head() if hu is None else hu).transpose(2, 1, 0), oblique()), path)
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    slices, blood = slice_checkpoint(folder / "slices", gain=800), blood_checkpoint(folder / "blood")
    return [str(one) for one in (slices, blood, ventricle_checkpoint(folder / "ventricles"))]


@pytest.fixture(autouse=True)
def use_checkpoints(checkpoints: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_CHECKPOINT", ",".join(checkpoints))


def predict(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="hemobench predict", args=[str(one) for one in ("--engine", "torch", *arguments)])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def summary(output: Path) -> dict[str, dict[str, str]]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["scan"]).name: row for row in csv.DictReader(file)}


def report_in(folder: Path) -> StudyReport:
    return StudyReport.from_json((folder / "report.json").read_text(encoding="utf-8"))


def stamps(folders: Sequence[Path]) -> list[int]:
    return [(folder / "report.json").stat().st_mtime_ns for folder in folders]


def test_a_nifti_scan_gives_its_files_and_a_mask_on_its_own_voxels(tmp_path: Path) -> None:
    source = write_scan(tmp_path / "head.nii.gz")
    assert predict(source, "--output", tmp_path / "out") == 0
    folder = tmp_path / "out" / "head"
    assert sorted(path.name for path in folder.iterdir()) == [
        "mask.nii.gz",
        "overview.png",
        "report.json",
        "resume.json",
    ]
    scan, mask = nib.load(source), nib.load(folder / "mask.nii.gz")
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
    blood, found = np.asarray(scan.dataobj) > 62, np.asarray(mask.dataobj) == 2
    overlap = 2 * (blood & found).sum() / (blood.sum() + found.sum())
    assert overlap > 0.8
    assert (found.any(axis=(0, 1)) == blood.any(axis=(0, 1))).all()
    row = summary(tmp_path / "out")["head.nii.gz"]
    assert (row["status"], row["folder"], row["called_any"]) == ("done", "head", "yes")
    assert float(row["volume_ml_total"]) == pytest.approx(float(found.sum()) * np.prod(SPACING) / 1000, abs=2e-3)
    with Image.open(folder / "overview.png") as page:
        page.load()


def test_every_kind_of_scan_in_one_command(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_scan(scans / "a.nii")
    np.savez(scans / "b.npz", image=head(), spacing_mm=SPACING)
    write_series(scans / "series", head())
    with zipfile.ZipFile(scans / "c.zip", "w") as archive:
        for path in sorted((scans / "series").iterdir()):
            archive.write(path, path.name)
    Image.fromarray((np.clip(head()[5], 0, 80) * 255 / 80).astype(np.uint8)).save(scans / "d.png")
    noise = np.random.default_rng(0).integers(0, 9, head().shape)
    dark = np.where(head() > 60, 30, np.where(head() > 0, 300, 0)) + noise
    write_scan(scans / "mri.nii.gz", dark.astype(np.int16))
    assert predict(scans, "--output", tmp_path / "out") == 0
    rows = summary(tmp_path / "out")
    assert {name: row["modality"] for name, row in rows.items()} == {
        "a.nii": "CT",
        "b.npz": "CT",
        "c.zip": "CT",
        "d.png": "grey",
        "mri.nii.gz": "MR",
        "series": "CT",
    }
    assert rows["c.zip"]["volume_ml_total"] == rows["series"]["volume_ml_total"] != ""
    assert rows["d.png"]["volume_ml_total"] == "", "a picture has no millimetres"
    assert float(rows["mri.nii.gz"]["volume_ml_ventricles"]) > 0
    assert rows["mri.nii.gz"]["probability_any"] == ""
    for row in rows.values():
        assert (tmp_path / "out" / row["folder"] / "overview.png").is_file()


def test_broken_scans_are_named_at_the_end_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = tmp_path / "scans"
    for name in ("a", "c", "e"):
        write_scan(scans / f"{name}.nii.gz", head(4))
    whole = (scans / "a.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    (scans / "d.png").write_bytes(b"no picture at all")
    (scans / "notes.txt").write_text("not a scan")
    assert predict(scans, "-o", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert out == f"3 of 5 scans analysed; {tmp_path / 'out' / 'summary.csv'}\n"
    lines = [line for line in err.splitlines() if "does not look like a head" not in line or line[0].isdigit()]
    assert lines[0] == "left out as no scans: 1 entry"
    assert [line.split()[0] for line in lines[1:6]] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert lines[6] == "hemobench: 2 of 5 scans gave no answer:"
    assert "b.nii.gz: ends early or is damaged" in lines[7]
    assert "d.png: is none of the kinds that are read" in lines[8]
    assert len(lines) == 9
    assert "Traceback" not in err
    rows = summary(tmp_path / "out")
    assert [row["status"] for row in rows.values()] == ["done", "refused", "done", "refused", "done"]
    assert rows["b.nii.gz"]["reason"].startswith("ends early or is damaged; expected")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c", "e", "summary.csv"]


def test_a_terminal_has_a_bar_and_keeps_a_line_for_each_scan() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with Reporter(2, 0, console) as reporter:
        for name in ("a.nii", "b.nii"):
            reporter.begin(name)
            reporter.conclude(Outcome(Path("ward") / name, REFUSED, "empty"))
    assert "2/2" in screen.getvalue()
    assert "1/2 ward/a.nii: refused: empty" in screen.getvalue()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.nii",), "missing.nii (No such file or directory); expected"),
        (("a.nii", "--engine", "tensorrt"), "unknown engine 'tensorrt'; known: auto, openvino, torch"),
        (("a.nii", "--modality", "PET"), "unknown modality 'PET'"),
        (("a.nii", "--checkpoint", "nowhere"), "nowhere"),
        (("a.nii", "--output", "a.nii"), "a.nii is a file; expected a folder"),
        (("a.nii", "--series", "3"), "series '3'"),
        ((), "SCAN"),
        (("--data", "phantom"), "--data phantom without --masks"),
        (("--sheet", "s.png"), "--sheet s.png without --data"),
        (("a.nii", "--data", "phantom", "--sheet", "s.png"), "--data phantom with SCAN, --output"),
        (("--masks", "m"), "--masks m without --data"),
        (("--data", "phantom", "--masks", "m", "--sheet", "s.png"), "--data phantom with --output, --sheet"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a.nii", head(3))
    assert predict("--output", "out", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_sheet_in_its_old_spelling_says_the_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_app(app, args=["--data", f"nifti-folder:{tmp_path}", "--sheet", "page.png"])
    assert caught.value.code == 2, "there is nothing in that folder"
    assert f"is now `hemobench sheet nifti-folder:{tmp_path} --output page.png`" in capsys.readouterr().err


def test_scans_without_a_folder_for_the_answers_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_app(app, args=[str(write_scan(tmp_path / "a.nii", head(3)))])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "hemobench: no --output given; expected a folder for the answers; add --output FOLDER\n"
    )


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, hemobench.cli.predict; print('torch' in sys.modules, 'monai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["False", "False"]


def test_finished_scans_are_not_analysed_again_unless_something_changed(
    tmp_path: Path, checkpoints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = [write_scan(tmp_path / f"{name}.nii", head(3)) for name in "abc"], tmp_path / "out"
    folders = [out / name for name in "abc"]
    assert predict(*scans, "-o", out) == 0
    first, table = stamps(folders), (out / "summary.csv").read_bytes()
    capsys.readouterr()
    assert predict(*scans, "-o", out) == 0
    told = capsys.readouterr()
    assert "3 of 3 scans analysed, 3 of them before" in told.out
    assert told.err.count("finished before") == 3
    assert stamps(folders) == first
    assert (out / "summary.csv").read_bytes() == table, "an answer taken over has the same line"

    write_scan(scans[1], head(4))
    assert predict(*scans, "-o", out) == 0
    second = stamps(folders)
    assert [old == new for old, new in zip(first, second, strict=True)] == [True, False, True]
    assert report_in(folders[1]).source.shape[0] == 4

    (folders[2] / "report.json").write_text("{}")
    assert predict(*scans, "-o", out) == 0
    assert report_in(folders[2]).source.shape[0] == 3, "a damaged answer is made again"

    before = stamps(folders)
    assert predict(*scans, "-o", out, "--checkpoint", checkpoints[1]) == 0
    assert all(old != new for old, new in zip(before, stamps(folders), strict=True)), "another model, another answer"
    assert [one.role for one in report_in(folders[0]).model] == ["haemorrhage"]
    before = stamps(folders)
    assert predict(*scans, "-o", out, "--checkpoint", checkpoints[1], "--again") == 0
    assert all(old != new for old, new in zip(before, stamps(folders), strict=True))
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c", "summary.csv"]


def test_scans_of_one_name_get_folders_of_their_own_in_every_run(tmp_path: Path) -> None:
    here, there = write_scan(tmp_path / "p1" / "ct.nii", head(3)), write_scan(tmp_path / "p2" / "ct.nii", head(4))
    out = tmp_path / "out"
    assert predict(here, "-o", out) == 0
    assert predict(there, "-o", out) == 0
    assert predict(there, here, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["ct", "ct-2", "summary.csv"]
    assert report_in(out / "ct").source.shape[0] == 3
    assert report_in(out / "ct-2").source.shape[0] == 4
    with (out / "summary.csv").open(newline="") as file:
        assert [row["folder"] for row in csv.DictReader(file)] == ["ct-2", "ct"]
    (out / "mine").mkdir()
    assert predict(write_scan(tmp_path / "mine.nii", head(3)), "-o", out) == 0
    assert list((out / "mine").iterdir()) == [], "a folder that is not ours stays as it is"
    assert len(summary(out)) == 2, "ct.nii twice, told apart by their paths, and mine.nii"
    assert (out / "mine-2" / "report.json").is_file()


def test_an_interrupted_answer_is_made_again_in_its_place(tmp_path: Path) -> None:
    """Files of a run that was killed between its claim and its last file."""
    source, out = write_scan(tmp_path / "a.nii", head(3)), tmp_path / "out"
    assert predict(source, "-o", out) == 0
    claim = json.loads((out / "a" / "resume.json").read_text())
    (out / "a" / "resume.json").write_text(json.dumps({**claim, "finished": False}))
    (out / "a" / "mask.nii.gz").unlink()
    assert predict(source, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a", "summary.csv"]
    assert (out / "a" / "mask.nii.gz").is_file()


def test_dicom_seg_lies_on_the_series_and_others_are_told_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "series", head())
    source = write_scan(tmp_path / "a.nii", head(3))
    assert predict(tmp_path / "series", source, "-o", tmp_path / "out", "--dicom-seg") == 0
    told = capsys.readouterr().err
    assert told.count("no DICOM SEG: a nifti scan") == 1
    assert not (tmp_path / "out" / "a" / "mask.dcm").exists()
    segmentation = pydicom.dcmread(tmp_path / "out" / "series" / "mask.dcm")
    assert segmentation.Modality == "SEG"
    mask = np.asarray(nib.load(tmp_path / "out" / "series" / "mask.nii.gz").dataobj)
    in_seg = int(segmentation.pixel_array.sum())
    assert in_seg == int((mask > 0).sum()) > 0


def test_nothing_of_a_header_is_in_any_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "series", head(4), SeriesPlan(), SeriesDescription=PLANTED["StudyDescription"])
    assert predict(tmp_path / "series", "-o", tmp_path / "out") == 0
    told = "".join(capsys.readouterr())
    for path in [path for path in (tmp_path / "out").rglob("*") if path.is_file()]:
        told += path.read_bytes().decode("latin-1") + path.name
    for word in SEARCHED:
        assert word not in told.lower()


def test_a_defect_in_one_scan_is_shown_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], checkpoints: list[str]
) -> None:
    """A network that answers NaN for CT stands for it: exit code 1 and a traceback, as for every defect of ours."""
    broken = slice_checkpoint(tmp_path / "nan", gain=float("nan"))
    scans = [write_scan(tmp_path / "a.nii", head(3)), write_scan(tmp_path / "b.nii", np.maximum(head(3), 0))]
    models = [word for one in (str(broken), checkpoints[2]) for word in ("--checkpoint", one)]
    assert predict(*scans, "-o", tmp_path / "out", *models) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "a defect of hemobench: ValueError" in err.splitlines()[-1]
    assert [row["status"] for row in summary(tmp_path / "out").values()] == ["failed", "done"]


def test_an_interrupt_keeps_what_is_done(tmp_path: Path, checkpoints: list[str]) -> None:
    scans = [write_scan(tmp_path / "scans" / f"{number}.nii", head(30)) for number in range(60)]
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "hemobench.predict", str(scans[0].parent), "--output", str(out), "--engine", "torch"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "HEMOBENCH_CHECKPOINT": ",".join(checkpoints), "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("2/60"):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-2:] == ["the same command goes on where it stopped", "hemobench: interrupted"]
    done = summary(out)
    assert 2 <= len(done) < 60
    assert all((out / row["folder"] / "report.json").is_file() for row in done.values())
    assert not list(out.rglob(".part-*"))


@pytest.mark.skipif(not GE_HEAD_CT.is_dir(), reason="the GE head CT lies beside the project, if at all")
def test_the_tilted_ge_series_from_folder_and_zip(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "zipped"), "zip", GE_HEAD_CT)
    assert predict(GE_HEAD_CT, tmp_path / "zipped.zip", "-o", tmp_path / "out") == 0
    first, second = (report_in(tmp_path / "out" / name) for name in ("ge-head-ct", "zipped"))
    assert first.lesions == second.lesions
    assert any("tilted by 18.5 degrees" in line for line in first.source.warnings)
    masks = [nib.load(tmp_path / "out" / name / "mask.nii.gz") for name in ("ge-head-ct", "zipped")]
    np.testing.assert_array_equal(np.asarray(masks[0].dataobj), np.asarray(masks[1].dataobj))
    assert nib.aff2axcodes(masks[0].affine) == ("L", "P", "S")


@pytest.mark.skipif(not CT_ICH.is_dir(), reason="the CT-ICH copy lies beside the project, if at all")
def test_a_ct_ich_picture(tmp_path: Path) -> None:
    assert predict(CT_ICH / "050" / "brain" / "18.jpg", "-o", tmp_path / "out") == 0
    report = report_in(tmp_path / "out" / "18")
    assert report.volume_ml is None
    assert report.source.spacing_mm is None
    mask = nib.load(tmp_path / "out" / "18" / "mask.nii.gz")
    assert mask.shape == (1, 650, 650)


def test_what_makes_an_answer_doubtful_is_said_where_the_answer_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A healthy head with a slice missing and its gantry tilted, and one that is whole."""
    # That a box is no head would lead, and is told elsewhere.
    monkeypatch.setattr("hemobench.inference.intake.unlike_a_head", lambda *_, **__: "")
    hu = head(depth=12, blood=0)
    hu[-1, :, :20] = hu[-1, :, 40:] = -1000  # the vertex
    size = {"PixelSpacing": [2.4, 2.2]}
    paths = write_series(tmp_path / "scans" / "gap", hu, SeriesPlan(step_mm=8, tilt_degrees=8, fields=size))
    paths[5].unlink()
    write_series(tmp_path / "scans" / "whole", hu, SeriesPlan(step_mm=8, fields=size))
    assert predict(tmp_path / "scans", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().err
    gap, whole = (said[said.index(f"{name}: ") :] for name in ("gap", "whole"))
    assert gap.startswith("gap: Haemorrhage unlikely, in the part that was read (")
    assert "\n  warning: 1 slice missing (after 31.7 mm from the lowest); " in gap
    assert "; and 1 more in report.json\n" in gap
    assert whole.startswith("whole: Haemorrhage unlikely (")
    assert "warning" not in whole
    rows = summary(tmp_path / "out")
    assert {name: row["read"] for name, row in rows.items()} == {"gap": "in part", "whole": "whole"}
    assert rows["gap"]["warnings"].startswith("1 slice missing")
    source = report_in(tmp_path / "out" / "gap").source
    assert (source.complete, source.doubts) == (False, 2)
    assert source.warnings[1].startswith("the gantry was tilted")
    assert predict(tmp_path / "scans", "-o", tmp_path / "out") == 0
    assert "in the part that was read" in capsys.readouterr().err, "also of answers that were finished before"


def test_the_answers_to_a_data_set_as_a_folder_that_evaluate_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for patient in ("one", "two"):
        write_scan(tmp_path / "data" / "images" / f"{patient}.nii.gz", head(6))
        write_scan(tmp_path / "data" / "masks" / f"{patient}.nii.gz", (head(6) > 70).astype(np.int16))
    spec, made = f"nifti-folder:{tmp_path / 'data'}", tmp_path / "made"
    with pytest.raises(SystemExit) as caught:
        run_app(app, args=["--data", spec, "--masks", str(made), "--engine", "torch"])
    out, err = capsys.readouterr()
    assert caught.value.code == 0, err
    assert out.splitlines()[0] == f"2 cases of nifti-folder answered; {made}"
    assert f"predictions:{made}" in out.splitlines()[-1]
    assert sorted(path.name for path in (made / "masks").iterdir()) == ["one.nii.gz", "two.nii.gz"]
    opened = open_predictions(made, open_dataset(spec))
    assert (sorted(opened.masks), sorted(opened.slices), sorted(opened.studies)) == ([0, 1], [0, 1], [0, 1])
