from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemobench.datasets.opening import open_dataset
from hemobench.errors import UserError

# Right to left, inferior to superior, then posterior to anterior: as recon-all writes.
CONFORMED = np.array([[-1.0, 0, 0, 10], [0, 0, 1, -12], [0, -1, 0, 11], [0, 0, 0, 1]])


def write_pair(folder: Path, scan: str = "T1.mgz", labels: str = "aseg.mgz") -> np.ndarray:
    """Write a pair, and give its ids: each ventricle in a place of its own, and the plexus that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.zeros((20, 22, 24), dtype=np.int32)
    for place, label in enumerate((4, 5, 14, 15, 43, 44, 72, 31, 63, 2)):
        ids[2 + place, 5:8, 3 + place] = label
    voxels = np.random.default_rng(0).uniform(0, 150, ids.shape).astype(np.float32)
    voxels[2, 5, 3] = 999.0
    for name, array in ((scan, voxels), (labels, ids)):
        kind = nib.MGHImage if name.endswith(".mgz") else nib.Nifti1Image
        nib.save(kind(array, CONFORMED), folder / name)
    return ids


def test_ventricles_are_those_of_freesurfers_table_without_the_plexus(tmp_path: Path) -> None:
    ids = write_pair(tmp_path / "anna" / "mri", labels="aparc.a2009s+aseg.mgz")
    dataset = open_dataset(f"freesurfer:{tmp_path}")
    (case,) = dataset.cases
    assert (case.patient_id, case.lineage) == ("anna", "freesurfer")
    loaded = case.load()
    assert loaded.image.orientation == "SPL"
    assert loaded.image.modality == "MR"
    assert loaded.label_map is not None
    assert loaded.label_map.sum() == np.isin(ids, (4, 5, 14, 15, 43, 44, 72)).sum() == 21
    # The brightest voxel lies in the left lateral ventricle, on the image's grid as in the file.
    brightest = np.unravel_index(loaded.image.voxels.argmax(), loaded.image.shape)
    assert loaded.label_map[brightest] == 1
    assert np.allclose(loaded.image.to_world(brightest), (CONFORMED @ [2, 5, 3, 1])[:3])


def test_scans_are_chosen_by_name_and_lonely_files_are_named(tmp_path: Path) -> None:
    write_pair(tmp_path / "a", "norm.mgz")
    write_pair(tmp_path / "b", "T1.nii.gz", "aparc+aseg.nii.gz")
    write_pair(tmp_path / "c", "brain.mgz")
    (tmp_path / "c" / "brain.mgz").unlink()
    dataset = open_dataset(f"freesurfer:{tmp_path}")
    assert [case.patient_id for case in dataset.cases] == ["a", "b"]
    assert dataset.warnings == ("c: no scan (T1, orig, norm, brain); left out",)
    only = open_dataset(f"freesurfer:{tmp_path},image=norm")
    assert [case.patient_id for case in only.cases] == ["a"]
    assert only.fingerprint != dataset.fingerprint


def test_a_folder_that_is_itself_the_pair(tmp_path: Path) -> None:
    write_pair(tmp_path / "someone")
    (case,) = open_dataset(f"freesurfer:{tmp_path / 'someone'}").cases
    assert case.patient_id == "someone"


def test_a_folder_without_pairs_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no pair of scan and segmentation"):
        open_dataset(f"freesurfer:{tmp_path}")
