from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hemobench.cli.train import resolve_config
from hemobench.errors import UserError
from hemobench.views.view import SegmentationView


def _train(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hemobench.train", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={**os.environ, "HEMOBENCH_HOME": str(home)},
        cwd=home,
    )


def test_the_task_follows_the_model_and_the_view_the_data() -> None:
    assert resolve_config({}, "phantom", 64).task == "classification"
    unet = resolve_config({"model": "unet2d"}, "phantom", None)
    assert (unet.task, unet.monitor) == ("segmentation", "dice_any")
    assert resolve_config({}, "phantom-t1", None).monitor == "dice_ventricles"
    grid = {"spacing_mm": [4, 4, 4], "shape": [40, 48, 48]}
    assert resolve_config({"view": grid}, "phantom-t1", None).view == SegmentationView(
        "ventricles", (4.0, 4.0, 4.0), (40, 48, 48), None
    )
    with pytest.raises(UserError, match="size"):
        resolve_config({"model": "unet3d"}, "phantom", 64)
    # Blood masks alone: segmentation, of haemorrhage.
    assert resolve_config({}, "instance22", None).monitor == "dice_any"


def test_what_a_data_set_cannot_serve_is_told_before_it_is_opened() -> None:
    with pytest.raises(UserError, match="'rsna' is for classification, not for segmentation"):
        resolve_config({"model": "unet3d"}, "rsna", None)
    with pytest.raises(UserError, match="'ct-ich' has masks of haemorrhage and subtypes, not of ventricles"):
        resolve_config({"model": "unet3d", "view": {"target": "ventricles"}}, "ct-ich", None)
    with pytest.raises(UserError, match="'ventricles' is for segmentation, not for classification"):
        resolve_config({"task": "classification"}, "ventricles", None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "fantom"), "did you mean 'phantom'"),
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--epochs", "0"), "at least 1"),
        (("--data", "phantom", "--patients", "3", "--split", "official"), "'phantom' has no official split"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_two(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = _train(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
