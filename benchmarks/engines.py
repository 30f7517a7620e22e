"""Engines side by side on the three networks of the study pipeline: time of one study, ratio, and what bf16 costs.

    python benchmarks/engines.py [CHECKPOINT...] [--rounds N] [--threads N]

Torch eager fp32 is the peer that the ratios are of; torch in bf16 with channels-last weights and OpenVINO in fp32 and
in bf16 take turns with it in one run. Times are medians of wall time; run it on idle cores. A study is one generated
patient. Without checkpoints the weights are random: then times are right and differences a rough guess.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ratios import Ratio, load_average, options, ratio, tell
from scipy.special import expit

from hemobench.datasets.opening import open_dataset
from hemobench.inference.checkpoint import Checkpoint, CheckpointConfig, open_checkpoint, write_checkpoint
from hemobench.inference.config import ROLES
from hemobench.inference.engine import Engine, load_engine
from hemobench.models import create_model
from hemobench.views.render import render
from hemobench.views.sliding import predict_slices, predict_volume
from hemobench.views.view import ClassificationView, SegmentationView, View

TARGET_RATIO = 10.0  # of the paper's 3D U-Net
ENGINES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"))
FAMILIES: dict[str, tuple[str, dict[str, object], View]] = {
    "slice-classifier": ("timm:resnet10t", {}, ClassificationView(size=160)),
    "haemorrhage": (
        "unet2.5d",
        {"base": 16, "depth": 4, "norm": "batch"},
        SegmentationView("haemorrhage", (5.0, 1.4, 1.4), (32, 160, 144), "subdural"),
    ),
    "ventricles": (
        "unet3d",
        {"norm": "instance"},
        SegmentationView("ventricles", (1.0, 1.0, 1.0), (80, 120, 120), None),
    ),
}


def tiny(role: str) -> tuple[str, dict[str, object], View]:
    """A role's network with few channels on a small picture, for --smoke."""
    model, settings, view = FAMILIES[role]
    if isinstance(view, ClassificationView):
        return model, settings, replace(view, size=32)
    narrow = {**settings, "base": 4, "depth": 2}
    return model, narrow, replace(view, spacing_mm=(8.0, 8.0, 8.0), shape=(8, 24, 24))


def random_checkpoint(folder: Path, role: str, smoke: bool) -> Checkpoint:
    """The pipeline's network for a role, untrained."""
    model, settings, view = tiny(role) if smoke else FAMILIES[role]
    task, outputs = ROLES[role]
    config = CheckpointConfig(f"random {role}", role, task, model, settings, view.channels, outputs, view)
    torch.manual_seed(0)
    network = create_model(
        model, task=task, in_channels=view.channels, num_outputs=len(outputs), image_size=view.image_size, **settings
    )
    write_checkpoint(folder, network.eval(), config, {}, "", commit="", command="")
    return open_checkpoint(folder)


def study_for(checkpoint: Checkpoint, slices: int) -> np.ndarray:
    """One generated patient as the network sees it, grey from 0 to 1: (N, C, S, S) or (1, D, H, W)."""
    magnetic = checkpoint.config.role == "ventricles"
    dataset = open_dataset("phantom-t1", patients=1) if magnetic else open_dataset("phantom", patients=1, slices=slices)
    case = dataset.cases[0]
    images, _ = render(case.load(), checkpoint.config.view, case.study_id)
    return (images if images.ndim == 4 else images[0]).astype(np.float32) / 255


def answer(engine: Engine, checkpoint: Checkpoint, study: np.ndarray) -> np.ndarray:
    if checkpoint.config.task == "classification":
        return predict_slices(engine, study)
    return predict_volume(engine, study, patch=checkpoint.config.view.image_size, context=engine.context)


def compare(checkpoint: Checkpoint, slices: int, rounds: int, threads: int) -> Iterator[Ratio]:
    """Print a line for each engine."""
    study = study_for(checkpoint, slices)
    print(f"\n{checkpoint.name}: {checkpoint.config.model}, a study of {study.shape}")
    engines, logits = {}, {}
    for key in ENGINES:
        start = time.perf_counter()
        engines[key] = load_engine(checkpoint, key[0], threads, key[1])
        loaded = time.perf_counter() - start
        logits[key] = answer(engines[key], checkpoint, study)
        print(f"  {engines[key].description}: loaded in {loaded:.2f} s")
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in ENGINES}
    for _ in range(rounds):
        for key, engine in engines.items():
            start = time.perf_counter()
            answer(engine, checkpoint, study)
            seconds[key].append(time.perf_counter() - start)
    peer = statistics.median(seconds[ENGINES[0]])
    print(f"  {'engine':<16}{'ms':>9}{'fp32 eager / it':>17}{'largest dp':>12}{'mean dp':>10}")
    for key in ENGINES:
        median = statistics.median(seconds[key])
        error = np.abs(expit(logits[key]) - expit(logits[ENGINES[0]]))
        times = f"{median * 1e3:>9.1f}{peer / median:>17.2f}"
        print(f"  {' '.join(key):<16}{times}{error.max():>12.1e}{error.mean():>10.1e}")
        if key != ENGINES[0]:
            what = f"{checkpoint.config.model} ({checkpoint.config.role}) by {' '.join(key)}"
            goal = TARGET_RATIO if key == ENGINES[-1] and checkpoint.config.role == "ventricles" else None
            yield ratio(what, "torch eager fp32", seconds[key], seconds[ENGINES[0]], goal=goal)


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="*", help="folders or Hub ids (default: the three networks, untrained)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--slices", type=int, default=36, help="of the generated head CT")
    chosen = options(parser, argv, {"rounds": 1, "slices": 2})
    print(f"{os.cpu_count()} cores, load average {load_average():.1f} before the run, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as home:
        for where in chosen.checkpoints:
            yield from compare(open_checkpoint(where), chosen.slices, chosen.rounds, chosen.threads)
        for role in () if chosen.checkpoints else FAMILIES:
            checkpoint = random_checkpoint(Path(home) / role, role, chosen.smoke)
            yield from compare(checkpoint, chosen.slices, chosen.rounds, chosen.threads)


if __name__ == "__main__":
    tell(run())
