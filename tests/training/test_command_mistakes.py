"""A wrong name on the command line stops before any data is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--model", "unet4d"], "did you mean 'unet3d'"),
        (["--model", "paper_cnn", "--weighting", "invers"], "unknown weighting 'invers'"),
        (["--model", "paper_cnn", "--loss", "bcee"], "unknown loss 'bcee'"),
        (["--model", "timm:resnet10x"], "resnet10t"),
    ],
)
def test_a_wrong_name_costs_no_reading(options: list[str], part: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hemobench.train", *options, "--output", str(tmp_path / "run")],
        env={**os.environ, "HEMOBENCH_HOME": str(tmp_path / "home")},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # no cache, no run
