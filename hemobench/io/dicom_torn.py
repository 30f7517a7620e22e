"""Series that were torn: an anonymiser or an export gave parts of one scan, or every slice, a series UID of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from hemobench.io.dicom_geometry import plane_of
from hemobench.io.dicom_headers import Frame, Instance

Slice = tuple[Instance, Frame]
# Parts of one scan follow each other at its own step, give or take this much of it.
_MOST_GAP, _LEAST_GAP = 1.5, 0.5
_LEAST_SLICES = 4


def rejoined(groups: Sequence[list[Slice]], same_grid: Callable[[Frame, Frame], bool]) -> list[list[Slice]]:
    """Groups of one series and grid each, those put together that follow each other along their normal at an even step
    and differ in the series UID alone: one patient, study, series number, kernel, size and grid."""
    alike: dict[tuple[object, ...], list[list[Slice]]] = {}
    for group in groups:
        alike.setdefault(_known_by(group[0][0]), []).append(group)
    found: list[list[Slice]] = []
    for near in alike.values():
        while near:
            first, *others = near
            same = [one for one in others if same_grid(first[0][1], one[0][1])]
            near = [one for one in others if not any(one is each for each in same)]
            found += _chained([first, *same])
    return found


def _known_by(instance: Instance) -> tuple[object, ...]:
    return (
        instance.person,
        instance.study_uid,
        instance.series_number,
        instance.modality,
        instance.kernel,
        instance.rows,
        instance.columns,
        instance.image_type,
        instance.description,
    )


def _chained(groups: list[list[Slice]]) -> list[list[Slice]]:
    """The groups as one, if their ranges follow each other without overlap, else as they are."""
    planes = [[plane_of(frame) for _, frame in group] for group in groups]
    first = planes[0][0]
    placed = first is not None and all(one is not None for part in planes for one in part)
    if first is None or not placed or len(groups) < 2 or sum(map(len, groups)) < _LEAST_SLICES:
        return groups
    along = [np.sort([plane[0] @ first[1][:, 0] for plane in part if plane is not None]) for part in planes]
    along.sort(key=lambda part: float(part[0]))
    steps = np.diff(np.concatenate(along))
    usual = float(np.median(steps))
    gaps = np.array([float(after[0] - before[-1]) for before, after in itertools.pairwise(along)])
    follow = usual > 0 and ((gaps >= _LEAST_GAP * usual) & (gaps <= _MOST_GAP * usual)).all()
    return [[one for group in groups for one in group]] if follow else groups
