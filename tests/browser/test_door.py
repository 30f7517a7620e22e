"""Scans come in from anywhere on the page: folders, pictures, zips; several series are there to choose from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from demo.app import serving
from demo.examples import examples
from hemobench.io import read_scan
from hemobench.views.windows import to_grey_uint8

from .scan_pages import LONG_MS, NAME, choose_example, drawn, drop, report_of, status, upload

SUBDURAL = next(one for one in examples() if one.subtype == "subdural")
TITLE = "#scan-viewer .source"


def study(folder: Path) -> Path:
    """A study's folder: two series of 24 slices, each in a folder of its own, in files whose names tell nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "inference"))
        from scans import write_dicom
    volume = read_scan(SUBDURAL.path).volume
    for number, kernel in ((2, "H31s"), (3, "H60s")):
        for path in write_dicom(volume, folder / f"series-{number}").iterdir():
            slice_ = pydicom.dcmread(path)
            slice_.SeriesNumber, slice_.SeriesInstanceUID = number, f"{slice_.SeriesInstanceUID}.{number}"
            slice_.ConvolutionKernel, slice_.SeriesDescription, slice_.PatientName = kernel, f"Head {kernel}", NAME
            slice_.save_as(path)
    (folder / ".DS_Store").write_bytes(b"left behind")
    return folder


def pictures(folder: Path) -> Path:
    """Slices as PNG, numbered without zeros before."""
    folder.mkdir()
    for number, slice_ in enumerate(read_scan(SUBDURAL.path).volume.voxels, start=1):
        Image.fromarray(to_grey_uint8(slice_, "brain")).save(folder / f"{NAME}-{number}.png")
    return folder


def letter(folder: Path) -> Path:
    path = folder / f"{NAME}.pdf"
    path.write_bytes(b"%PDF-1.7 about a patient" * 30)
    return path


def test_a_folder_dropped_on_the_empty_area_is_read_and_its_series_are_there_to_choose(
    opened: Any, tmp_path: Path
) -> None:
    opened.evaluate("window.stayed = true")
    drop(opened, study(tmp_path / NAME))
    status(opened, "done")
    drawn(opened)
    assert opened.evaluate("window.stayed"), "a drop must not take the page away"
    assert opened.inner_text(TITLE).startswith("Series 2, HEAD H31S: CT from DICOM, 24 files; 24 slices of ")
    offers = opened.locator("#scan-series button.offer")
    assert [one.split("\n")[0] for one in offers.all_inner_texts()] == ["2: HEAD H31S", "3: HEAD H60S"]
    assert "24 slices, H60S, sharp kernel" in offers.nth(1).inner_text()
    assert offers.nth(1).locator("img").evaluate("(image) => image.naturalWidth") > 40
    assert [offers.nth(place).get_attribute("aria-pressed") for place in (0, 1)] == ["true", "false"]
    assert NAME not in opened.content()

    offers.nth(1).click()
    opened.wait_for_function(f"document.querySelector('{TITLE}').textContent.startsWith('Series 3')", timeout=LONG_MS)
    status(opened, "done")
    assert [offers.nth(place).get_attribute("aria-pressed") for place in (0, 1)] == ["false", "true"]
    report = report_of(opened, tmp_path)
    assert report["source"]["files"] == 24
    assert "HEAD" not in str(report), "names of series are for the page alone"


def test_pictures_loose_and_in_a_zip_are_one_scan(opened: Any, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "slices")
    shuffled = sorted(folder.iterdir(), key=lambda path: path.name)  # 1, 10, 11, 2
    upload(opened, *shuffled)
    status(opened, "done")
    drawn(opened)
    loose = report_of(opened, tmp_path)
    assert loose["source"]["shape"][0] == loose["source"]["files"] == 24
    assert opened.inner_text(TITLE).startswith("Grey ")
    archive = Path(shutil.make_archive(str(tmp_path / NAME), "zip", folder))
    drop(opened, archive, x=640, y=500)
    opened.wait_for_function("document.querySelector('#scan-status .busy')")
    status(opened, "done")
    zipped = report_of(opened, tmp_path)
    assert zipped["slices"] == loose["slices"]


def test_a_zip_of_one_nifti_dropped_on_another_tab_is_read(opened: Any, tmp_path: Path) -> None:
    choose_example(opened, "subdural")
    status(opened, "done")
    marked = "#scan-examples button.example[aria-pressed=true]"
    assert opened.inner_text(marked).replace("\xad", "") == "Subdural"
    assert opened.inner_text(TITLE).startswith("Example, Subdural: CT from NIfTI")
    example = report_of(opened, tmp_path)
    (tmp_path / "in").mkdir()
    shutil.copy(SUBDURAL.path, tmp_path / "in" / f"{NAME}.nii.gz")
    archive = Path(shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "in"))
    opened.get_by_role("tab", name="About").click()
    drop(opened, archive)
    opened.wait_for_function("document.querySelector('#scan-status .busy')")
    status(opened, "done")
    drawn(opened)
    assert opened.locator(marked).count() == 0
    own = report_of(opened, tmp_path)
    assert (own["lesions"], own["slices"]) == (example["lesions"], example["slices"])


def test_an_empty_folder_and_a_letter_are_refused_where_they_fall(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    drop(opened, tmp_path / "empty")
    assert "A folder without files." in status(opened, "refused")
    drop(opened, letter(tmp_path))
    opened.wait_for_function("document.querySelector('#scan-status').innerText.includes('The file is a PDF.')")
    assert opened.url.startswith("http://127.0.0.1")


# Another element comes to lie under the pointer, as when an answer arrives.
COVERED = """
const cover = document.createElement("div");
cover.style = "position: fixed; inset: 0; z-index: 9999";
document.body.append(cover);
"""
# A picture of the page is dragged and removed before it is let go, so that its `dragend` reaches nobody.
PICTURE_GONE = """
const picture = document.body.appendChild(document.createElement("img"));
picture.dispatchEvent(new DragEvent("dragstart", { bubbles: true, dataTransfer: new DataTransfer() }));
picture.remove();
"""


@pytest.mark.parametrize("x", [900, 300])
def test_a_drop_is_taken_while_the_page_changes_under_the_pointer(opened: Any, tmp_path: Path, x: int) -> None:
    drop(opened, letter(tmp_path), x=x, meanwhile=COVERED)
    assert "The file is a PDF." in status(opened, "refused")
    assert opened.url.startswith("http://127.0.0.1")


def test_a_drop_is_taken_after_a_picture_of_the_page_went_away_while_it_was_dragged(
    opened: Any, tmp_path: Path
) -> None:
    opened.evaluate(PICTURE_GONE)
    opened.mouse.move(700, 500)
    drop(opened, letter(tmp_path))
    assert "The file is a PDF." in status(opened, "refused")


def test_a_drop_before_the_page_has_its_script_leaves_the_page(opened: Any, tmp_path: Path) -> None:
    assert opened.evaluate("window.gradio_config.head") == serving()["head"]
    opened.goto("data:text/html,")
    opened.set_content(f"<html><head>{serving()['head']}</head><body class='dropping'>Loading</body></html>")
    opened.evaluate("window.stayed = true")
    drop(opened, letter(tmp_path))
    opened.wait_for_timeout(500)  # a browser that opens the letter has begun by then
    assert opened.evaluate("window.stayed")
    assert opened.inner_text("body") == "Loading"
