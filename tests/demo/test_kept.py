"""What a request leaves for its link comes back as it was, and goes with the request."""

from __future__ import annotations

from pathlib import Path

from demo.jobs import begin, end, folder_of
from demo.kept import Request, Shown, keep, recall

SHOWN = Shown("<div>said</div>", "", {"volume": {"path": "x.bin"}, "slices": [0.5]}, True, "{}")


def test_a_request_and_what_it_showed_come_back(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"voxels")
    folder = folder_of(tmp_path, begin(tmp_path))
    assert folder is not None
    assert recall(folder) is None
    request = Request((str(scan), str(tmp_path / "deleted.nii")), -1, "shipped", "2.1", "MR")
    keep(folder, request)
    assert recall(folder) == (Request((str(scan),), -1, "shipped", "2.1", "MR"), None), "at work still"
    keep(folder, SHOWN)
    found = recall(folder)
    assert found is not None
    assert found[1] == SHOWN


def test_what_the_visitor_says_that_a_scan_is_belongs_to_the_request() -> None:
    silent, said = Request(("scan",), -1, "shipped"), Request(("scan",), -1, "shipped", modality="MR")
    assert (silent.said, said.said) == (None, "MR")
    assert silent != said, "another question, with another answer"


def test_nothing_comes_back_when_the_request_has_ended(tmp_path: Path) -> None:
    job = begin(tmp_path)
    folder = folder_of(tmp_path, job)
    assert folder is not None
    keep(folder, Request((), 3, "shipped"))
    keep(folder, SHOWN)
    end(tmp_path, job)
    assert recall(folder) is None
    assert list(tmp_path.iterdir()) == []
