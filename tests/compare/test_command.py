"""`python -m hemobench.compare` as its users run it: a suite to the end, interrupted, and with every mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from hemobench.cli.compare import app
from hemobench.cli.run import run_app
from hemobench.compare.leaderboard import LEAK_MARK, PHANTOM_MARK
from hemobench.compare.suite_files import shipped_suites
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.datasets.zeta.dataset import LEAK_WARNING

COMMAND = [sys.executable, "-m", "hemobench.compare"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder of this test session that all its worker processes share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def home(shared) -> Path:
    """A cache that is empty when the session starts."""
    return shared / "compare-home"


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HEMOBENCH_HOME": str(home), "COLUMNS": "40"}


def _compare(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=_environment(home), capture_output=True, encoding="utf-8", check=False
    )


@pytest.fixture(scope="session")
def smoke(shared, home) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The suite `smoke` from an empty cache to its end: the folder it ran in, and what it said."""
    folder, said = shared / "compare-smoke", shared / "compare-smoke.json"
    with FileLock(shared / "compare-smoke.lock"):
        if not said.exists():
            folder.mkdir()
            done = _compare(folder, home, "smoke")
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]), encoding="utf-8")
    return folder, subprocess.CompletedProcess(COMMAND, *json.loads(said.read_text(encoding="utf-8")))


def _results(folder: Path) -> dict[Path, int]:
    """When each finished run was written."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in sorted(folder.glob("runs/*/run.json"))}


def _scores(folder: Path) -> list[tuple[str, object]]:
    content = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    return [(entry["name"], entry["metrics"]) for board in content["boards"] for entry in board["entries"]]


@pytest.mark.slow
def test_smoke_ends_in_three_boards(smoke):
    folder, done = smoke
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(PHANTOM_MARK) == 3
    for text in ("auroc_any", "dice_any", "dice_ventricles", "slice position (no image)"):
        assert text in done.stdout
    for text in ("where the time went", "peak memory"):
        assert text in done.stdout
    assert "…" not in done.stdout, "a cell was cut off"
    assert max(map(len, done.stdout.splitlines())) > 100, "piped output should be 120 columns wide, not COLUMNS"
    assert re.search(r"^6 of 6 runs \(\d+ at once, threads of each: 1\)$", done.stderr, re.MULTILINE)
    assert re.search(r"^\[1/6\] .* in .*, about .* left$", done.stderr, re.MULTILINE)
    assert re.search(r"^\[6/6\] \w+ unet.* s$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stdout + done.stderr
    output = folder / "hemobench-results" / "smoke"
    names = {path.name for path in output.iterdir()}
    tables = {f"leaderboard.{kind}" for kind in ("csv", "json", "md", "tex")}
    assert names == {*tables, "report.html", "runs", "runs.csv", "splits"}
    assert len(_results(output)) == 6


@pytest.mark.slow
def test_smoke_leaderboard_tells_seeds_settings_and_patients(smoke):
    folder, _ = smoke
    text = (folder / "hemobench-results" / "smoke" / "leaderboard.json").read_text(encoding="utf-8")
    content = json.loads(text)
    classification, segmentation, ventricles = content["boards"]
    assert content["seeds"] == [0]
    assert [board["phantom"] for board in content["boards"]] == [True, True, True]
    reference = classification["entries"][-1]
    assert (reference["name"], reference["rank"]) == ("slice position (no image)", None)
    assert {entry["config"]["weighting"] for entry in segmentation["entries"]} == {"0.5,0.5", "0.2,0.8"}
    split = classification["split"]
    assert [split[f"{part}_patients"] for part in ("train", "validation", "test")] == [4, 2, 2]
    assert classification["entries"][0]["metrics"]["auroc_any"]["n"] == 2 * 8  # slices of the test patients
    assert segmentation["entries"][0]["metrics"]["dice_any"]["n"] == 2
    assert (ventricles["rank_by"], ventricles["data"]) == ("dice_ventricles", "phantom-t1")


@pytest.mark.slow
def test_smoke_report_has_figures_and_example_pictures(smoke):
    folder, _ = smoke
    page = (folder / "hemobench-results" / "smoke" / "report.html").read_text(encoding="utf-8")
    # Forest, differences and curves of all boards, volumes of two; AUROC by type, ROC and reliability of the other; a
    # confusion matrix of each of six entries.
    own = page.rpartition("<header>")[2]
    assert own.count("Plotly.newPlot(") == 3 + 3 + 3 + 2 + 3 + 6
    assert page.count("data:image/png;base64,") >= 4
    assert "python -m hemobench.compare smoke" in page


@pytest.mark.slow
def test_the_same_command_keeps_what_is_finished(smoke, home):
    folder, first = smoke
    output = folder / "hemobench-results" / "smoke"
    before, scores = _results(output), _scores(output)
    again = _compare(folder, home, "smoke")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("kept from before") == 6
    assert "kept from before" not in first.stderr
    assert _results(output) == before
    assert _scores(output) == scores


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_with_the_same_scores(smoke, home, tmp_path):
    folder, _ = smoke
    output = tmp_path / "out"
    with subprocess.Popen(
        [*COMMAND, "smoke", "--output", "out"],
        cwd=tmp_path,
        env=_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        while not _results(output) and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    before = _results(output)
    assert running.returncode == -signal.SIGKILL
    assert 1 <= len(before) < 6
    assert not (output / "leaderboard.json").exists()
    done = _compare(tmp_path, home, "smoke", "--output", "out")
    assert done.returncode == 0, done.stderr
    after = _results(output)
    assert len(after) == 6
    assert {path: after[path] for path in before} == before
    assert _scores(output) == _scores(folder / "hemobench-results" / "smoke")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_any_number_of_jobs_gives_the_same_scores(jobs, smoke, home, tmp_path):
    """To the last digit: a run's threads are fixed, whatever trains beside it."""
    folder, _ = smoke
    done = _compare(tmp_path, home, "smoke", "--jobs", jobs, "--output", "out")
    assert done.returncode == 0, done.stderr
    assert _scores(tmp_path / "out") == _scores(folder / "hemobench-results" / "smoke")


