"""What a task means for a network: its outputs, the targets of its loss, its starting bias, its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hemobench.datasets.cache import Examples
from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES, PAPER_CLASSES, to_paper_class
from hemobench.losses import LOCATING_LOSSES, TYPED_LOSSES, create_loss
from hemobench.metrics.definitions import METRICS
from hemobench.models import create_model
from hemobench.models.timm_unet import FAMILY
from hemobench.training.config import EPOCH_MONITOR, LOSS_MONITOR, TrainConfig
from hemobench.training.sampling import balanced_shares, shares_by_size
from hemobench.training.slices import drawable_slices
from hemobench.views.view import SegmentationView, default_view
from hemobench.weighting import ClassWeights, create_weighting

EXCLUSIVE_LOSS = "cross-entropy"
# Overlap losses have no base rate to start from: a rare class's prior would start them where gradients vanish.
_PRIOR_LOSSES = ("bce", "focal", "dice+bce", *TYPED_LOSSES, *LOCATING_LOSSES)
_PRIOR_RANGE = (1e-4, 1 - 1e-4)
_CHUNK = 64


@dataclass(frozen=True)
class Problem:
    """Targets of a run's loss. targets: uint8 (N, 6), or masks or label maps (N, 1, D, H, W). usable: (N,) rows the
    task can learn from. outputs: what the network's outputs stand for.

    exclusive: the six outputs are PAPER_CLASSES, of which exactly one holds (softmax); else they are independent.
    """

    task: str
    exclusive: bool
    targets: NDArray[np.uint8]
    usable: NDArray[np.bool_]
    outputs: tuple[str, ...]

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    @property
    def typed(self) -> bool:
        """Whether the first output is blood and the others are its type, given that it is blood."""
        return self.task == "segmentation" and self.num_outputs > 1

    @property
    def types(self) -> int:
        """How many types the label maps distinguish; 0 for masks and for classification."""
        return self.num_outputs - 1 if self.typed else 0

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, K, ...) as float32 probabilities; those of types add up to 1 in every voxel."""
        logits = logits.float()
        if self.typed:
            return torch.cat([logits[:, :1].sigmoid(), logits[:, 1:].softmax(1)], dim=1)
        return logits.softmax(1) if self.exclusive else logits.sigmoid()


def pose_problem(config: TrainConfig, examples: Examples) -> Problem:
    """The problem that a resolved config poses on these examples.

    Raises: UserError when the examples are of another task or the loss does not fit it.
    """
    if config.locates and examples.masks is None:
        raise UserError(
            f"loss '{config.loss}' on examples without masks of their slices; expected them; build the "
            "examples with masks"
        )
    if examples.task != config.task:
        raise UserError(
            f"examples for {examples.task} with a config for {config.task}; expected one task; "
            "build the examples with the config's view"
        )
    usable = np.ones(len(examples), dtype=np.bool_)
    outputs = outputs_of(config)
    if config.loss != EXCLUSIVE_LOSS:
        return Problem(config.task, False, examples.targets, usable, outputs)
    if config.task == "segmentation":
        raise UserError(
            f"loss '{EXCLUSIVE_LOSS}' for a segmentation of one structure; expected a loss of independent "
            "outputs; use bce, dice or dice+bce"
        )
    classes = to_paper_class(examples.targets[:, :-1])
    one_hot = np.eye(len(PAPER_CLASSES), dtype=np.uint8)[np.maximum(classes, 0)]
    return Problem(config.task, True, one_hot, classes >= 0, PAPER_CLASSES)


def outputs_of(config: TrainConfig) -> tuple[str, ...]:
    """What the outputs of a config's network stand for, in their order."""
    view = config.view or default_view(config.task)
    return view.outputs if isinstance(view, SegmentationView) else CLASSES


