"""Out-of-fold answers are those of networks that never saw the patient."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_dataset

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples, View
from hemobench.datasets.phantom.sources import load_anatomy
from hemobench.errors import UserError
from hemobench.machine import cache_home
from hemobench.training import stream as stream_module
from hemobench.training.checkpointing import load_tensors
from hemobench.training.config import TrainConfig
from hemobench.training.crossfit import crossfit
from hemobench.training.result import RunResult
from hemobench.training.stream import StreamSpec

CONFIG = TrainConfig.from_mapping(
    {
        "model": "paper_cnn",
        "model_options": {"width": 4, "hidden": 16},
        "view": {"windows": ["brain"], "size": 24},
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-3,
    }
)


def test_everybody_is_asked_once_by_a_network_that_did_not_know_them(slices: Examples, tmp_path: Path) -> None:
    cases = make_dataset().cases
    made = crossfit(CONFIG, slices, cases, tmp_path, folds=3, seed=5)
    assert made.out_of_fold is not None
    assert made.out_of_fold.study_ids.tolist() == slices.study_ids.tolist()
    assert made.out_of_fold.slice_indices.tolist() == slices.slice_indices.tolist()
    np.testing.assert_array_equal(made.out_of_fold.targets, slices.targets)
    asked: list[str] = []
    for split, run in made.folds:
        assert set(run.test.patient_ids.tolist()) == set(split.test)
        assert not set(split.test) & set(split.train)
        own = np.isin(made.out_of_fold.patient_ids, split.test)
        np.testing.assert_array_equal(made.out_of_fold.probabilities[own], run.test.probabilities)  # type: ignore[union-attr]
        asked += split.test
    assert sorted(asked) == sorted({case.patient_id for case in cases})
    assert made.final.patients == {"train": 12, "validation": 0, "test": 0}
    assert made.final.metrics == {}
    assert RunResult.load(tmp_path / "everybody").patients["train"] == 12


def test_it_goes_on_where_it_stopped(slices: Examples, tmp_path: Path) -> None:
    cases = make_dataset().cases
    first = crossfit(CONFIG, slices, cases, tmp_path, folds=2, seed=5)
    written = (tmp_path / "fold-1" / "best.safetensors").stat().st_mtime_ns
    (tmp_path / "everybody" / "run.json").unlink()
    again = crossfit(CONFIG, slices, cases, tmp_path, folds=2, seed=5)
    assert first.out_of_fold is not None
    assert again.out_of_fold is not None
    assert (tmp_path / "fold-1" / "best.safetensors").stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.out_of_fold.probabilities, again.out_of_fold.probabilities)


def test_a_segmenters_answers_are_not_kept_and_each_fold_is_scored(volumes: Examples, tmp_path: Path) -> None:
    config = TrainConfig(
        task="segmentation",
        model="unet2d",
        model_options={"base": 4, "depth": 2},
        view=volumes.view,
        epochs=1,
        loss="dice+bce",
    )
    cases = make_dataset().cases
    made = crossfit(config, volumes, cases, tmp_path, folds=2, seed=0)
    assert made.out_of_fold is None
    asked = [patient for split, run in made.folds for patient in run.test.patient_ids.tolist()]
    assert sorted(asked) == sorted(case.patient_id for case in cases)
    assert made.final.patients == {"train": 12, "validation": 0, "test": 0}


def test_each_fold_begins_with_the_network_of_the_same_fold(slices: Examples, tmp_path: Path) -> None:
    cases = make_dataset().cases
    crossfit(CONFIG, slices, cases, tmp_path / "first", folds=2, seed=5)
    as_they_are = dataclasses.replace(CONFIG, epochs=0)
    crossfit(
        as_they_are,
        slices,
        cases,
        tmp_path / "second",
        folds=2,
        seed=5,
        start=tmp_path / "first" / "everybody",
        fold_starts=tmp_path / "first",
    )
    for run in ("everybody", "fold-1", "fold-2"):
        first, _ = load_tensors(tmp_path / "first" / run / "best.safetensors")
        second, _ = load_tensors(tmp_path / "second" / run / "best.safetensors")
        assert all(torch.equal(first[name], second[name]) for name in first), run
    with pytest.raises(UserError, match="learned from other patients"):
        crossfit(
            CONFIG,
            slices,
            cases,
            tmp_path / "third",
            folds=2,
            seed=6,
            start=tmp_path / "first" / "everybody",
            fold_starts=tmp_path / "first",
        )


def test_one_shard_serves_all_folds_and_goes_when_they_are_trained(
    slices: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_anatomy(None, 0)  # the MNI head is built in the ordinary cache once, not in each test's own
    ordinary = cache_home() / "anatomy"
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "anatomy").symlink_to(ordinary)
    config = dataclasses.replace(CONFIG, stream_share=0.5, steps_per_epoch=2)
    spec = StreamSpec("phantom", patients=1, options={"slices": 4, "matrix": 32}, passes=1)
    made: list[bool] = []
    build = stream_module.build_examples

    def counted(dataset: Dataset, view: View, **options: object) -> Examples:
        made.append(not _shards(tmp_path))
        return build(dataset, view, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stream_module, "build_examples", counted)
    crossfit(config, slices, make_dataset().cases, tmp_path / "runs", folds=2, seed=5, stream=spec)
    assert made == [True, False, False, False]  # before the first fold, then found by each of the three
    assert not _shards(tmp_path)
    crossfit(config, slices, make_dataset().cases, tmp_path / "runs", folds=2, seed=5, stream=spec)
    assert len(made) == 4, "what is finished needs no phantoms"


def _shards(home: Path) -> list[Path]:
    return list((home / "home" / "cache").glob("phantom-*"))