@pytest.mark.slow
def test_two_commands_share_one_folder(smoke, home, tmp_path):
    """Started together they divide the runs, and both write the same boards."""
    folder, _ = smoke
    commands = [
        subprocess.Popen(
            [*COMMAND, "smoke", "--jobs", "1", "--output", "out"],
            cwd=tmp_path,
            env=_environment(home),
            encoding="utf-8",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [command.communicate()[1] for command in commands]
    assert [command.returncode for command in commands] == [0, 0], said
    assert len(_results(tmp_path / "out")) == 6
    assert _scores(tmp_path / "out") == _scores(folder / "hemobench-results" / "smoke")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "product", "boards"),
    [("ventricles", "t1", ["dice_ventricles"]), ("zeta", "ct", ["auroc_any", "dice_any"])],
)
def test_smoke_trains_on_a_copy_and_says_where_patients_are_unknown(layout, product, boards, home, tmp_path):
    spec = PhantomSpec(patients=4, slices=4, matrix=64, seed=7, product=product)
    build_layout(tmp_path / layout, get_layout(layout), spec, jobs=1)
    (tmp_path / layout / "patients.csv").unlink(missing_ok=True)
    done = _compare(tmp_path, home, "smoke", "--data", f"{layout}:{layout}", "--output", "out")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "leaderboard.json").read_text(encoding="utf-8"))
    assert [board["rank_by"] for board in content["boards"]] == boards
    assert {LEAK_MARK in board["notice"] for board in content["boards"]} == {layout == "zeta"}
    assert (f"note: {LEAK_WARNING}" in done.stderr) == (layout == "zeta")
    assert (LEAK_MARK in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")) == (layout == "zeta")


def test_list_names_every_shipped_suite(capsys):
    with pytest.raises(SystemExit) as left:
        run_app(app, args=["--list"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for name in shipped_suites():
        assert re.search(rf"^{name}: .* \(\d+ runs\)$", shown, re.MULTILINE), name
    assert "classification on phantom, by auroc_any, seeds 3: none, light, strong, any-scan, any-picture" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quik"], "unknown suite 'quik'"),
        (["absent.yaml"], "absent.yaml: No such file or directory"),
        (["broken.yaml"], "broken.yaml, line 1: broken YAML"),
        (["model.yaml"], "unknown model 'paper_cmm'; known: "),
        (["smoke", "--data", "fantom"], "unknown data set 'fantom'; known: "),
        (["smoke", "--data", "ct-ich:absent"], "no folder absent"),
        (["quick", "--data", "instance22"], "data set 'instance22' serves no board of suite 'quick'"),
        (["smoke", "--seeds", "0"], "0 seeds; expected at least 1"),
        (["smoke", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["smoke", "--engine", "spark"], "unknown engine 'spark'; known: local, ray"),
        (["smoke", "--threads", "0"], "Invalid value for '--threads'"),
        (["smoke", "--test", "fantom"], "unknown data set 'fantom'; known: "),
        (["smoke", "--output", "broken.yaml"], "output broken.yaml is a file; expected a folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "broken.yaml").write_text("boards: [", encoding="utf-8")
    (tmp_path / "model.yaml").write_text(
        "boards: [{task: classification, data: phantom, rank_by: auroc_any, baseline: {model: paper_cmm},"
        " entries: [{name: a}]}]",
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as left:
        run_app(app, args=arguments)
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    assert left.value.code == 2
    assert last.startswith("hemobench: ")
    assert said in last
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not (tmp_path / "hemobench-results").exists(), "a mistake leaves nothing behind"


def _ct_ich_copy(root: Path) -> Path:
    """Six patients of two black slices each; one slice is no picture."""
    rows = [
        "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No_Hemorrhage,"
        "Fracture_Yes_No"
    ]
    for patient in range(50, 56):
        for window in ("brain", "bone"):
            folder = root / "Patients_CT" / f"{patient:03d}" / window
            folder.mkdir(parents=True)
            for number in (1, 2):
                Image.new("L", (64, 64)).save(folder / f"{number}.jpg")
        rows += [f"{patient},{number},0,0,0,0,{number - 1},{2 - number},0" for number in (1, 2)]
    (root / "hemorrhage_diagnosis.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / "Patients_CT" / "052" / "brain" / "2.jpg").write_text("no picture", encoding="utf-8")
    return root


@pytest.mark.parametrize("data", ["absent", "copy"])
def test_mistakes_in_the_data_end_the_process_with_code_2(data, tmp_path, home):
    copy = _ct_ich_copy(tmp_path / "copy")
    done = _compare(tmp_path, home, "smoke", "--data", f"ct-ich:{data}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("hemobench: ")
    assert (str(copy.relative_to(tmp_path)) + "/Patients_CT/052/brain/2.jpg" if data == "copy" else "no folder") in last
