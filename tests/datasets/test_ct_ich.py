"""The CT-ICH reader on small copies in the official layout, drawn here with known Hounsfield units."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hemobench.datasets.ct_ich.dataset import bone_shift_hu, hu_from_windows, open_ct_ich
from hemobench.errors import UserError
from hemobench.views.windows import to_grey_uint8

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)
# Patient, slice, then the five types in the CSV's own order.
LABELS = {
    (49, 1): (0, 0, 0, 0, 0),
    (49, 2): (0, 0, 0, 1, 0),
    (49, 3): (1, 0, 0, 0, 1),
    (50, 1): (0, 0, 0, 0, 0),
    (50, 2): (0, 1, 0, 0, 0),
    (101, 1): (0, 0, 0, 0, 0),
}
SIZE = 64


def head_hu(patient: int, number: int) -> NDArray:
    """Brain of 30 + number HU, a ring of skull of 900 HU, air around; smooth inside, as JPEG likes it."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    radius = np.hypot(rows, columns)
    hu = np.where(radius < 20, 30.0 + number, np.where(radius < 26, 900.0, -1000.0))
    hu[(radius < 20) & (columns > 8)] = 5.0 + patient / 10
    return hu


def write_copy(root: Path, labels: dict[tuple[int, int], tuple[int, ...]] | None = None) -> Path:
    rows = [HEADER]
    for (patient, number), types in (LABELS if labels is None else labels).items():
        rows.append(",".join(map(str, (patient, number, *types, int(not any(types)), 0))))
        for window in ("brain", "bone"):
            folder = root / "Patients_CT" / f"{patient:03d}" / window
            folder.mkdir(parents=True, exist_ok=True)
            grey = to_grey_uint8(head_hu(patient, number), f"{window}-ct-ich")
            Image.fromarray(grey).save(folder / f"{number}.jpg", quality=98)
    (root / "hemorrhage_diagnosis.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    return root


def write_mask(root: Path, patient: int, number: int, box: tuple[slice, slice] | None) -> NDArray:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    if box is not None:
        mask[box] = 255
    Image.fromarray(mask).save(root / "Patients_CT" / f"{patient:03d}" / "brain" / f"{number}_HGE_Seg.jpg")
    return mask > 0


def edit_csv(root: Path, change: Callable[[str], str]) -> None:
    path = root / "hemorrhage_diagnosis.csv"
    path.write_text(change(path.read_text(encoding="utf-8-sig")), encoding="utf-8-sig")


def test_cases_labels_and_what_is_known_before_loading(tmp_path: Path) -> None:
    dataset = open_ct_ich(write_copy(tmp_path))
    assert dataset.warnings == ()
    assert [case.patient_id for case in dataset.cases] == ["049", "050", "101"]
    # Order of SUBTYPES: epidural, intraparenchymal, intraventricular, subarachnoid, subdural.
    assert [case.study_labels for case in dataset.cases] == [(1, 0, 1, 0, 1), (0, 1, 0, 0, 0), (0, 0, 0, 0, 0)]
    assert {(case.dataset, case.lineage, case.spacing_known) for case in dataset.cases} == {("ct-ich", "ct-ich", False)}
    loaded = dataset.cases[0].load()
    np.testing.assert_array_equal(loaded.slice_labels, [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 1]])
    assert loaded.label_map is None
    assert loaded.remarks == ()
    assert loaded.image.orientation == "SPL"
    assert loaded.image.spacing_mm[0] == pytest.approx(5.0)


def test_hounsfield_units_come_back_from_the_two_pictures(tmp_path: Path) -> None:
    case = open_ct_ich(write_copy(tmp_path)).cases[0]
    image = pickle.loads(pickle.dumps(case)).load().image
    for position, number in enumerate((1, 2, 3)):
        truth = head_hu(49, number)
        read = image.voxels[position]
        rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
        radius = np.hypot(rows, columns)
        # Edges ring in JPEG; four pixels off them each tissue must have its value.
        brain = (radius < 15) & (np.abs(columns - 8) > 4)
        np.testing.assert_allclose(read[brain], truth[brain], atol=2.0)
        np.testing.assert_allclose(read[(radius > 22) & (radius < 24)], 900, atol=40)
        assert (read[radius > 31] == -1000).all()


