"""Slices a second of `hemobench.evaluate`, reading included, beside a plain torch loop over the same cases.

    python benchmarks/evaluate.py [CHECKPOINT [NAME:PATH]] [--rounds N]

The loop is what one writes first: load a case, window and scale its slices, run the network in torch fp32, next case.
`evaluate` reads ahead in threads, fills its batches over cases and runs the fastest engine there is. Both take turns in
one process; times are medians of wall time on otherwise idle cores. Their probabilities are compared. Without DATA
phantoms are written as RSNA's DICOM files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from ratios import Ratio, load_average, options, processes, ratio, tell
from scipy.special import expit

from hemobench.case import Dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.evaluation.case_predictions import answer_cases
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.context import in_context
from hemobench.inference.engine import load_engine
from hemobench.inference.shipped import shipped_folder
from hemobench.views.slices import slice_images
from hemobench.views.view import ClassificationView


def plain_loop(checkpoint: Checkpoint, model: torch.nn.Module, dataset: Dataset) -> NDArray[np.float64]:
    """Logits (N, 6) in torch, case by case, smoothed over neighbouring slices as the checkpoint does."""
    view = checkpoint.config.view
    assert isinstance(view, ClassificationView)
    parts = []
    with torch.inference_mode():
        for case in dataset.cases:
            image = case.load().image
            images = slice_images(image, view, case.study_id).astype(np.float32) / 255
            logits = model(torch.from_numpy(images)).numpy()
            parts.append(in_context(logits, image.spacing_mm[0], checkpoint.config.context_mm))
    return np.concatenate(parts).astype(np.float64)


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", default=str(shipped_folder() / "slice-classifier"))
    parser.add_argument("data", nargs="?")
    for name, default in (("rounds", 3), ("patients", 12), ("slices", 32), ("matrix", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = options(parser, argv, {"rounds": 1, "patients": 2, "slices": 3, "matrix": 48})
    print(f"{os.cpu_count()} cores, load average {load_average():.1f} before the run, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as home:
        if chosen.data is None:
            spec = PhantomSpec(patients=chosen.patients, slices=chosen.slices, matrix=chosen.matrix)
            build_layout(Path(home) / "rsna", get_layout("rsna"), spec, jobs=processes(chosen))
            chosen.data = f"rsna:{home}/rsna"
        os.environ.setdefault("HEMOBENCH_HOME", home)
        checkpoint, dataset = open_checkpoint(chosen.checkpoint), open_dataset(chosen.data)
        model, engine = checkpoint.build_model(), load_engine(checkpoint)
        seconds: dict[str, list[float]] = {"plain torch loop": [], "evaluate": []}
        for _ in range(chosen.rounds):
            start = time.perf_counter()
            plain = plain_loop(checkpoint, model, dataset)
            seconds["plain torch loop"].append(time.perf_counter() - start)
            start = time.perf_counter()
            answers = list(answer_cases(checkpoint, engine, list(enumerate(dataset.cases))))
            seconds["evaluate"].append(time.perf_counter() - start)
    quick = np.concatenate([np.asarray(one.slices.logits) for one in answers if one.slices is not None])
    difference = np.abs(expit(quick) - expit(plain))
    print(f"{len(quick)} slices of {len(dataset.cases)} cases of {dataset.info.name}; engine {engine.description}")
    for name, times in seconds.items():
        print(f"  {name:<18}{len(quick) / statistics.median(times):>8.1f} slices a second")
    print(f"  difference of a probability: largest {difference.max():.1e}, mean {difference.mean():.1e}")
    each = {name: [passed / len(quick) for passed in times] for name, times in seconds.items()}
    yield ratio("a slice evaluated, reading included", "plain torch loop", each["evaluate"], each["plain torch loop"])


if __name__ == "__main__":
    tell(run())
