"""The phantom as a data set, and as a folder that can be interrupted and read back."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hemobench.datasets.phantom import PhantomSpec, build_folder, generate_patient, open_phantom, plan_patient
from hemobench.errors import UserError
from hemobench.io.nifti import read_label_map, read_nifti

SMALL = {"patients": 3, "slices": 6, "matrix": 48}


def test_cases_know_their_plan_before_they_are_loaded() -> None:
    dataset = open_phantom(None, patients=5, slices=6, matrix=48)
    assert dataset.info.phantom
    assert len({case.patient_id for case in dataset.cases}) == 5
    for index, case in enumerate(dataset.cases):
        assert case.study_labels == plan_patient(PhantomSpec(), index).study_labels
    case = pickle.loads(pickle.dumps(dataset.cases[4]))
    loaded, direct = case.load(), generate_patient(PhantomSpec(5, 6, 48), 4)
    np.testing.assert_array_equal(loaded.image.voxels, direct.image.voxels)


def test_types_may_be_chosen() -> None:
    dataset = open_phantom(None, patients=40, slices=6, matrix=48, subtypes="intraventricular+subdural", healthy=0.0)
    kinds = {case.study_labels for case in dataset.cases}
    assert kinds <= {(0, 0, 1, 0, 0), (0, 0, 0, 0, 1), (0, 0, 1, 0, 1)}
    assert len(kinds) > 1
    with pytest.raises(UserError, match="subtypes"):
        open_phantom(None, patients=1, subtypes="ventricular")


def test_t1_cases_have_no_bleed_labels() -> None:
    dataset = open_phantom(None, product="t1", patients=2)
    assert dataset.info.name == "phantom-t1"
    assert all(case.study_labels is None for case in dataset.cases)


def test_fingerprint_changes_with_whatever_changes_a_voxel() -> None:
    base = {"patients": 3, "slices": 6, "matrix": 48, "seed": 1, "product": "ct"}
    changes = [{}, {"patients": 4}, {"slices": 7}, {"matrix": 49}, {"seed": 2}, {"healthy": 0.1}, {"least_size": 0.5}]
    changes.append({"restless": 0.5})
    changes.append({"product": "t1", "slices": None, "matrix": None})
    prints = [open_phantom(None, **{**base, **change}).fingerprint for change in changes]  # type: ignore[arg-type]
    assert len(set(prints)) == len(changes)
    assert open_phantom(None, **base).fingerprint == prints[0]  # type: ignore[arg-type]


def test_options_of_ct_are_refused_for_mri() -> None:
    with pytest.raises(UserError, match="phantom-t1 with slices; expected patients and seed alone"):
        open_phantom(None, product="t1", slices=40)


def test_least_size_draws_larger_bleeds() -> None:
    small, large = (PhantomSpec(patients=60, least_size=least) for least in (0.0, 0.6))
    sizes = [[b.size for index in range(60) for b in plan_patient(spec, index).bleeds] for spec in (small, large)]
    assert min(sizes[0]) < 0.1
    assert min(sizes[1]) >= 0.6
    # The same draws on another scale: 0.6 + 0.4 times each.
    assert sizes[1] == pytest.approx([0.6 + 0.4 * size for size in sizes[0]])


def test_restless_patients_lie_further_from_straight_and_are_else_the_same() -> None:
    plans = [[plan_patient(PhantomSpec(restless=share), index) for index in range(80)] for share in (0.0, 0.25)]
    turned = [index for index, (calm, other) in enumerate(zip(*plans, strict=True)) if calm != other]
    assert 10 <= len(turned) <= 30
    for index in turned:
        calm, other = plans[0][index].person, plans[1][index].person
        for name, most in (("pitch_deg", 1.5), ("roll_deg", 3.5), ("yaw_deg", 3.0)):
            assert 1 <= getattr(other, name) / getattr(calm, name) <= most
        assert replace(other, pitch_deg=calm.pitch_deg, roll_deg=calm.roll_deg, yaw_deg=calm.yaw_deg) == calm


def test_a_folder_holds_what_was_generated_and_is_completed_after_a_stop(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    build_folder(tmp_path / "made", jobs=1, progress=lambda *counts: done.append(counts), **SMALL)
    assert done == [(1, 3), (2, 3), (3, 3)]
    patient = plan_patient(PhantomSpec(), 2).patient_id
    direct = generate_patient(PhantomSpec(**SMALL), 2)
    image = read_nifti(tmp_path / "made" / patient / "image.nii.gz")
    labels = read_label_map(tmp_path / "made" / patient / "label_map.nii.gz")
    np.testing.assert_array_equal(image.voxels, direct.image.voxels)
    np.testing.assert_allclose(image.affine, direct.image.affine, atol=1e-4)  # NIfTI keeps float32
    np.testing.assert_array_equal(labels.voxels, direct.label_map)
    np.testing.assert_array_equal(labels.affine, image.affine)

    tables = [(tmp_path / "made" / name).read_bytes() for name in ("slices.csv", "patients.csv")]
    slices = pd.read_csv(tmp_path / "made" / "slices.csv")
    assert len(slices) == 18
    np.testing.assert_array_equal(slices[slices.patient_id == patient].iloc[:, 2:].to_numpy(), direct.slice_labels)

    (tmp_path / "made" / patient / "slices.csv").unlink()  # as a kill before the patient's last file leaves it
    (tmp_path / "made" / patient / "image.nii.gz").write_bytes(b"half")
    kept = (tmp_path / "made" / plan_patient(PhantomSpec(), 0).patient_id / "image.nii.gz").stat().st_mtime_ns
    done.clear()
    build_folder(tmp_path / "made", jobs=1, progress=lambda *counts: done.append(counts), **SMALL)
    assert done == [(3, 3)]
    np.testing.assert_array_equal(read_nifti(tmp_path / "made" / patient / "image.nii.gz").voxels, direct.image.voxels)
    assert [(tmp_path / "made" / name).read_bytes() for name in ("slices.csv", "patients.csv")] == tables
    after = (tmp_path / "made" / plan_patient(PhantomSpec(), 0).patient_id / "image.nii.gz").stat().st_mtime_ns
    assert after == kept

    with pytest.raises(UserError, match="holds something else"):
        build_folder(tmp_path / "made", jobs=1, patients=3, slices=6, matrix=50)


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="choose another"):
        build_folder(tmp_path, jobs=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="holds something else"):
        build_folder(tmp_path / "thesis.txt", jobs=1, **SMALL)


def test_a_t1_folder_has_volumes_and_ventricles(tmp_path: Path) -> None:
    build_folder(tmp_path, jobs=1, patients=1, product="t1")
    patient = plan_patient(PhantomSpec(), 0).patient_id
    labels = read_label_map(tmp_path / patient / "label_map.nii.gz")
    assert labels.shape == (176, 208, 176)
    assert labels.voxels.max() == 1
    assert len(pd.read_csv(tmp_path / "slices.csv")) == 0
