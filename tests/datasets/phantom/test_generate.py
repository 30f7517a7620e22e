"""The same bytes every time: twice, in other processes, with other thread counts; other bytes for other patients."""

from __future__ import annotations

import numpy as np
import torch

from hemobench.case import Loaded
from hemobench.datasets.phantom.generate import generate_patient, generate_selected
from hemobench.datasets.phantom.plan import PhantomSpec

SPEC = PhantomSpec(patients=6, slices=6, matrix=48)


def content(loaded: Loaded) -> tuple[bytes, bytes, bytes, bytes]:
    assert loaded.label_map is not None
    assert loaded.slice_labels is not None
    arrays = (loaded.image.voxels, loaded.image.affine, loaded.label_map, loaded.slice_labels)
    return tuple(np.ascontiguousarray(array).tobytes() for array in arrays)  # type: ignore[return-value]


def test_a_patient_is_the_same_twice_with_other_threads_and_among_others() -> None:
    first = content(generate_patient(SPEC, 4))
    torch.set_num_threads(2)
    assert content(generate_patient(SPEC, 4)) == first
    assert torch.get_num_threads() == 2  # left as it was found
    torch.set_num_threads(1)
    again = dict(generate_selected(SPEC, [2, 4], jobs=1))
    assert content(again[4]) == first
    assert content(again[2]) != first


def test_workers_make_what_one_process_makes_in_order() -> None:
    alone = [content(generate_patient(SPEC, index)) for index in (4, 0, 2)]
    made = list(generate_selected(SPEC, [4, 0, 2], jobs=2))
    assert [index for index, _ in made] == [4, 0, 2]
    assert [content(loaded) for _, loaded in made] == alone


def test_another_seed_is_another_patient() -> None:
    other = PhantomSpec(patients=6, slices=6, matrix=48, seed=7)
    assert content(generate_patient(other, 4)) != content(generate_patient(SPEC, 4))


def test_nothing_is_made_for_no_indices() -> None:
    assert list(generate_selected(SPEC, [])) == []


def test_voxels_are_whole_hounsfield_units_a_scanner_can_store() -> None:
    voxels = generate_patient(SPEC, 1).image.voxels
    assert voxels.dtype == np.float32
    assert voxels.min() >= -1024
    assert voxels.max() <= 3071
    np.testing.assert_array_equal(voxels, np.round(voxels))
