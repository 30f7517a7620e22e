"""Training: config, loop, checkpoints, and the experiment that turns a config into a RunResult."""

from __future__ import annotations

from hemobench.training.config import TrainConfig
from hemobench.training.result import CaseScores, Pictures, RunResult, SlicePredictions

__all__ = ["CaseScores", "Pictures", "RunResult", "SlicePredictions", "TrainConfig"]
