"""Tables of labels as people make them: titles, blank rows, bars, words for yes and no, ids that are nearly names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.case import Dataset
from hemobench.datasets.check import check_dataset
from hemobench.datasets.image_folder import open_image_folder
from hemobench.datasets.loose_ids import match_loosely
from hemobench.datasets.nifti_folder import ANY_ALONE, open_nifti_folder
from hemobench.datasets.rehearsal.nifti_files import write_ids, write_scan
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import slice_truth
from hemobench.views.render import render
from hemobench.views.view import ClassificationView

from .small_studies import small_study

PATIENTS = ("Müller", "Meier", "Müller")
BLEEDS = (0, 1, 1)


def pictures(root: Path, *names: str) -> None:
    for number, name in enumerate(names or ("000.png", "001.png", "002.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), 60 + number, dtype=np.uint8)).save(root / name)


def table(root: Path, *rows: str, encoding: str = "utf-8") -> Path:
    (root / "labels.csv").write_text("\n".join(rows), encoding=encoding)
    return root


def told(dataset: Dataset) -> list[tuple[str, str, int]]:
    found = []
    for case in dataset.cases:
        labels = case.load().any_labels
        assert labels is not None
        found.append((case.study_id, case.patient_id, int(labels[0])))
    return found


EXPECTED = [
    (f"00{number}.png", patient, bleeds) for number, (patient, bleeds) in enumerate(zip(PATIENTS, BLEEDS, strict=True))
]


@pytest.mark.parametrize(
    ("no", "yes"),
    [
        ("nein", "ja"),
        ("N", "Y"),
        ("non", "oui"),
        ("No", "Sí"),
        ("FALSCH", "WAHR"),
        ("FALSE", "TRUE"),
        ("", "x"),
        ("0,0", "1,0"),
    ],
)
def test_words_for_yes_and_no(tmp_path: Path, no: str, yes: str) -> None:
    pictures(tmp_path)
    rows = [
        f"00{number};{patient};{(no, yes)[bleeds]}"
        for number, (patient, bleeds) in enumerate(zip(PATIENTS, BLEEDS, strict=True))
    ]
    assert told(open_image_folder(table(tmp_path, "image;patient;any", *rows))) == EXPECTED


@pytest.mark.parametrize(("no", "yes"), [("", "1"), ("no", "x"), ("", "")])
def test_blanks_and_crosses_among_others_are_no_labels(tmp_path: Path, no: str, yes: str) -> None:
    pictures(tmp_path)
    with pytest.raises(UserError, match="expected 0 or 1"):
        open_image_folder(table(tmp_path, "image;any", f"000;{no}", f"001;{yes}"))


def test_a_type_nobody_has_is_blank_in_a_table_of_crosses(tmp_path: Path) -> None:
    pictures(tmp_path)
    dataset = open_image_folder(table(tmp_path, "image,sdh,edh", "000,x,", "001,,"))
    assert [case.study_labels for case in dataset.cases] == [(0, 0, 0, 0, 1), (0, 0, 0, 0, 0)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_titles_and_blank_rows_are_skipped(tmp_path: Path, separator: str, encoding: str) -> None:
    pictures(tmp_path)
    rows = [
        "Läsionen 2024,,",
        ",,",
        "image,patient,any",
        *(f"{name[:3]},{patient},{bleeds}" for name, patient, bleeds in EXPECTED),
        ",,",
        ",",
    ]
    table(tmp_path, *(row.replace(",", separator) for row in rows), encoding=encoding)
    dataset = open_image_folder(tmp_path)
    assert told(dataset) == EXPECTED
    lines = ["labels.csv: no UTF-8; read as Windows' (cp1252) text"] if encoding == "cp1252" else []
    assert list(dataset.warnings) == [*lines, "labels.csv: its header is line 3; what stands above was skipped"]


def test_the_line_of_a_fault_is_counted_from_the_top(tmp_path: Path) -> None:
    pictures(tmp_path)
    with pytest.raises(UserError, match="line 4 has label 'perhaps'"):
        open_image_folder(table(tmp_path, "Export", "", "image,any", "000,perhaps"))
    with pytest.raises(UserError, match="line 4 has 3 fields; expected 2"):
        open_image_folder(table(tmp_path, "Export", "", "image,any", "000,1,1"))


@pytest.mark.parametrize("form", ["{}.0", "{}.jpg", "{}.PNG", "C:\\data\\{}.png", "/home/me/x/{}.dcm"])
def test_ids_that_are_nearly_names(tmp_path: Path, form: str) -> None:
    pictures(tmp_path)
    rows = [f"{form.format(name[:3])},{patient},{bleeds}" for name, patient, bleeds in EXPECTED]
    dataset = open_image_folder(table(tmp_path, "image,patient,any", *rows))
    assert told(dataset) == EXPECTED
    (line,) = dataset.warnings
    assert line.startswith("labels.csv: 3 ids were matched by what they have in common with a picture's name")
    assert line.endswith(f"('{form.format('000')}' is 000.png)")


def test_nothing_is_matched_where_two_could_be_meant() -> None:
    both = match_loosely(["D:/x/1.jpg", "p2/1.jpg", "2.jpg"], ["p1/1.png", "p2/1.png", "p1/2.png"])
    assert both.names == {"p2/1.jpg": "p2/1.png", "2.jpg": "p1/2.png"}
    assert both.unclear == {"D:/x/1.jpg": ("p1/1.png", "p2/1.png")}
    assert match_loosely(["a/1.jpg", "b/1.jpg"], ["1.png"]).names == {}
    assert match_loosely(["a/1.jpg"], ["1.png"], ["1.png"]).names == {}
    # Folders that fit other ids are believed, and what leads out of a folder is not followed.
    assert match_loosely(["p9/1.jpg"], ["p1/1.png"], by_folder=True).names == {}
    assert match_loosely(["../1.jpg"], ["1.png"]).names == {}


def test_a_row_of_a_folder_that_is_not_there_labels_nobody_else(tmp_path: Path) -> None:
    pictures(tmp_path, "p1/000.png", "p1/001.png")
    dataset = open_image_folder(table(tmp_path, "image,any", "p1/000.png,0", "p2/001.png,1"))
    assert [case.study_id for case in dataset.cases] == ["p1/000.png"]
    assert "p2/001.png: in labels.csv but not on disk; left out" in dataset.warnings


def test_a_table_of_other_ids_shows_one_of_each(tmp_path: Path) -> None:
    pictures(tmp_path)
    with pytest.raises(UserError, match=r"none of the 2 ids in labels\.csv .*'scan A'.*'000\.png'.*id_column="):
        open_image_folder(table(tmp_path, "image,any", "scan A,0", "scan B,1"))


def scans(root: Path, *, masks: bool = True) -> Path:
    for number, name in enumerate(("001", "002")):
        study = small_study(number)
        write_scan(study.image, root / "images" / f"{name}.nii.gz")
        if masks:
            write_ids(study.label_map > 0, study.image, root / "masks" / f"{name}.nii.gz")
    return root


@pytest.mark.parametrize("form", ["1.0", "001.nii", "C:\\data\\001.nii.gz", "1", "001.dcm"])
def test_scans_have_ids_that_are_nearly_names(tmp_path: Path, form: str) -> None:
    dataset = open_nifti_folder(table(scans(tmp_path), "Export", "study|patient_id", f"{form}|P7", "|"))
    assert [case.patient_id for case in dataset.cases] == ["P7", "002"]
    with pytest.raises(UserError, match=r"none of the 1 ids in labels\.csv .*'x'.*'001'.*study_column="):
        open_nifti_folder(table(scans(tmp_path / "bare", masks=False), "study,patient_id", "x,P7"))


def test_any_alone_is_a_label_of_the_study(tmp_path: Path) -> None:
    dataset = open_nifti_folder(table(scans(tmp_path, masks=False), "study,any", "001,nein", "002,ja"))
    assert ANY_ALONE in dataset.notes
    loaded = [case.load() for case in dataset.cases]
    assert [one.study_any for one in loaded] == [0, 1]
    truths = [slice_truth(one) for one in loaded]
    assert [(truth[0].max(axis=0).tolist(), truth[1:]) for truth in truths if truth is not None] == [
        ([0] * 6, (False, False)),
        ([0] * 5 + [1], (False, False)),
    ]
    view = ClassificationView(size=16)
    assert [render(one, view, "a")[1].max(axis=0).tolist() for one in loaded] == [[0] * 6, [0] * 5 + [1]]


def test_any_by_slice(tmp_path: Path) -> None:
    depth = small_study(0).image.shape[0]
    rows = [f"001,{number},{int(number == 2)}" for number in reversed(range(depth))]
    dataset = open_nifti_folder(table(scans(tmp_path, masks=False), "study,slice,any", *rows))
    assert dataset.cases[0].load().any_labels.tolist() == [0, 0, 1] + [0] * (depth - 3)
    with pytest.raises(UserError, match=r"slices, the table"):
        open_nifti_folder(table(tmp_path, "study,slice,any", *rows[-2:])).cases[0].load()


def test_any_against_a_mask_is_named(tmp_path: Path) -> None:
    dataset = open_nifti_folder(table(scans(tmp_path), "study,any", "001,0", "002,1"))
    image = small_study(0).image
    blood = np.zeros(image.shape, dtype=bool)
    blood[2, :8, :8] = True
    for name, mask in (("001", blood), ("002", ~blood & blood)):
        write_ids(mask, image, tmp_path / "masks" / f"{name}.nii.gz")
    assert check_dataset(dataset).contradictions == (
        "1 study with blood in the mask and none in the labels: 001",
        "1 study with blood in the labels and none in the mask: 002",
    )
