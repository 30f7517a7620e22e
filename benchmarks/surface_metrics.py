"""HD95 and NSD of one pair of masks together, side by side with MONAI's two calls: times, ratio, and both values.

Run from the repository: `python benchmarks/surface_metrics.py [--repeats 5]`. The pair is 40 slices of 512 x 512 with
two lesions, 5 mm apart by 0.45 mm; further pairs hold one large lesion, and many small ones. MONAI gets its tensors
ready made, and crops to the lesions as well. CPU seconds on one thread each, the median of turns taken by both.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from ratios import Ratio, options, ratio, tell

from hemobench.metrics.surface import surface_distances

SHAPE, SPACING_MM = (40, 512, 512), (5.0, 0.45, 0.45)
TOLERANCE_MM, TARGET_RATIO = 2.0, 4.0
Mask = NDArray[np.bool_]
Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float]]


def ellipsoids(parts: list[Ellipsoid]) -> Mask:
    """A mask of ellipsoids, each its centre and radii in voxels."""
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    mask = np.zeros(SHAPE, dtype=bool)
    for centre, radii in parts:
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True))
        mask |= np.asarray(distance) <= 1
    return mask


def pairs() -> dict[str, tuple[Mask, Mask]]:
    """Prediction and target of each case, by its name."""
    rng = np.random.default_rng(0)
    spots = [(tuple(rng.uniform((2, 120, 120), (38, 390, 390))), (1.5, 4.0, 4.0)) for _ in range(40)]
    moved = [((d, h + 1, w + 2), radii) for (d, h, w), radii in spots]
    return {
        "two lesions": (
            ellipsoids([((20, 203, 182), (5, 38, 33)), ((28, 328, 352), (3, 22, 22))]),
            ellipsoids([((20, 200, 180), (5, 40, 30)), ((28, 330, 350), (3, 20, 25))]),
        ),
        "one large lesion": (
            ellipsoids([((20, 262, 250), (9, 80, 62))]),
            ellipsoids([((20, 256, 256), (10, 76, 64))]),
        ),
        "forty small lesions": (ellipsoids(moved), ellipsoids(spots)),
    }


def one_hot(mask: Mask) -> torch.Tensor:
    """(1, 2, D, H, W), background first, as MONAI's metrics take it."""
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


def cpu_seconds(call: Callable[[], tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """CPU seconds of a call and what it gave."""
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="keep one voxel of so many along rows and columns")
    given = options(parser, argv, {"repeats": 1, "every": 8})
    repeats = given.repeats
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)
    print(f"{'pair':<22}{'MONAI s':>9}{'ours s':>9}{'ratio':>8}   HD95 mm, NSD at {TOLERANCE_MM:.0f} mm")
    for name, pair in pairs().items():
        prediction, target = (mask[:, :: given.every, :: given.every] for mask in pair)
        tensors = one_hot(prediction), one_hot(target)

        def theirs(pair: tuple[torch.Tensor, torch.Tensor] = tensors) -> tuple[float, float]:
            rest = {"include_background": False, "spacing": SPACING_MM}
            distance = compute_hausdorff_distance(*pair, percentile=95, **rest)
            return float(distance), float(compute_surface_dice(*pair, class_thresholds=[TOLERANCE_MM], **rest))

        def ours(pair: tuple[Mask, Mask] = (prediction, target)) -> tuple[float, float]:
            distances = surface_distances(*pair, SPACING_MM)
            return distances.hd95_mm(), distances.nsd(TOLERANCE_MM)

        taken: dict[str, list[float]] = {"theirs": [], "ours": []}
        values = {}
        for _ in range(repeats + 1):  # the first turn warms up
            for who, call in (("theirs", theirs), ("ours", ours)):
                seconds, values[who] = cpu_seconds(call)
                taken[who].append(seconds)
        slow, fast = (statistics.median(taken[who][1:]) for who in ("theirs", "ours"))
        same = np.allclose(values["theirs"], values["ours"], atol=1e-5)
        print(
            f"{name:<22}{slow:>9.3f}{fast:>9.3f}{slow / fast:>8.1f}   {values['ours'][0]:.3f}, {values['ours'][1]:.4f}"
            f"{' as MONAI' if same else ' which is NOT what MONAI gives'}"
        )
        goal = TARGET_RATIO if name == "two lesions" else None
        yield ratio(f"HD95 and NSD, {name}", "MONAI", taken["ours"][1:], taken["theirs"][1:], unit="CPU s", goal=goal)
    print(f"target: {TARGET_RATIO:.0f} times faster on the first pair")


if __name__ == "__main__":
    tell(run())
