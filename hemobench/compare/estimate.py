"""What a suite will cost on this machine, before it starts: operations of each run over the machine's measured speed.

Operations are counted in one forward pass of each network. The speed is measured with two small training
loops, one of slices and one of volumes, in two seconds. What is neither (opening data, intervals, depthwise layers,
which move more than they compute) makes the estimate one of order: within a factor of two or three.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hemobench.compare.suites import BoardSpec, Suite
from hemobench.models import create_model
from hemobench.training.config import TrainConfig
from hemobench.training.hardware import batch_layout, plan_compute, to_layout
from hemobench.training.problem import build_model, outputs_of

BACKWARD = 2.0  # a backward pass computes gradients of inputs and of weights, as much as the forward pass each
PHANTOM_SLICES = 32
_MEASURE_SECONDS = 0.6
_SMALL_VOLUME = (16, 32, 32)


@dataclass(frozen=True)
class Estimate:
    """A suite's runs and seconds with so many at once; None where the data's size is not known before it is opened."""

    runs: int
    seconds: float | None

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.runs} runs, time depends on the data"
        return f"{self.runs} runs, about {_about(self.seconds)} here"


def estimate_suite(suite: Suite, *, jobs: int, threads: int, examples: Mapping[int, int] | None = None) -> Estimate:
    """Cost of all runs of a suite, `jobs` at once with `threads` threads each.

    examples: board number (from 0) to its examples, where the data is open already; else phantoms alone are counted.
    """
    seconds, runs, known = 0.0, suite.runs, True
    for number, board in enumerate(suite.boards):
        count = (examples or {}).get(number, expected_examples(board))
        if count is None:
            known = False
            continue
        per_seed = sum(run_seconds(board.config(entry, 0), board, count, threads) for entry in board.entries)
        seconds += per_seed * board.folds * len(suite.seeds)
    return Estimate(runs, seconds / max(1, min(jobs, runs)) if known else None)


def expected_examples(board: BoardSpec) -> int | None:
    """Slices or volumes of a board on generated patients; None for other data, which has to be opened first."""
    if board.dataset_name not in ("phantom", "phantom-t1"):
        return None
    patients = int(board.options.get("patients", 100))
    return patients if board.task == "segmentation" else patients * int(board.options.get("slices", PHANTOM_SLICES))


def run_seconds(config: TrainConfig, board: BoardSpec, examples: int, threads: int) -> float:
    """Seconds of one run: its training steps, and validation after every epoch."""
    train, validation, test = (share * examples for share in board.fractions)
    validation = test if board.watch == "test" else min(validation, config.validation_limit or math.inf)
    batch = min(config.batch_size or 1, max(1, round(train)))
    epoch = config.steps_per_epoch or max(1, int(train // batch))
    steps = min(config.epochs * epoch, config.max_steps or math.inf)
    operations = forward_operations(config)
    scored = math.ceil(steps / epoch) * validation + validation + test
    total = operations * (steps * batch * (1 + BACKWARD) + scored)
    return total / machine_speed(config.task, threads)


def forward_operations(config: TrainConfig) -> float:
    """Multiplications and additions of one example's forward pass."""
    config = config.resolved()
    assert config.view is not None
    size = config.patch or config.view.image_size
    options = {name: value for name, value in config.model_options.items() if name != "pretrained"}
    # A U-Net's convolutions cost the same in every voxel, so a small volume tells of a large one.
    small = tuple(min(length, most) for length, most in zip(size, _SMALL_VOLUME, strict=False))
    counted = small if config.model.startswith("unet") else size
    return _counted(
        config.model, config.task, config.view.channels, len(outputs_of(config)), counted, json.dumps(options)
    ) * math.prod(size) / math.prod(counted)  # fmt: skip


@functools.lru_cache(maxsize=256)
def _counted(
    model: str, task: str, in_channels: int, num_outputs: int, size: tuple[int, ...], options: str
) -> float:
    network = create_model(
        model, task=task, in_channels=in_channels, num_outputs=num_outputs, image_size=size, **json.loads(options)
    ).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, in_channels, *size))
    return float(counter.get_total_flops())


@functools.lru_cache(maxsize=8)
def machine_speed(task: str, threads: int) -> float:
    """Operations a second of training steps of this task here, with so many threads."""
    config = _REFERENCE[task].resolved()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan = plan_compute("auto", device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = _step_seconds(config, device, plan.precision, plan.channels_last)
    finally:
        torch.set_num_threads(before)
    assert config.batch_size is not None
    return forward_operations(config) * config.batch_size * (1 + BACKWARD) / seconds


_REFERENCE = {
    "classification": TrainConfig.from_mapping(
        {"task": "classification", "model": "paper_cnn", "view": {"size": 64}, "batch_size": 32}
    ),
    "segmentation": TrainConfig.from_mapping(
        {"task": "segmentation", "model": "unet3d", "view": {"shape": [16, 32, 32]}, "batch_size": 1}
    ),
}


def _step_seconds(config: TrainConfig, device: torch.device, precision: str, channels_last: bool) -> float:
    """Seconds of a training step, the fastest of those that fit into the time for it."""
    assert config.view is not None
    outputs = len(outputs_of(config))
    model = to_layout(build_model(config, config.view.channels, outputs).to(device), channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    images = batch_layout(
        torch.rand(config.batch_size or 1, config.view.channels, *config.view.image_size, device=device), channels_last
    )
    best, begin = math.inf, time.perf_counter()
    while best == math.inf or time.perf_counter() - begin < _MEASURE_SECONDS:
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = model(images).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def _about(seconds: float) -> str:
    """A duration with as many digits as an estimate has.

    >>> _about(7), _about(734), _about(9000)
    ('10 s', '12 min', '2.5 h')
    """
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s"
    return f"{round(seconds / 60)} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
