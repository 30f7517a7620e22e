"""Pictures of slices, PNG and JPEG, as one scan: stacked in the order of their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hemobench.errors import UserError
from hemobench.io.archive import Entry
from hemobench.io.pictures import NOMINAL_SLICE_MM, read_picture
from hemobench.io.remarks import note
from hemobench.io.scan import GridSource, Scan, Space, check_size
from hemobench.volume import Volume, display_affine


def by_name(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Key that puts names in the order in which people count: numbers by their value, words by their letters.

    >>> sorted(["10.png", "9.png", "b/1.png", "a.png"], key=by_name)
    ['9.png', '10.png', 'a.png', 'b/1.png']
    """
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def read_pictures(path: Path, entries: Sequence[Entry]) -> Scan:
    """One scan of the pictures `entries` of the folder or zip `path`, the first by name as the lowest slice.

    Each is read as `read_picture` reads it; a line said of several is said once. Raises UserError where they are not of
    one size, and for a picture that cannot be read.
    """
    ordered = sorted(entries, key=lambda entry: by_name(entry.name))
    if len(ordered) == 1:
        return read_picture(path, entry=ordered[0])
    first = read_picture(path, entry=ordered[0])
    _, rows, columns = first.volume.shape
    shape = (len(ordered), rows, columns)
    check_size(path, shape)
    voxels = np.empty(shape, dtype=np.float32)
    lines: list[str] = [
        note(
            f"{len(ordered)} pictures were stacked in the order of their names, the first as the lowest slice; how far "
            "apart they lie is nominal"
        )
    ]
    has_text, coloured = False, 0.0
    for number, entry in enumerate(ordered):
        one = first if number == 0 else read_picture(path, entry=entry)
        if one.volume.shape[1:] != (rows, columns):
            found = " x ".join(str(size) for size in one.volume.shape[:0:-1])
            raise UserError(
                f"{path} holds pictures of {columns} x {rows} and of {found} pixels; expected the slices of one scan; "
                "give those of one size alone"
            )
        voxels[number] = one.volume.voxels[0]
        lines += one.warnings
        has_text |= one.burned_in
        coloured += one.coloured / len(ordered)
    affine = display_affine(shape, (NOMINAL_SLICE_MM, *first.volume.spacing_mm[1:]))
    source = GridSource(path, Space(affine, shape), files=len(ordered))
    told = tuple(dict.fromkeys(lines))
    return Scan(Volume(voxels, affine), "picture", told, source, False, has_text, coloured=coloured)
