"""Names and ids: which case is meant, what an id stands for, and what is refused because nobody can know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hemobench.case import Case
from hemobench.errors import UserError
from hemobench.labels import UNTYPED
from hemobench.predictions.ids import BINARY, OURS, binary_or_ours, read_ids
from hemobench.predictions.names import CaseNames, file_names


def names(*cases: tuple[str, str]) -> CaseNames:
    return CaseNames([Case(patient, study, "d", "l", None, lambda: None) for patient, study in cases])  # type: ignore


def found(known: CaseNames, file: str) -> int | None:
    return known.find(file_names(file), file)


@pytest.mark.parametrize(
    ("file", "case"),
    [
        ("day1.nii.gz", 0),
        ("DAY1_0000.nii.gz", 0),
        ("day1-seg.nii", 0),
        ("day1_ct_pred_mask.nii.gz", 0),
        ("day1/segmentation.nii.gz", 0),
        ("out/day1/mask.nii.gz", 0),
        ("049.nii.gz", 1),
        ("49_seg.nii.gz", 1),
        ("x_y.nii.gz", 2),
        ("y.nii.gz", 2),
        ("smith.nii.gz", 0),
        ("day1_left.nii.gz", None),
        ("day.nii.gz", None),
    ],
)
def test_a_file_means_the_case_that_its_name_says(file: str, case: int | None) -> None:
    assert found(names(("smith", "day1"), ("jones", "049"), ("brown", "x/y")), file) == case


def test_a_study_comes_before_a_patient_and_two_cases_are_refused() -> None:
    known = names(("p1", "a"), ("p1", "b"), ("a", "c"))
    assert found(known, "a.nii.gz") == 0
    with pytest.raises(UserError, match=r"p1_seg.nii.gz may be about 2 cases \(a, b\)"):
        found(known, "p1_seg.nii.gz")


def test_ids_by_a_map(tmp_path: Path) -> None:
    given = read_ids("1=intraparenchymal,2=blood,3=none", tmp_path)
    assert given is not None
    labels = np.array([[[0, 1, 2, 3]]], dtype=np.int32)
    assert given.apply(labels, tmp_path).tolist() == [[[0, 2, UNTYPED, 0]]]
    assert given.types == ("intraparenchymal",)
    assert read_ids(None, tmp_path) is None
    (tmp_path / "ids.yaml").write_text("7: [subdural, epidural]\n8: [subdural]\n9: ~\n")
    kept = read_ids(None, tmp_path)
    assert kept is not None
    assert kept.ids == {7: UNTYPED, 8: 5, 9: 0}


def test_ids_without_a_map_are_ours_or_blood_alone() -> None:
    assert binary_or_ours({0, 255}) is BINARY
    assert binary_or_ours({0}) is BINARY
    assert binary_or_ours({0, 2, 5}) is OURS
    with pytest.raises(UserError, match="masks with ids 1, 6"):
        binary_or_ours({0, 1, 6})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1: oedema", "unknown meaning of an id 'oedema'; known: blood, epidural"),
        ("one: subdural", "has the id 'one'; expected a whole number"),
        ("1: none", "maps no id to blood"),
        ("0: blood", "maps no id to blood, or 0 to it"),
        ("- 1", "holds no pairs"),
        ("1: blood\n1: none", "stands twice"),
        ("1: [[blood]]", "unknown meaning of an id"),
    ],
)
def test_bad_maps_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "ids.yaml").write_text(text)
    with pytest.raises(UserError, match=words.replace("[", r"\[")) as caught:
        read_ids(None, tmp_path)
    assert "\n" not in str(caught.value)


def test_aliases_of_aliases_end_soon(tmp_path: Path) -> None:
    lines = ["1: blood", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "ids.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="has the id 'a0'"):
        read_ids(None, tmp_path)
