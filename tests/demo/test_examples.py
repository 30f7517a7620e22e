"""The example scans that are shipped: phantoms of each type, readable, small, and made again by their command."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from demo.examples import FOLDER, RECIPES, Example, examples, make_example
from hemobench.errors import UserError
from hemobench.inference.intake import take_in
from hemobench.io import read_scan
from hemobench.labels import SUBTYPES


def test_each_type_a_healthy_head_and_an_mri_are_there() -> None:
    found = {one.name: one for one in examples()}
    assert {one.subtype for one in found.values() if one.subtype} == set(SUBTYPES)
    assert found["healthy"].subtype is None
    assert take_in(found["mri-t1"].path).modality == "MR"
    assert all("phantom" in one.caption for one in found.values())


def test_they_weigh_less_than_four_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 4_000_000


@pytest.mark.parametrize("one", examples(), ids=lambda one: one.name)
def test_scan_and_thumbnail_can_be_read(one: Example) -> None:
    scan = read_scan(one.path)
    assert scan.spacing_known
    picture = Image.open(one.thumbnail)
    assert picture.size == (208, 208)
    assert np.asarray(picture).std() > 20
    if one.name != "mri-t1":
        assert scan.volume.shape == (24, 256, 256)
        assert scan.volume.voxels.min() == -1000


def dense_ml(path: Path) -> NDArray[np.float64]:
    """Millilitres by slice of what is as dense as acute blood and 3 voxels wide at least: no noise, no edge of bone."""
    volume = read_scan(path).volume
    smooth = ndimage.median_filter(volume.voxels, (1, 3, 3))
    dense = ndimage.binary_opening((smooth > 52) & (smooth < 100), np.ones((1, 3, 3)))
    return np.asarray(dense.sum(axis=(1, 2)) * volume.voxel_volume_ml)


@pytest.mark.parametrize("one", [one for one in examples() if one.subtype], ids=lambda one: one.name)
def test_blood_stands_out_in_the_slice_of_the_thumbnail(one: Example) -> None:
    assert one.volume_ml > 5
    assert dense_ml(one.path)[one.slice_index] > 1.2


def test_the_healthy_head_has_nothing_as_dense_above_the_skull_base() -> None:
    assert dense_ml(FOLDER / "healthy.nii.gz")[9:].max() < 0.5


@pytest.mark.slow
def test_the_command_makes_the_same_scan_again(tmp_path: Path) -> None:
    recipe = next(one for one in RECIPES if one.name == "intraparenchymal")
    again = make_example(recipe, tmp_path)
    shipped = next(one for one in examples() if one.name == recipe.name)
    # Where the phantoms have changed: python -m demo.examples, and look at the pictures.
    assert (again.volume_ml, again.slice_index) == pytest.approx((shipped.volume_ml, shipped.slice_index), abs=0.2)
    new, old = (read_scan(one.path).volume for one in (again, shipped))
    assert np.allclose(new.affine, old.affine, atol=1e-4)
    # Other processors round other last bits, which may tip a voxel over to its next step.
    assert np.mean(new.voxels != old.voxels) < 0.01


def test_the_files_name_no_date_and_no_person() -> None:
    for one in examples():
        content = one.path.read_bytes()
        assert content[4:8] == b"\0\0\0\0"
        header = gzip.decompress(content)[:348]
        assert header[148:228].strip(b"\0") == b""


def test_a_folder_without_examples_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python -m demo\.examples"):
        examples(tmp_path)
