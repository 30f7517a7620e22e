"""A user's own NIfTI folder: the whole rehearsal copy, patterns, tables, settings, and hostile ones of each."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemobench.datasets.check import check_dataset
from hemobench.datasets.nifti_folder import open_nifti_folder
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.nifti_files import write_ids, write_scan
from hemobench.datasets.splits import check_disjoint_cases
from hemobench.errors import UserError
from hemobench.volume import Volume, display_affine

from .small_studies import small_studies, small_study

COUNT = 4
TYPES = "epidural,intraparenchymal,intraventricular,subarachnoid,subdural"


def rehearse(root: Path, quirks: str = "clean") -> Path:
    get_layout("nifti-folder").write(root, small_studies(COUNT, tilt_deg=10.0), 1, quirks)
    return root


def write_pair(image: Path, mask: Path | None, number: int, *, binary: bool = True) -> None:
    study = small_study(number)
    write_scan(study.image, image)
    if mask is not None:
        write_ids(study.label_map > 0 if binary else study.label_map, study.image, mask)


def test_what_went_into_the_layout_comes_out(tmp_path: Path) -> None:
    dataset = open_dataset(f"nifti-folder:{rehearse(tmp_path)}")
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.label_maps, report.slices) == (COUNT, COUNT, COUNT, 6 * COUNT)
    assert report.warnings == report.remarks == report.unreadable == dataset.notes == ()
    for (name, study), case in zip(small_studies(COUNT, tilt_deg=10.0), dataset.cases, strict=True):
        assert (case.patient_id, case.lineage) == (name, "nifti-folder")
        assert case.study_labels == tuple(study.slice_labels.max(axis=0))
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, study.image.voxels)
        np.testing.assert_allclose(loaded.image.affine, study.image.affine, atol=1e-4)
        np.testing.assert_array_equal(loaded.label_map, study.label_map)
        np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)


def test_values_kept_above_zero_are_hounsfield_units_again(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :96] - 47.5
    radius = np.hypot(rows, columns)[None].repeat(5, axis=0)
    brain = np.where(columns % 9 < 3, 28, 36) + np.random.default_rng(0).normal(0, 4, radius.shape)
    hu = np.rint(np.where(radius < 38, brain, np.where(radius < 42, 900, -1000)))
    (tmp_path / "images").mkdir()
    write_scan(Volume(hu + 1024, display_affine(hu.shape, (5.0, 2.0, 2.0))), tmp_path / "images" / "a.nii.gz")
    loaded = open_nifti_folder(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.image.voxels, hu)
    assert any("1024" in line for line in loaded.remarks)


def test_scans_alone_are_cases_without_labels(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    write_pair(tmp_path / "images" / "b.nii", None, 1)
    dataset = open_nifti_folder(tmp_path)
    assert [(case.patient_id, case.study_id, case.study_labels) for case in dataset.cases] == [
        ("a", "a", None),
        ("b", "b", None),
    ]
    assert dataset.notes == ("no patient ids: each scan counts as a patient of its own",)
    loaded = dataset.cases[1].load()
    assert loaded.foreground is loaded.slice_labels is None


def test_patterns_find_patients_studies_and_masks(tmp_path: Path) -> None:
    for patient, study, number in (("p1", "s1", 0), ("p1", "s2", 1), ("p2", "s1", 2)):
        folder = tmp_path / patient / study
        write_pair(folder / f"{study}_ct_5mm.nii.gz", folder / "seg-v2.nii.gz", number)
    options = "images={patient}/{study}/{study}_ct_*.nii.gz,masks={patient}/{study}/seg*"
    dataset = open_dataset(f"nifti-folder:{tmp_path},{options}")
    assert dataset.warnings == dataset.notes == ()
    assert [(case.patient_id, case.study_id) for case in dataset.cases] == [
        ("p1", "p1/s1"),
        ("p1", "p1/s2"),
        ("p2", "p2/s1"),
    ]
    for number, case in enumerate(dataset.cases):
        np.testing.assert_array_equal(case.load().blood_mask, small_study(number).label_map > 0)


def test_binary_masks_are_blood_unless_types_are_asked_for(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", tmp_path / "masks" / "a.nii.gz", 0, binary=False)
    with pytest.raises(UserError, match=r"a\.nii\.gz has ids 0, 1, 3; expected 0 and 1"):
        open_nifti_folder(tmp_path).cases[0].load()
    typed = open_nifti_folder(tmp_path, mask_ids="types").cases[0].load()
    np.testing.assert_array_equal(typed.label_map, small_study(0).label_map)
    np.testing.assert_array_equal(typed.slice_labels, small_study(0).slice_labels)
    said = "unknown mask_ids 'type'; known: blood, types, ventricles; did you mean 'types'"
    with pytest.raises(UserError, match=said):
        open_nifti_folder(tmp_path, mask_ids="type")


def test_masks_may_be_of_ventricles(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", tmp_path / "masks" / "a.nii.gz", 0)
    loaded = open_dataset(f"nifti-folder:{tmp_path},mask_ids=ventricles").cases[0].load()
    assert loaded.foreground is None, "no blood"
    assert loaded.ventricle_mask is not None
    np.testing.assert_array_equal(loaded.ventricle_mask, small_study(0).label_map > 0)


def test_table_of_studies_and_patients(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        write_pair(tmp_path / "images" / f"{name}.nii.gz", None, number)
    table = f"scan,person,{TYPES}\na.nii.gz,P1,1,0,0,0,1\n\nb,P1,0.0,0,0,0,0\nd,P2,0,0,0,0,0\n"
    (tmp_path / "reads.csv").write_text(table, encoding="utf-8-sig")
    dataset = open_nifti_folder(tmp_path, labels="reads.csv", study_column="scan", patient_column="person")
    assert [(case.patient_id, case.study_labels) for case in dataset.cases] == [
        ("P1", (1, 0, 0, 0, 1)),
        ("P1", (0, 0, 0, 0, 0)),
        ("c", None),
    ]
    assert dataset.warnings == (
        "reads.csv: d is no scan images/{study}; row left out",
        "c: not in reads.csv; no labels",
    )
    loaded = dataset.cases[0].load()
    assert loaded.study_labels == (1, 0, 0, 0, 1)
    assert loaded.slice_labels is None


def test_a_mask_that_a_slope_left_beside_its_ids_is_rounded_with_a_remark(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", tmp_path / "masks" / "a.nii.gz", 0)
    mask = nib.load(tmp_path / "masks" / "a.nii.gz")
    ids = np.asarray(mask.dataobj)
    nib.save(nib.Nifti1Image(ids.astype(np.float32) * 0.99998, mask.affine), tmp_path / "masks" / "a.nii.gz")
    loaded = open_nifti_folder(tmp_path).cases[0].load()
    assert loaded.blood_mask is not None
    assert np.count_nonzero(loaded.blood_mask) == np.count_nonzero(ids) > 0
    (remark,) = loaded.remarks
    assert "a.nii.gz: " in remark
    assert "rounded" in remark


def test_a_table_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    header = "study;patient_id;slice;epidural;intraparenchymal;intraventricular;subarachnoid;subdural"
    rows = [f"a;7;{number},0;0,0;1,0;0;0;0" for number in range(small_study(0).image.shape[0])]
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]), encoding="utf-8-sig")
    (case,) = open_nifti_folder(tmp_path).cases
    assert (case.patient_id, case.study_labels) == ("7", (0, 1, 0, 0, 0))


def test_table_of_patients_alone(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    (tmp_path / "labels.csv").write_text("study,patient_id\na,P1\n")
    (case,) = open_nifti_folder(tmp_path).cases
    assert (case.patient_id, case.study_labels) == ("P1", None)


def test_slices_are_counted_from_the_lowest_in_any_order_of_rows(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    labels = small_study(0).slice_labels
    rows = [f"a,{index},{','.join(map(str, labels[index]))}" for index in (5, 0, 2, 1, 4, 3)]
    (tmp_path / "labels.csv").write_text("\n".join([f"study,slice,{TYPES}", *rows]))
    (case,) = open_nifti_folder(tmp_path).cases
    np.testing.assert_array_equal(case.load().slice_labels, labels)
    assert case.study_labels == tuple(labels.max(axis=0))
    (tmp_path / "labels.csv").write_text("\n".join([f"study,slice,{TYPES}", *rows[1:4]]))
    with pytest.raises(UserError, match="has 6 slices, the table 3"):
        open_nifti_folder(tmp_path).cases[0].load()
    (tmp_path / "labels.csv").write_text("\n".join([f"study,slice,{TYPES}", *rows[2:4]]))
    with pytest.raises(UserError, match=r"does not number the slices of a 0, 1, 2"):
        open_nifti_folder(tmp_path)


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    rehearse(tmp_path, "real")
    (tmp_path / "masks" / "scan-0001.nii.gz").rename(tmp_path / "masks" / "scan-0009.nii.gz")
    assert open_nifti_folder(tmp_path).warnings == (
        "mask of scan-0009: no scan images/{study}; mask left out",
        "scan-0001: no mask masks/{study}",
        "labels.csv: scan-none is no scan images/{study}; row left out",
    )


def test_lineage_says_whose_patients_they_are(tmp_path: Path) -> None:
    write_pair(tmp_path / "images" / "ID_1.nii.gz", None, 0)
    mine, rsna = open_nifti_folder(tmp_path), open_nifti_folder(tmp_path, lineage="rsna")
    check_disjoint_cases(mine.cases, rsna.cases)
    with pytest.raises(UserError, match="ID_1 of rsna"):
        check_disjoint_cases(rsna.cases, rsna.cases)


def test_options_behind_the_path_win_over_the_settings_file(tmp_path: Path) -> None:
    rehearse(tmp_path)
    assert open_nifti_folder(tmp_path, mask_ids="blood").fingerprint != open_nifti_folder(tmp_path).fingerprint
    with pytest.raises(UserError, match="expected 0 and 1"):
        open_dataset(f"nifti-folder:{tmp_path},mask_ids=blood").cases[0].load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no object of texts"),
        ('{"mask_ids": 1}', "no object of texts"),
        ('{"mask_id": "types"}', "unknown option in .*mask_id.*did you mean 'mask_ids'"),
        ('{"labels": "../../secret.csv"}', "expected a file in this folder"),
        ('{"labels": "/etc/passwd"}', "expected a file in this folder"),
        ('{"images": "images"}', "has no {study}"),
        ('{"images": "' + "*a" * 30 + '{study}"}', "31 wildcards in one name"),
        ('{"images": "scans/{study}"}', r"no scan scans/{study}.nii.gz \(8 NIfTI files, the first images/scan-0000"),
        ('{"a\\u0000b": "c"}', "unknown option"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_hostile_settings_are_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (rehearse(tmp_path) / "hemobench.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        open_nifti_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"scan,slice\n", "no column study"),
        (b"study,epidural\na,1\n", "no column intraparenchymal, .*expected all five types or none"),
        (f"study,{TYPES}\na,1,0,0,0,2\n".encode(), "line 2 has subdural '2'"),
        (f"study,{TYPES}\na,1,0,0\n".encode(), "line 2 has 4 fields"),
        (f"study,slice,{TYPES}\na,first,1,0,0,0,0\n".encode(), "line 2 has slice 'first'"),
        (f"study,slice,{TYPES}\na,-1,1,0,0,0,0\n".encode(), "line 2 has slice '-1'"),
        (f"study,{TYPES}\na,1,0,0,0,0\na,1,0,0,0,0\n".encode(), "line 3 has a again"),
        (f"study,slice,{TYPES}\na,0,1,0,0,0,0\na,0,1,0,0,0,0\n".encode(), "line 3 has a again"),
        (b"study,patient_id,slice\na,P1,0\na,P2,1\n", "line 3 has a again or with another patient"),
        ("study\nÄ\n".encode("latin-1"), "no CSV in UTF-8"),
        (b"\x00\x00\x00", "labels.csv"),
        (b'study\n"' + b"x" * 200_000, "no CSV in UTF-8"),
        (b"", "no column study"),
    ],
)
def test_hostile_tables_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_nifti_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


def test_missing_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_pair(tmp_path / "images" / "a.nii.gz", None, 0)
    with pytest.raises(UserError, match=r"no table .*none\.csv"):
        open_nifti_folder(tmp_path, labels="none.csv")
    (tmp_path / "images" / "a.nii").write_bytes(b"")
    with pytest.raises(UserError, match="are both images of a; expected one"):
        open_nifti_folder(tmp_path)
    cases = ((None, "without a path"), (tmp_path / "no", "no folder"), (tmp_path / "empty", "0 NIfTI files"))
    for path, message in cases:
        with pytest.raises(UserError, match=message):
            open_nifti_folder(path)


def test_settings_and_table_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    rehearse(tmp_path)
    first = open_nifti_folder(tmp_path).fingerprint
    text = (tmp_path / "labels.csv").read_bytes()
    # The same length, another label.
    (tmp_path / "labels.csv").write_bytes(text.replace(b"made-0,0,0,0,0,0,0", b"made-0,0,0,0,0,0,1"))
    assert open_nifti_folder(tmp_path).fingerprint != first
    (tmp_path / "labels.csv").write_bytes(text)
    assert open_nifti_folder(tmp_path).fingerprint == first
    (tmp_path / "hemobench.json").write_text(json.dumps({"mask_ids": "types", "lineage": "mine"}))
    assert open_nifti_folder(tmp_path).fingerprint != first
