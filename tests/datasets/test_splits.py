from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hemobench.case import Case, Loaded
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.splits import (
    PARTS,
    Split,
    check_disjoint,
    check_disjoint_cases,
    check_unseen,
    kfold_by_patient,
    split_by_patient,
)
from hemobench.errors import UserError

from .small_studies import small_studies


def not_loaded() -> Loaded:
    raise AssertionError("splitting must not decode")


def make_case(patient: str, labels: tuple[int, ...] | None, study: str = "", lineage: str = "made") -> Case:
    return Case(patient, study or patient, "made", lineage, labels, not_loaded)


def cohort(count: int = 60, seed: int = 0, rate: float = 0.12) -> list[Case]:
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, 5)) < rate).astype(int).tolist()
    return [make_case(f"{number:03d}", tuple(types)) for number, types in enumerate(labels)]


def sizes(split: Split) -> list[int]:
    return [len(getattr(split, part)) for part in PARTS]


def parts_of(split: Split) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((part, getattr(split, part)) for part in PARTS)


@pytest.mark.parametrize("count", [3, 4, 7, 20, 61, 100])
@pytest.mark.parametrize("fractions", [(0.6, 0.15, 0.25), (0.8, 0.0, 0.2), (1 / 3, 1 / 3, 1 / 3)])
def test_everyone_is_in_one_part_and_sizes_are_within_one_patient(count: int, fractions: tuple[float, ...]) -> None:
    cases = cohort(count)
    split = split_by_patient(cases, fractions=fractions, seed=1)
    everyone = [patient for _, patients in parts_of(split) for patient in patients]
    assert sorted(everyone) == sorted(case.patient_id for case in cases)
    for size, fraction in zip(sizes(split), fractions, strict=True):
        assert abs(size - fraction * count) < 1 + 1e-9 or (size == 1 and fraction > 0)
        assert (size > 0) == (fraction > 0)


def test_split_depends_on_the_seed_and_not_on_the_order() -> None:
    cases = cohort()
    split = split_by_patient(cases, seed=3)
    shuffled = [cases[index] for index in np.random.default_rng(9).permutation(len(cases))]
    assert split_by_patient(shuffled, seed=3) == split
    assert split_by_patient(cases, seed=4).test != split.test


def test_studies_of_one_patient_stay_together_and_their_types_add_up() -> None:
    cases = [make_case(f"p{number // 3}", None, study=f"s{number}") for number in range(30)]
    split = split_by_patient(cases, seed=0)
    assert sum(sizes(split)) == 10
    check_disjoint(split)


def test_rare_types_are_spread_in_proportion() -> None:
    """Four patients have type 0, eight type 4: with halves for train and test each must be split evenly."""
    labels = [(1, 0, 0, 0, 0)] * 4 + [(0, 0, 0, 0, 1)] * 8 + [(0, 0, 0, 0, 0)] * 28
    cases = [make_case(f"{number:02d}", label) for number, label in enumerate(labels)]
    for seed in range(10):
        split = split_by_patient(cases, fractions=(0.5, 0.0, 0.5), seed=seed)
        assert sum(int(patient) < 4 for patient in split.test) == 2
        assert sum(4 <= int(patient) < 12 for patient in split.test) == 4


def test_stratified_is_closer_to_the_proportions_than_chance() -> None:
    cases = cohort(80, seed=5)
    table = {case.patient_id: np.array(case.study_labels) for case in cases}

    def imbalance(stratify: bool) -> float:
        total = sum(table.values())
        gaps = []
        for seed in range(20):
            split = split_by_patient(cases, seed=seed, stratify=stratify)
            for (_, patients), fraction in zip(parts_of(split), (0.6, 0.15, 0.25), strict=True):
                gaps.append(np.abs(sum(table[patient] for patient in patients) - fraction * total).mean())
        return float(np.mean(gaps))

    assert imbalance(stratify=True) < 0.6 * imbalance(stratify=False)


def test_folds_test_everyone_once() -> None:
    cases = cohort(23)
    splits = kfold_by_patient(cases, folds=5, seed=2)
    tested = [patient for split in splits for patient in split.test]
    assert sorted(tested) == sorted(case.patient_id for case in cases)
    assert {len(split.test) for split in splits} == {4, 5}
    for split in splits:
        check_disjoint(split)
        assert sum(sizes(split)) == 23
        assert len(split.validation) == round(0.15 * (23 - len(split.test)))
    assert kfold_by_patient(reversed(cases), folds=5, seed=2) == splits


def test_saved_split_is_read_back(tmp_path: Path) -> None:
    split = split_by_patient(cohort(), seed=1)
    split.save(tmp_path / "new" / "split.json")
    assert Split.load(tmp_path / "new" / "split.json") == split
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["split.json"]


def test_fingerprint_is_that_of_the_content() -> None:
    # Computed once by hand from the canonical JSON, so that a change of the form cannot pass unseen.
    split = Split(("a",), (), ("b",), 0)
    assert split.fingerprint == "ec2839f2e1b87e2ecd9d88e1cd519f2899ccc7219673bfddd78ef8940992b97a"
    assert Split(("a",), (), ("b",), 1).fingerprint != split.fingerprint


