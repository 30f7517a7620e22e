"""CT-ICH v1.3.1, and the rehearsal copies of both versions."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemobench.datasets.check import check_dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.ct_ich import SHIFTED_HU, official_slices
from hemobench.errors import UserError

from .small_studies import small_studies
from .smooth_studies import smooth_studies

COUNT = 12  # past number 58, behind which the official numbers have a gap
TABLE = "hemorrhage_diagnosis_raw_ct.csv"


def rehearse(root: Path, quirks: str = "clean", count: int = 3) -> Path:
    get_layout("ct-ich-nifti").write(root, small_studies(count, tilt_deg=10.0), 1, quirks)
    return root


def save(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    dataset = open_dataset(f"ct-ich:{rehearse(tmp_path, count=COUNT)}")
    assert [case.patient_id for case in dataset.cases] == [f"{n:03d}" for n in (*range(49, 59), 66, 67)]
    report = check_dataset(dataset)
    assert (report.cases, report.label_maps) == (COUNT, COUNT)
    assert report.warnings == report.remarks == report.unreadable == ()
    for case, (_, study) in zip(dataset.cases, small_studies(COUNT, tilt_deg=10.0), strict=True):
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, study.image.voxels)
        np.testing.assert_allclose(loaded.image.affine, study.image.affine, atol=1e-4)
        np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)
        np.testing.assert_array_equal(loaded.label_map, study.label_map)
        assert case.spacing_known
        assert loaded.blood_mask is None


def test_slices_are_counted_in_the_files_own_order(tmp_path: Path) -> None:
    rehearse(tmp_path, count=1)
    reference = open_dataset(f"ct-ich:{tmp_path}").cases[0].load()
    # The same scan stored from the top down: slice 1 is then the highest, and the labels belong to other slices.
    for folder in ("ct_scans", "masks"):
        path = tmp_path / folder / "049.nii"
        image = nib.load(path)
        flipped = nib.as_closest_canonical(image).as_reoriented(np.array([[0, 1], [1, 1], [2, -1]]))
        save(np.asarray(flipped.dataobj).copy(), flipped.affine, path)
    loaded = open_dataset(f"ct-ich:{tmp_path}").cases[0].load()
    np.testing.assert_array_equal(loaded.image.voxels, reference.image.voxels)
    assert reference.slice_labels is not None
    np.testing.assert_array_equal(loaded.slice_labels, reference.slice_labels[::-1])


def test_two_types_in_a_slice_leave_blood_without_type(tmp_path: Path) -> None:
    get_layout("ct-ich-nifti").write(tmp_path, smooth_studies(1), 1, "clean")
    ((_, study),) = smooth_studies(1)
    assert study.label_map is not None
    loaded = open_dataset(f"ct-ich:{tmp_path}").cases[0].load()
    assert loaded.label_map is None
    assert loaded.remarks == ()
    np.testing.assert_array_equal(loaded.blood_mask, study.label_map > 0)


def test_masks_of_another_affine_or_shape(tmp_path: Path) -> None:
    rehearse(tmp_path, count=2)
    reference = open_dataset(f"ct-ich:{tmp_path}").cases[0].load()
    first = nib.load(tmp_path / "masks" / "049.nii")
    # Values of 255 and an affine that forgot everything, as converters leave them.
    save((np.asarray(first.dataobj) * 255).astype(np.uint8), np.eye(4), tmp_path / "masks" / "049.nii")
    save(np.zeros((4, 4, 6), dtype=np.uint8), np.eye(4), tmp_path / "masks" / "050.nii")
    odd, wrong = open_dataset(f"ct-ich:{tmp_path}").cases
    loaded = odd.load()
    np.testing.assert_array_equal(loaded.label_map, reference.label_map)
    (remark,) = loaded.remarks
    assert "another affine" in remark
    with pytest.raises(UserError, match=r"050\.nii has shape \(4, 4, 6\); expected the scan's"):
        wrong.load()


def test_defects_are_named(tmp_path: Path) -> None:
    rehearse(tmp_path, "real", count=6)
    (tmp_path / "masks" / "050.nii").unlink()
    (tmp_path / "ct_scans" / "051.nii").rename(tmp_path / "ct_scans" / "080.nii")
    (tmp_path / "ct_scans" / "052.nii").write_text("no scan")
    (tmp_path / "ct_scans" / "notes.txt").write_text("x")
    table = tmp_path / TABLE
    lines = [line for line in table.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("53,2,")]
    table.write_text("\n".join([*lines, "54,7,0,0,0,0,0,1,0"]) + "\n", encoding="utf-8-sig")
    dataset = open_dataset(f"ct-ich:{tmp_path}")
    assert [case.patient_id for case in dataset.cases] == ["050", "054"]
    text = "\n".join(dataset.warnings)
    for part in (
        f"ct_scans/049.nii: 6 slices in {TABLE} but not on disk",
        "masks/050.nii: no mask of this scan; slice labels only",
        f"ct_scans/051.nii: 6 slices in {TABLE} but not on disk",
        "masks/051.nii: no scan of it",
        "ct_scans/052.nii: ",
        f"ct_scans/053.nii: slices 2 not in {TABLE}; scan left out",
        f"ct_scans/054.nii: 6 slices, {TABLE} has labels of 7 too",
        "ct_scans/080.nii: slices 1, 2, 3, 4, 5, 6 not in",
        "ct_scans/notes.txt: no NIfTI",
    ):
        assert part in text
    assert len(dataset.warnings) == 9
    assert dataset.cases[0].load().label_map is None


def test_names_of_patients_are_never_read(tmp_path: Path) -> None:
    rehearse(tmp_path, count=1)
    demographics = tmp_path / "Patient_demographics.csv"
    assert len(demographics.read_text(encoding="utf-8-sig").splitlines()) == 2
    before = open_dataset(f"ct-ich:{tmp_path}")
    demographics.write_bytes(b"\xff\x00 no table at all")
    after = open_dataset(f"ct-ich:{tmp_path}")
    assert (after.fingerprint, after.warnings) == (before.fingerprint, before.warnings) == (before.fingerprint, ())


def test_a_copy_without_table_or_scans_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "ct_scans").mkdir()
    with pytest.raises(UserError, match=f"no file .*{TABLE}"):
        open_dataset(f"ct-ich:{tmp_path}")
    (tmp_path / TABLE).write_text("PatientNumber,SliceNumber\n")
    with pytest.raises(UserError, match="no column Epidural"):
        open_dataset(f"ct-ich:{tmp_path}")


@pytest.mark.parametrize("several_types", [False, True])
def test_version_one_comes_out_as_it_went_in(tmp_path: Path, several_types: bool) -> None:
    get_layout("ct-ich").write(tmp_path, smooth_studies(3, several_types=several_types), 1, "clean")
    dataset = open_dataset(f"ct-ich:{tmp_path}")
    report = check_dataset(dataset)
    assert (report.cases, report.label_maps) == (3, 3)
    assert report.warnings == report.remarks == report.unreadable == ()
    for case, (_, study) in zip(dataset.cases, smooth_studies(3, several_types=several_types), strict=True):
        hu, ids = official_slices(study)
        loaded = case.load()
        np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)
        foreground = loaded.foreground
        assert foreground is not None
        # JPEG moves a mask's edge by less than a pixel in a few hundred.
        assert np.count_nonzero(foreground != (ids > 0)) <= 0.01 * np.count_nonzero(ids)
        if not several_types:
            assert loaded.label_map is not None
            both = (loaded.label_map > 0) & (ids > 0)
            np.testing.assert_array_equal(loaded.label_map[both], ids[both])
        brain = (hu > 25) & (hu < 75)
        assert np.abs(loaded.image.voxels - hu)[brain].mean() < 1


def test_version_ones_real_copy_names_its_defects(tmp_path: Path) -> None:
    get_layout("ct-ich").write(tmp_path, smooth_studies(2), 1, "real")
    report = check_dataset(open_dataset(f"ct-ich:{tmp_path}"))
    (warning,) = report.warnings
    (remark,) = report.remarks
    assert "049/brain/1.jpg" in warning
    assert "but not on disk" in warning
    found = re.search(r"050/bone: made with another level, shifted by (\d+) HU", remark)
    assert found is not None
    # To a step of the bone window.
    assert int(found[1]) == pytest.approx(SHIFTED_HU, abs=3200 / 255)