def sampling_shares(config: TrainConfig, problem: Problem, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Probability of drawing each of `rows`, None where each comes once."""
    if config.sampling in ("shuffled", "slices"):
        return None
    targets = problem.targets[rows]
    if config.sampling == "by-size":
        return shares_by_size(targets)
    if problem.exclusive:
        frequency = targets.sum(axis=0)
        present = frequency > 0
        return np.asarray((targets / np.maximum(1, frequency)).sum(axis=1) / present.sum(), dtype=np.float64)
    return balanced_shares(targets)


def drawn_from(
    config: TrainConfig, problem: Problem, examples: Examples, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """What the steps of a run draw from these rows, and the probability of each, None where each comes once: the rows
    themselves, or the numbers of their slices (training/slices.py)."""
    if config.sampling == "slices":
        return drawable_slices(examples, rows)
    return rows, sampling_shares(config, problem, rows)


def check_config(config: TrainConfig) -> None:
    """Build a config's network, loss and weights once, before any data is opened: a wrong name or option is a UserError
    at once instead of after minutes of reading."""
    view = config.view or default_view(config.task)
    outputs = len(outputs_of(config))
    options = dict(config.model_options)
    create_model(
        config.model,
        task=config.task,
        in_channels=view.channels,
        num_outputs=outputs,
        image_size=view.image_size,
        **{**options, **({"pretrained": False} if "pretrained" in options else {})},
    )
    examples = np.eye(2, dtype=np.uint8)[:, :1].repeat(outputs, axis=1)
    create_loss(config.loss, create_weighting(config.weighting, examples), **dict(config.loss_options))
    if (config.loss in TYPED_LOSSES) != (config.task == "segmentation" and outputs > 1):
        raise UserError(
            f"loss '{config.loss}' for {outputs} outputs; expected {', '.join(TYPED_LOSSES)} for view "
            "target subtypes and another loss for everything else; change one of the two"
        )
    if config.model_options.get("labelled") and config.loss not in TYPED_LOSSES:
        raise UserError(
            f"model option labelled with loss '{config.loss}'; expected {', '.join(TYPED_LOSSES)}, which "
            "knows the types of blood; leave it out"
        )
    if config.locates != (config.task == "classification" and config.model.startswith(f"{FAMILY}:")):
        raise UserError(
            f"loss '{config.loss}' for model '{config.model}'; expected {', '.join(LOCATING_LOSSES)} "
            f"exactly for classifiers {FAMILY}:<backbone>, which say where; change one of the two"
        )
    if config.monitor not in (*METRICS, LOSS_MONITOR, EPOCH_MONITOR):
        raise unknown_name("monitor", str(config.monitor), METRICS)


def build_model(config: TrainConfig, in_channels: int, num_outputs: int, prior: list[float] | None = None) -> nn.Module:
    """Freshly drawn model of a resolved config."""
    options: dict[str, Any] = dict(config.model_options)
    if prior is not None:
        options.setdefault("prior", prior)
    assert config.view is not None
    return create_model(
        config.model,
        task=config.task,
        in_channels=in_channels,
        num_outputs=num_outputs,
        image_size=config.patch or config.view.image_size,
        **options,
    )


def build_loss(config: TrainConfig, problem: Problem, rows: NDArray[np.int64]) -> tuple[nn.Module, list[float] | None]:
    """The loss with its class weights from the training rows, and the prior that the model's bias starts at."""
    targets = problem.targets[rows]
    if problem.typed:  # weights are those of blood; types are balanced by the loss
        targets = (targets > 0).astype(np.uint8)
    weights = create_weighting(
        config.weighting,
        targets,
        num_outputs=1 if problem.typed else problem.num_outputs,
        exclusive=problem.exclusive,
    )
    loss = create_loss(config.loss, weights, **dict(config.loss_options))
    wanted = config.prior and config.loss in _PRIOR_LOSSES
    return loss, weighted_prior(problem, rows, sampling_shares(config, problem, rows), weights) if wanted else None


def weighted_prior(
    problem: Problem, rows: NDArray[np.int64], shares: NDArray[np.float64] | None, weights: ClassWeights
) -> list[float]:
    """The constant answer, one an output, that a weighted BCE likes best on what the sampling shows: where training
    would spend its first steps getting to. p' = w_pos p / (w_pos p + w_neg (1 - p)), kept away from 0 and 1."""
    base = np.zeros(1 if problem.typed else problem.num_outputs)
    drawn = np.full(len(rows), 1 / len(rows)) if shares is None else shares
    for start in range(0, len(rows), _CHUNK):
        part = problem.targets[rows[start : start + _CHUNK]]
        frequency = np.asarray(part > 0).reshape(*part.shape[:2], -1).mean(axis=2)
        base += drawn[start : start + _CHUNK] @ frequency
    positive, negative = weights.positive.double().numpy() * base, weights.negative.double().numpy() * (1 - base)
    total = positive + negative
    prior = np.divide(positive, total, out=np.full_like(total, 0.5), where=total > 0)
    types = [0.5] * (problem.num_outputs - len(prior))  # a logit of 0 each: no type is likelier than another
    return [*(float(value) for value in np.clip(prior, *_PRIOR_RANGE)), *types]
