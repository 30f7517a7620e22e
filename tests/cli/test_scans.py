"""Which scans a command line means."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import SeriesPlan, head_hu, write_series

from hemobench.cli.scans import CLAIM_FILE, folder_names, list_scans


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(root: Path, *given: Path, output: Path | None = None) -> list[str]:
    listing = list_scans(given, output or root / "none")
    return [scan.relative_to(root).as_posix() for scan in listing.scans]


def test_a_folder_with_dicom_is_one_scan(tmp_path: Path) -> None:
    write_series(tmp_path / "series", head_hu(2))
    touch(tmp_path / "series" / "readme.txt")
    assert names(tmp_path, tmp_path / "series") == ["series"]


def test_series_of_one_study_are_one_scan_and_of_several_are_several(tmp_path: Path) -> None:
    plan = SeriesPlan()
    write_series(tmp_path / "a" / "thin", head_hu(2), plan)
    write_series(tmp_path / "a" / "thick", head_hu(2), SeriesPlan(series_number=3, study_uid=plan.study_uid))
    assert names(tmp_path, tmp_path / "a") == ["a"]
    write_series(tmp_path / "b" / "thin", head_hu(2))
    assert names(tmp_path, tmp_path) == ["a", "b"]


def test_anonymous_series_in_folders_of_their_own_are_scans_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / name, head_hu(2), StudyInstanceUID="")
    assert names(tmp_path, tmp_path) == ["a", "b"]


def test_a_folder_of_scans_gives_each_and_leaves_out_what_is_none(tmp_path: Path) -> None:
    for name in (
        "a.nii.gz",
        "b.PNG",
        "broken.nii",
        "c.zip",
        "deep/d.npz",
        "deep/label_map.nii.gz",
        "mask.nii.gz",
        "patients.csv",
        ".hidden.nii",
        "answer/scan.nii",
        f"answer/{CLAIM_FILE}",
        "out/e.nii",
    ):
        touch(tmp_path / name)
    (tmp_path / "empty").mkdir()
    listing = list_scans([tmp_path], tmp_path / "out")
    found = [scan.relative_to(tmp_path).as_posix() for scan in listing.scans]
    assert found == ["a.nii.gz", "b.PNG", "broken.nii", "c.zip", "deep/d.npz"]
    assert listing.left_out == 5, "two masks, the table, the answer, the output"


def test_what_is_named_is_listed_whatever_it_is_and_once(tmp_path: Path) -> None:
    scan, text = touch(tmp_path / "in" / "a.nii"), touch(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    given = (scan, tmp_path / "in", text, tmp_path / "missing.nii", tmp_path / "empty")
    assert names(tmp_path, *given) == ["in/a.nii", "notes.txt", "missing.nii", "empty"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.nii")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in", target_is_directory=True)
    assert names(tmp_path, tmp_path / "in") == ["in/a.nii"]


@pytest.mark.parametrize(
    ("scans", "expected"),
    [
        (["a/ct.nii.gz", "a/ct2.nii"], ["ct", "ct2"]),
        (["a/ct.nii.gz", "b/ct.nii"], ["a-ct", "b-ct"]),
        (["x/a/ct.nii", "y/a/ct.nii", "z/other.png"], ["x-a-ct", "y-a-ct", "other"]),
        (["w/Case.png", "w/case.jpg"], ["Case.png", "case.jpg"]),
        (["a/ct.nii", "b/ct.nii", "b/ct.png"], ["a-ct", "b-ct.nii", "b-ct.png"]),
        (["w/..nii", "w/a b/ü;rm -rf.nii"], ["scan", "ü_rm_-rf"]),
    ],
)
def test_folders_are_named_after_their_scans(scans: list[str], expected: list[str]) -> None:
    found = folder_names([Path("/data") / one for one in scans])
    assert found == expected
    for name in found:
        assert name
        assert not set(name) & set("/\\ ;:")
        assert not name.startswith(".")


def test_long_names_are_cut() -> None:
    (name,) = folder_names([Path("/data") / ("n" * 200 + ".nii")])
    assert len(name) == 80
