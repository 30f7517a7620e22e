"""Files go under neutral names to a private folder and away in time; logs hold no names."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from demo.privacy import delete_now, keep_swept, laid_out, log_defect, private_folder, sweep, words_of
from hemobench.errors import UserError

NAME = "DOE_JOHN_1950"


def test_a_single_file_keeps_its_ending_and_nothing_else_of_its_name(tmp_path: Path) -> None:
    upload = tmp_path / f"{NAME}.NII.GZ"
    upload.write_bytes(b"voxels")
    with laid_out([upload], tmp_path / "work") as place:
        assert place.name == "scan.nii.gz"
        assert NAME not in str(place.relative_to(tmp_path))
        upload.unlink()  # as the schedule may do meanwhile
        assert place.read_bytes() == b"voxels"
    assert list((tmp_path / "work").iterdir()) == []


def test_several_files_come_as_a_numbered_folder_even_with_the_same_name(tmp_path: Path) -> None:
    uploads = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        uploads.append(folder / f"{NAME}.dcm")
        uploads[-1].write_text(str(number))
    with laid_out(uploads, tmp_path / "work") as place:
        assert {path.name: path.read_text() for path in place.iterdir()} == {"00001": "0", "00002": "1", "00003": "2"}
    assert not place.exists()


def test_the_links_go_when_reading_fails(tmp_path: Path) -> None:
    upload = tmp_path / "x.npy"
    upload.write_bytes(b"1")
    with pytest.raises(ValueError, match="bad"), laid_out([upload], tmp_path / "work"):
        raise ValueError("bad")
    assert list((tmp_path / "work").iterdir()) == []


def test_an_upload_that_is_gone_is_a_refusal_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no longer here") as caught, laid_out([tmp_path / NAME], tmp_path / "work"):
        pass
    assert NAME not in str(caught.value)


def test_refusals_do_not_show_our_folders(tmp_path: Path) -> None:
    place = tmp_path / "work-1" / "scan.zip"
    error = UserError(f"{place} is damaged;  expected\na zip")
    assert words_of(error, place) == "The upload is damaged; expected a zip"
    series = tmp_path / "work-1"
    assert words_of(UserError(f"cannot read {series}/00003; expected DICOM"), series) == (
        "Cannot read file 00003; expected DICOM"
    )


def test_sweeping_takes_old_files_and_empty_folders_alone(tmp_path: Path) -> None:
    old, young = tmp_path / "a" / "old", tmp_path / "b" / "young"
    for path in (old, young):
        path.parent.mkdir()
        path.write_text("x")
    time.sleep(0.3)
    young.write_text("y")
    assert sweep(tmp_path, 0.2) == 1
    assert (old.exists(), young.exists()) == (False, True)
    time.sleep(0.3)
    sweep(tmp_path, 0.2)
    sweep(tmp_path, -1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_kept_swept_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "left-behind").write_text("x")
    stop = keep_swept(tmp_path, keep_s=0.1, every_s=0.05)
    try:
        deadline = time.monotonic() + 10
        while list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.iterdir()) == []
    finally:
        stop.set()


def test_delete_now_reaches_only_folders_of_one_upload_or_result(tmp_path: Path) -> None:
    root, hashed = tmp_path / "root", "0123456789abcdef" * 4
    for path in (root / hashed / "scan.nii", root / "keep" / "other", root / "top", tmp_path / hashed / "outside"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    delete_now(
        [
            root / "keep" / "other",
            root / "top",
            tmp_path / hashed / "outside",
            root / hashed / ".." / "keep" / "other",
            root / hashed / ".." / ".." / hashed / "outside",
        ],
        root,
    )
    assert (root / hashed / "scan.nii").exists()
    assert (root / "keep" / "other").exists()
    assert (tmp_path / hashed / "outside").exists()
    delete_now([root / hashed / "scan.nii"], root)
    assert not (root / hashed).exists()


def test_a_defect_is_logged_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise RuntimeError(f"cannot read /scans/{NAME}.dcm")

    with caplog.at_level(logging.DEBUG):
        try:
            fails()
        except RuntimeError as error:
            log_defect(error)
    assert "RuntimeError" in caplog.text
    assert "fails" in caplog.text
    assert NAME not in caplog.text


def test_the_private_folder_is_ours_alone_and_ends_with_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / "hemobench-demo-999999999-x"
    dead.mkdir()
    (dead / NAME).write_text("scan of a demo that was killed")
    code = "from demo.privacy import private_folder; p = private_folder(); (p / 'x').write_text('y'); print(p)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    made = Path(
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
    )
    assert made.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive = private_folder()
    assert stat.S_IMODE(alive.stat().st_mode) == 0o700
    assert private_folder() != alive
    assert alive.is_dir()
