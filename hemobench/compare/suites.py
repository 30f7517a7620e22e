"""Suites: YAML files that say which models are ranked on which patients, read strictly before anything trains.

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
from importlib.resources import files
from pathlib import Path
from typing import Any

from hemobench.datasets.opening import dataset_info, parse_spec
from hemobench.datasets.support import unsupported
from hemobench.errors import UserError, unknown_name
from hemobench.io.strict_yaml import Fields, Source, located, read_yaml
from hemobench.metrics.definitions import METRICS
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import check_epochs, check_stream
from hemobench.training.problem import check_config
from hemobench.training.stream import StreamSpec
from hemobench.views.view import View, view_from_mapping

TASKS = ("classification", "segmentation")
BOARD_KEYS = ("task", "view", "seed")
DEFAULT_FRACTIONS = (0.6, 0.15, 0.25)
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

        >>> load_suite("quick").with_seeds(3).seeds
        (0, 1, 2)
        """
        if count < 1:
            raise UserError(f"{count} seeds; expected at least 1; give --seeds a positive number")
        following = range(max(self.seeds) + 1, max(self.seeds) + 1 + count)
        return replace(self, seeds=(*self.seeds, *following)[:count])

    def with_folds(self, count: int) -> Suite:
        """The same suite with every patient tested, each by one of `count` networks for each entry and seed.

        >>> [round(share, 2) for share in load_suite("quick").with_folds(5).boards[0].fractions]
        [0.68, 0.12, 0.2]
        """
        leaking = [board.title for board in self.boards if board.split_by != PATIENT]
        if count < 2 or leaking:
            but = f" with board '{leaking[0]}', which is not split by patient" if leaking else ""
            raise UserError(f"--folds {count}{but}; expected 2 or more, and boards split by patient; leave --folds out")
        fractions = _fractions_of_fold(count)
        return replace(self, boards=tuple(replace(board, folds=count, fractions=fractions) for board in self.boards))


def shipped_suites() -> dict[str, Path]:
    """The suites that come with the package: name to YAML file, in alphabetical order."""
    folder = Path(str(files("hemobench.compare"))) / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name_or_path: str) -> Suite:
    """A shipped suite by name, or the suite in a YAML file.

    Raises:
        UserError: unknown name, unreadable file, broken YAML, unknown key or name, wrong type; in one line.
    """
    shipped = shipped_suites()
    if name_or_path in shipped:
        return parse_suite(*read_yaml(shipped[name_or_path], f"{name_or_path}.yaml"))
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        return parse_suite(*read_yaml(path))
    raise UserError(f"{unknown_name('suite', name_or_path, shipped)}; a YAML file is given by its path")


def parse_suite(value: Any, file: Source) -> Suite:
    """A suite from the plain values of a YAML file (`file` says where they stand, for the error messages)."""
    fields = Fields(value, file=file)
    name = fields.text("name", Path(file.name).stem)
    suite = Suite(
        name=name,
        title=fields.text("title", name),
        description=fields.text("description", ""),
        seeds=_seeds(fields),
        boards=tuple(
            _board(Fields(item, file=file, where=f"boards[{number}]"))
            for number, item in enumerate(fields.items("boards"))
        ),
    )
    fields.done()
    return suite


def _seeds(fields: Fields) -> tuple[int, ...]:
    value = fields.value("seeds", 2)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return tuple(range(value))
    whole = isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value)
    if not whole or len(set(value)) != len(value):
        raise fields.error("seeds", "a count of seeds or a list of different whole numbers")
    return tuple(value)


