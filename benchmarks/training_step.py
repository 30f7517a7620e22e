"""One training step in the loop's settings against eager fp32 in plain layout, side by side in one run.

`python benchmarks/training_step.py` prints medians and ratios. The two settings take turns, so that a busy machine
slows both alike; ratios are what to read.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from ratios import Ratio, options, ratio, tell
from torch import Tensor, nn

from hemobench.losses import create_loss
from hemobench.models import create_model
from hemobench.training.hardware import batch_layout, guard_shallow_convolutions, plan_compute, to_layout


@dataclass(frozen=True)
class Subject:
    """A network and the batch it is timed on."""

    name: str
    task: str
    shape: tuple[int, ...]
    outputs: int
    goal: float | None = None

    def shrunk(self) -> Subject:
        """The same with one example or two of a quarter of the size, for --smoke."""
        return replace(self, shape=(min(2, self.shape[0]), self.shape[1], *(size // 4 for size in self.shape[2:])))


SUBJECTS = (
    Subject("unet3d", "segmentation", (1, 1, 80, 120, 120), 1, goal=3.0),
    Subject("unet2d", "segmentation", (1, 1, 32, 112, 96), 1),
    Subject("paper_cnn", "classification", (32, 3, 128, 128), 6),
    Subject("timm:resnet10t", "classification", (32, 3, 128, 128), 6, goal=3.0),
)


class Step:
    """One optimizer step of a subject, in the loop's settings or plainly."""

    def __init__(self, subject: Subject, *, precision: str, channels_last: bool, device: torch.device) -> None:
        torch.manual_seed(0)
        model = create_model(
            subject.name,
            task=subject.task,
            in_channels=subject.shape[1],
            num_outputs=subject.outputs,
            image_size=subject.shape[2:],
        )
        self.model = to_layout(model.to(device), channels_last)
        if precision == "bf16" and device.type == "cpu":
            self.model = guard_shallow_convolutions(self.model)
        fused = channels_last and device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4, fused=fused)
        self.loss: nn.Module = create_loss("bce").to(device)
        self.images = batch_layout(torch.rand(subject.shape, device=device), channels_last)
        rows = subject.shape[2:] if subject.task == "segmentation" else ()
        self.targets: Tensor = (torch.rand(subject.shape[0], subject.outputs, *rows, device=device) > 0.9).float()
        self.bf16, self.device = precision == "bf16", device

    def seconds(self) -> float:
        """Wall time of one step."""
        begin = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(self.images)
        self.loss(logits, self.targets).backward()
        self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Time every subject and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", help="name of one subject")
    given = options(parser, argv, {"repeats": 1})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan = plan_compute("auto", device)
    print(f"{plan.device_name}, {torch.get_num_threads()} threads, torch {torch.__version__}: {plan.reason}")
    print(f"{'model':16} {'batch':22} {'plain fp32':>12} {'loop':>12} {'ratio':>7} {'fp32, channels last':>20}")
    for subject in SUBJECTS:
        if given.only not in (None, subject.name):
            continue
        subject = subject.shrunk() if given.smoke else subject
        steps = [
            Step(subject, precision="fp32", channels_last=False, device=device),
            Step(subject, precision=plan.precision, channels_last=plan.channels_last, device=device),
            Step(subject, precision="fp32", channels_last=True, device=device),
        ]
        for step in steps:
            step.seconds()
        rounds = [[step.seconds() for step in steps] for _ in range(given.repeats)]
        plain, loop, last = (statistics.median(column) for column in zip(*rounds, strict=True))
        times = f"{plain * 1000:9.1f} ms {loop * 1000:9.1f} ms"
        print(f"{subject.name:16} {subject.shape!s:22} {times} {plain / loop:6.2f}x {plain / last:18.2f}x", flush=True)
        taken = [[1000 * one for one in column] for column in zip(*rounds, strict=True)]
        what = f"a training step of {subject.name}"
        yield ratio(what, "plain fp32", taken[1], taken[0], unit="ms", goal=subject.goal)


if __name__ == "__main__":
    tell(run())
