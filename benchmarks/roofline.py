"""How far from this machine's own limit the paper's 3D U-Net is: its operations, and what a matrix product reaches.

    python benchmarks/roofline.py [--rounds N]

The roof is the rate of a plain product of two square matrices by torch on the same cores, in bf16 or in fp32, whichever
is faster here; torch counts the network's operations (a multiplication and an addition are two). Products, forward
passes by the fast engine and training steps take turns. "Its roof" is the time in which a matrix product does as many
operations: a ratio of 0.5 means half of what the cores can do, so that no software is more than twice as fast there.
Convolutions of 16 channels cannot reach 1: a value that is loaded is used less often than in a large product.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from engines import random_checkpoint
from ratios import Ratio, SkippedError, load_average, options, ratio, tell
from torch.utils.flop_counter import FlopCounterMode
from training_step import SUBJECTS, Step

from hemobench.inference.engine import load_engine
from hemobench.inference.openvino_engine import has_openvino
from hemobench.training.hardware import plan_compute

DEVICE = torch.device("cpu")


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in a piece of work, gradients included."""
    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return int(counter.get_total_flops())


def product(size: int, precision: str) -> Callable[[], torch.Tensor]:
    """A product of two square matrices."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.rand(size, size).to(kind) for _ in range(2))
    return lambda: one @ other


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best_of_three(work: Callable[[], object]) -> float:
    return min(timed(work) for _ in range(3))


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=3072, help="of the matrices")
    given = options(parser, argv, {"rounds": 1, "size": 256})
    if not has_openvino():
        raise SkippedError("OpenVINO, the fast engine, is not installed")
    precision = plan_compute("auto", DEVICE).precision
    subject = SUBJECTS[0].shrunk() if given.smoke else SUBJECTS[0]
    multiply = min((product(given.size, kind) for kind in ("bf16", "fp32")), key=best_of_three)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = random_checkpoint(Path(folder) / "ventricles", "ventricles", given.smoke)
        image = np.random.default_rng(0).random((1, 1, *checkpoint.config.view.image_size), dtype=np.float32)
        engine, network = load_engine(checkpoint, "openvino"), checkpoint.build_model()
        with torch.no_grad():
            forward = operations(lambda: network(torch.from_numpy(image)))
        step = Step(subject, precision=precision, channels_last=True, device=DEVICE)
        work = {
            "a matrix product": (2 * given.size**3, multiply),
            f"the 3D U-Net by {engine.description}": (forward, lambda: engine.run(image)),
            f"a training step of it by torch in {precision}": (operations(step.seconds), step.seconds),
        }
        for _, one in work.values():
            one()
        rounds = [[timed(one) for _, one in work.values()] for _ in range(given.rounds)]
    print(f"load average {load_average():.1f} before the run; medians of {given.rounds}, {precision}")
    columns = list(zip(*rounds, strict=True))
    for (name, (count, _)), seconds in zip(work.items(), columns, strict=True):
        taken = statistics.median(seconds)
        print(f"  {name}: {count / 1e9:.0f} GFLOP in {taken:.3f} s, {count / taken / 1e9:.0f} GFLOP/s")
    rates = [2 * given.size**3 / seconds for seconds in columns[0]]
    for (name, (count, _)), seconds in list(zip(work.items(), columns, strict=True))[1:]:
        yield ratio(name, "its roof", seconds, [count / rate for rate in rates])


if __name__ == "__main__":
    tell(run())
