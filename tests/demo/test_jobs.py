"""A request lives as long as its folder is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.jobs import begin, end, folder_of, tidy


def test_a_new_request_ends_the_earlier_one(tmp_path: Path) -> None:
    first = begin(tmp_path)
    folder = folder_of(tmp_path, first)
    assert folder is not None
    (folder / "report.json").write_text("{}")
    second = begin(tmp_path, first)
    assert folder_of(tmp_path, first) is None
    assert not folder.exists()
    assert folder_of(tmp_path, second) is not None
    assert first != second


def test_what_is_written_after_the_end_does_not_bring_it_back(tmp_path: Path) -> None:
    job = begin(tmp_path)
    wanted = folder_of(tmp_path, job)
    assert wanted is not None
    end(tmp_path, job)
    wanted.mkdir()
    (wanted / "overview.png").write_bytes(b"late")
    assert folder_of(tmp_path, job) is None
    tidy(tmp_path, job)
    assert not wanted.exists()
    kept = begin(tmp_path)
    tidy(tmp_path, kept)
    assert folder_of(tmp_path, kept) is not None


@pytest.mark.parametrize("name", ["", None, "..", "../other", "a" * 31, "A" * 32, "/etc"])
def test_names_that_nobody_gave_lead_nowhere(tmp_path: Path, name: str | None) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "wanted").touch()
    assert folder_of(inside, name) is None
    end(inside, name)
    tidy(inside, name)
    assert (tmp_path / "other" / "wanted").is_file()


def test_the_folders_name_does_not_give_the_secret_away(tmp_path: Path) -> None:
    job = begin(tmp_path)
    folder = folder_of(tmp_path, job)
    assert folder is not None
    assert job not in str(folder)
    assert folder_of(tmp_path, folder.name) is None, "who reads a path in a log has no link"
    assert not any(job in path.read_text() for path in folder.rglob("*") if path.is_file())


def test_a_link_ends_with_its_time(tmp_path: Path) -> None:
    job = begin(tmp_path)
    assert folder_of(tmp_path, job, within_s=60) is not None
    assert folder_of(tmp_path, job, within_s=-1) is None
