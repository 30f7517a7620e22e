"""Seconds a study of BLAST-CT and of hemobench, in turns on the same scans, in one run.

    python benchmarks/peers/seconds.py NETWORKS --data ct-ich:DIR [--cases 8]

Both from voxels in memory to a mask on the scan's own voxels; hemobench's whole pipeline, which also names slices,
measures lesions and calls the study, with its shipped networks. Compiling is not timed. Run it when nothing else runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np

from hemobench.datasets.registry import open_dataset
from hemobench.datasets.views import assumed_scale
from hemobench.evaluation.sheet import scan_of
from hemobench.inference.study import analyse


def neighbour() -> Any:
    """`blast_ct.py` beside this file, which has the name of the package that it uses itself."""
    spec = importlib.util.spec_from_file_location("peer", Path(__file__).with_name("blast_ct.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="NETWORKS")
    parser.add_argument("--data", required=True)
    parser.add_argument("--cases", type=int, default=8)
    given = parser.parse_args()
    peer = neighbour()
    networks = [peer.compiled(given.folder / "model_1.pt")]
    cases = open_dataset(given.data).cases[: given.cases + 1]
    seconds: dict[str, list[float]] = {"BLAST-CT, one network": [], "hemobench": []}
    for number, case in enumerate(cases):
        loaded = case.load()
        volume = loaded.image if case.spacing_known else assumed_scale(loaded.image)
        start = time.perf_counter()
        peer.outlined(volume, networks).resampled_to(volume.affine, volume.shape)
        middle = time.perf_counter()
        analyse(scan_of(loaded, case))
        end = time.perf_counter()
        if number:  # the first is the warming up
            for name, value in zip(seconds, (middle - start, end - middle), strict=True):
                seconds[name].append(value)
    for name, values in seconds.items():
        print(f"{name}: {np.median(values):.2f} s a study (median of {len(values)}; {min(values):.2f} to "
              f"{max(values):.2f})")
    ratios = np.divide(*seconds.values())
    print(f"ratio, study by study: {np.median(ratios):.1f} ({ratios.min():.1f} to {ratios.max():.1f})")


if __name__ == "__main__":
    main()
