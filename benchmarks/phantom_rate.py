"""How fast phantom patients are made: slices per second with one and with two processes, and where the time goes.

Run from the repository: `python benchmarks/phantom_rate.py [--patients 24] [--slices 32] [--matrix 256]`. CPU seconds
say what a patient costs on a machine that is busy with other work; wall time is only fair on an idle one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from ratios import Ratio, load_average, options, ratio, tell, within

from hemobench.datasets.phantom import artefacts, render
from hemobench.datasets.phantom.generate import generate_patient, generate_selected
from hemobench.datasets.phantom.plan import PhantomSpec

TARGET_SECONDS = 180.0  # 100 patients of 32 x 256 x 256 on two cores
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "painting tissue": ((render, "paint_ct"),),
    "bleeds": ((render, "make_bleed"), (render.BloodMixer, "__init__")),
    "displacement": ((render, "displacement"),),
    "sampling": (
        (render.Sampler, "window"),
        (render.Sampler, "positions"),
        (render.Sampler, "displaced"),
        (render, "sample"),
    ),
    "mixing blood": ((render.BloodMixer, "mix"),),
    "beam hardening": ((artefacts, "beam_hardening"),),
    "kernel and noise": ((artefacts, "reconstruct"),),
}


@contextmanager
def timed_stages(seconds: dict[str, float]) -> Iterator[None]:
    """Add each stage's own CPU seconds to `seconds`; a stage inside another is not counted twice."""
    running: list[list[float]] = []

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **options: Any) -> Any:
            running.append([0.0])
            start = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent = time.process_time() - start
                seconds[stage] += spent - running.pop()[0]
                if running:
                    running[-1][0] += spent

        return wrapper

    originals = [(owner, name, getattr(owner, name)) for targets in STAGES.values() for owner, name in targets]
    for stage, targets in STAGES.items():
        for owner, name in targets:
            setattr(owner, name, timed(stage, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def profile(spec: PhantomSpec) -> None:
    """Print the CPU seconds of each stage, a mean over all patients."""
    seconds = dict.fromkeys(STAGES, 0.0)
    generate_patient(spec, 0)  # loads the anatomy
    start = time.process_time()
    with timed_stages(seconds):
        for index in range(spec.patients):
            generate_patient(spec, index)
    total = time.process_time() - start
    seconds["everything else"] = total - sum(seconds.values())
    print(f"{'stage':<20}{'CPU s a patient':>16}{'share':>8}")
    for stage, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{stage:<20}{spent / spec.patients:>16.3f}{spent / total:>8.0%}")
    print(f"{'total':<20}{total / spec.patients:>16.3f}")


def rate(spec: PhantomSpec, jobs: int) -> float:
    """Print and return the seconds a patient takes with `jobs` processes, their start included."""
    times_before = os.times()
    start = time.perf_counter()
    for _ in generate_selected(spec, range(spec.patients), jobs):
        pass
    wall = time.perf_counter() - start
    times = os.times()
    cpu = sum(
        getattr(times, k) - getattr(times_before, k) for k in ("user", "system", "children_user", "children_system")
    )
    each = wall / spec.patients
    print(
        f"{jobs} process{'es' if jobs > 1 else '  '}: {spec.patients * spec.slices / wall:6.1f} slices/s, "
        f"{each:.2f} s a patient ({cpu / spec.patients:.2f} CPU s), 100 patients in {100 * each:.0f} s, "
        f"{100 * cpu / spec.patients / jobs:.0f} s with {'these cores' if jobs > 1 else 'this core'} to itself"
    )
    return each


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("patients", 24), ("slices", 32), ("matrix", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = options(parser, argv, {"patients": 2, "slices": 3, "matrix": 48})
    spec = PhantomSpec(chosen.patients, chosen.slices, chosen.matrix)
    print(f"{os.cpu_count()} cores, load average {load_average():.1f} before the run, torch {torch.__version__}")
    profile(spec)
    alone, each = rate(spec, 1), rate(spec, 2)
    print(f"target: 100 patients in {TARGET_SECONDS:.0f} s; projected {100 * each:.0f} s")
    yield ratio("phantoms by two processes", "by one", each, alone)
    yield within(f"100 phantoms of {chosen.slices} x {chosen.matrix} x {chosen.matrix}", 100 * each, TARGET_SECONDS)


if __name__ == "__main__":
    tell(run())
