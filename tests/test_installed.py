"""From a wheel, in an empty folder: the commands find their networks, and the page starts."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.inference import shipped
from hemobench.io.nifti import write_nifti

ROOT = Path(__file__).resolve().parents[1]
MOST_WHEEL_BYTES = 30_000_000
MOST_REPOSITORY_BYTES = 39_500_000
"""Of checkpoints, docs, pictures and examples: 31.5 MB of it are the weights of six networks, each stored once."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built from a copy, so that nothing of a build stays in it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("hemobench", "demo", "checkpoints"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CITATION.cff"):
        shutil.copy2(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(target), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("hemobench-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    purelib = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(purelib)  # a pure wheel: unpacking it is what an installer does
    # Behind the wheel's own folder, and without the editable clone, whose finder would come first.
    (purelib / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    (purelib / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path[:] = [one for one in sys.meta_path if 'editable' not in type(one).__name__.lower()"
        " and 'editable' not in getattr(one, '__name__', '').lower()]\n",
        encoding="utf-8",
    )
    return python


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing points at the clone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEMOBENCH"))}
    return {**kept, "HEMOBENCH_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}


def test_the_wheel_holds_the_default_networks_and_the_page(wheel: Path) -> None:
    assert runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["CHECKPOINTS"] == shipped.SHIPPED
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in shipped.SHIPPED:
        assert f"hemobench/_shipped/checkpoints/{name}/model.safetensors" in names
    assert "hemobench/_shipped/demo/app.py" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hemobench"}
    assert wheel.stat().st_size < MOST_WHEEL_BYTES


def test_predict_works_in_an_empty_folder(installed: Path, surroundings: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    study = generate_patient(PhantomSpec(patients=1, slices=8, matrix=96, healthy=0.0), 0)
    write_nifti(study.image, place / "head.nii.gz")
    where = subprocess.run(
        [installed, "-c", "import hemobench; print(hemobench.__file__)"],
        cwd=place,
        env=surroundings,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.parents[1])
    done = subprocess.run(
        [installed, "-m", "hemobench", "predict", "head.nii.gz", "--output", "results"],
        cwd=place,
        env=surroundings,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(next((place / "results").rglob("report.json")).read_text(encoding="utf-8"))
    assert [one["name"] for one in report["model"]] == ["slice-classifier", "bleed", "ventricles-ct"]
    again = subprocess.run(
        [installed, "-m", "hemobench", "evaluate", "ventricles", "--data", "phantom-t1:,patients=1"],
        cwd=place,
        env=surroundings,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "dice_ventricles" in again.stdout


def free_port() -> str:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def test_the_page_starts_in_an_empty_folder(installed: Path, surroundings: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    output = tmp_path / "page.log"
    with output.open("wb") as file:
        page = subprocess.Popen(
            [installed, "-u", "-m", "hemobench", "demo", "--host", "127.0.0.1", "--port", free_port()],
            cwd=tmp_path,
            env=surroundings,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        while page.poll() is None and not (told := re.search(rb"hemobench is at (http\S+)", output.read_bytes())):
            time.sleep(0.2)
        assert page.poll() is None, output.read_bytes()
        assert told is not None
        with urllib.request.urlopen(told[1].decode(), timeout=60) as answer:
            assert b"hemobench" in answer.read()
    finally:
        page.terminate()
        page.wait(60)


def test_weights_are_stored_once_and_the_repository_stays_small() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "checkpoints", "docs", "demo"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if listed.returncode:
        pytest.skip("no git clone")
    files = [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_REPOSITORY_BYTES
    assert [path.name for path in files if path.suffix == ".pdf"] == []