def test_recombination_over_the_whole_range_without_jpeg() -> None:
    hu = np.linspace(-1100, 2400, 7001).reshape(1, 1, -1)
    brain, bone = to_grey_uint8(hu, "brain-ct-ich"), to_grey_uint8(hu, "bone-ct-ich")
    read = hu_from_windows(brain, bone)
    fine = (hu > -18) & (hu < 98)
    assert np.abs(read - hu)[fine].max() <= 120 / 255 / 2 * 1.01
    coarse = (hu > -868) & (hu < 2300) & ~fine
    assert np.abs(read - hu)[coarse].max() <= 3200 / 255 / 2 * 1.01
    assert (read[hu < -910] == -1000).all()
    assert (np.diff(read[0, 0]) >= 0).all()


def test_bone_pictures_of_another_level_are_shifted_to_fit(tmp_path: Path) -> None:
    write_copy(tmp_path)
    for number in (1, 2):
        grey = to_grey_uint8(head_hu(50, number) - 93, "bone-ct-ich")
        Image.fromarray(grey).save(tmp_path / "Patients_CT" / "050" / "bone" / f"{number}.jpg", quality=98)
    loaded = open_ct_ich(tmp_path).cases[1].load()
    (remark,) = loaded.remarks
    assert "050" in remark
    assert "another level" in remark
    skull = loaded.image.voxels[0, 32, 9:11]
    np.testing.assert_allclose(skull, 900, atol=40)


def test_shift_is_zero_where_the_windows_agree_or_there_is_no_tissue() -> None:
    hu = np.tile(np.linspace(0, 80, 200), (200, 1))
    brain = to_grey_uint8(hu, "brain-ct-ich")
    assert bone_shift_hu(brain, to_grey_uint8(hu, "bone-ct-ich")) == 0
    assert bone_shift_hu(brain, to_grey_uint8(hu + 50, "bone-ct-ich")) == pytest.approx(-50, abs=8)
    assert bone_shift_hu(np.zeros_like(brain), np.zeros_like(brain)) == 0


def test_missing_and_surplus_files_are_named_and_left_out(tmp_path: Path) -> None:
    write_copy(tmp_path)
    folder = tmp_path / "Patients_CT"
    (folder / "049" / "brain" / "2.jpg").unlink()
    (folder / "050" / "brain" / "1.jpg").unlink()
    (folder / "050" / "bone" / "1.jpg").unlink()
    (folder / "049" / "bone" / "3.jpg").rename(folder / "049" / "bone" / "9.jpg")
    edit_csv(tmp_path, lambda text: text + "77,1,0,0,0,0,0,1,0\n")
    (folder / "088" / "brain").mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "088" / "brain" / "1.jpg")
    dataset = open_ct_ich(tmp_path)
    text = "\n".join(dataset.warnings)
    for part in (
        "Patients_CT/049/brain/2.jpg: in hemorrhage_diagnosis.csv (labelled epidural) but not on disk",
        "Patients_CT/050/brain/1.jpg and Patients_CT/050/bone/1.jpg: in hemorrhage_diagnosis.csv but not on disk",
        "Patients_CT/049/bone/3.jpg: in hemorrhage_diagnosis.csv (labelled intraventricular, subdural) but not on disk",
        "Patients_CT/049/*/9.jpg: not in hemorrhage_diagnosis.csv",
        "Patients_CT/077: no such folder",
        "Patients_CT/088: not in hemorrhage_diagnosis.csv",
    ):
        assert part in text
    assert len(dataset.warnings) == 6
    assert [case.patient_id for case in dataset.cases] == ["049", "050", "101"]
    # What cannot be seen does not count as label either.
    assert dataset.cases[0].study_labels == (0, 0, 0, 0, 0)
    assert dataset.cases[0].load().image.shape[0] == 1


def test_inconsistent_labels_are_named(tmp_path: Path) -> None:
    write_copy(tmp_path)
    edit_csv(tmp_path, lambda text: text.replace("49,2,0,0,0,1,0,0,0", "49,2,0,0,0,1,0,1,0") + "50,1,0,0,1,0,0,0,0\n")
    dataset = open_ct_ich(tmp_path)
    assert [line.split(";")[0] for line in dataset.warnings] == [
        "hemorrhage_diagnosis.csv: patient 49 slice 2: No_Hemorrhage is 1 against its types",
        "hemorrhage_diagnosis.csv: patient 50 slice 1: listed twice",
    ]
    assert dataset.cases[1].study_labels == (0, 1, 0, 1, 0)