def _board(fields: Fields) -> BoardSpec:
    task = fields.one_of("task", TASKS, "task")
    dataset, options = _data(fields)
    split = Fields(fields.mapping("split"), file=fields.file, where=fields.path("split"))
    split_by, watch = _division(split, task)
    folds = _folds(split, split_by)
    fractions = _fractions(split, watch) if folds == 1 else _fractions_of_fold(folds)
    rank_by = _metric(fields, fields.text("rank_by"), task, "rank_by")
    metrics = tuple(
        _metric(fields, item, task, f"metrics[{number}]")
        for number, item in enumerate(fields.items("metrics", [rank_by]))
    )
    questions = _questions(fields, task, rank_by)
    baseline = fields.mapping("baseline")
    entries, existing = _entries(fields, split_by)
    board = BoardSpec(
        task=task,
        title=fields.text("title", f"{task} on {dataset}"),
        dataset=dataset,
        options=options,
        view=_view(fields, task),
        fractions=fractions,
        split_seed=split.whole_number("seed", 0),
        rank_by=rank_by,
        metrics=tuple(dict.fromkeys((*((rank_by,) if rank_by not in metrics else ()), *metrics, *questions))),
        resamples=fields.whole_number("resamples", 1000, at_least=10),
        baseline=baseline,
        entries=entries,
        split_by=split_by,
        watch=watch,
        folds=folds,
        existing=existing,
        stream=_stream(fields),
        questions=questions,
    )
    split.done()
    fields.done()
    reason = unsupported(dataset_info(board.dataset_name), task, board.view)
    if reason is not None:
        raise located(fields.file, fields.path("data"), UserError(f"{reason}; choose another data set or task"))
    _check_configs(board, fields)
    return board


def _division(split: Fields, task: str) -> tuple[str, str]:
    """What is divided, and which part chooses the epoch."""
    split_by = split.one_of("by", (PATIENT, IMAGE, BOTH), "unit of a split", PATIENT)
    watch = split.one_of("watch", WATCHED, "part to watch", WATCHED[0])
    if split_by != PATIENT and task != "classification":
        raise split.error("by", "patient: a volume is one image, so there is nothing to leak")
    if watch == "test" and split_by != IMAGE:
        raise split.error("watch", "validation; choosing on the test part is for the leaking split by image")
    return split_by, watch


def _folds(split: Fields, split_by: str) -> int:
    """How many folds test the patients; 1 where they are divided once."""
    if split.value("folds") is None:
        return 1
    folds = split.whole_number("folds", at_least=2)
    if split.value("fractions") is not None:
        raise split.error("folds", "it without fractions: folds test everybody; take one of the two out")
    if split_by != PATIENT:
        raise split.error("folds", f"it with a split by patient, not by {split_by}")
    return folds


def _fractions_of_fold(folds: int) -> tuple[float, float, float]:
    """Shares of train, validation and test in one fold of several."""
    others = 1 - 1 / folds
    return others * (1 - FOLD_VALIDATION), others * FOLD_VALIDATION, 1 / folds


def _fractions(split: Fields, watch: str) -> tuple[float, float, float]:
    """The shares of the parts of a single split."""
    fractions = split.numbers("fractions", DEFAULT_FRACTIONS, length=3)
    if min(fractions[0], fractions[2]) <= 0 or fractions[1] < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise split.error("fractions", "three shares (train, validation, test) that add up to 1, validation alone 0")
    if watch == "test" and fractions[1]:
        raise split.error("fractions", "no validation part where the test part is watched")
    return fractions[0], fractions[1], fractions[2]


def _check_configs(board: BoardSpec, fields: Fields) -> None:
    """Build each entry's configuration, network, loss and weights once, so that a wrong name stops here."""
    trained = [number for number, item in enumerate(fields.items("entries")) if not _exists(item)]
    for number, entry in zip(trained, board.entries, strict=True):
        for where, mapping in (("baseline", board.baseline), (f"entries[{number}]", entry.difference)):
            taken = [key for key in BOARD_KEYS if key in mapping]
            if taken:
                error = UserError(f"{taken[0]} is the board's, the same for all entries; set it there; remove it here")
                raise located(fields.file, fields.path(where), error)
        try:
            config = board.config(entry, seed=0)
            check_stream(config, board.stream_for(config))
            check_config(config)
            check_epochs(config, started=False)
        except UserError as error:
            raise located(fields.file, f"{fields.path('entries')}[{number}] '{entry.name}'", error) from error


