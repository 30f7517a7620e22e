"""Suites in YAML files: read strictly, so that a mistake is one line with its place before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hemobench.compare.suites import (
    BOTH,
    EXISTING,
    IMAGE,
    LEAKING_ROW,
    PATIENT,
    WATCHED,
    BoardSpec,
    EntrySpec,
    ExistingSpec,
    Suite,
    fractions_of_fold,
)
from hemobench.datasets.opening import dataset_info, parse_spec
from hemobench.datasets.support import unsupported
from hemobench.errors import UserError, unknown_name
from hemobench.io.strict_yaml import Fields, Source, located, read_yaml
from hemobench.metrics.definitions import METRICS
from hemobench.training.experiment import check_epochs, check_stream
from hemobench.training.problem import check_config
from hemobench.training.stream import StreamSpec
from hemobench.views.view import View, view_from_mapping

TASKS = ("classification", "segmentation")
BOARD_KEYS = ("task", "view", "seed")
DEFAULT_FRACTIONS = (0.6, 0.15, 0.25)


def shipped_suites() -> dict[str, Path]:
    """The suites that come with the package: name to YAML file, in alphabetical order."""
    folder = Path(str(files("hemobench.compare"))) / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name_or_path: str, *, build: bool = True) -> Suite:
    """A shipped suite by name, or the suite in a YAML file. build: see `parse_suite`.

    Raises:
        UserError: unknown name, unreadable file, broken YAML, unknown key or name, wrong type; in one line.
    """
    shipped = shipped_suites()
    if name_or_path in shipped:
        return parse_suite(*read_yaml(shipped[name_or_path], f"{name_or_path}.yaml"), build=build)
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        return parse_suite(*read_yaml(path), build=build)
    raise UserError(f"{unknown_name('suite', name_or_path, shipped)}; a YAML file is given by its path")


def parse_suite(value: Any, file: Source, *, build: bool = True) -> Suite:
    """A suite from the plain values of a YAML file (`file` says where they stand, for the error messages).

    build: make each entry's network, loss and weights once, so that a wrong name stops here; seconds for a large suite.
    """
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
    if build:
        for number, board in enumerate(suite.boards):
            _check_configs(board, Fields(value["boards"][number], file=file, where=f"boards[{number}]"))
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
    fractions = _fractions(split, watch) if folds == 1 else fractions_of_fold(folds)
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


def _fractions(split: Fields, watch: str) -> tuple[float, float, float]:
    """The shares of the parts of a single split."""
    fractions = split.numbers("fractions", DEFAULT_FRACTIONS, length=3)
    if min(fractions[0], fractions[2]) <= 0 or fractions[1] < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise split.error("fractions", "three shares (train, validation, test) that add up to 1, validation alone 0")
    if watch == "test" and fractions[1]:
        raise split.error("fractions", "no validation part where the test part is watched")
    return fractions[0], fractions[1], fractions[2]


def _check_configs(board: BoardSpec, fields: Fields) -> None:
    """Build each entry's configuration, network, loss and weights."""
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
        raise fields.error(
            "entries",
            "at least one to train beside those that exist; a file of these alone has `data` "
            "and `entries` and no boards",
        )
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
