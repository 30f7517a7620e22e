"""Anatomy from label maps of real adults, where the checkout has them beside it, and what is refused as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from hemobench.datasets.phantom import PhantomSpec, generate_patient, open_phantom
from hemobench.datasets.phantom.anatomy import Anatomy
from hemobench.datasets.phantom.generate import anatomy_number
from hemobench.datasets.phantom.label_maps import list_label_maps, read_label_map
from hemobench.datasets.phantom.sources import load_anatomy
from hemobench.datasets.phantom.tissues import Tissue
from hemobench.errors import UserError
from hemobench.io.nifti import write_nifti
from hemobench.volume import LABEL_MAP, Volume

MAPS = Path(__file__).resolve().parents[4] / "shared" / "data" / "brain-label-maps"
needs_maps = pytest.mark.skipif(not MAPS.is_dir(), reason="no label maps in ../shared/data/brain-label-maps")


def label_file(path: Path, spacing: float = 1.0, ids: tuple[int, ...] = (2, 41, 515)) -> Path:
    voxels = np.zeros((12, 12, 12), np.int32)
    for number, label in enumerate(ids):
        voxels[2 + 2 * number : 4 + 2 * number, 3:9, 3:9] = label
    write_nifti(Volume(voxels, np.diag([spacing, spacing, spacing, 1.0]), LABEL_MAP), path)
    return path


@pytest.fixture(scope="module")
def adult() -> Anatomy:
    return load_anatomy(str(MAPS), 0)


@needs_maps
def test_an_adults_map_is_an_adults_head(adult: Anatomy) -> None:
    assert 1.1 < float((adult.depth_mm > 0).sum()) / 1e6 < 1.9
    assert 0.005 < float((adult.tissue == Tissue.VENTRICLE).sum()) / 1e6 < 0.12
    for tissue in (Tissue.CORTICAL_BONE, Tissue.SKIN, Tissue.FAT, Tissue.DURA, Tissue.VENOUS_SINUS, Tissue.EYE):
        assert int((adult.tissue == tissue).sum()) > 1000, tissue.name
    assert adult.landmark("deep_left")[2] > adult.landmark("deep_right")[2]


@needs_maps
def test_the_plexus_hangs_in_the_ventricles(adult: Anatomy) -> None:
    plexus, ventricles = ((adult.tissue == tissue).numpy() for tissue in (Tissue.CHOROID, Tissue.VENTRICLE))
    assert 500 < plexus.sum() < 8000
    near = ndimage.binary_dilation(ventricles, iterations=4)
    assert (plexus & near).sum() > 0.95 * plexus.sum()


@needs_maps
def test_patients_take_the_maps_in_turns_and_render(adult: Anatomy) -> None:
    spec = PhantomSpec(slices=10, matrix=64, anatomy=str(MAPS), healthy=0.0)
    count = len(list_label_maps(MAPS))
    assert [anatomy_number(spec, index) for index in (0, 1, count)] == [0, 1, 0]
    loaded = generate_patient(spec, 0)
    assert loaded.image.shape == (10, 64, 64)
    assert loaded.label_map is not None
    assert loaded.label_map.any()
    middle = loaded.image.voxels[5]
    assert (middle > 300).any()  # bone
    assert 20 < np.median(middle[(middle > 0) & (middle < 100)]) < 50
    assert open_phantom(MAPS, patients=1).fingerprint != open_phantom(None, patients=1).fingerprint


def test_wrong_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    for folder, named in ((tmp_path / "none", "no folder"), (tmp_path, "no label map")):
        with pytest.raises(UserError, match=named) as caught:
            open_phantom(folder, patients=1)
        assert "\n" not in str(caught.value)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 1 mm"):
        read_label_map(label_file(tmp_path / "coarse.nii.gz", spacing=2.0))
    with pytest.raises(UserError, match="names no white matter or no skull"):
        read_label_map(label_file(tmp_path / "bare.nii.gz", ids=(2, 41)))
    (tmp_path / "text.nii.gz").write_text("no scan")
    with pytest.raises(UserError, match="NIfTI"):
        read_label_map(tmp_path / "text.nii.gz")


def test_maps_are_listed_in_name_order(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.mgz", "c.nii", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_label_maps(tmp_path)] == ["a.mgz", "b.nii.gz", "c.nii"]


def test_a_map_is_cut_to_the_head_in_display_order(tmp_path: Path) -> None:
    labels = read_label_map_with_brainstem(tmp_path)
    assert labels.shape[0] <= 60
    assert set(np.unique(labels)) == {0, 2, 16, 515}


def read_label_map_with_brainstem(folder: Path) -> np.ndarray:
    voxels = np.zeros((60, 60, 60), np.int32)
    voxels[20:40, 20:40, 20:40] = 515
    voxels[22:38, 22:38, 22:38] = 2
    voxels[28:32, 28:32, 22:26] = 16
    write_nifti(Volume(voxels, np.eye(4), LABEL_MAP), folder / "head.nii.gz")
    labels = read_label_map(folder / "head.nii.gz")
    assert labels.shape == (32, 32, 32)  # 20 voxels and a margin of 6 on each side
    return labels
