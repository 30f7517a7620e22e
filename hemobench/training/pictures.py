"""Which test examples a report shows, chosen by rule and never by how well they came out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.cache import Examples
from hemobench.training.result import Pictures, SlicePredictions

COUNT = 6


def volume_pictures(examples: Examples, rows: NDArray[np.int64], masks: dict[int, NDArray[np.uint8]]) -> Pictures:
    """Cases spread evenly over the sizes of the true structure, each at the slice with most of it.

    masks: predicted (D, H, W) by row, as np.packbits leaves them. Cases without foreground come only if no other does.
    """
    shape = examples.targets.shape[2:]
    sizes = np.asarray([np.count_nonzero(examples.targets[row]) for row in rows], dtype=np.int64)
    order = rows[np.argsort(sizes, kind="stable")][np.count_nonzero(sizes == 0) if sizes.any() else 0 :]
    chosen = [int(row) for row in order[_spread(len(order))]]
    images, truth, prediction, titles = [], [], [], []
    for row in chosen:
        target = np.asarray(examples.targets[row, 0] > 0).astype(np.uint8)
        at = int(target.sum(axis=(1, 2)).argmax()) if target.any() else shape[0] // 2
        mask = np.unpackbits(masks[row], count=int(np.prod(shape))).reshape(shape)
        images.append(np.asarray(examples.images[row, 0, at]))
        truth.append(target[at])
        prediction.append(mask[at])
        titles.append(f"{examples.study_ids[row]}, slice {at}")
    blank = np.zeros((0, *shape[1:]), dtype=np.uint8)
    stacked = [np.stack(part) if part else blank for part in (images, truth, prediction)]
    return Pictures(stacked[0], stacked[1], stacked[2], np.asarray(titles, dtype=np.str_))


def slice_pictures(examples: Examples, rows: NDArray[np.int64], predictions: SlicePredictions) -> Pictures:
    """For each of the six classes its middle positive slice, and one slice without any finding, first window."""
    places: list[int] = []
    for column in predictions.targets.T:
        found = np.flatnonzero(column)
        places += [int(found[len(found) // 2])] if len(found) else []
    without = np.flatnonzero(~predictions.targets.any(axis=1))
    places += [int(without[len(without) // 2])] if len(without) else []
    places = list(dict.fromkeys(places))
    chosen_places = np.asarray(places, dtype=np.int64)
    chosen = rows[chosen_places]
    return Pictures(
        images=np.asarray(examples.images[chosen, 0]),
        truth=predictions.targets[chosen_places],
        prediction=np.rint(predictions.probabilities[chosen_places] * 255).astype(np.uint8),
        titles=np.asarray([f"{examples.study_ids[row]}, slice {examples.slice_indices[row]}" for row in chosen],
                          dtype=np.str_),
    )


def _spread(count: int) -> NDArray[np.int64]:
    """At most COUNT places in 0..count-1, evenly."""
    return np.unique(np.linspace(0, max(0, count - 1), min(COUNT, count)).round().astype(np.int64))
