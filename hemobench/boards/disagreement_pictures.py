"""Pictures of the cases on which the entries' masks differ most: the truth above each entry's outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hemobench.boards.entries import Entrant
from hemobench.case import Dataset, Loaded
from hemobench.compare.data_uris import PREDICTION_COLOUR, TRUTH_COLOUR, overlay, png_data_uri
from hemobench.compare.report import ExampleCell, ExampleRow
from hemobench.errors import UserError
from hemobench.predictions.masks import read_mask
from hemobench.views.windows import to_grey_uint8
from hemobench.volume import Volume

CASES, ENTRIES = 4, 6
CAPTION = (
    "The cases on which the entries' Dice are furthest apart, each at the slice where their masks differ most: the "
    f"truth in green, each entry's mask in orange (the first {ENTRIES} entries)."
)
# Wider pictures are thinned out: a page holds dozens of them.
_WIDEST = 300
_PERCENTILES = (1.0, 99.0)


def disagreement_rows(studies: Sequence[str], entrants: Sequence[Entrant], dataset: Dataset) -> tuple[ExampleRow, ...]:
    """Rows of pictures of the first of these studies: the truth's, then one an entry. Cases whose files cannot be read
    any more are left out."""
    number_of = {case.study_id: number for number, case in enumerate(dataset.cases)}
    shown = entrants[:ENTRIES]
    columns = []
    for study in studies[:CASES]:
        number = number_of[study]
        try:
            loaded = dataset.cases[number].load()
            masks = {one.name: outlined(one, number, loaded) > 0 for one in shown}
        except UserError:
            continue
        columns.append(_column(study, loaded, masks))
    names = ["truth", *(one.name for one in shown)]
    return tuple(
        ExampleRow(name, tuple(column[place] for column in columns)) for place, name in enumerate(names) if columns
    )


def outlined(entrant: Entrant, number: int, loaded: Loaded) -> NDArray[np.uint8]:
    """What an entry outlines in a case, our ids (D, H, W); nothing for a missing mask that counts as empty."""
    if number not in entrant.masks:
        return np.zeros(loaded.image.shape, dtype=np.uint8)
    file = entrant.masks[number]
    return read_mask(file.path, file.ids, loaded.image)


def _column(study: str, loaded: Loaded, masks: Mapping[str, NDArray[np.bool_]]) -> list[ExampleCell]:
    """A case's pictures, from the truth down."""
    truth = loaded.ventricle_mask if loaded.foreground is None else loaded.foreground
    known = np.zeros(loaded.image.shape, dtype=bool) if truth is None else truth
    votes = np.sum([mask.astype(np.uint8) for mask in masks.values()], axis=0)
    at = int(((votes > 0) & (votes < len(masks))).sum(axis=(1, 2)).argmax())
    grey = _grey(loaded.image, at)
    step = -(-max(grey.shape) // _WIDEST)
    title = f"{study}, slice {at}"

    def cell(mask: NDArray[np.bool_], colour: tuple[int, int, int], words: str, caption: str) -> ExampleCell:
        picture = overlay(grey[::step, ::step], mask[at, ::step, ::step], colour)
        return ExampleCell(png_data_uri(picture), f"{title}, {words}", caption)

    cells = [cell(known, TRUTH_COLOUR, "true mask", title)]
    return cells + [cell(mask, PREDICTION_COLOUR, f"mask of {name}", "") for name, mask in masks.items()]


def _grey(image: Volume, at: int) -> NDArray[np.uint8]:
    """A slice as display grey: CT in the brain window, pictures as they are, MR between its percentiles."""
    plane = np.asarray(image.voxels[at], dtype=np.float32)
    if image.modality == "CT":
        return to_grey_uint8(plane, "brain")
    low, high = (0.0, 1.0) if image.modality == "grey" else np.percentile(image.voxels, _PERCENTILES)
    return np.asarray(np.clip((plane - low) / max(high - low, 1e-6) * 255, 0, 255), dtype=np.uint8)
