"""The list of a study's series: what it shows, that it is text, and that none of it goes further than the page."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scans import ball_in_a_head, oblique_affine, write_dicom

from demo.series import offers_of, series_words
from hemobench.inference.intake import take_in
from hemobench.io import Scan, read_scan
from hemobench.io.scan import DicomSource

SHAPE, SPACING_MM = (6, 48, 44), (8.0, 4.0, 4.0)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of one study: a soft one, and a sharp one with a hostile name."""
    folder = tmp_path_factory.mktemp("study")
    affine = oblique_affine(SHAPE, SPACING_MM)
    volume = ball_in_a_head(SHAPE, affine, centre_mm=(10.0, 10.0, 10.0), radius_mm=15)
    for number, kernel, name in ((2, "H31s", "Head  5.0"), (7, "H60s", HOSTILE)):
        for path in write_dicom(volume, folder / str(number)).iterdir():
            slice_ = pydicom.dcmread(path)
            slice_.SeriesNumber, slice_.SeriesInstanceUID = number, f"{slice_.SeriesInstanceUID}.{number}"
            slice_.ConvolutionKernel, slice_.SeriesDescription = kernel, name
            slice_.save_as(path)
    return folder


@pytest.fixture(scope="module")
def scan(study: Path) -> Scan:
    return read_scan(study)


def test_series_are_listed_with_name_kernel_slices_and_picture(scan: Scan) -> None:
    html = offers_of(scan)
    assert html.count('class="offer"') == html.count("data:image/png;base64,") == 2
    assert "<b>2: HEAD 5.0</b><br />6 slices, H31S, soft kernel" in html
    assert "6 slices, H60S, sharp kernel" in html
    assert html.index('data-key="2" aria-pressed="true"') < html.index('data-key="7" aria-pressed="false"')
    assert "<IMG" not in html.upper().replace('<IMG SRC="DATA:', "")
    assert series_words(scan) == "Series 2, HEAD 5.0"


def test_the_other_one_is_read_when_it_is_asked_for_and_still_listed(study: Path) -> None:
    chosen = read_scan(study, series="7")
    assert 'data-key="7" aria-pressed="true"' in offers_of(chosen)
    assert series_words(chosen).startswith("Series 7")


def test_one_series_and_other_kinds_have_nothing_to_choose(study: Path) -> None:
    assert offers_of(read_scan(study / "2")) == ""
    assert series_words(read_scan(study / "2")).startswith("Series 2")
    in_memory = take_in(read_scan(study / "2").volume).scan
    assert (offers_of(in_memory), series_words(in_memory)) == ("", "")


def test_a_slice_that_cannot_be_decoded_is_black_in_the_list(study: Path, tmp_path: Path) -> None:
    for path in sorted((study / "7").iterdir()):
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[: len(content) - 500])
    for path in (study / "2").iterdir():
        (tmp_path / f"soft-{path.name}").write_bytes(path.read_bytes())
    assert offers_of(read_scan(tmp_path)).count('class="offer"') == 2


def test_names_of_series_do_not_travel_with_the_scan(scan: Scan) -> None:
    assert isinstance(scan.source, DicomSource)
    assert len(scan.source.series) == 2
    for other in (pickle.loads(pickle.dumps(scan.source)), copy.deepcopy(scan.source)):
        assert other.series == ()
        assert other.slices == scan.source.slices
    picture = scan.source.series[0].picture()
    assert picture.shape == SHAPE[1:]
    # The middle by number, which may be counted from above.
    assert min(np.abs(picture - np.asarray(scan.volume.voxels[place])).max() for place in (2, 3)) < 1
