"""Zip intake: what is left out, and what is refused with its limit."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest
from dicom_files import head_hu, write_series
from test_dicom import zipped

from hemobench.errors import UserError
from hemobench.io import read_scan
from hemobench.io.archive import MAX_MEMBERS, folder_entries, zip_entries


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_files_without_what_systems_leave(tmp_path: Path) -> None:
    members = {"b/2": b"2", "a/1": b"1", "__MACOSX/a/._1": b"", "a/.DS_Store": b"", "a/._1": b"", "empty/": b""}
    entries = zip_entries(make_zip(tmp_path / "a.zip", members))
    assert [entry.name for entry in entries] == ["a/1", "b/2"]
    assert entries[1].read() == b"2"
    assert entries[1].head(5) == b"2"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\..\\b", "C:\\b"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="leads out"):
        zip_entries(make_zip(tmp_path / "a.zip", {name: b"x"}))


def test_links_are_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("file", "x")
    assert [entry.name for entry in zip_entries(tmp_path / "a.zip")] == ["file"]


def test_too_many_members_too_many_bytes_and_bombs_are_refused_with_the_limit(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(MAX_MEMBERS + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(UserError, match=f"at most {MAX_MEMBERS:,}"):
        read_scan(tmp_path / "many.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w") as member:
        for _ in range(300):
            member.write(bytes(1024**2))
    with pytest.raises(UserError, match="at most 100 times"):
        read_scan(tmp_path / "bomb.zip")
    lying = bytearray(make_zip(tmp_path / "lying.zip", {"a": b"x" * 50}).read_bytes())
    place = lying.rindex(b"PK\x01\x02")
    lying[place + 24 : place + 28] = (2**31).to_bytes(4, "little")  # uncompressed size in the central directory
    (tmp_path / "lying.zip").write_bytes(lying)
    with pytest.raises(UserError, match="1,073,741,824"):
        read_scan(tmp_path / "lying.zip")


def test_encrypted_and_damaged_archives_are_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"a": b"x" * 50}).read_bytes())
    locked = bytearray(content)
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(locked)
    with pytest.raises(UserError, match="encrypted"):
        read_scan(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(content[:-10])
    with pytest.raises(UserError, match="damaged"):
        read_scan(tmp_path / "a.zip")


def test_archives_of_other_things_are_told_apart(tmp_path: Path) -> None:
    for members, words in (
        ({"inside.zip": b"PK\x03\x04" + bytes(200)}, "unpack it first"),
        ({"a.nii": b"x" * 400}, "no DICOM image"),
        ({"a.txt": b"x" * 400}, "no DICOM image"),
        ({}, "empty archive"),
    ):
        with pytest.raises(UserError, match=words):
            read_scan(make_zip(tmp_path / "a.zip", members))


def test_a_damaged_member_is_found_by_its_checksum(tmp_path: Path) -> None:
    write_series(tmp_path / "in", head_hu())
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    middle = content.index(b"PK\x03\x04", 3000) + 900
    content[middle : middle + 20] = bytes(20)
    path.write_bytes(content)
    assert "1 damaged DICOM file left out" in read_scan(path).warnings


def test_folders_follow_links_to_files_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "circle").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert [entry.name for entry in folder_entries(tmp_path)] == ["link", "real"]
