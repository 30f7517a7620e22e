"""What is refused before anything is read, and that the words for it name no file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.limits import MOST_BYTES, MOST_FILE_BYTES, MOST_FILES, check_upload
from hemobench.errors import UserError

NAME = "DOE_JOHN"


def file(folder: Path, content: bytes, ending: str = ".bin", number: int = 0) -> Path:
    path = folder / f"{NAME}{number}{ending}"
    path.write_bytes(content)
    return path


def large(folder: Path, size: int, number: int = 0) -> Path:
    """A file of that length with nothing in it but its first bytes."""
    path = file(folder, b"\x93NUMPY", ".npy", number)
    os.truncate(path, size)
    return path


def refusal(paths: list[Path]) -> str:
    with pytest.raises(UserError) as caught:
        check_upload(paths)
    line = str(caught.value)
    assert NAME not in line
    assert "\n" not in line
    assert line.count(";") == 2  # what came; what was expected; what to do
    return line


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"%PDF-1.7 report of Mr Doe", "is a PDF"),
        (b"GIF89a", "is a GIF"),
        (b"II*\0rest", "is a TIFF picture"),
        (b"Rar!\x1a\x07", "is a RAR archive"),
        (b"plain words about a patient", "of none of the kinds read"),
    ],
)
def test_other_kinds_are_named(tmp_path: Path, head: bytes, words: str) -> None:
    assert words in refusal([file(tmp_path, head * 50)])


def test_an_empty_file_and_no_file_are_refused(tmp_path: Path) -> None:
    assert "an empty file" in refusal([file(tmp_path, b"", ".nii.gz")])
    assert "nothing was uploaded" in refusal([])


def test_an_upload_that_was_deleted_says_so(tmp_path: Path) -> None:
    assert "no longer here" in refusal([tmp_path / f"{NAME}.nii"])


def test_sizes_are_refused_from_the_length_alone(tmp_path: Path) -> None:
    check_upload([large(tmp_path, MOST_FILE_BYTES)])
    assert "512 MB" in refusal([large(tmp_path, MOST_FILE_BYTES + 1)])
    count = MOST_BYTES // MOST_FILE_BYTES + 1
    assert "1,536 MB in all" in refusal([large(tmp_path, MOST_FILE_BYTES, number) for number in range(count)])


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    assert f"{MOST_FILES + 1:,} files" in refusal([tmp_path / f"{NAME}{n}" for n in range(MOST_FILES + 1)])


def test_several_files_must_be_one_scan(tmp_path: Path) -> None:
    picture = tmp_path / f"{NAME}.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(picture)
    arrays = [file(tmp_path, b"\x93NUMPY", ".npy", number) for number in range(2)]
    archive = file(tmp_path, b"PK\x03\x04" + bytes(400), ".zip")
    letter = file(tmp_path, b"%PDF-1.7 about a patient", ".pdf")
    assert "3 files without DICOM (a picture, an array)" in refusal([picture, *arrays])
    assert "2 files without DICOM (a picture, a zip)" in refusal([picture, archive])
    assert "2 files without DICOM (a PDF)" in refusal([letter, letter])
    dicom = file(tmp_path, b"\0" * 128 + b"DICM" + b"\0" * 64, "")
    # What lies beside one scan is for the reader to leave out.
    for scan in ([picture, dicom], [picture], [picture, picture], [arrays[0], picture], [arrays[0], letter]):
        check_upload(scan)
