"""Which networks a visitor can choose, and what was opened in the end: those of the Hub, or the shipped ones.

`$HEMOBENCH_CHECKPOINT` names them as for every command, a folder or `user/name@revision` each, one a role, commas
between; here `;` stands between several sets to choose from, the first of which is what the page starts with. Visitors
choose among these sets and cannot name others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemobench.errors import UserError, unknown_name
from hemobench.inference.checkpoint import MANIFEST, Checkpoint
from hemobench.inference.report import ModelUsed
from hemobench.inference.shipped import ENVIRONMENT, SHIPPED, checkpoints_by_role, shipped_folder

SHIPPED_ID = "shipped"
SHIPPED_TITLE = "Shipped with hemobench"
# The Hub is not asked again by every visitor while it does not answer.
_RETRY_AFTER_S = 60.0
_HASH_DIGITS = 8


@dataclass(frozen=True)
class WeightSet:
    """One choice: checkpoints that work together, one a role. `identity` is what a client sends, `title` is shown."""

    identity: str
    title: str
    sources: tuple[str | Path, ...]


@dataclass(frozen=True)
class Opened:
    """The checkpoints that run, and `remarks` for the visitor where they are not the ones that were chosen."""

    identity: str
    checkpoints: tuple[Checkpoint, ...]
    remarks: tuple[str, ...] = ()


class WeightShelf:
    """The sets of this process. Holds nothing of visitors; `opener` is for tests of what fails."""

    def __init__(
        self,
        sets: Sequence[WeightSet],
        opener: Callable[[Sequence[str | Path]], dict[str, Checkpoint]] = checkpoints_by_role,
    ) -> None:
        if not sets:
            raise UserError(f"no checkpoint configured and none shipped; expected one at least; set {ENVIRONMENT}")
        self.sets = tuple(sets)
        self._opener = opener
        self._unreachable: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    @property
    def default(self) -> str:
        """Identity of the set that is used where none is chosen."""
        return self.sets[0].identity

    def choices(self) -> list[tuple[str, str]]:
        """(title, identity) of each set, as a drop-down takes them."""
        return [(one.title, one.identity) for one in self.sets]

    def open(self, identity: str | None = None) -> Opened:
        """The checkpoints of a set; the shipped ones, with a remark, where it cannot be opened.

        Raises UserError for an identity that is not configured, and where nothing can be opened.
        """
        by_identity = {one.identity: one for one in self.sets}
        chosen = by_identity.get(identity or self.default)
        if chosen is None:
            raise unknown_name("checkpoint", str(identity)[:80], by_identity)
        shipped = by_identity.get(SHIPPED_ID)
        if shipped is None or chosen is shipped:
            return Opened(chosen.identity, self._last_resort(chosen))
        failure = self._failed_lately(chosen)
        if not failure:
            try:
                return Opened(chosen.identity, tuple(self._opener(chosen.sources).values()))
            except UserError as error:
                failure = _reason(error)
                with self._lock:
                    self._unreachable[chosen.identity] = (time.monotonic(), failure)
        remark = f"{chosen.title} {failure}, so the shipped networks were used instead"
        return Opened(shipped.identity, self._last_resort(shipped), (remark,))

    def _last_resort(self, chosen: WeightSet) -> tuple[Checkpoint, ...]:
        """A set behind which there is no other; what is wrong with it is its owner's to know."""
        try:
            return tuple(self._opener(chosen.sources).values())
        except UserError as error:
            raise UserError(
                f"{chosen.title} {_reason(error)}; expected networks to look with; try again, or tell the owner"
            ) from error

    def _failed_lately(self, chosen: WeightSet) -> str:
        with self._lock:
            when, failure = self._unreachable.get(chosen.identity, (0.0, ""))
        return failure if failure and time.monotonic() - when < _RETRY_AFTER_S else ""


def shelf_from_environment() -> WeightShelf:
    """The sets that `$HEMOBENCH_CHECKPOINT` names, then the shipped one where it is there."""
    named = [part.strip() for part in os.environ.get(ENVIRONMENT, "").split(";") if part.strip()]
    sets = [_named_set(text, number) for number, text in enumerate(named, start=1)]
    folders = [shipped_folder() / name for name in SHIPPED]
    there = tuple(folder for folder in folders if (folder / MANIFEST).is_file())
    if there:
        sets.append(WeightSet(SHIPPED_ID, SHIPPED_TITLE, there))
    return WeightShelf(sets)


def described(checkpoints: Iterable[Checkpoint]) -> list[dict[str, str | None]]:
    """Role, name, revision (the Hub's commit) and SHA-256 of each checkpoint, JSON-able."""
    return [
        {"role": one.config.role, "name": one.name, "revision": one.revision, "sha256": one.sha256}
        for one in checkpoints
    ]


def in_words(used: Iterable[ModelUsed]) -> str:
    """What ran, in a line: names, revisions, the first digits of the weights' hashes."""
    return ", ".join(
        f"{one.name}{f' @ {one.revision[:_HASH_DIGITS]}' if one.revision else ''} (sha256 {one.sha256[:_HASH_DIGITS]})"
        for one in used
    )


def _named_set(text: str, number: int) -> WeightSet:
    """A set as it was configured; folders go by their own names, because where they lie is nobody's business."""
    sources = tuple(part.strip() for part in text.split(",") if part.strip())
    names = [Path(source).name if Path(source).expanduser().is_dir() else source for source in sources]
    title = ", ".join(names)
    return WeightSet(title if names == list(sources) else f"set-{number}", title, sources)


def _reason(error: UserError) -> str:
    """Why a set could not be opened, without addresses and folders."""
    if "cannot be fetched" in str(error):
        return "could not be fetched from the Hub"
    return "could not be opened"
