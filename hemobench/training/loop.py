"""The training loop, on Accelerate: epochs, validation, checkpoints after each, and going on after a kill."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from torch import nn

from hemobench.datasets.cache import Examples
from hemobench.errors import UserError, unknown_name
from hemobench.losses import BloodAndType, SliceAndLocalisation
from hemobench.metrics import higher_is_better, metric_info
from hemobench.models.timm_unet import TimmUNet
from hemobench.progress import Reporter
from hemobench.training.accelerated import accelerator_for, optimizer_for, running_mean
from hemobench.training.batches import BatchSource
from hemobench.training.checkpointing import load_tensors, load_training_state, save_tensors, save_training_state
from hemobench.training.config import EPOCH_MONITOR, LOSS_MONITOR, TrainConfig, monitor_column
from hemobench.training.evaluate import epoch_metrics
from hemobench.training.hardware import ComputePlan, guard_shallow_convolutions, to_layout
from hemobench.training.logging import TensorBoardLog, write_history
from hemobench.training.problem import Problem, build_loss, build_model, drawn_from, pose_problem
from hemobench.training.sampling import epoch_batches, evenly, generator_for
from hemobench.training.schedule import learning_rate_at
from hemobench.training.starting import fitting
from hemobench.training.stream import ExampleStream

LAST, BEST, HISTORY, TENSORBOARD = "last.safetensors", "best.safetensors", "history.csv", "tensorboard"


@dataclass
class _State:
    """Where a run stands after an epoch; goes into the checkpoint's header."""

    epoch: int = 0
    step: int = 0
    best_value: float | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What `train` leaves: the model with its best weights, in evaluation mode, and how it got there."""

    model: nn.Module
    problem: Problem
    source: BatchSource
    plan: ComputePlan
    history: tuple[dict[str, float], ...]
    best_epoch: int
    main_process: bool


def train(
    config: TrainConfig,
    problem: Problem,
    examples: Examples,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    output: Path,
    *,
    identity: str,
    resume: bool,
    reporter: Reporter,
    stream: ExampleStream | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
) -> Trained:
    """Train a resolved config on rows (training, validation) of the examples, checkpoints under `output`.

    `stream` gives the share of each batch that the config takes from it, `start` the weights to begin with.

    After every epoch `last.safetensors` holds all that the next epoch depends on, `best.safetensors` the weights with
    the best `monitor` so far and `history.csv` the numbers. With `resume` a run whose checkpoint carries the same
    `identity` goes on after its last finished epoch, on the CPU to the same bits as if it had not been stopped; a
    checkpoint of another identity is overwritten. Raises: UserError, also when the loss is no longer a number.
    """
    trainer = _Trainer(config, problem, examples, rows, output, identity, reporter, stream)
    if start is not None:
        trainer.begin_with(start)
    if resume:
        trainer.resume()
    trainer.run()
    return trainer.finish()


def restored(config: TrainConfig, model: nn.Module, problem: Problem, examples: Examples, best_epoch: int) -> Trained:
    """A trained network again as `train` left it: same device, precision and layout, so the same answers."""
    plan, accelerator = accelerator_for(config.precision)
    model = to_layout(model.to(accelerator.device), plan.channels_last)
    if accelerator.device.type == "cpu" and plan.precision == "bf16":
        model = guard_shallow_convolutions(model)
    prepared: nn.Module = accelerator.prepare_model(model, evaluation_mode=True)
    source = BatchSource(
        examples, problem.targets, accelerator.device, channels_last=plan.channels_last, types=problem.types
    )
    bare: nn.Module = accelerator.unwrap_model(prepared)
    return Trained(bare.eval(), problem, source, plan, (), best_epoch, accelerator.is_main_process)


class _Trainer:
    def __init__(
        self,
        config: TrainConfig,
        problem: Problem,
        examples: Examples,
        rows: tuple[NDArray[np.int64], NDArray[np.int64]],
        output: Path,
        identity: str,
        reporter: Reporter,
        stream: ExampleStream | None = None,
    ) -> None:
        assert config.batch_size is not None
        self.stream = stream
        self.config, self.problem, self.examples, self.output = config, problem, examples, output
        self.identity, self.reporter, self.state = identity, reporter, _State()
        self.higher = _direction(str(config.monitor), config.task)
        self.rows, validation = rows
        self.validation = evenly(validation, config.validation_limit)
        self.plan, self.accelerator = accelerator_for(config.precision)
        device = self.accelerator.device
        set_seed(config.seed)
        loss, prior = build_loss(config, problem, self.rows)
        self.rows, self.shares = drawn_from(config, problem, examples, self.rows)
        model = build_model(config, examples.images.shape[1], problem.num_outputs, prior)
        model = to_layout(model.to(device), self.plan.channels_last)
        if device.type == "cpu" and self.plan.precision == "bf16":
            model = guard_shallow_convolutions(model)
        self.loss = loss.to(device)
        mean = running_mean(model, config.average)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer_for(config, model, device))
        if mean is not None:
            mean.module = self.accelerator.prepare_model(mean.module, evaluation_mode=True)
        self.mean = mean
        self.source = self._source(examples, problem)
        size = min(config.batch_size, len(self.rows))
        if size < self.accelerator.num_processes:
            raise UserError(
                f"batch_size {size} on {self.accelerator.num_processes} processes; expected at least one "
                "example each; raise batch_size"
            )
        # Of each batch: how many from the training patients, how many from the stream.
        streamed = round(config.stream_share * config.batch_size)
        self.parts = (config.batch_size - streamed if streamed else size, streamed)
        steps = config.steps_per_epoch or len(self.rows) // size
        self.total_steps = config.epochs * steps
        if config.max_steps is not None:
            self.total_steps = min(self.total_steps, config.max_steps)
        self.epochs = math.ceil(self.total_steps / steps)

    @property
    def bare(self) -> nn.Module:
        """The model under Accelerate's wrappers; it keeps its autocast."""
        model: nn.Module = self.accelerator.unwrap_model(self.model)
        return model

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the running mean of the weights where there is one."""
        model: nn.Module = self.bare if self.mean is None else self.mean.module
        return model

    def begin_with(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Weights of another run of the same network instead of random ones (see `fitting`)."""
        own = self.bare.state_dict()
        if isinstance(self.bare, TimmUNet):
            weights = self.bare.widened(weights)
        given, parts = fitting(own, weights, self.config.model)
        for module in [self.bare, *([] if self.mean is None else [self.mean.module])]:
            module.load_state_dict(own | given)
        if parts:
            self.reporter.say(f"the start has no {', '.join(parts)}: that begins anew")
        if self.epochs == 0 and self.accelerator.is_main_process:
            header = {"identity": self.identity, "config": self.config.to_mapping(), "epoch": 0}
            save_tensors(self.output / BEST, dict(self.bare.state_dict()), _model_header(self, header))

    def resume(self) -> None:
        path = self.output / LAST
        if not path.is_file():
            return
        _, header = load_tensors(path)
        if header["identity"] != self.identity:
            self.reporter.say(f"{path} belongs to another configuration or other data; training starts anew")
            return
        header = load_training_state(path, self.bare, self.optimizer, self.mean)
        self.state = _State(**header["state"])
        self.reporter.say(f"going on after epoch {self.state.epoch} of {self.epochs}")

    def run(self) -> None:
        log = None
        if self.config.tensorboard and self.accelerator.is_main_process:
            log = TensorBoardLog(self.output / TENSORBOARD, self.state.epoch + 1)
        try:
            while self.state.epoch < self.epochs and not self._out_of_patience():
                row = self._epoch(self.state.epoch + 1)
                self._keep(row)
                if log is not None:
                    log.log(row)
                self.reporter.say(_line(row, self.epochs, str(self.config.monitor)))
        finally:
            if log is not None:
                log.close()

    def finish(self) -> Trained:
        """Best weights back in the model."""
        self.accelerator.wait_for_everyone()
        tensors, header = load_tensors(self.output / BEST)
        if TrainConfig.from_mapping(header["config"]) != self.config and self.accelerator.is_main_process:
            # It was trained to answer in another way, and is the same network.
            save_tensors(self.output / BEST, tensors, {**header, "config": self.config.to_mapping()})
        self.bare.load_state_dict(tensors)
        history = tuple({k: math.nan if v is None else v for k, v in row.items()} for row in self.state.history)
        return Trained(
            self.bare.eval(),
            self.problem,
            self.source,
            self.plan,
            history,
            self.state.best_epoch,
            self.accelerator.is_main_process,
        )

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch, validate; returns its row of the history."""
        begin = time.perf_counter()
        assert self.config.batch_size is not None
        sources = self._sources(epoch)
        batches = list(zip(*(batches for _, batches in sources), strict=True))[: self.total_steps - self.state.step]
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        draws = generator_for(self.config.seed, epoch, purpose=1, rank=rank)
        generator = torch.Generator().manual_seed(int(draws.integers(2**62)))
        self.reporter.start(f"epoch {epoch} of {self.epochs}", len(batches))
        self.model.train()
        total, rate = torch.zeros((), device=self.accelerator.device), 0.0
        for batch in batches:
            rate = learning_rate_at(self.state.step, self.total_steps, self.config.schedule, self.config.learning_rate)
            parts = [(source, rows[rank::world]) for (source, _), rows in zip(sources, batch, strict=True)]
            total += self._step(parts, generator, rate)
            self.state.step += 1
            self.reporter.advance()
        train_loss = float(self.accelerator.reduce(total, reduction="mean")) / len(batches)
        if not math.isfinite(train_loss):
            raise UserError(
                f"the training loss became {train_loss} in epoch {epoch}; expected a number; lower "
                f"learning_rate (now {self.config.learning_rate}) or set gradient_clip"
            )
        scores = epoch_metrics(
            self.kept,
            self.problem,
            self.examples,
            self.source,
            self.validation,
            self.config.batch_size,
            self.loss,
            str(self.config.monitor),
        )
        seconds = time.perf_counter() - begin
        return {"epoch": epoch, "train_loss": train_loss, **scores, "learning_rate": rate, "seconds": seconds}

    def _sources(self, epoch: int) -> list[tuple[BatchSource, list[NDArray[np.int64]]]]:
        """Where an epoch's examples come from, and which rows of each make up its batches."""
        own, streamed = self.parts
        config, steps = self.config, self.config.steps_per_epoch
        sources = []
        if own:
            batches = epoch_batches(self.rows, self.shares, seed=config.seed, epoch=epoch, batch_size=own, steps=steps)
            sources.append((self.source, batches))
        if streamed:
            assert self.stream is not None
            shard = self.stream.at(epoch, self.epochs)
            problem = pose_problem(config, shard)
            rows, shares = drawn_from(config, problem, shard, np.flatnonzero(problem.usable))
            batches = epoch_batches(
                rows, shares, seed=config.seed, epoch=epoch, batch_size=streamed, steps=steps, purpose=2
            )
            sources.append((self._source(shard, problem), batches))
        return sources

    def _source(self, examples: Examples, problem: Problem) -> BatchSource:
        return BatchSource(
            examples,
            problem.targets,
            self.accelerator.device,
            channels_last=self.plan.channels_last,
            types=problem.types,
            masks=examples.masks if self.config.locates else None,
            context=self.config.context if self.config.sampling == "slices" else None,
        )

    def _step(
        self, parts: list[tuple[BatchSource, NDArray[np.int64]]], generator: torch.Generator, rate: float
    ) -> torch.Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        drawn = [
            source.training(
                rows,
                generator,
                augmentation=self.config.augment,
                patch=self.config.patch,
                on_foreground=self.config.sampling != "shuffled",
            )
            for source, rows in parts
        ]
        columns = drawn[0] if len(drawn) == 1 else tuple(torch.cat(column) for column in zip(*drawn, strict=True))
        images, targets, *masks = columns
        self.optimizer.zero_grad(set_to_none=True)
        if masks:
            assert isinstance(self.loss, SliceAndLocalisation)
            logits, maps = self.model(images)
            loss = self.loss.where(logits, maps, targets, masks[0])
        elif isinstance(self.bare, TimmUNet) and self.bare.labelled:
            assert isinstance(self.loss, BloodAndType)
            maps, named = self.model(images)
            loss = self.loss.labelled(maps, named, targets)
        else:
            loss = self.loss(self.model(images), targets)
        self.accelerator.backward(loss)
        if self.config.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        if self.mean is not None:
            self.mean.update_parameters(self.bare)
        return loss.detach()

    def _keep(self, row: dict[str, float]) -> None:
        """Update the state, then write best, last and history, each moved in place when whole."""
        monitor = str(self.config.monitor)
        value = row.get(monitor_column(monitor), math.nan)
        if LOSS_MONITOR in row and monitor_column(monitor) not in row:
            measured = [name.removeprefix("validation_") for name in row if name.startswith("validation_")]
            known = [LOSS_MONITOR, *(name for name in measured if name != "loss")]
            raise unknown_name("monitor for this view", monitor, known)
        self.state.epoch = int(row["epoch"])
        self.state.history.append({k: v if math.isfinite(v) else None for k, v in row.items()})
        # Until the monitor has a value (no validation patients, one class only) the newest weights are the best known.
        better = self.state.best_value is None or self._improves(value, row.get(LOSS_MONITOR, math.inf))
        if better:
            self.state.best_value = value if math.isfinite(value) else None
            self.state.best_loss = row.get(LOSS_MONITOR, math.inf)
            self.state.best_epoch = self.state.epoch
        if not self.accelerator.is_main_process:
            return
        header = {"identity": self.identity, "config": self.config.to_mapping(), "epoch": self.state.epoch}
        if better:
            save_tensors(self.output / BEST, dict(self.kept.state_dict()), _model_header(self, header))
        save_training_state(
            self.output / LAST,
            self.bare,
            self.optimizer,
            {**header, "state": dataclasses.asdict(self.state)},
            self.mean,
        )
        write_history(self.output / HISTORY, self.state.history)

    def _improves(self, value: float, loss: float) -> bool:
        """Whether a value beats the best; of equal ones (Dice 0 in the first epochs) the lower loss is better."""
        best = self.state.best_value
        assert best is not None
        if value == best:
            return loss < self.state.best_loss
        return math.isfinite(value) and (value > best) == self.higher

    def _out_of_patience(self) -> bool:
        patience = self.config.early_stopping
        if patience is None or self.state.best_value is None:
            return False
        return self.state.epoch - self.state.best_epoch >= patience


def _model_header(trainer: _Trainer, header: dict[str, Any]) -> dict[str, Any]:
    """What it takes to build the network again beside its config."""
    return {**header, "in_channels": int(trainer.examples.images.shape[1]), "num_outputs": trainer.problem.num_outputs}


def _direction(monitor: str, task: str) -> bool:
    if monitor in (LOSS_MONITOR, EPOCH_MONITOR):
        return monitor == EPOCH_MONITOR
    measured = metric_info(monitor).task
    if measured != task:
        raise UserError(f"monitor '{monitor}' measures {measured}; expected one of {task}; name one, or {LOSS_MONITOR}")
    return higher_is_better(monitor)


def _line(row: dict[str, float], epochs: int, monitor: str) -> str:
    name = monitor_column(monitor)
    shown = f", {monitor} {row[name]:.4f}" if name in row and monitor != EPOCH_MONITOR else ""
    return f"epoch {int(row['epoch'])} of {epochs}: train_loss {row['train_loss']:.4f}{shown}, {row['seconds']:.1f} s"
