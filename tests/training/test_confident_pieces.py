"""How confident a lesion must be: chosen where the mean Dice over cases is best, a false alarm counting as 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hemobench.datasets.cache import Examples
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.evaluate import mean_dice_by_confidence
from hemobench.training.problem import pose_problem


class _Bright(nn.Module):
    """Logit of a voxel by its grey alone: a blob of HU 75 (grey 0.94) has probability 0.97, noise at most 0.6."""

    def __init__(self, faint_in: int) -> None:
        super().__init__()
        self.calls, self.faint_in = 0, faint_in

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.where(images > 0.75, 3.5, -5.0)
        if self.calls == self.faint_in:
            logits[:, :, 0, :3, :3] = 0.5  # 0.62 in a corner
        self.calls += 1
        return logits


def test_the_mean_over_cases_counts_false_alarms_and_leaves_out_what_is_rightly_empty(volumes: Examples) -> None:
    problem = pose_problem(TrainConfig(task="segmentation", view=volumes.view).resolved(), volumes)
    source = BatchSource(volumes, problem.targets, torch.device("cpu"))
    bleeding = [row for row in range(12) if problem.targets[row].any()]
    healthy = [row for row in range(12) if row not in bleeding]
    rows = np.array([bleeding[0], healthy[0], healthy[1]])
    truth = int(problem.targets[bleeding[0]].sum())
    with torch.no_grad():
        called = int((source.whole(rows[:1])[0] > 0.75).sum())
        hits = int(((source.whole(rows[:1])[0] > 0.75) & (source.whole(rows[:1])[1] > 0.5)).sum())
    own = 2 * hits / (called + truth)
    assert own > 0.9
    found = mean_dice_by_confidence(_Bright(faint_in=1), problem, source, rows, 0.5, [0.0, 0.7, 0.99])
    # With any voxel called, the second patient's corner is a case of Dice 0; the third, with nothing, is no case. Asked
    # for 0.99, nothing is called anywhere: the bleeding patient's 0 is the only case.
    assert found == pytest.approx([own / 2, own, 0.0])
