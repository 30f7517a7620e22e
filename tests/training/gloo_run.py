"""Trains on the blob slices as torchrun starts it: every process runs this file. Usage: gloo_run.py OUTPUT."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from blob_cases import make_dataset, make_split

from hemobench.datasets.cache import ClassificationView, build_examples
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment

CONFIG = {
    "task": "classification",
    "model": "paper_cnn",
    "model_options": {"dropout": 0.0, "width": 8},
    "view": {"windows": ["brain"], "size": 24},
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "precision": "fp32",
}


def main(output: Path) -> None:
    torch.set_num_threads(1)
    examples = build_examples(make_dataset(), ClassificationView(("brain",), 24), jobs=1)
    run_experiment(TrainConfig.from_mapping(CONFIG), examples, make_split(), output)
    print(f"{PartialState().num_processes} processes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