def test_masks_take_the_type_of_their_slice(tmp_path: Path) -> None:
    write_copy(tmp_path)
    drawn = write_mask(tmp_path, 50, 2, (slice(20, 30), slice(16, 40)))
    cases = {case.patient_id: case.load() for case in open_ct_ich(tmp_path).cases}
    label_map = cases["050"].label_map
    assert label_map is not None
    assert set(np.unique(label_map)) == {0, 2}  # intraparenchymal
    np.testing.assert_array_equal(label_map[1] == 2, drawn)
    assert not label_map[0].any()
    # Nothing bleeds in 101 and the copy has masks: an empty map is the truth.
    assert cases["101"].label_map is not None
    assert not cases["101"].label_map.any()


def test_one_mask_for_two_types_is_blood_without_type(tmp_path: Path) -> None:
    write_copy(tmp_path)
    drawn = [write_mask(tmp_path, 49, number, (slice(20, 30), slice(16, 40))) for number in (2, 3)]
    loaded = open_ct_ich(tmp_path).cases[0].load()
    assert loaded.label_map is None
    assert loaded.remarks == ()
    assert loaded.blood_mask is not None
    np.testing.assert_array_equal(loaded.blood_mask[1:], drawn)
    assert not loaded.blood_mask[0].any()


def test_masks_against_the_labels_are_named_and_not_used(tmp_path: Path) -> None:
    write_copy(tmp_path)
    write_mask(tmp_path, 49, 3, (slice(20, 30), slice(16, 40)))
    write_mask(tmp_path, 101, 1, (slice(20, 30), slice(16, 40)))
    write_mask(tmp_path, 50, 2, None)
    for case, name, expected in zip(
        open_ct_ich(tmp_path).cases,
        ("049/brain/2_HGE_Seg.jpg", "050/brain/2_HGE_Seg.jpg", "101/brain/1_HGE_Seg.jpg"),
        ("no mask", "no blood in the mask", "blood in the mask, none"),
        strict=True,
    ):
        loaded = case.load()
        assert loaded.label_map is None
        assert loaded.blood_mask is None
        (remark,) = loaded.remarks
        assert name in remark
        assert expected in remark


def test_fingerprint_follows_labels_and_files(tmp_path: Path) -> None:
    first = open_ct_ich(write_copy(tmp_path / "a")).fingerprint
    assert open_ct_ich(write_copy(tmp_path / "b")).fingerprint == first
    edit_csv(tmp_path / "b", lambda text: text.replace("101,1,0,0,0,0,0,1", "101,1,0,0,0,0,1,0"))
    second = open_ct_ich(tmp_path / "b").fingerprint
    (tmp_path / "a" / "Patients_CT" / "049" / "bone" / "1.jpg").unlink()
    third = open_ct_ich(tmp_path / "a").fingerprint
    assert len({first, second, third}) == 3


def test_folders_that_are_no_copy_give_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for path, message in (
        (None, "without a path"),
        (tmp_path / "none", "no folder"),
        (tmp_path / "file", "no folder"),
        (tmp_path / "empty", "no Patients_CT and no hemorrhage_diagnosis.csv"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            open_ct_ich(path)
        assert "physionet.org" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("Subdural", "SDH"), "no column Subdural"),
        (lambda text: text.replace("49,2,0,0,0,1", "49,2,0,0,x,1"), "line 3 has a field that is no whole number"),
        (lambda text: text.replace("49,2,0,0,0,1", "49,2,0,0,7,1"), "line 3 has labels"),
        (lambda text: text + "50\n", "line 8"),
        (lambda text: text.splitlines()[0], "no slice with labels"),
        (lambda text: "", "no header"),
    ],
)
def test_broken_label_files_give_one_line(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    edit_csv(write_copy(tmp_path), change)
    with pytest.raises(UserError, match=message):
        open_ct_ich(tmp_path)


def test_label_file_that_is_no_text_gives_one_line(tmp_path: Path) -> None:
    (write_copy(tmp_path) / "hemorrhage_diagnosis.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="no text in UTF-8"):
        open_ct_ich(tmp_path)


def test_broken_and_odd_pictures_are_named_when_loaded(tmp_path: Path) -> None:
    write_copy(tmp_path)
    folder = tmp_path / "Patients_CT"
    (folder / "049" / "brain" / "2.jpg").write_text("no picture")
    Image.new("L", (SIZE, SIZE + 1)).save(folder / "050" / "bone" / "2.jpg")
    for window in ("brain",):
        Image.new("L", (SIZE, SIZE + 1)).save(folder / "101" / window / "1.jpg")
    for case, message in zip(
        open_ct_ich(tmp_path).cases, (r"049/brain/2\.jpg", r"050/bone/2\.jpg", "101 has brain pictures"), strict=True
    ):
        with pytest.raises(UserError, match=message):
            case.load()
