"""What a fresh process loads to read and judge a scan: not torch, which takes longer than the scan does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hand_made import slice_checkpoint

from hemobench.io.nifti import write_nifti
from hemobench.volume import Volume, display_affine

HEAVY = {"torch", "torchvision", "timm", "monai", "sklearn", "pandas", "matplotlib", "plotly", "skimage", "gradio"}
TOLD = """
import sys
from hemobench.cli.run import run_app
from hemobench.cli.{command} import app
try:
    run_app(app, prog_name="{command}", args={arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
print("LOADED", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cold")
    slice_checkpoint(folder / "net", gain=800.0)
    head = np.full((4, 64, 64), -1000, dtype=np.float32)
    head[:, 8:56, 8:56] = 30
    write_nifti(Volume(head, display_affine((4, 64, 64), (5.0, 3.0, 3.0))), folder / "head.nii.gz")
    return folder


def loaded(place: Path, command: str, *arguments: str) -> set[str]:
    """Packages that a process had loaded when the command was done."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(command=command, arguments=list(arguments))],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        cwd=place,
        env={**os.environ, "HEMOBENCH_HOME": str(place / "home")},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED ")[2].split())


def test_predict_judges_without_torch_once_its_networks_are_kept(place: Path) -> None:
    scan = ("head.nii.gz", "--checkpoint", "net", "--engine", "openvino")
    assert "torch" in loaded(place, "predict", *scan, "-o", "first")  # which traces the network
    assert not loaded(place, "predict", *scan, "-o", "second") & HEAVY
    reports = [next((place / name).rglob("report.json")).read_bytes() for name in ("first", "second")]
    assert all(b'"probabilities"' in report for report in reports)


def test_the_page_is_there_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, demo.app; print('torch' in sys.modules)"],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.split()[-1] == "False"
