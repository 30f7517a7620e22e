"""Seconds a study of BLAST-CT and of hemobench, in turns on the same scans, in one run.

    python benchmarks/peers/seconds.py NETWORKS --data ct-ich:DIR [--cases 8]

Both from voxels in memory to a mask on the scan's own voxels; hemobench's whole pipeline, which also names slices,
measures lesions and calls the study, with its shipped networks. Compiling is not timed. Run it when nothing else runs.
Without NETWORKS and DIR nothing is measured; under --smoke a threshold stands in for BLAST-CT, and a phantom for data.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the benchmarks' shared code lies

from ratios import Ratio, SkippedError, options, ratio, tell

from hemobench.case import Case
from hemobench.datasets.opening import open_dataset
from hemobench.evaluation.contact_sheet import scan_of
from hemobench.inference.study import analyse
from hemobench.views.head_box import assumed_scale


def neighbour() -> Any:
    """`blast_ct.py` beside this file, which has the name of the package that it uses itself."""
    spec = importlib.util.spec_from_file_location("peer", Path(__file__).with_name("blast_ct.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="NETWORKS", nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--cases", type=int, default=8)
    given = options(parser, argv, {"cases": 1})
    peer = neighbour()
    if given.smoke:
        with tempfile.TemporaryDirectory() as place:
            (case,) = open_dataset(peer.rehearsal(Path(place) / "data")).cases
            yield take_turns(peer, [peer.threshold], (case, case))
        return
    if given.folder is None or given.data is None:
        raise SkippedError("BLAST-CT's networks or CT-ICH are not here; give NETWORKS and --data")
    cases = open_dataset(given.data).cases[: given.cases + 1]
    yield take_turns(peer, [peer.compiled(given.folder / "model_1.pt")], cases)


def take_turns(peer: Any, networks: Sequence[Any], cases: Sequence[Case]) -> Ratio:
    """Print seconds a study of both, case by case; the first case warms up."""
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
        print(
            f"{name}: {np.median(values):.2f} s a study (median of {len(values)}; {min(values):.2f} to "
            f"{max(values):.2f})"
        )
    ratios = np.divide(*seconds.values())
    print(f"ratio, study by study: {np.median(ratios):.1f} ({ratios.min():.1f} to {ratios.max():.1f})")
    return ratio("a study outlined", "BLAST-CT, one network", seconds["hemobench"], seconds["BLAST-CT, one network"])


if __name__ == "__main__":
    tell(run())
