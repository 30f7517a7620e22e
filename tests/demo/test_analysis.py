"""One request: what the report holds, what the viewer is given, what is written, and what is refused in which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from scans import ball_in_a_head, ball_ml, oblique_affine, write_dicom

from demo.analysis import STAGES, Analyst, write_files
from demo.weights import Opened
from hemobench.errors import UserError
from hemobench.inference.shipped import checkpoints_by_role
from hemobench.io.nifti import write_nifti
from hemobench.volume import Volume

SHAPE, SPACING_MM = (12, 64, 60), (8.0, 3.0, 3.0)
RADIUS_MM = 20.0
NAME = "DOE_JOHN_1950"


@pytest.fixture(scope="module")
def opened(hand_made: tuple[Path, ...]) -> Opened:
    return Opened("hand-made", tuple(checkpoints_by_role(list(hand_made)).values()))


@pytest.fixture(scope="module")
def bleed() -> Volume:
    affine = oblique_affine(SHAPE, SPACING_MM)
    return ball_in_a_head(SHAPE, affine, centre_mm=(28.0, 25.0, 20.0), radius_mm=RADIUS_MM)


@pytest.fixture
def nifti(bleed: Volume, tmp_path: Path) -> Path:
    path = tmp_path / f"{NAME}.nii.gz"
    write_nifti(bleed, path)
    return path


def test_a_scan_is_analysed_and_coded_for_the_viewer(nifti: Path, opened: Opened, tmp_path: Path) -> None:
    told: list[str] = []
    answer = Analyst(tmp_path / "work").answer([nifti], opened, tell=told.append)
    assert answer.encoded is not None
    assert answer.encoded.shape == SHAPE
    assert answer.encoded.modality == "CT"
    assert answer.report.volume_ml is not None
    assert answer.report.volume_ml["intraparenchymal"] == pytest.approx(ball_ml(RADIUS_MM), rel=0.1)
    assert told[0] == "reading"
    assert set(told) <= set(STAGES)
    assert list((tmp_path / "work").iterdir()) == []


def test_remarks_about_the_networks_come_first_among_the_warnings(nifti: Path, opened: Opened, tmp_path: Path) -> None:
    with_remark = Opened(opened.identity, opened.checkpoints, ("the Hub was away",))
    answer = Analyst(tmp_path / "work").answer([nifti], with_remark, for_viewer=False)
    what, networks = answer.report.source.warnings[:2]
    assert what.startswith("this does not look like a head CT"), "a ball is none, and that leads"
    assert networks == "the Hub was away"
    assert answer.encoded is None


def test_a_picture_is_shown_as_grey_and_has_no_millilitres(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.jpg"
    Image.fromarray(np.full((64, 64), 90, dtype=np.uint8)).save(path)
    answer = Analyst(tmp_path / "work").answer([path], opened)
    assert answer.encoded is not None
    assert answer.encoded.modality == "grey"
    assert answer.report.volume_ml is None


def test_the_written_mask_lies_in_the_scans_own_space_and_no_file_has_a_name(
    nifti: Path, opened: Opened, tmp_path: Path
) -> None:
    report = Analyst(tmp_path / "work").answer([nifti], opened).report
    files = write_files(report, tmp_path / "out")
    assert files.mask is not None
    mask, source = nibabel.load(files.mask), nibabel.load(nifti)
    assert mask.shape == source.shape
    np.testing.assert_allclose(mask.affine, source.affine, atol=1e-4)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mask.nii.gz", "overview.png", "report.json"]
    for path in (tmp_path / "out").iterdir():
        assert NAME.encode() not in path.read_bytes()
    assert str(tmp_path) not in json.dumps(report.to_mapping())


def test_a_dicom_seg_is_made_from_loose_files(bleed: Volume, opened: Opened, tmp_path: Path) -> None:
    series = sorted(path for path in write_dicom(bleed, tmp_path / NAME).rglob("*") if path.is_file())
    answer = Analyst(tmp_path / "work").answer(series, opened, segmentation=tmp_path / "out" / "mask.dcm")
    segmentation = pydicom.dcmread(tmp_path / "out" / "mask.dcm")
    assert segmentation.Modality == "SEG"
    assert segmentation.StudyInstanceUID == pydicom.dcmread(series[0]).StudyInstanceUID
    assert answer.report.source.files == len(series)


def test_a_dicom_seg_of_another_kind_is_refused(nifti: Path, opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="A nifti scan; expected a DICOM series"):
        Analyst(tmp_path / "work").answer([nifti], opened, segmentation=tmp_path / "mask.dcm")
    assert not (tmp_path / "mask.dcm").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{NAME}.nii", b"\0" * 344 + b"n+1\0" + b"\0" * 400),
        (f"{NAME}.zip", b"PK\x03\x04" + b"no zip" * 60),
        (f"{NAME}.dcm", b"\0" * 128 + b"DICM" + b"\x08\0" * 200),
        (f"{NAME}.png", b"\x89PNG\r\n\x1a\n" + b"cut" * 200),
        (f"{NAME}.npz", b"PK\x03\x04" + b"no zip" * 60),
    ],
)
def test_refusals_name_neither_file_nor_folder(name: str, content: bytes, opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Analyst(tmp_path / "work").answer([path], opened)
    line = str(caught.value)
    assert NAME not in line
    assert str(tmp_path) not in line
    assert "work-" not in line
    assert ";" in line
    assert "\n" not in line


def test_a_gpu_is_borrowed_only_where_the_package_for_it_is(tmp_path: Path) -> None:
    code = "from pathlib import Path; from demo.analysis import Analyst; Analyst(Path('.'))"
    stub = "def GPU(function):\n    print('borrowed for', function.__name__)\n    return function\n"
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "spaces.py").write_text(stub)
    root = Path(__file__).parents[2]
    for path, said in ((f"{root}:{tmp_path / 'there'}", "borrowed for analyse"), (str(root), "")):
        run = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, encoding="utf-8", check=True
        )
        assert run.stdout.strip() == said
