"""Phantoms a second beside those of an earlier commit, in turns of one run, and whether the pictures are the same.

Run from a checkout: `python benchmarks/phantom_before.py [--commit b499735] [--turns 5]`. The earlier package is taken
out of git into a temporary folder; each turn makes the same patients with both, one process each, on one thread.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ratios import Ratio, SkippedError, options, ratio, tell

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "b499735"
GOAL = 3.0
# Runs in either package: seconds of processor and of clock a patient, the first one (which loads the head) left out.
MAKE = """
import json, sys, time
import numpy as np, torch
torch.set_num_threads(1)
from hemobench.datasets.phantom.generate import generate_patient
from hemobench.datasets.phantom.plan import PhantomSpec
options, patients, output = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
spec = PhantomSpec(**options)
generate_patient(spec, 0)
cpu, clock = time.process_time(), time.perf_counter()
made = [generate_patient(spec, index) for index in range(1, patients + 1)]
cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
if output:
    np.savez(output, images=[one.image.voxels for one in made], labels=[one.label_map for one in made])
print(json.dumps([cpu / patients, clock / patients]))
"""


def taken_out(commit: str, folder: Path) -> Path:
    """The package as it was at a commit of this checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", commit, "hemobench"], capture_output=True, check=False)
    if done.returncode:
        raise SkippedError(f"commit {commit} is not in this checkout, so there is nothing to compare with")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def made_by(package: Path, spec: dict[str, Any], patients: int, output: Path | None = None) -> tuple[float, float]:
    """Processor and clock seconds a patient in a process that imports the package in this folder."""
    command = [sys.executable, "-c", MAKE, json.dumps(spec), str(patients), str(output or "")]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True, cwd=package)
    cpu, clock = json.loads(done.stdout.splitlines()[-1])
    return cpu, clock


def compare_pictures(ours: Path, theirs: Path) -> None:
    """Print how many voxels and labels differ, and by how much at most."""
    with np.load(ours) as new, np.load(theirs) as old:
        apart = np.abs(new["images"].astype(np.float64) - old["images"])
        labels = int(np.count_nonzero(new["labels"] != old["labels"]))
    print(f"{apart.size} voxels: {np.count_nonzero(apart)} differ, by {apart.max():g} at most; {labels} labels differ")


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", default=BEFORE)
    for name, default in (("turns", 5), ("patients", 12), ("slices", 20), ("matrix", 160)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = options(parser, argv, {"turns": 1, "patients": 1, "slices": 3, "matrix": 48})
    kinds: dict[str, tuple[dict[str, Any], int]] = {
        "head CT": ({"slices": chosen.slices, "matrix": chosen.matrix, "healthy": 0.3}, chosen.patients),
        "T1": ({"product": "t1"}, max(1, chosen.patients // 4)),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        before = taken_out(chosen.commit, folder / "package")
        for kind, (spec, patients) in kinds.items():
            ours, theirs = [], []
            for turn in range(chosen.turns):
                files = (folder / "ours.npz", folder / "theirs.npz") if turn == 0 else (None, None)
                ours.append(made_by(ROOT, spec, patients, files[0])[0])
                theirs.append(made_by(before, spec, patients, files[1])[0])
                print(f"{kind}: {ours[-1]:.3f} s of processor a patient, {theirs[-1]:.3f} at {chosen.commit}")
            compare_pictures(folder / "ours.npz", folder / "theirs.npz")
            yield ratio(f"making a phantom ({kind})", f"at {chosen.commit}", ours, theirs, goal=GOAL)


if __name__ == "__main__":
    tell(run())
