"""What a run takes from Accelerate and torch before its first step: device, precision, optimizer, mean of weights."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hemobench.training.config import TrainConfig
from hemobench.training.hardware import ComputePlan, plan_compute


def accelerator_for(precision: str) -> tuple[ComputePlan, Accelerator]:
    """How a run of this precision computes here, and Accelerate set up for it."""
    # Accelerate joins the processes of torchrun on a machine without a GPU only when told that it is one.
    cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.accelerator.is_available()
    plan = plan_compute(precision, PartialState(cpu=cpu).device)
    mixed = "bf16" if plan.precision == "bf16" else "no"
    # Accelerate keeps one precision per process and refuses a second; a leaderboard trains several runs in one.
    AcceleratorState._reset_state()
    return plan, Accelerator(mixed_precision=mixed, cpu=cpu)


def optimizer_for(config: TrainConfig, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Adam or AdamW, as the config says."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )


def running_mean(model: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential mean of a network's weights and statistics; None with 0.

    To be made before Accelerate prepares the network: a copy of what it wraps goes on calling the original.
    """
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
