"""`sheet`: cases of a data set on one page."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from hemobench.cli.run import run_app
from hemobench.cli.sheet import app


def sheet(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_app(app, args=list(arguments))
    code = caught.value.code
    return code if isinstance(code, int) else 1


def write(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels.T, np.diag([1.0, 1.2, 5.0, 1.0])), path)


def test_a_page_of_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    z, y, x = np.ogrid[:6, :80, :72]
    tissue = ((y - 39.5) / 36) ** 2 + ((x - 35.5) / 32) ** 2 + 0 * z < 1
    ball = (5 * (z - 3)) ** 2 + (1.2 * (y - 30)) ** 2 + (x - 45) ** 2 < 12**2
    for patient in ("one", "two"):
        head = np.where(ball, 75, np.where(tissue, 35, -1000)).astype(np.int16)
        write(tmp_path / "data" / "images" / f"{patient}.nii.gz", head)
        write(tmp_path / "data" / "masks" / f"{patient}.nii.gz", ball.astype(np.int16))
    page, data = tmp_path / "page.png", f"nifti-folder:{tmp_path / 'data'}"
    assert sheet(data, "--output", str(page), "--engine", "torch", "--cases", "2") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"2 cases of nifti-folder drawn; {page}",
        "it shows patients: for looking at, not for committing",
    ]
    assert "analysing nifti-folder: 2 of 2" in err
    with Image.open(page) as drawn:
        drawn.load()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("phantom", "--output", "page.jpg"), "expected a name ending in .png"),
        (("phantom", "--engine", "tensorrt"), "unknown engine 'tensorrt'"),
        (("phantm",), "unknown data set 'phantm'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sheet(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())
