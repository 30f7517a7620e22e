"""Suites: which models are ranked on which patients (`suite_files` reads them from YAML).

A suite holds boards; a board holds a dataset, a view of it, a split, a baseline configuration and entries, each of
which is the baseline with one small, named difference. A split is by patient. Two others show what a leak is worth:
`by: image` divides pictures, as many papers do; `by: both` lets an entry with `split_by: image` learn from other
pictures of the test patients (`image_splits.paired_splits`). Both are marked as leaks. `folds: K` in place of
`fractions` tests every patient, by K networks for each entry and seed that learnt from others (see `folds`).

Beside entries to train a board may hold some that exist, a checkpoint or a folder of predictions (`boards.mixed`).
`questions` are metrics in which it tests every pair of entries too, beside that of the ranking and together with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.training.stream import StreamSpec
from hemobench.views.view import View

# Of the patients that a fold does not test.
FOLD_VALIDATION = 0.15
PATIENT, IMAGE, BOTH = "patient", "image", "both"
WATCHED = ("validation", "test")
LEAKING_ROW = " [LEAK: split by image]"
EXISTING = ("checkpoint", "predictions")


@dataclass(frozen=True)
class EntrySpec:
    """One row of a board: its name and how its configuration differs from the board's baseline.

    split_by: which of the two splits it learns on, on a board split by both.
    """

    name: str
    difference: Mapping[str, Any] = field(default_factory=dict)
    split_by: str = PATIENT


@dataclass(frozen=True)
class ExistingSpec:
    """One row of a board that nobody trains for it. kind: one of EXISTING. where: a folder, or a Hub id."""

    name: str
    kind: str
    where: str


@dataclass(frozen=True)
class BoardSpec:
    """One table of a suite: which patients, which split, what is trained and which metric ranks it.

    split_by: "patient", or the leaks "image" and "both". watch: the part that the best epoch is chosen on. folds: how
    many runs each entry and seed has, one to test each fold of the patients; 1 is a single split. fractions: about
    those of one fold where there are several. existing: rows beside the entries that it trains. stream: phantoms that
    entries with a `stream_share` learn from beside its training patients. questions: metrics beside rank_by in which
    all pairs of entries are tested, in one family with those of the ranking.
    """

    task: str
    title: str
    dataset: str
    options: Mapping[str, Any]
    view: View
    fractions: tuple[float, float, float]
    split_seed: int
    rank_by: str
    metrics: tuple[str, ...]
    resamples: int
    baseline: Mapping[str, Any]
    entries: tuple[EntrySpec, ...]
    split_by: str = PATIENT
    watch: str = WATCHED[0]
    folds: int = 1
    existing: tuple[ExistingSpec, ...] = ()
    stream: StreamSpec | None = None
    questions: tuple[str, ...] = ()

    @property
    def dataset_name(self) -> str:
        """The dataset's registered name, without its path.

        >>> from dataclasses import replace
        >>> from hemobench.compare.suite_files import load_suite
        >>> board = load_suite("smoke").boards[0]
        >>> replace(board, dataset="ct-ich:somewhere").dataset_name
        'ct-ich'
        """
        return self.dataset.partition(":")[0]

    @property
    def locates(self) -> bool:
        """Whether any entry learns from label maps of its slices."""
        return any(self.config(entry, 0).locates for entry in self.entries)

    def config(self, entry: EntrySpec, seed: int) -> TrainConfig:
        """The entry's whole training configuration: the baseline, the entry's difference, the board's task and view."""
        own = {"task": self.task, "view": self.view, "seed": seed}
        return TrainConfig.from_mapping({**self.baseline, **entry.difference, **own}).resolved()

    def stream_for(self, config: TrainConfig) -> StreamSpec | None:
        """The phantoms beside the patients that a run of this board learns from; None where it asks for none."""
        return self.stream if config.stream_share else None


@dataclass(frozen=True)
class Suite:
    """A set of boards trained with the same seeds."""

    name: str
    title: str
    description: str
    seeds: tuple[int, ...]
    boards: tuple[BoardSpec, ...]

    @property
    def runs(self) -> int:
        """How many networks it trains: one for each entry, seed and fold."""
        return len(self.seeds) * sum(len(board.entries) * board.folds for board in self.boards)

    def with_seeds(self, count: int) -> Suite:
        """The same suite with `count` seeds: its own first, then the following whole numbers.

        >>> from hemobench.compare.suite_files import load_suite
        >>> load_suite("quick").with_seeds(3).seeds
        (0, 1, 2)
        """
        if count < 1:
            raise UserError(f"{count} seeds; expected at least 1; give --seeds a positive number")
        following = range(max(self.seeds) + 1, max(self.seeds) + 1 + count)
        return replace(self, seeds=(*self.seeds, *following)[:count])

    def with_folds(self, count: int) -> Suite:
        """The same suite with every patient tested, each by one of `count` networks for each entry and seed.

        >>> from hemobench.compare.suite_files import load_suite
        >>> [round(share, 2) for share in load_suite("quick").with_folds(5).boards[0].fractions]
        [0.68, 0.12, 0.2]
        """
        leaking = [board.title for board in self.boards if board.split_by != PATIENT]
        if count < 2 or leaking:
            but = f" with board '{leaking[0]}', which is not split by patient" if leaking else ""
            raise UserError(f"--folds {count}{but}; expected 2 or more, and boards split by patient; leave --folds out")
        fractions = fractions_of_fold(count)
        return replace(self, boards=tuple(replace(board, folds=count, fractions=fractions) for board in self.boards))


def fractions_of_fold(folds: int) -> tuple[float, float, float]:
    """Shares of train, validation and test in one fold of several."""
    others = 1 - 1 / folds
    return others * (1 - FOLD_VALIDATION), others * FOLD_VALIDATION, 1 / folds
