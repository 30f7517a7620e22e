"""Hand-made RunResults: the leaderboard and the report are tested on numbers that one can check on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from hemobench.labels import CLASSES
from hemobench.training.config import TrainConfig
from hemobench.training.result import CaseScores, Pictures, RunResult, SlicePredictions


def _run(config: TrainConfig, test: SlicePredictions | CaseScores, pictures: Pictures, monitor: str) -> RunResult:
    history = tuple(
        {"epoch": float(epoch), "train_loss": 0.7 / epoch, f"validation_{monitor}": 0.5 + 0.1 * epoch}
        for epoch in (1, 2, 3)
    )
    return RunResult(
        name=f"{config.model}-{config.seed}",
        config=config,
        dataset="phantom",
        phantom=True,
        data_fingerprint="d1",
        split_fingerprint="s1",
        metrics={},
        validation_metrics={},
        undefined={},
        baselines={},
        history=history,
        timings={"train_seconds": 10.0 + 2 * config.seed, "infer_ms_per_case": 5.0},
        parameters=1000,
        peak_memory_mb=100.0,
        hardware={},
        commit="abc",
        version="0",
        best_epoch=3,
        patients={"train": 4, "validation": 2, "test": 4},
        test=test,
        validation=test,
        pictures=pictures,
    )


@pytest.fixture
def segmentation_run() -> Callable[..., RunResult]:
    """Makes a segmenter's run from one Dice a patient; volumes are 10 mL each, of a field of 100 mL."""

    def make(dice: Sequence[float], seed: int = 0, model: str = "unet3d") -> RunResult:
        values = np.asarray(dice, dtype=np.float64)
        columns: Mapping[str, Any] = {
            "dice_any": values,
            "hd95_mm_any": 10 * (1 - values),
            "volume_ml_true_any": np.full(len(values), 10.0),
            "volume_ml_pred_any": np.full(len(values), 10.0),
            "voxel_accuracy": 1 - 0.2 * (1 - values),
            "voxel_accuracy_background": np.full(len(values), 0.9),
        }
        ids = np.asarray([f"p{number}" for number in range(len(values))])
        disc = np.hypot(*np.mgrid[-32:32, -32:32]) < 20
        masks = np.stack([disc, np.roll(disc, 8, axis=1)]).astype(np.uint8)
        titles = np.asarray(["p0 slice 3", "p1 slice 9"])
        pictures = Pictures((masks * 120 + 40).astype(np.uint8), masks, masks[::-1], titles, np.asarray(["", ""]))
        config = TrainConfig(task="segmentation", model=model, seed=seed).resolved()
        return _run(config, CaseScores(dict(columns), ids, ids), pictures, "dice_any")

    return make


@pytest.fixture
def classification_run() -> Callable[..., RunResult]:
    """Makes a classifier's run from probabilities of `any` and the truth; every positive is subdural."""

    def make(
        probabilities: Sequence[float],
        truth: Sequence[int],
        patients: Sequence[str],
        seed: int = 0,
        model: str = "paper_cnn",
    ) -> RunResult:
        scores = np.zeros((len(truth), len(CLASSES)), dtype=np.float32)
        scores[:, [4, 5]] = np.asarray(probabilities, dtype=np.float32)[:, None]
        targets = np.zeros((len(truth), len(CLASSES)), dtype=np.uint8)
        targets[:, [4, 5]] = np.asarray(truth, dtype=np.uint8)[:, None]
        ids = np.asarray(patients)
        pictures = Pictures(
            np.full((2, 48, 48), 90, dtype=np.uint8),
            targets[:2],
            (scores[:2] * 255).astype(np.uint8),
            np.asarray(["p0 slice 0", "p0 slice 1"]),
            np.asarray(["", ""]),
        )
        config = TrainConfig(task="classification", model=model, seed=seed).resolved()
        test = SlicePredictions(scores, targets, ids, ids, np.arange(len(truth)))
        return _run(config, test, pictures, "auroc_any")

    return make
