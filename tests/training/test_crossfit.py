"""Out-of-fold answers are those of networks that never saw the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blob_cases import make_dataset

from hemobench.datasets.cache import Examples
from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.training.crossfit import crossfit
from hemobench.training.result import RunResult

CONFIG = TrainConfig.from_mapping({
    "model": "paper_cnn", "model_options": {"width": 4, "hidden": 16}, "view": {"windows": ["brain"], "size": 24},
    "epochs": 1, "batch_size": 8, "learning_rate": 1e-3,
})  # fmt: skip


def test_everybody_is_asked_once_by_a_network_that_did_not_know_them(slices: Examples, tmp_path: Path) -> None:
    cases = make_dataset().cases
    made = crossfit(CONFIG, slices, cases, tmp_path, folds=3, seed=5)
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
    assert (tmp_path / "fold-1" / "best.safetensors").stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.out_of_fold.probabilities, again.out_of_fold.probabilities)


def test_segmentation_is_refused(volumes: Examples, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected classification"):
        crossfit(TrainConfig(task="segmentation"), volumes, make_dataset().cases, tmp_path, folds=2, seed=0)
