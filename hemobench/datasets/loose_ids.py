"""Ids of a table that are no file's name as they stand: another ending, other folders, a spreadsheet's numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass

from hemobench.datasets.tables import whole

_ENDING = re.compile(r"\.(png|jpe?g|bmp|gif|tiff?|webp|dcm|dicom|nii|nii\.gz|mgz|mha|nrrd|np[yz])$", re.IGNORECASE)


@dataclass(frozen=True)
class Loosely:
    """The names that ids mean, and ids that could mean several names, or a name that another id could mean too."""

    names: dict[str, str]
    unclear: dict[str, tuple[str, ...]]


def match_loosely(
    ids: Iterable[str], names: Iterable[str], taken: Container[str] = (), *, by_folder: bool = False
) -> Loosely:
    """What is meant by ids that no name equals, as far as one name alone can be meant, and no other id has `taken` it.

    Compared are the last parts of both, as many as they have in common, without ending, case and leading zeros.
    by_folder: where the folders of other ids of this table are known to be right, an id's own folders have to fit.

    >>> match_loosely(["1.0", "C:/a/002.jpg", "4"], ["001.png", "002.png"]).names
    {'1.0': '001.png', 'C:/a/002.jpg': '002.png'}
    """
    places: dict[str, list[str]] = {}
    for name in names:
        for key in _keys(name):
            places.setdefault(key, []).append(name)
    candidates: dict[str, list[str]] = {}
    for identifier in ids:
        keys = _keys(identifier)
        found = next((places[key] for key in (keys[:1] if by_folder else keys) if key in places), None)
        if found and not (len(found) == 1 and found[0] in taken):
            candidates[identifier] = found
    meant = Counter(found[0] for found in candidates.values() if len(found) == 1)
    clear = {one: found[0] for one, found in candidates.items() if len(found) == 1 and meant[found[0]] == 1}
    return Loosely(clear, {one: tuple(found) for one, found in candidates.items() if one not in clear})


def _keys(text: str) -> list[str]:
    """The path without ending, then without its first folder, and so on to the name alone; none of what leads out."""
    *folders, last = text.replace("\\", "/").lower().split("/")
    if ".." in folders:
        return []
    stem = whole(_ENDING.sub("", last))
    parts = [*folders, f"#{int(stem)}" if stem.isdecimal() and len(stem) < 20 else stem]
    return ["/".join(parts[start:]) for start in range(len(parts))]
