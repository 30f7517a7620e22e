"""Splits that leak: what they divide, and that the honest half of a pair does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hemobench.datasets.cache import Examples
from hemobench.datasets.image_splits import by_image, paired_splits, shared_patients, split_by_image
from hemobench.datasets.splits import Split
from hemobench.errors import UserError
from hemobench.views.view import ClassificationView


def examples(patients: int = 10, slices: int = 8) -> Examples:
    rows = patients * slices
    ids = np.repeat([f"p{number}" for number in range(patients)], slices)
    return Examples(
        "classification",
        np.zeros((rows, 1, 8, 8), np.uint8),
        np.zeros((rows, 6), np.uint8),
        ids,
        ids,
        np.tile(np.arange(slices), patients),
        np.ones((rows, 3)),
        "made",
        True,
        "f",
        ClassificationView(("brain",), 8),
    )


def test_pictures_are_divided_whoever_they_are_of() -> None:
    data = by_image(examples())
    split = split_by_image(data, fractions=(0.8, 0, 0.2), seed=3, watch_test=True)
    assert (len(split.train), len(split.validation), len(split.test)) == (64, 0, 16)
    assert not set(split.train) & set(split.test)
    assert shared_patients(data, split) >= 8, "of 10 people with 8 pictures each nearly all are on both sides"
    assert split == split_by_image(data, fractions=(0.8, 0, 0.2), seed=3, watch_test=True)
    assert split.fingerprint != dataclasses.replace(split, watch_test=False).fingerprint


def test_the_pair_differs_in_the_leak_alone() -> None:
    data = by_image(examples())
    people = Split(("p0", "p1", "p2", "p3", "p4", "p5"), ("p6",), ("p7", "p8", "p9"), seed=1)
    honest, leaking = paired_splits(data, people)
    assert honest.test == leaking.test
    assert honest.validation == leaking.validation
    assert len(honest.train) == len(leaking.train) == 48
    assert len(honest.test) == 12, "every second picture of three people with eight"
    assert shared_patients(data, honest) == 0
    assert shared_patients(data, leaking) == 3
    assert not set(leaking.train) & set(leaking.test)
    assert {unit.partition("#")[0] for unit in leaking.test} == {"p7", "p8", "p9"}


def test_a_saved_split_says_what_it_divides(tmp_path) -> None:
    split = split_by_image(by_image(examples(3, 3)), fractions=(0.5, 0, 0.5), seed=0, watch_test=True)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    text = (tmp_path / "split.json").read_text(encoding="utf-8").replace('"image"', '"patient"')
    (tmp_path / "split.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="changed after it was saved"):
        Split.load(tmp_path / "split.json")


def test_a_split_by_patient_keeps_the_fingerprint_it_had_before_there_were_others() -> None:
    # sha256 of {"seed":0,"test":["c"],"train":["a"],"validation":["b"]}
    known = "bf28c6e57d2b8830217a0565972f39ff03ad0780e5db6147ac02c335dbabbf53"
    assert Split(("a",), ("b",), ("c",), 0).fingerprint == known


def test_volumes_and_examples_by_patient_are_refused() -> None:
    with pytest.raises(UserError, match="split by image of volumes"):
        by_image(dataclasses.replace(examples(), task="segmentation"))
    with pytest.raises(UserError, match="call it first"):
        split_by_image(examples(), fractions=(0.8, 0, 0.2), seed=0)