def _data(fields: Fields) -> tuple[str, dict[str, Any]]:
    """The dataset as NAME[:PATH], and the options its opener gets; either a text or a mapping with `name`."""
    value = fields.value("data")
    if value is None:
        raise fields.error("data", "the name of a data set")
    if isinstance(value, str):
        spec, options, where = value, {}, fields.path("data")
    else:
        inner = Fields(value, file=fields.file, where=fields.path("data"))
        spec, options, where = inner.text("name"), inner.rest(), inner.path("name")
    try:
        parse_spec(spec)
    except UserError as error:
        raise located(fields.file, where, error) from error
    return spec, options


def _stream(fields: Fields) -> StreamSpec | None:
    """The phantoms beside a board's patients: `name` is their data set, the rest as in a recipe."""
    if fields.value("stream") is None:
        return None
    inner = Fields(fields.mapping("stream"), file=fields.file, where=fields.path("stream"))
    try:
        return StreamSpec.from_options(inner.text("name", "phantom"), inner.rest())
    except UserError as error:
        raise located(fields.file, fields.path("stream"), error) from error


def _view(fields: Fields, task: str) -> View:
    try:
        return view_from_mapping(task, fields.mapping("view"))
    except UserError as error:
        raise located(fields.file, fields.path("view"), error) from error


def _metric(fields: Fields, name: Any, task: str, key: str) -> str:
    known = [metric for metric, info in METRICS.items() if info.task == task]
    if name not in known:
        raise located(fields.file, fields.path(key), unknown_name(f"{task} metric", str(name), known))
    return str(name)


def _questions(fields: Fields, task: str, rank_by: str) -> tuple[str, ...]:
    if fields.value("questions") is None:
        return ()
    given = enumerate(fields.items("questions"))
    names = [_metric(fields, item, task, f"questions[{number}]") for number, item in given]
    without_end = any(METRICS[name].higher_is_better is None for name in names)
    if without_end or len({rank_by, *names}) <= len(names):
        raise fields.error("questions", "different metrics with a better end, other than rank_by")
    return tuple(names)


def _entries(fields: Fields, split_by: str) -> tuple[tuple[EntrySpec, ...], tuple[ExistingSpec, ...]]:
    """The entries to train, and those that exist."""
    entries: list[EntrySpec] = []
    existing: list[ExistingSpec] = []
    names: list[str] = []
    for number, item in enumerate(fields.items("entries")):
        entry = Fields(item, file=fields.file, where=f"{fields.path('entries')}[{number}]")
        if _exists(item):
            existing.append(_existing(entry, item))
            names.append(existing[-1].name)
        else:
            own = split_by
            if split_by == BOTH:
                own = entry.one_of("split_by", (PATIENT, IMAGE), "unit of a split", PATIENT)
            leaks = split_by == BOTH and own == IMAGE
            entries.append(EntrySpec(entry.text("name") + LEAKING_ROW * leaks, entry.rest(), own))
            names.append(entries[-1].name)
        if names[-1] in names[:-1]:
            raise entry.error("name", "a name that no other entry of this board has")
    if not entries:
        raise fields.error("entries", "at least one to train beside those that exist; a file of these alone has `data` "
                           "and `entries` and no boards")
    return tuple(entries), tuple(existing)


def _exists(item: Mapping[str, Any]) -> bool:
    return any(kind in item for kind in EXISTING)


def _existing(entry: Fields, item: Mapping[str, Any]) -> ExistingSpec:
    name = entry.text("name")
    given = [(kind, entry.text(kind)) for kind in EXISTING if kind in item]
    if len(given) > 1:
        raise entry.error(EXISTING[1], f"one of {' and '.join(EXISTING)}")
    for key in entry.rest():
        raise entry.error(key, f"nothing to train beside {given[0][0]}, which exists as it is")
    return ExistingSpec(name, *given[0])
