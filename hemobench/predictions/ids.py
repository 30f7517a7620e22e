"""What the ids of a tool's masks stand for: our own 1..5, blood alone, or a map that somebody wrote down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.nifti_pairs import printable
from hemobench.errors import UserError, unknown_name
from hemobench.io.strict_yaml import read_yaml
from hemobench.labels import LABEL_IDS, SUBTYPES, UNTYPED

IDS_FILE = "ids.yaml"
NO_BLOOD, BLOOD = "none", "blood"
_EXPECTED = f"{', '.join(SUBTYPES)}, {BLOOD} (type unknown) or {NO_BLOOD}"


class UnknownIdError(UserError):
    """An id that nobody gave a meaning: it is in one mask, and in all likelihood in others."""


@dataclass(frozen=True)
class IdMap:
    """Ids of masks by what they become: 0 no blood, 1..5 a type, UNTYPED blood without a type.

    blood_only: every id but 0 is blood without a type, whatever its number. words: how it came to be, for the reader.
    """

    ids: Mapping[int, int]
    words: str
    blood_only: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        """The types that these masks can tell."""
        return () if self.blood_only else tuple(name for name in SUBTYPES if LABEL_IDS[name] in self.ids.values())

    def apply(self, labels: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
        """Our ids (any shape) of a tool's. Raises UnknownIdError for ids that the map does not know."""
        if self.blood_only:
            return np.where(labels != 0, UNTYPED, 0).astype(np.uint8)
        present = ids_of(labels)
        unknown = [one for one in present if one != 0 and one not in self.ids]
        if unknown:
            known = ", ".join(str(one) for one in sorted(self.ids))
            raise UnknownIdError(
                f"{path} has id {unknown[0]}; expected 0 or one of {known}; say what it stands for in "
                f"{IDS_FILE} or with --ids"
            )
        found = np.zeros(labels.shape, dtype=np.uint8)
        for one in present:
            if self.ids.get(one, 0):
                found[labels == one] = self.ids[one]
        return found


def ids_of(labels: NDArray[np.integer]) -> list[int]:
    """The ids that occur, sorted."""
    if labels.dtype == np.uint8:  # by far the quicker way, and what masks are read as
        return [int(one) for one in np.flatnonzero(np.bincount(labels.ravel(), minlength=256))]
    return [int(one) for one in np.unique(labels)]


OURS = IdMap({number: number for number in (*LABEL_IDS.values(), UNTYPED)}, "ids 1 to 5 are the types")
BINARY = IdMap({1: UNTYPED}, "every id above 0 is blood, without a type", blood_only=True)


def read_ids(given: str | None, folder: Path) -> IdMap | None:
    """The map of `given` (a YAML file, or "1=intraparenchymal,2=blood,3=none"), else of the folder's `ids.yaml`; None
    where neither is there. Raises UserError for a map that cannot be understood."""
    if given is not None and "=" in given:
        return _map_of(_pairs(given), f"--ids {given}")
    path = Path(given) if given is not None else folder / IDS_FILE
    if not path.is_file():
        if given is not None:
            raise UserError(
                f"--ids {given}; expected a YAML file or pairs such as 1=intraparenchymal,2=blood,3=none; correct it"
            )
        return None
    content, _ = read_yaml(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no pairs; expected lines such as '1: intraparenchymal'; correct it")
    return _map_of(content, str(path))


def binary_or_ours(ids: set[int]) -> IdMap:
    """What masks without a map are, from the ids of all of them: one id above 0 is blood without a type, 1..5 are ours.

    Raises UserError for other ids.
    """
    filled = sorted(ids - {0})
    if len(filled) <= 1:
        return BINARY
    if filled[0] >= 1 and filled[-1] <= len(SUBTYPES):
        return OURS
    shown = ", ".join(str(one) for one in filled[:8])
    raise UserError(
        f"masks with ids {shown}; expected one id, or 1 to {len(SUBTYPES)} for {', '.join(SUBTYPES)}; say "
        f"what they stand for in {IDS_FILE} or with --ids"
    )


def _pairs(text: str) -> dict[int, str]:
    pairs: dict[int, str] = {}
    for part in text.split(","):
        number, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals or not number.isdecimal() or int(number) in pairs:
            raise UserError(
                f"--ids has '{printable(part)}'; expected each id once, as in 1=intraparenchymal,2=blood; correct it"
            )
        pairs[int(number)] = name
    return pairs


def _map_of(pairs: Mapping[Any, Any], where: str) -> IdMap:
    ids: dict[int, int] = {}
    for number, name in pairs.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UserError(f"{where} has the id '{printable(str(number))}'; expected a whole number; correct it")
        # YAML reads "null" and "~" as nothing.
        ids[number] = _our_id(NO_BLOOD if name is None else name, where)
    if ids.get(0, 0) != 0 or not any(ids.values()):
        raise UserError(
            f"{where} maps no id to blood, or 0 to it; expected 0 as background and one of {_EXPECTED} for "
            "another; correct it"
        )
    words = ", ".join(f"{number} {_name_of(ours)}" for number, ours in sorted(ids.items()) if number)
    return IdMap(ids, f"ids by {where if where.startswith('--') else Path(where).name}: {words}")


def _our_id(name: Any, where: str) -> int:
    """A name, or a list of types of which it may be any."""
    if isinstance(name, list) and name and all(isinstance(one, str) for one in name):
        given = {_our_id(one, where) for one in name}
        return given.pop() if len(given) == 1 else UNTYPED
    text = str(name).strip().lower()
    if text in LABEL_IDS:
        return LABEL_IDS[text]
    if text in (BLOOD, "untyped", "any", "haemorrhage", "hemorrhage"):
        return UNTYPED
    if text in (NO_BLOOD, "background"):
        return 0
    raise UserError(f"{where}: {unknown_name('meaning of an id', printable(text[:40]), (*SUBTYPES, BLOOD, NO_BLOOD))}")


def _name_of(ours: int) -> str:
    return NO_BLOOD if ours == 0 else BLOOD if ours == UNTYPED else SUBTYPES[ours - 1]
