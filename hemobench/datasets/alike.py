"""The same picture under several patients: by a hash of its voxels, and by what it looks like.

A picture is looked at as 16 x 16 block means of what is displayed, shifted and scaled to mean 0 and deviation 1. On
CT-ICH copies that were saved as JPEG again, at another size or brightness differ by up to 0.01 of that deviation (root
of the mean square) and those that were moved by 3 of 650 pixels by 0.07; the nearest slices of two patients differ by
0.16, and neighbours 5 mm apart by 0.05 and more. So neighbours of one patient are never compared, and where patients
are unknown the tolerance is below that of neighbours. Pictures with next to nothing on them (air, the top of the head)
are all alike and are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from hemobench.case import Case
from hemobench.views.windows import apply_window
from hemobench.volume import GREY, Volume

TOLERANCE, TOLERANCE_UNKNOWN_PATIENTS = 0.08, 0.025
_BLOCKS, _COARSE = 16, 4
# Something is where it is brighter than the darkest by this share of white, and a picture shows something where that is
# so for this share of it, and its levels deviate by so much of white.
_CONTENT_LEVEL, _CONTENT_SHARE, _FLAT = 0.1, 0.1, 0.01
# Steps of the stored numbers in a deviation; three deviations fit.
_SCALE = 40.0
# Nearest pictures that are looked at: a copy is nearer than the neighbours of thin slices.
_NEAREST = 8


@dataclass(frozen=True, eq=False)
class Prints:
    """Of the k slices of a case that show something: their index, hashes of their voxels (k,), block means (k, 256).

    Block means are 0 where blocks show nothing: of noise, which has no coarse structure, only the hash tells.
    """

    slices: NDArray[np.int64]
    digests: NDArray[np.uint64]
    blocks: NDArray[np.int8]


@dataclass(frozen=True)
class Twins:
    """Two slices that are one picture: (case, slice) of each. identical: voxel by voxel. apart: of two patients."""

    one: tuple[int, int]
    other: tuple[int, int]
    identical: bool
    apart: bool


def prints_of(volume: Volume) -> Prints:
    """Fingerprints of a volume's slices, one after another."""
    white = 1.0
    if volume.modality not in (GREY, "CT"):
        white = max(float(np.percentile(volume.voxels[::2, ::4, ::4], 99.5)), 0.0)
    rows, columns = _averages(volume.shape[1]), _averages(volume.shape[2])
    kept, digests, blocks = [], [], []
    for index, voxels in enumerate(volume.voxels):
        shown = apply_window(voxels, "brain") if volume.modality == "CT" else voxels
        if not _shows(shown[::4, ::4] if min(shown.shape) > 128 else shown, white):
            continue
        means = np.asarray(columns @ (rows @ shown).T, dtype=np.float64).T
        plain = np.ascontiguousarray(voxels)
        digest = hashlib.sha256(repr(plain.shape).encode())
        digest.update(plain.data)
        kept.append(index)
        digests.append(int.from_bytes(digest.digest()[:8], "little"))
        scaled = _SCALE * (means - means.mean()) / means.std() if _shows(means, white) else np.zeros_like(means)
        blocks.append(np.clip(np.rint(scaled), -127, 127).astype(np.int8).ravel())
    return Prints(
        np.asarray(kept, dtype=np.int64),
        np.asarray(digests, dtype=np.uint64),
        np.asarray(blocks, dtype=np.int8).reshape(-1, _BLOCKS**2),
    )


def _shows(levels: NDArray[np.floating], white: float) -> bool:
    """Whether there is more than air and noise; not where a level is NaN."""
    content = float(np.mean(levels - levels.min() > _CONTENT_LEVEL * white))
    return content >= _CONTENT_SHARE and float(levels.std()) > _FLAT * white


def find_twins(cases: Sequence[Case], prints: Sequence[Prints], *, patients_known: bool) -> list[Twins]:
    """Slices of different patients that are one picture, and of one patient where voxels are identical.

    Of several slices of a patient that look like one of another patient the nearest is its twin, not the neighbours.
    cases, prints: of the same studies. What a group of patients has in common (`Case.group`) makes no twins but
    identical ones. Memory and time grow with the slices, not with their square.
    """
    sizes = [len(one.slices) for one in prints]
    if sum(sizes) < 2:
        return []
    indices = np.concatenate([one.slices for one in prints])
    places = np.stack([np.repeat(np.arange(len(prints)), sizes), indices], axis=1)
    digests = np.concatenate([one.digests for one in prints])
    blocks = np.concatenate([one.blocks for one in prints])
    tolerance = TOLERANCE if patients_known else TOLERANCE_UNKNOWN_PATIENTS
    found = []
    taken: set[tuple[int, tuple[str, str]]] = set()
    pairs = [(0.0, *pair) for pair in _identical(digests)] + sorted(_alike(blocks, digests, tolerance))
    for distance, first, second in pairs:
        one, other = cases[places[first, 0]], cases[places[second, 0]]
        people = (one.lineage, one.patient_id), (other.lineage, other.patient_id)
        identical, apart = distance == 0, people[0] != people[1]
        ends = {(first, people[1]), (second, people[0])}
        if identical or (apart and not (one.group and one.group == other.group) and not ends & taken):
            taken |= ends
            pair = [(int(places[place, 0]), int(places[place, 1])) for place in (first, second)]
            found.append(Twins(pair[0], pair[1], identical, apart))
    return found


def _identical(digests: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Each repeated slice with the one before it that is the same."""
    order = np.argsort(digests, kind="stable")
    for place in np.flatnonzero(digests[order][1:] == digests[order][:-1]):
        yield int(order[place]), int(order[place + 1])


def _alike(blocks: NDArray[np.int8], digests: NDArray[np.uint64], tolerance: float) -> Iterator[tuple[float, int, int]]:
    """Difference of slices that look the same and are not identical; each pair once."""
    _, distinct = np.unique(digests, return_index=True)
    distinct = distinct[blocks[distinct].any(axis=1)]
    if len(distinct) < 2:
        return
    # Means of 4 x 4 blocks differ by no more than the blocks do: few numbers for the search, all for the decision.
    shape = (len(distinct), _COARSE, _BLOCKS // _COARSE, _COARSE, _BLOCKS // _COARSE)
    coarse = blocks[distinct].reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(len(distinct), -1)
    reach = tolerance * _SCALE * _COARSE
    near = cKDTree(coarse).query(coarse, k=min(_NEAREST, len(distinct)), distance_upper_bound=reach)[1]
    near = near.reshape(len(distinct), -1)
    rows = np.broadcast_to(np.arange(len(distinct))[:, None], near.shape)
    known = (near < len(distinct)) & (near != rows)
    for first, second in np.unique(np.sort(np.stack([rows[known], near[known]], axis=1), axis=1), axis=0):
        pair = sorted((int(distinct[first]), int(distinct[second])))
        difference = blocks[pair[0]].astype(np.float32) - blocks[pair[1]]
        distance = float(np.sqrt(np.mean(difference**2))) / _SCALE
        if distance <= tolerance:
            # Above 0, which is for identical ones: block means may agree where voxels do not.
            yield max(distance, 1e-6), pair[0], pair[1]


@lru_cache(maxsize=8)
def _averages(size: int) -> csr_array:
    """Means over blocks of equal length, shares of a pixel counted: (_BLOCKS, size), rows add up to 1.

    Sparse, which reads each pixel once and on one core: cases are decoded on the others.
    """
    edges = np.linspace(0, size, _BLOCKS + 1)
    pixels = np.arange(size)
    shares = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    weights = np.maximum(shares, 0)
    return csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
