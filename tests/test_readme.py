"""Every command of the README runs, in its order, in one folder; its Python runs and prints what it says.

Names of the reader's own are replaced by small phantoms in the data sets' layouts, and trainings by ones of a few
steps: `STANDS_FOR` and `SMALLER` list all that differs from what is on the page.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .local_hub import LocalHub

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STANDS_FOR = {
    "SCAN": str(ROOT / "demo" / "examples" / "subdural.nii.gz"),
    "ct-ich:FOLDER": "ct-ich:rehearsal",
    "nifti-folder:FOLDER": "nifti-folder:own",
    "predictions:ANSWERS": "predictions:answers",
    "image-folder:PICTURES": "image-folder:pictures",
    "CHECKPOINT": "net",
    "checkpoints/bleed": str(ROOT / "checkpoints" / "bleed"),
}
# What takes minutes at its own size, and what runs in its place.
_SMALLER = (
    (
        "python -m hemobench.compare",
        "python -m hemobench.compare quick.yaml",
    ),
    (
        "python -m hemobench.compare my-suite.yaml --seeds 5 --jobs 2",
        "python -m hemobench.compare my-suite.yaml --seeds 2 --jobs 2",
    ),
    (
        "python -m hemobench.compare --data ct-ich:FOLDER --folds 5",
        "python -m hemobench.compare my-suite.yaml --data ct-ich:FOLDER --folds 2",
    ),
    (
        "python -m hemobench.data build phantom --output phantoms --patients 20",
        "python -m hemobench.data build phantom --output phantoms --patients 1 --slices 4 --matrix 64",
    ),
    (
        "python -m hemobench.train --model timm:resnet10t --data image-folder:PICTURES",
        "python -m hemobench.train --model timm:resnet10t --data image-folder:PICTURES --size 32 --epochs 1",
    ),
    (
        "python -m hemobench.recipe paper-cnn",
        "python -m hemobench.recipe tiny.yaml",
    ),
)
SMALLER = dict(_SMALLER)
# `.ci/run` runs this line itself; the page is started below.
ELSEWHERE = {"python -m pytest", "python app.py"}
INSTALLS = re.compile(r"pip install -e [\"'\[\],.\w]+$")
SUITE = """
name: quick
title: A suite of a few steps
seeds: 1
boards:
  - task: classification
    title: Which haemorrhages does a slice show?
    data: {name: phantom, patients: 8, slices: 6, matrix: 64, seed: 7}
    view: {windows: [brain], size: 32}
    split: {fractions: [0.5, 0.25, 0.25], seed: 0}
    rank_by: auroc_any
    metrics: [auroc_any]
    resamples: 50
    baseline: {model: paper_cnn, epochs: 1, max_steps: 2, batch_size: 8, learning_rate: 1e-3}
    entries: [{name: plain}, {name: weighted, weighting: inverse-frequency}]
"""
RECIPE = """
description: A network far too small.
role: slice-classifier
data: {name: phantom, patients: 8, slices: 6, matrix: 64}
split: {fractions: [0.5, 0.25, 0.25], seed: 0}
training:
  {task: classification, model: "timm:test_resnet", view: {windows: [brain, subdural], size: 32}, epochs: 1,
   batch_size: 8}
"""


def commands() -> list[str]:
    """The README's command lines without their comments, each part of `a && b` for itself, installations left out."""
    lines = [
        line.partition(" #")[0].strip()
        for block in _BLOCK.findall(README.read_text(encoding="utf-8"))
        for line in block.splitlines()
    ]
    parts = [part.strip() for line in lines if line for part in line.split(" && ")]
    return [part for part in parts if not INSTALLS.match(part)]


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As typed, in a folder, by this Python."""
    typed = shlex.split(command)
    assert typed[0] == "python", command
    return subprocess.run(
        [sys.executable, *typed[1:]],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def prepare(folder: Path) -> None:
    """What a reader has before: data sets, a suite, a recipe, another tool's answers, a checkpoint."""
    (folder / "quick.yaml").write_text(SUITE, encoding="utf-8")
    (folder / "my-suite.yaml").write_text(SUITE.replace("quick", "mine"), encoding="utf-8")
    (folder / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    shutil.copytree(ROOT / "checkpoints" / "paper-cnn", folder / "net")
    sizes = (("ct-ich", "rehearsal", 8), ("nifti-folder", "own", 2), ("image-folder", "pictures", 8))
    for layout, name, patients in sizes:
        built = run(
            f"python -m hemobench.data build phantom --layout {layout} --output {name} --patients {patients} "
            "--slices 5 --matrix 64 --jobs 1",
            folder,
        )
        assert built.returncode == 0, built.stderr
    answers = folder / "answers"
    shutil.copytree(folder / "own" / "masks", answers)


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    prepare(tmp_path)
    found = commands()
    assert len(found) >= 15
    assert {*SMALLER, *ELSEWHERE} <= set(found), "what is replaced must be on the page"
    with LocalHub() as hub:
        surroundings = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_of_a_test",
        }
        for command in found:
            if command in ELSEWHERE:
                continue
            typed = SMALLER.get(command, command)
            for name, own in STANDS_FOR.items():
                typed = re.sub(rf"(?<![\w/]){re.escape(name)}(?![\w/])", own, typed)
            done = run(typed, tmp_path, **surroundings)
            assert done.returncode == 0, f"{command}, run as {typed}:\n{done.stderr[-2000:]}"
    for made in (
        "results/summary.csv",
        "sheet.png",
        "hemobench-results/quick/report.html",
        "phantoms",
        "copy/config.json",
        "checkpoints/tiny/README.md",
    ):
        assert (tmp_path / made).exists(), made


@pytest.mark.slow
def test_the_page_is_served() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as served:
        try:
            assert "hemobench" in _page(f"http://127.0.0.1:{port}", served)
        finally:
            served.terminate()


def _page(address: str, served: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 180
    while time.monotonic() < end and served.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return str(answer.read().decode("utf-8"))
        except urllib.error.URLError:
            time.sleep(0.5)
    return ""


def test_the_python_in_the_readme_runs() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert tried >= 4
    assert failed == 0


def test_it_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120