def test_changed_file_is_found_and_hand_written_lists_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    Split(("a", "b"), (), ("c",), 0).save(path)
    document = json.loads(path.read_text())
    document["train"].append("d")
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="changed after it was saved"):
        Split.load(path)
    path.write_text(json.dumps({"train": ["b", "a"], "test": ["c"]}))
    assert Split.load(path) == Split(("a", "b"), (), ("c",), 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object"),
        ('{"train": ["a"]}', "no list test"),
        ('{"train": ["a"], "test": ["b"], "tset": []}', "unknown key tset"),
        ('{"train": [1], "test": ["b"]}', "train is no list of texts"),
        ('{"train": "ab", "test": ["b"]}', "train is no list of texts"),
        ('{"train": ["a"], "test": ["a"]}', r"a \(train and test\)"),
        ('{"train": ["a"], "test": ["b"], "seed": "x"}', "seed"),
        ('{"train": ["a"], "test": ["b"], "schema": "other/9"}', "other/9"),
    ],
)
def test_broken_files_give_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        Split.load(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json"):
        Split.load(tmp_path / "none.json")


def test_overlap_is_named() -> None:
    with pytest.raises(UserError, match=r"b \(train and test\)"):
        check_disjoint(Split(("a", "b"), ("c",), ("b",), 0))
    with pytest.raises(UserError, match=r"a \(train and train\)"):
        check_disjoint(Split(("a", "a"), (), (), 0))


def test_the_same_person_is_found_across_data_sets_of_one_lineage() -> None:
    rsna = [make_case("ID_1", None, lineage="rsna"), make_case("ID_2", None, lineage="rsna")]
    bhsd = [Case("ID_2", "s", "bhsd", "rsna", None, not_loaded)]
    other = [Case("ID_2", "s", "other", "elsewhere", None, not_loaded)]
    with pytest.raises(UserError, match="ID_2 of rsna"):
        check_disjoint_cases(rsna, bhsd)
    check_disjoint_cases(rsna, other)
    with pytest.raises(UserError, match="'ID_2' is in rsna and in elsewhere"):
        split_by_patient([*rsna, *other], seed=0)


def test_what_a_network_was_made_with_is_found_in_every_copy_of_its_lineage(tmp_path: Path) -> None:
    for name in ("rsna", "zeta"):
        get_layout(name).write(tmp_path / name, small_studies(4, depth=4, size=32), 1)
    rsna, zeta = (open_dataset(f"{name}:{tmp_path / name}") for name in ("rsna", "zeta"))
    # Zeta's pictures are RSNA's slices: with its patients' names they are the same people.
    assert {case.patient_id for case in zeta.cases} == {case.patient_id for case in rsna.cases}
    known = rsna.cases[0].patient_id
    with pytest.raises(UserError, match=rf"'zeta' holds patients of rsna .*: {known}; expected people"):
        check_unseen([known], "rsna", zeta)
    assert check_unseen(["ID_of_another"], "rsna", zeta) is None
    assert check_unseen([known], "ct-ich", zeta) is None
    (tmp_path / "zeta" / "patients.csv").unlink()
    nameless = open_dataset(f"zeta:{tmp_path / 'zeta'}")
    line = check_unseen([known], "rsna", nameless)
    assert line is not None
    assert "does not say who they are" in line
    assert check_unseen([known], "ct-ich", nameless) is None


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.4, 0.2), (1.2, -0.2, 0.0)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="fractions"):
        split_by_patient(cohort(), fractions=fractions, seed=0)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(UserError, match="2 patients for 3 parts"):
        split_by_patient(cohort(2), seed=0)
    with pytest.raises(UserError, match="no cases"):
        split_by_patient([], seed=0)
    with pytest.raises(UserError, match="folds"):
        kfold_by_patient(cohort(3), folds=4, seed=0)
    with pytest.raises(UserError, match="validation fraction"):
        kfold_by_patient(cohort(9), folds=3, seed=0, validation_fraction=1.0)


def test_groups_of_patients_stay_together() -> None:
    cases = [
        Case(
            f"{number:03d}",
            f"{number:03d}",
            "made",
            "made",
            (int(number % 5 == 0), 0, 0, 0, 0),
            not_loaded,
            group=f"anatomy {number % 10}",
        )
        for number in range(60)
    ]
    split = split_by_patient(cases, fractions=(0.6, 0.2, 0.2), seed=3)
    assert [len(getattr(split, part)) for part in PARTS] == [36, 12, 12]
    for each in (split, *kfold_by_patient(cases, folds=5, seed=1)):
        sides = {part: {int(patient) % 10 for patient in getattr(each, part)} for part in PARTS}
        assert not sides["train"] & sides["validation"]
        assert not sides["test"] & (sides["train"] | sides["validation"])
        assert sum(len(getattr(each, part)) for part in PARTS) == 60


def test_a_group_counts_once_and_patients_without_one_count_themselves() -> None:
    together = [Case(str(number), str(number), "made", "made", None, not_loaded, group="one") for number in range(5)]
    with pytest.raises(UserError, match="1 groups of patients"):
        split_by_patient(together, seed=0)
    alone = [make_case(name, None) for name in ("a", "b")]
    split = split_by_patient([*together, *alone], fractions=(0.34, 0.33, 0.33), seed=0)
    assert sorted(len(getattr(split, part)) for part in PARTS) == [1, 1, 5]
