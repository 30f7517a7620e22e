"""Anybody's folder of pictures: tables by many names, class folders, masks, and defects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.datasets.check import check_dataset
from hemobench.datasets.image_folder import open_image_folder
from hemobench.datasets.image_labels import labels_of_name
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.errors import UserError
from hemobench.views.render import render
from hemobench.views.view import ClassificationView
from hemobench.views.windows import to_grey_uint8

from .smooth_studies import smooth_studies

COUNT = 3
GREY = 100


def save(path: Path, level: int = GREY, size: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size), level, dtype=np.uint8)).save(path)
    return path


def save_mask(path: Path, box: tuple[slice, slice] | None = (slice(2, 5), slice(3, 9))) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((16, 16), dtype=np.uint8)
    if box:
        mask[box] = 255
    Image.fromarray(mask).save(path)
    return mask > 0


@pytest.mark.parametrize("window", [None, "brain"])
def test_what_went_in_comes_out(tmp_path: Path, window: str | None) -> None:
    get_layout("image-folder").write(tmp_path, smooth_studies(COUNT), 1, "clean")
    options = {} if window is None else {"window": window}
    dataset = open_dataset(f"image-folder:{tmp_path}", **options)
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.label_maps) == (5 * COUNT, COUNT, 5 * COUNT)
    assert report.warnings == report.remarks == report.unreadable == ()
    assert not dataset.leaky
    cases = iter(dataset.cases)
    for patient_id, study in smooth_studies(COUNT):
        assert study.label_map is not None
        assert study.slice_labels is not None
        for hu, ids, types in zip(study.image.voxels, study.label_map, study.slice_labels, strict=True):
            case = next(cases)
            loaded = case.load()
            assert (case.patient_id, case.study_labels) == (patient_id, tuple(types.tolist()))
            np.testing.assert_array_equal(loaded.slice_labels, [types])
            grey = to_grey_uint8(hu, "brain")
            expected = grey / 255 if window is None else grey * (80 / 255)
            np.testing.assert_allclose(loaded.image.voxels[0], expected, atol=1e-4)
            assert loaded.image.modality == ("grey" if window is None else "CT")
            if types.sum() > 1:
                assert loaded.label_map is None
                np.testing.assert_array_equal(loaded.blood_mask, [ids > 0])
            else:
                np.testing.assert_array_equal(loaded.label_map, [ids])


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv"])
def test_a_table_as_a_spreadsheet_saves_it_in_much_of_europe(tmp_path: Path, name: str) -> None:
    for number in range(2):
        save(tmp_path / f"{number:03}.png")
    table = "\ufeffimage;patient;any;subdural\r\n000;p,1;0,0;0,0\r\n001;p,2;1,0;1,0\r\n"
    (tmp_path / name).write_text(table.replace(";", "\t") if name.endswith("tsv") else table, encoding="utf-8")
    cases = open_image_folder(tmp_path).cases
    assert [case.patient_id for case in cases] == ["p,1", "p,2"]
    loaded = cases[1].load()
    assert loaded.slice_labels is not None
    assert loaded.slice_labels.tolist() == [[0, 0, 0, 0, 1]]


@pytest.mark.parametrize(("kind", "words"), [("jpeg", "grey"), ("ids", "levels 0 and 1, not 0 and 255"), ("png", "")])
def test_masks_that_are_not_black_and_white_are_rounded_with_a_remark(tmp_path: Path, kind: str, words: str) -> None:
    save(tmp_path / "a.png")
    box = np.zeros((16, 16), dtype=np.uint8)
    box[3:9, 2:12] = 1 if kind == "ids" else 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(box).save(tmp_path / "masks" / f"a.{'jpg' if kind == 'jpeg' else 'png'}", quality=60)
    (tmp_path / "labels.csv").write_text("id,any\na,1\n")
    loaded = open_image_folder(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.blood_mask, [box > 0])
    assert len(loaded.remarks) == bool(words)
    assert all(words in line for line in loaded.remarks)


def test_a_type_without_any_is_named(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png")
    (tmp_path / "labels.csv").write_text("id,any,subdural\n0,0,1\n1,1,0\n2,1,1\n")
    dataset = open_image_folder(tmp_path)
    # Of `any` without a type nothing can be said where other types have no column.
    found = [line for line in dataset.warnings if "against its types" in line]
    assert found == ["labels.csv line 2: any of 0 is 0 against its types"]


def test_the_table_that_says_id_and_hemorrhage(tmp_path: Path) -> None:
    # As the head CT set of Kaggle has it: a blank behind the comma, numbers without zeros, no types, no patients.
    for number in range(3):
        save(tmp_path / "head_ct" / f"{number:03d}.png")
    (tmp_path / "labels.csv").write_text("id, hemorrhage\n0,1\n1,0\n2, 1\n")
    dataset = open_image_folder(tmp_path)
    assert [case.study_id for case in dataset.cases] == [f"head_ct/00{n}.png" for n in range(3)]
    assert dataset.leaky
    (warning,) = dataset.warnings
    assert "leaks" in warning
    assert any("not which type" in line for line in dataset.notes)
    report = check_dataset(dataset)
    assert report.slices_with is not None
    assert (report.slices_with["any"], report.slices_with["subdural"]) == (2, 0)
    assert report.patients_with is None
    targets = [render(case.load(), ClassificationView(("brain",), 16), "x")[1].tolist() for case in dataset.cases]
    assert targets == [[[0, 0, 0, 0, 0, 1]], [[0] * 6], [[0, 0, 0, 0, 0, 1]]]


def test_columns_by_other_names_and_by_options(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "deep" / "b.jpg")
    table = tmp_path / "truth.csv"
    rows = "a.png,P1,0,0,1,0,0\ndeep/b.jpg,P2,no,yes,0,0,true\n"
    table.write_text(f"File Name,Subject_ID,EDH,IPH,IVH,SAH,SDH\n{rows}", encoding="utf-8-sig")
    dataset = open_image_folder(tmp_path)
    assert dataset.warnings == ()
    assert [(case.patient_id, case.study_labels) for case in dataset.cases] == [
        ("P1", (0, 0, 1, 0, 0)),
        ("P2", (0, 1, 0, 0, 1)),
    ]
    table.write_text("scan,who,blood below dura\na,P1,1\nb,P2,0\n")
    dataset = open_dataset(
        f"image-folder:{tmp_path},id_column=scan,patient_column=who,subdural_column=blood below dura"
    )
    assert [(case.patient_id, case.study_labels) for case in dataset.cases] == [
        ("P1", (0, 0, 0, 0, 1)),
        ("P2", (0, 0, 0, 0, 0)),
    ]
    with pytest.raises(UserError, match=r"no column 'blod'.*correct subdural_column"):
        open_image_folder(tmp_path, id_column="scan", subdural_column="blod")
    with pytest.raises(UserError, match=r"no column of pictures' ids.*id_column"):
        open_image_folder(tmp_path)
    with pytest.raises(UserError, match=r"no column of labels.*any_column"):
        open_image_folder(tmp_path, id_column="scan")


def test_class_folders(tmp_path: Path) -> None:
    for folder in ("Epidural", "SDH", "normal", "hemorrhage", "misc"):
        save(tmp_path / folder / "1.png")
    dataset = open_image_folder(tmp_path)
    assert [case.study_id for case in dataset.cases] == [
        "Epidural/1.png",
        "SDH/1.png",
        "hemorrhage/1.png",
        "normal/1.png",
    ]
    assert dataset.leaky
    assert dataset.warnings[1:] == ("misc/: no class of this name; 1 pictures left out",)
    loaded = [case.load() for case in dataset.cases]
    assert [None if one.slice_labels is None else one.slice_labels.tolist() for one in loaded] == [
        [[1, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 1]],
        None,
        [[0, 0, 0, 0, 0]],
    ]
    np.testing.assert_array_equal(loaded[2].any_labels, [1])
    # One picture's types are unknown, so types of patients cannot be counted.
    assert all(case.study_labels is None for case in dataset.cases)


def test_names_of_class_folders() -> None:
    for name in ("normal", "No Hemorrhage", "non-hemorrhage", "healthy"):
        entry = labels_of_name(name)
        assert entry is not None
        assert (entry.types, entry.bleeds) == ((0, 0, 0, 0, 0), 0)
    for name in ("hemorrhage", "Haemorrhage", "multi"):
        entry = labels_of_name(name)
        assert entry is not None
        assert (entry.types, entry.bleeds) == (None, 1)
    assert labels_of_name("train") is None


def test_masks(tmp_path: Path) -> None:
    for name in ("one", "two", "none", "odd", "bare"):
        save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels.csv").write_text(
        "image,patient,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "one,1,0,0,0,1,0\ntwo,2,1,0,0,0,1\nnone,3,0,0,0,0,0\nodd,4,0,0,0,0,0\nbare,5,1,0,0,0,0\n"
    )
    drawn = save_mask(tmp_path / "seg" / "one.png")
    save_mask(tmp_path / "seg" / "two_mask.png")
    save_mask(tmp_path / "seg" / "odd.png")
    save_mask(tmp_path / "seg" / "stray.png")
    dataset = open_image_folder(tmp_path, masks="seg")
    assert dataset.warnings == (
        "images/bare.png: bleeds and has no mask in seg/",
        "seg/stray.png: mask of no labelled picture; left out",
    )
    loaded = {Path(case.study_id).stem: case.load() for case in dataset.cases}
    np.testing.assert_array_equal(loaded["one"].label_map, [drawn * 4])
    np.testing.assert_array_equal(loaded["two"].blood_mask, [drawn])
    assert loaded["two"].label_map is None
    assert loaded["none"].label_map is not None
    assert not loaded["none"].label_map.any()
    assert loaded["bare"].foreground is None
    assert loaded["odd"].foreground is None
    assert "blood in the mask against the labels" in loaded["odd"].remarks[0]
    save(tmp_path / "seg" / "one.png", size=8)
    with pytest.raises(UserError, match=r"one\.png is \(8, 8\); expected the picture's \(16, 16\)"):
        open_image_folder(tmp_path, masks="seg").cases[-2].load()
    with pytest.raises(UserError, match="correct masks=sge"):
        open_image_folder(tmp_path, masks="sge")


def test_defects_are_named(tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png", "a/y.png", "a/z.png"):
        save(tmp_path / name)
    rows = "x,1,1\ny,0,1\na/y.png,0,1\na/z.png,0,2\na/z.png,1,2\nw,1,3\n"
    (tmp_path / "labels.csv").write_text(f"image,any,patient\n{rows}")
    dataset = open_image_folder(tmp_path)
    assert [case.study_id for case in dataset.cases] == ["a/y.png", "a/z.png"]
    assert dataset.warnings == (
        "labels.csv line 6: a/z.png is listed twice; a label counts when either has it",
        "x: 2 pictures have this name (a/x.png, b/x.png); left out",
        "a/y.png: listed in labels.csv under two names; the first counts",
        "w: in labels.csv but not on disk; left out",
        "a/x.png: not in labels.csv; left out",
        "b/x.png: not in labels.csv; left out",
    )
    np.testing.assert_array_equal(dataset.cases[1].load().any_labels, [1])


def test_the_real_copy_lacks_a_picture(tmp_path: Path) -> None:
    get_layout("image-folder").write(tmp_path, smooth_studies(1), 1, "real")
    assert open_image_folder(tmp_path).warnings == ("0: in labels.csv but not on disk; left out",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,any\na,maybe\n", "line 2 has label 'maybe'"),
        (b"id,any\n,1\n", "line 2 has no id"),
        (b"id,patient,any\na,,1\n", "line 2 has no patient"),
        (b"id,patient,any\na,1,1\na,2,1\n", "line 3 gives a a second patient"),
        (b"id,any\nelsewhere,1\n", "no picture with labels"),
        (b"id,i_d,any\na,b,1\n", "columns id and i_d"),
        (b"id,any\n" + b"9" * 5000 + b",1\n", "no picture with labels"),
        (b"id,any\n../../a,1\n", "no picture with labels"),
        (b"id,any\na\x00,1\n", "NUL"),
        (b"\xff\xfei\x00d\x00", "no text in UTF-8"),
        (b"", "no header"),
    ],
    ids=range(11),
)
def test_broken_tables_give_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_image_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_folders_and_options_that_cannot_be_used(tmp_path: Path) -> None:
    for path, message in ((None, "without a path"), (tmp_path / "none", "no folder"), (tmp_path, "no picture")):
        with pytest.raises(UserError, match=message):
            open_image_folder(path)
    save(tmp_path / "normal" / "a.png")
    with pytest.raises(UserError, match="columns are given"):
        open_image_folder(tmp_path, any_column="x")
    with pytest.raises(UserError, match="unknown window"):
        open_image_folder(tmp_path, window="brian")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id,any\na,1\n")
    with pytest.raises(UserError, match=r"tables a\.csv, b\.csv.*labels=NAME"):
        open_image_folder(tmp_path)
    assert len(open_image_folder(tmp_path, labels="b.csv").cases) == 1
    with pytest.raises(UserError, match=r"no file .*c\.csv"):
        open_image_folder(tmp_path, labels="c.csv")


def test_damaged_pictures_are_named_when_loaded(tmp_path: Path) -> None:
    (save(tmp_path / "normal" / "a.png")).write_text("no picture")
    with pytest.raises(UserError, match=r"normal/a\.png is no picture"):
        open_image_folder(tmp_path).cases[0].load()
