"""What a board of other tools' masks costs, and what a second run of it does: files read, measured, ranked, reused.

Run from the repository: `python benchmarks/existing_board.py [--entries 20] [--patients 1000] [--size 512]`. Scans with
ellipsoids of blood are written once, and masks of each entry, which are the truth moved by a few voxels; then the board
is made twice, the report's page and printing left out. The second run measures nothing again. Memory is that of all
processes together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ratios import Ratio, options, ratio, tell, within
from rich.console import Console

from hemobench.boards.entries import Wanted
from hemobench.boards.session import Terms, rank_entries
from hemobench.compare.costs import MemoryWatch, StageClock, describe_machine
from hemobench.compare.progress import SuiteProgress
from hemobench.io.nifti import write_nifti
from hemobench.volume import LABEL_MAP, Volume, display_affine

TARGET_GB = 4.0


def blood(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """An ellipsoid of a type (D, H, W), or nothing in one case of four."""
    labels = np.zeros(shape, dtype=np.uint8)
    if rng.random() < 0.25:
        return labels
    radii = np.maximum(1, np.asarray(shape) * rng.uniform(0.04, 0.15, 3))
    centre = np.asarray(shape) * rng.uniform(0.3, 0.7, 3)
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    inside = sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip(axes, centre, radii, strict=True)) < 1
    labels[inside] = rng.integers(1, 6)
    return labels


def write_all(folder: Path, entries: int, patients: int, shape: tuple[int, int, int]) -> None:
    """Scans, their masks with types, and each entry's masks."""
    rng = np.random.default_rng(0)
    affine = display_affine(shape, (5.0, 0.45, 0.45))
    for number in range(patients):
        truth = blood(shape, rng)
        image = Volume(np.where(truth > 0, 70.0, 30.0).astype(np.float32), affine)
        write_nifti(image, folder / "scans" / "images" / f"s{number}.nii.gz")
        write_nifti(Volume(truth, affine, LABEL_MAP), folder / "scans" / "masks" / f"s{number}.nii.gz")
        for entry in range(entries):
            moved = np.roll(truth, rng.integers(-1 - entry, 2 + entry), axis=2)
            write_nifti(Volume(moved, affine, LABEL_MAP), folder / f"tool-{entry}" / f"s{number}.nii.gz")


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("entries", 4), ("patients", 48), ("depth", 32), ("size", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = options(parser, argv, {"entries": 2, "patients": 6, "depth": 4, "size": 24})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_all(folder, given.entries, given.patients, (given.depth, given.size, given.size))
        wanted = [Wanted("predictions", "", str(folder / f"tool-{entry}")) for entry in range(given.entries)]
        data = f"nifti-folder:{folder / 'scans'},mask_ids=types"
        seconds = []
        with MemoryWatch() as memory:
            for _ in range(2):
                start = time.perf_counter()
                with SuiteProgress(Console(quiet=True)) as progress:
                    rank_entries(wanted, data, folder / "out", Terms(pictures=False), progress, StageClock())
                seconds.append(time.perf_counter() - start)
    measured = given.entries * given.patients
    print(
        f"{given.entries} entries x {given.patients} patients, {given.depth} x {given.size} x {given.size} voxels: "
        f"{seconds[0]:.1f} s, {1000 * seconds[0] / measured:.0f} ms a mask; again {seconds[1]:.1f} s "
        f"({seconds[0] / seconds[1]:.1f} times as fast)"
    )
    title = f"a board of {given.entries} entries x {given.patients} patients"
    yield ratio(f"{title}, again", "its first run", seconds[1], seconds[0])
    if memory.peak_gb is not None:
        print(
            f"peak memory {memory.peak_gb:.2f} GB, {'within' if memory.peak_gb <= TARGET_GB else 'above'} the target "
            f"of {TARGET_GB:g}; {describe_machine()}"
        )
        yield within(f"memory of {title}", memory.peak_gb, TARGET_GB, "GB")


if __name__ == "__main__":
    tell(run())
