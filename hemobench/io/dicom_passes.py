"""Passes: a series may hold the head twice, because the patient moved, or before and after a contrast agent.

Slices of two passes between each other would be one volume in which the head jumps to and fro. A scan in steps (step
and shoot, or skull base and vertex apart) has as many acquisitions as steps and stays whole: its parts lie one after
the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hemobench.io.dicom_geometry import by_number, plane_of
from hemobench.io.dicom_headers import Frame, Instance

Slice = tuple[Instance, Frame]
# Of the slices of the smaller part: so many inside the other part's range make it another pass.
_OVERLAP = 0.5
_LEAST_SLICES = 3
_SAME_MM = 0.01
# Numbers that say nothing about the order fall into many short runs.
_LEAST_RUN = 4
# A pass alone leaves no gaps: steps beyond so many thicknesses are those of every second slice.
_MOST_STEP = 1.5


def passes(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices of one series and grid by pass, the first one first; one list where there is one pass.

    Told apart by acquisition number, by time of acquisition, or, where neither differs, by numbers that go over the
    same range again. CT alone: an MR series may acquire every second slice first.
    """
    ordered = sorted(slices, key=by_number)
    planes = [plane_of(frame) for _, frame in ordered]
    if len(ordered) < 2 * _LEAST_SLICES or ordered[0][0].modality != "CT" or any(plane is None for plane in planes):
        return [list(slices)]
    normal = next(plane[1][:, 0] for plane in planes if plane is not None)
    along = np.array([plane[0] @ normal for plane in planes if plane is not None])
    for parted in (_by_acquisition, _by_time, _runs, _runs_in_time):
        found = _joined(parted(ordered, along), along)
        if len(found) > 1 and all(_is_whole(one, ordered, along) for one in found):
            return [[ordered[place] for place in one] for one in found]
    return [list(slices)]


def _is_whole(places: list[int], ordered: Sequence[Slice], along: NDArray[np.float64]) -> bool:
    """Whether slices could be a scan of their own."""
    if len(places) < _LEAST_SLICES:
        return False
    steps = np.diff(np.sort(along[places]))
    thickness = ordered[places[0]][0].thickness_mm
    return thickness is None or float(np.median(steps)) <= _MOST_STEP * thickness


def _by_acquisition(ordered: Sequence[Slice], _: NDArray[np.float64]) -> list[list[int]]:
    return _by(ordered, lambda one: one[0].acquisition)


def _by_time(ordered: Sequence[Slice], _: NDArray[np.float64]) -> list[list[int]]:
    return _by(ordered, lambda one: one[0].time)


def _by(ordered: Sequence[Slice], key: Callable[[Slice], object]) -> list[list[int]]:
    """Places of the slices that share a value, in the order in which the values appear."""
    parts: dict[object, list[int]] = {}
    for place, one in enumerate(ordered):
        parts.setdefault(key(one), []).append(place)
    return list(parts.values())


def _runs(ordered: Sequence[Slice], along: NDArray[np.float64]) -> list[list[int]]:
    """Places in runs that go one way by their numbers; a slice that lies where the last one does goes on with it. One
    run where numbers say nothing: missing, all alike, or falling into runs too short for a pass."""
    numbers = {instance.number for instance, _ in ordered}
    whole = [list(range(len(ordered)))]
    if None in numbers or len(numbers) < _LEAST_RUN:
        return whole
    runs = _ways(along.tolist())
    return runs if min(map(len, runs)) >= _LEAST_RUN else whole


def _ways(along: Sequence[float]) -> list[list[int]]:
    """Runs of numbers that only rise or only fall."""
    runs, way = [[0]], 0.0
    for place in range(1, len(along)):
        step = along[place] - along[place - 1]
        step = 0.0 if abs(step) < _SAME_MM else step
        if step * way < 0:
            runs.append([place])
            way = 0.0
        else:
            runs[-1].append(place)
            way = math.copysign(1.0, step) if step else way
    return runs


def _runs_in_time(ordered: Sequence[Slice], along: NDArray[np.float64]) -> list[list[int]]:
    """Places in runs that go one way as time goes on; one run where times say nothing."""
    times = [instance.time for instance, _ in ordered]
    whole = [list(range(len(ordered)))]
    if not all(times) or len(set(times)) < _LEAST_RUN:
        return whole
    order = sorted(whole[0], key=lambda place: (times[place], place))
    runs = _ways([float(along[place]) for place in order])
    return [[order[step] for step in run] for run in runs] if min(map(len, runs)) >= _LEAST_RUN else whole


def _joined(parts: Sequence[list[int]], along: NDArray[np.float64]) -> list[list[int]]:
    """Parts put together where they lie one after the other: each goes to the first pass that it does not overlap."""
    found: list[list[list[int]]] = []
    for part in parts:
        home = next((one for one in found if not any(_overlap(part, other, along) for other in one)), None)
        if home is None:
            found.append([part])
        else:
            home.append(part)
    return [[place for part in one for place in part] for one in found]


def _overlap(one: list[int], other: list[int], along: NDArray[np.float64]) -> bool:
    small, large = sorted((along[one], along[other]), key=len)
    inside = (small >= large.min() - _SAME_MM) & (small <= large.max() + _SAME_MM)
    return bool(inside.mean() > _OVERLAP)
