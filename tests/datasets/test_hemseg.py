"""HemSeg on a whole rehearsal copy, its hostile tables, and what it shares with the other RSNA data sets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemobench.datasets.check import check_dataset
from hemobench.datasets.hemseg import open_hemseg
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient, rsna_study
from hemobench.datasets.splits import check_disjoint_cases, official_split, split_by_patient
from hemobench.errors import UserError

from .small_studies import small_studies, small_study

COUNT = 6


def rehearse(name: str, root: Path, quirks: str = "clean") -> Path:
    get_layout(name).write(root, small_studies(COUNT, tilt_deg=15.0), 1, quirks)
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return rehearse("hemseg", tmp_path / "hemseg")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))


def test_what_went_into_the_layout_comes_out(copy: Path) -> None:
    dataset = open_dataset(f"hemseg:{copy}")
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.label_maps, report.slices) == (COUNT, COUNT, COUNT, 6 * COUNT)
    assert report.warnings == report.remarks == report.unreadable == ()
    for number, (name, study) in enumerate(small_studies(COUNT, tilt_deg=15.0)):
        case = next(case for case in dataset.cases if case.patient_id == rsna_patient(name))
        assert (case.study_id, case.lineage, case.study_labels) == (rsna_study(name), "rsna", None)
        loaded = case.load()
        np.testing.assert_array_equal(loaded.blood_mask, study.label_map > 0)
        np.testing.assert_array_equal(loaded.image.voxels[:, 15:25, 15:25], study.image.voxels[:, 15:25, 15:25])
        assert loaded.label_map is None, number


def test_rsna_folder_can_be_given(copy: Path, tmp_path: Path) -> None:
    (copy / "rsna").rename(tmp_path / "kaggle")
    with pytest.raises(UserError, match="say hemseg:PATH,rsna=FOLDER"):
        open_hemseg(copy)
    for folder in (tmp_path / "kaggle", tmp_path / "kaggle" / "stage_2_train"):
        assert len(open_dataset(f"hemseg:{copy},rsna={folder}").cases) == COUNT


def test_official_parts_are_a_split(copy: Path) -> None:
    dataset = open_hemseg(copy)
    split = official_split(dataset)
    patients = [rsna_patient(f"made-{number}") for number in range(COUNT)]
    assert split.train == tuple(sorted(patients[number] for number in (0, 1, 2, 5)))
    assert (split.validation, split.test) == ((patients[3],), (patients[4],))


def test_official_split_that_divides_scans_of_a_patient_is_refused(copy: Path) -> None:
    # As in the real table: one patient has two scans, and they fell into two parts.
    table = copy / "annotion_file_info.jsonl"
    table.write_text(table.read_text().replace(rsna_patient("made-4"), rsna_patient("made-0")))
    dataset = open_hemseg(copy)
    assert len(dataset.cases) == COUNT
    assert dataset.warnings == (
        f"patient {rsna_patient('made-0')} has scans in train and in test: the official split leaks",
    )
    with pytest.raises(UserError, match=rf"official split of 'hemseg' leaks: .*{rsna_patient('made-0')}"):
        official_split(dataset)
    # A split by patient keeps both scans of the patient together.
    part = split_by_patient(dataset.cases, seed=1).part_of(rsna_patient("made-0"))
    assert part is not None


def test_data_sets_without_official_parts_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'instance22' has no official split"):
        official_split(open_dataset(f"instance22:{rehearse('instance22', tmp_path)}"))


def test_missing_slices_and_unknown_scans_are_named(tmp_path: Path) -> None:
    dataset = open_hemseg(rehearse("hemseg", tmp_path / "real", "real"))
    assert len(dataset.cases) == COUNT - 2
    text = "\n".join(dataset.warnings)
    assert "1 of 6 slices are not in stage_2_train" in text
    assert rsna_images("made-0", 6)[0] in text
    assert f"{rsna_study('made-1')[3:]}.nii.gz: no line in the .jsonl" in text


def test_mask_of_another_place_or_size(copy: Path) -> None:
    scan = rsna_study("made-3")[3:]
    path = copy / "val" / "label" / f"{scan}.nii.gz"
    stored = nib.load(path)
    ids = np.asarray(stored.dataobj)
    moved = stored.affine.copy()
    moved[:3, 3] += 80
    nib.save(nib.Nifti1Image(ids, moved), path)
    loaded = next(case for case in open_hemseg(copy).cases if case.study_id == f"ID_{scan}").load()
    np.testing.assert_array_equal(loaded.blood_mask, small_study(3).label_map > 0)
    assert "mm from its slices" in loaded.remarks[0]
    nib.save(nib.Nifti1Image(ids[:, :, 1:], stored.affine), path)
    with pytest.raises(UserError, match="expected one grid"):
        next(case for case in open_hemseg(copy).cases if case.study_id == f"ID_{scan}").load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "line 1 is '{'"),
        (b'{"patient": "ID_1", "scan_": "2"}', "line 1 is"),
        (b'{"patient": "ID_1", "scan_": "2", "slice_list": []}', "empty slice_list"),
        (b'{"patient": "ID_1", "scan_": "2", "slice_list": ["../../etc/passwd"]}', "line 1 is"),
        (b'{"patient": 7, "scan_": "2", "slice_list": ["3"]}', "line 1 is"),
        (b'{"patient": "ID_1\\u0000", "scan_": "2", "slice_list": ["3"]}', "line 1 is"),
        (b"[" * 100_000, "line 1 is"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"", "no line in the .jsonl"),
        (b"\x00\x00", "line 1 is"),
    ],
)
def test_hostile_tables_are_refused_in_one_line(copy: Path, content: bytes, message: str) -> None:
    (copy / "annotion_file_info.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_hemseg(copy)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


def test_older_key_and_bare_ids(copy: Path) -> None:
    table = copy / "annotion_file_info.jsonl"
    lines = []
    for line in table.read_text().splitlines():
        fields = json.loads(line)
        names = [f"ID_{name}" for name in fields["slice_list"]]
        lines.append(json.dumps({"patient": fields["patient"][3:], "scan": fields["scan_"], "slice_list": names}))
    table.write_text("\n".join(lines))
    assert {case.patient_id for case in open_hemseg(copy).cases} == {rsna_patient(f"made-{n}") for n in range(COUNT)}


def test_other_layouts_give_a_remedy(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "train")
    (copy / "annotion_file_info.jsonl").unlink()
    (tmp_path / "empty").mkdir()
    for path, message in (
        (None, "without a path"),
        (tmp_path / "none", "no folder"),
        (copy, "no .jsonl"),
        (tmp_path / "empty", "no masks"),
    ):
        with pytest.raises(UserError, match=message):
            open_hemseg(path)


def of_patients(cases, patient_ids):
    return [case for case in cases if case.patient_id in set(patient_ids)]


def test_rsna_bhsd_mbh_seg_and_hemseg_know_each_others_patients(tmp_path: Path) -> None:
    names = ("rsna", "bhsd", "mbh-seg", "hemseg")
    opened = {name: open_dataset(f"{name}:{rehearse(name, tmp_path / name)}") for name in names}
    wanted = {rsna_patient(f"made-{number}") for number in range(COUNT)}
    for dataset in opened.values():
        assert {case.patient_id for case in dataset.cases} == wanted
    half = sorted(wanted)[:3]
    for left in names:
        for right in names:
            mine = of_patients(opened[left].cases, half)
            check_disjoint_cases(mine, of_patients(opened[right].cases, wanted - set(half)))
            with pytest.raises(UserError, match=rf"the same patients on both sides: {half[0]} of rsna"):
                check_disjoint_cases(mine, opened[right].cases)
    # INSTANCE 2022 comes from elsewhere: the same name would not be the same person.
    others = open_dataset(f"instance22:{rehearse('instance22', tmp_path / 'instance22')}")
    check_disjoint_cases(opened["rsna"].cases, others.cases)


def test_a_split_over_two_data_sets_of_one_lineage_keeps_people_together(tmp_path: Path) -> None:
    opened = [open_dataset(f"{name}:{rehearse(name, tmp_path / name)}") for name in ("bhsd", "mbh-seg")]
    both = [case for dataset in opened for case in dataset.cases]
    split = split_by_patient(both, seed=3)
    assert len(split.train) + len(split.validation) + len(split.test) == COUNT
    check_disjoint_cases(of_patients(both, split.train), of_patients(both, split.test))
