from __future__ import annotations

from functools import partial

import numpy as np

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import CT_ICH
from hemobench.datasets.check import check_dataset
from hemobench.errors import UserError
from hemobench.volume import Volume


def load_slices(labels: list[list[int]], remarks: tuple[str, ...] = ()) -> Loaded:
    image = Volume(np.zeros((len(labels), 2, 2)), np.eye(4))
    return Loaded(image, None, np.array(labels, dtype=np.uint8), remarks)


def fail() -> Loaded:
    raise UserError("picture 7.jpg is damaged; expected a JPEG; copy it again")


def make_dataset() -> Dataset:
    empty, two = [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]
    cases = (
        Case("a", "a1", "made", "made", (1, 0, 0, 0, 1), partial(load_slices, [empty, two, two], ("odd level",))),
        Case("a", "a2", "made", "made", (0, 1, 0, 0, 0), partial(load_slices, [[0, 1, 0, 0, 0]])),
        Case("b", "b1", "made", "made", (0, 0, 0, 0, 0), partial(load_slices, [empty])),
        Case("c", "c1", "made", "made", (0, 0, 0, 0, 1), fail),
    )
    return Dataset(CT_ICH, cases, "f", ("x.jpg: left out",))


def test_counts_are_of_slices_and_of_patients() -> None:
    done = []
    report = check_dataset(make_dataset(), lambda count, total: done.append((count, total)))
    assert (report.cases, report.patients, report.slices, report.label_maps) == (4, 3, 5, 0)
    assert report.slices_with == {
        "epidural": 2,
        "intraparenchymal": 1,
        "intraventricular": 0,
        "subarachnoid": 0,
        "subdural": 2,
        "any": 3,
    }
    assert report.patients_with is not None
    assert report.patients_with["any"] == 2
    assert report.patients_with["subdural"] == 2
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_defect_is_kept_with_its_case() -> None:
    report = check_dataset(make_dataset())
    assert report.warnings == ("x.jpg: left out",)
    assert report.remarks == ("odd level",)
    assert report.unreadable == ("case c1: picture 7.jpg is damaged; expected a JPEG; copy it again",)


def test_data_without_labels_has_no_counts() -> None:
    image = Volume(np.zeros((2, 2, 2)), np.eye(4), "MR")
    case = Case("a", "a", "made", "made", None, partial(Loaded, image, np.ones((2, 2, 2), dtype=np.uint8), None))
    report = check_dataset(Dataset(CT_ICH, (case,), "f", ()))
    assert report.slices_with is None
    assert report.patients_with is None
    assert report.label_maps == 1
