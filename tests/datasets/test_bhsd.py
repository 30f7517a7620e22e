"""BHSD, MBH-Seg and INSTANCE 2022 on whole rehearsal copies and on hand-made files for each quirk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemobench.case import Dataset
from hemobench.datasets.bhsd import majority, open_bhsd, open_mbh_seg
from hemobench.datasets.check import check_dataset
from hemobench.datasets.instance22 import open_instance22
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.rsna_names import rsna_patient, rsna_study
from hemobench.errors import UserError

from .small_studies import small_studies, small_study

COUNT = 5


def rehearse(name: str, root: Path, quirks: str = "clean", count: int = COUNT) -> Path:
    get_layout(name).write(root, small_studies(count, tilt_deg=12.0), 1, quirks)
    return root


def assert_clean(dataset: Dataset) -> None:
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.label_maps) == (COUNT, COUNT, COUNT)
    assert report.warnings == report.remarks == report.unreadable == ()


@pytest.mark.parametrize("name", ["bhsd", "mbh-seg"])
def test_what_went_into_the_layout_comes_out(tmp_path: Path, name: str) -> None:
    dataset = open_dataset(f"{name}:{rehearse(name, tmp_path)}")
    assert_clean(dataset)
    cases = {case.patient_id: case for case in dataset.cases}
    for patient_id, study in small_studies(COUNT, tilt_deg=12.0):
        case = cases[rsna_patient(patient_id)]
        assert (case.study_id, case.lineage, case.dataset) == (rsna_study(patient_id), "rsna", name)
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, study.image.voxels)
        np.testing.assert_allclose(loaded.image.affine, study.image.affine, atol=1e-4)
        np.testing.assert_array_equal(loaded.label_map, study.label_map)
        np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)


def test_bhsd_headers_have_a_qform_alone(tmp_path: Path) -> None:
    rehearse("bhsd", tmp_path, count=1)
    (path,) = (tmp_path / "label_192" / "images").iterdir()
    header = nib.load(path).header
    assert int(header["sform_code"]) == 0
    assert int(header["qform_code"]) == 1


def test_bhsd_scan_without_mask_is_named_and_left_out(tmp_path: Path) -> None:
    rehearse("bhsd", tmp_path, "real")
    dataset = open_bhsd(tmp_path)
    assert len(dataset.cases) == COUNT - 1
    (line,) = dataset.warnings
    assert line.startswith(f"label_192/images/{rsna_patient('made-0')}_")
    assert "no mask in label_192/ground truths" in line
    # The inner folder will do as well, and means the same data.
    assert len(open_bhsd(tmp_path / "label_192").cases) == COUNT - 1


def to_decathlon(root: Path, labels: dict[str, object]) -> Path:
    rehearse("bhsd", root, count=2)
    (root / "label_192" / "images").rename(root / "imagesTr")
    (root / "label_192" / "ground truths").rename(root / "labelsTr")
    for path in list((root / "imagesTr").iterdir()):
        path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def test_decathlon_style_with_both_ways_to_write_the_labels(tmp_path: Path) -> None:
    root = to_decathlon(tmp_path, {"0": "background", "1": "EDH", "2": "IPH", "3": "IVH", "4": "SAH", "5": "SDH"})
    assert [case.patient_id for case in open_bhsd(root).cases] == sorted(map(rsna_patient, ("made-0", "made-1")))
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "epidural": 1, "subdural": 5}}))
    np.testing.assert_array_equal(
        {case.patient_id: case for case in open_bhsd(root).cases}[rsna_patient("made-1")].load().label_map,
        small_study(1).label_map,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"labels": {"1": "SDH"}}', "gives id 1 to SDH; expected 5"),
        ('{"labels": {"IVH": 2}}', "gives id 2 to IVH; expected 3"),
        ('{"labels": [1, 2]}', "no object 'labels'"),
        ("[]", "no object 'labels'"),
        ("{\x00", "no JSON"),
        ("[" * 100_000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
    ],
)
def test_hostile_dataset_json_is_refused_in_one_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    root = to_decathlon(tmp_path, {})
    (root / "dataset.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        open_bhsd(root)
    assert "\n" not in str(caught.value)


def test_masks_that_do_not_fit_are_named(tmp_path: Path) -> None:
    rehearse("bhsd", tmp_path, count=3)
    folder = tmp_path / "label_192" / "ground truths"
    first, second, third = sorted(folder.iterdir())
    stored = nib.load(first)
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj)[:, :, 1:], stored.affine), first)
    nib.save(nib.Nifti1Image(np.full(stored.shape, 7, dtype=np.uint8), stored.affine), second)
    third.write_bytes(third.read_bytes()[:200])
    messages = []
    for case in open_bhsd(tmp_path).cases:
        with pytest.raises(UserError) as caught:
            case.load()
        messages.append(str(caught.value))
    assert "expected one grid" in messages[0]
    assert "ids 7..7" in messages[1]
    assert "damaged" in messages[2]
    for message, path in zip(messages, (first, second, third), strict=True):
        assert path.name in message


def test_mask_whose_header_lies_is_laid_on_the_image(tmp_path: Path) -> None:
    rehearse("bhsd", tmp_path, count=1)
    (path,) = (tmp_path / "label_192" / "ground truths").iterdir()
    stored = np.asarray(nib.load(path).dataobj)
    # As tools write that know nothing of geometry: identity, so axes seem to run R-A-S instead of L-P-S.
    nib.save(nib.Nifti1Image(stored, np.eye(4)), path)
    loaded = open_bhsd(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.label_map, small_study(0).label_map)
    (remark,) = loaded.remarks
    assert "voxel for voxel" in remark


def test_names_that_are_not_rsnas_stand_for_themselves(tmp_path: Path) -> None:
    rehearse("bhsd", tmp_path, count=1)
    for folder in ("images", "ground truths"):
        (path,) = (tmp_path / "label_192" / folder).iterdir()
        path.rename(path.with_name("case7.nii.gz"))
    dataset = open_bhsd(tmp_path)
    assert (dataset.cases[0].patient_id, dataset.cases[0].study_id) == ("case7", "case7")
    assert "case7" in dataset.warnings[0]


def test_majority_is_more_than_half() -> None:
    # Columns: voxels; rows: raters.
    drawn = np.array([[1, 2, 0, 3, 4, 4], [1, 0, 0, 5, 4, 0], [0, 0, 2, 5, 2, 0], [0, 2, 2, 3, 2, 0]], dtype=np.uint8)
    # Two of four is no majority; of types named equally often the lower id counts.
    assert majority(drawn.reshape(4, 1, 1, 6)).ravel().tolist() == [0, 0, 0, 3, 2, 0]
    two = majority(drawn[:2].reshape(2, 1, 1, 6)).ravel().tolist()
    assert two == [1, 0, 0, 3, 4, 0]
    assert majority(drawn[:1].reshape(1, 1, 1, 6)).ravel().tolist() == drawn[0].tolist()


def test_one_rater_can_be_chosen(tmp_path: Path) -> None:
    rehearse("mbh-seg", tmp_path)
    # The third phantom has three raters, of whom the first draws wide.
    name = rsna_patient("made-2")
    chosen = {number: open_mbh_seg(tmp_path, rater=number) for number in (1, 2, 4)}
    wide, exact = (
        next(case for case in chosen[number].cases if case.patient_id == name).load().label_map for number in (1, 2)
    )
    np.testing.assert_array_equal(exact, small_study(2).label_map)
    assert np.count_nonzero(wide) > np.count_nonzero(exact)
    assert [case.patient_id for case in chosen[4].cases] == [rsna_patient("made-3")]
    assert len(chosen[4].warnings) == COUNT - 1
    assert "no label_annot_4.nii.gz" in chosen[4].warnings[0]
    assert len({dataset.fingerprint for dataset in chosen.values()}) == 3
    assert len(open_dataset(f"mbh-seg:{tmp_path},rater=1").cases) == COUNT
    for wrong in (0, "best"):
        with pytest.raises(UserError, match=f"rater {wrong}; expected a number from 1 or 'majority'"):
            open_mbh_seg(tmp_path, rater=wrong)


def test_instance22_masks_are_blood_without_type(tmp_path: Path) -> None:
    dataset = open_dataset(f"instance22:{rehearse('instance22', tmp_path)}")
    assert_clean(dataset)
    for (_, study), case in zip(small_studies(COUNT, tilt_deg=12.0), dataset.cases, strict=True):
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, study.image.voxels)
        np.testing.assert_array_equal(loaded.blood_mask, study.label_map > 0)
        assert loaded.label_map is loaded.slice_labels is None
    shutil.rmtree(tmp_path / "label")
    rehearse("instance22", tmp_path, "real")
    again = open_instance22(tmp_path)
    assert [case.patient_id for case in again.cases] == ["001", "002", "003", "004", "005"][1:]
    assert again.warnings == ("data/001: no mask in label; scan left out",)


def test_instance22_masks_with_several_ids_are_refused(tmp_path: Path) -> None:
    rehearse("instance22", tmp_path, count=1)
    path = tmp_path / "label" / "001.nii.gz"
    stored = nib.load(path)
    ids = np.asarray(stored.dataobj).copy()
    nib.save(nib.Nifti1Image(ids * 255, stored.affine), path)
    mask = open_instance22(tmp_path).cases[0].load().blood_mask
    np.testing.assert_array_equal(mask, small_study(0).label_map > 0)
    ids[0, 0, :2] = 3, 4
    nib.save(nib.Nifti1Image(ids, stored.affine), path)
    with pytest.raises(UserError, match=r"001\.nii\.gz has ids 0, 1, 3, 4; expected 0 and 1"):
        open_instance22(tmp_path).cases[0].load()


def test_two_files_of_one_scan_and_macos_leftovers(tmp_path: Path) -> None:
    rehearse("instance22", tmp_path, count=1)
    (tmp_path / "data" / "._001.nii.gz").write_bytes(b"\0")
    (tmp_path / "data" / "Thumbs.db").write_bytes(b"\0")
    assert open_instance22(tmp_path).warnings == ()
    shutil.copy(tmp_path / "data" / "001.nii.gz", tmp_path / "data" / "001.nii")
    with pytest.raises(UserError, match="one scan twice"):
        open_instance22(tmp_path)


@pytest.mark.parametrize("name", ["bhsd", "mbh-seg", "instance22"])
def test_folders_of_another_layout_give_a_remedy(tmp_path: Path, name: str) -> None:
    for spec, message in (
        (name, "without a path"),
        (f"{name}:{tmp_path / 'none'}", "no folder"),
        (f"{name}:{tmp_path}", "expected"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            open_dataset(spec)
        assert "\n" not in str(caught.value)
