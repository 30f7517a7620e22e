"""A YAML reader that forgives nothing: each mistake becomes one line naming file, line, key and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hemobench.errors import UserError, unknown_name

_MOST_PATHS = 100_000


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that reads 2e-4 as a number (YAML 1.1 takes it for text) and refuses a key given twice."""


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(loader.construct_object(key_node, deep=True))  # type: ignore[no-untyped-call]
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)
_StrictLoader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Source:
    """A YAML file for error messages: its name and the line of each key path, such as "boards[0].rank_by"."""

    name: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, where: str) -> str:
        """The file's name and the line where a key path stands, or the nearest key around it that there is.

        >>> Source("mine.yaml", {"boards": 2, "boards[0]": 3}).place("boards[0].rank_by")
        'mine.yaml, line 3'
        """
        where = where.partition(" ")[0]  # an entry is "entries[1] 'its name'"
        while where and where not in self.lines:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return f"{self.name}, line {self.lines[where]}" if where in self.lines else self.name


def read_yaml(path: Path, name: str | None = None) -> tuple[Any, Source]:
    """What a YAML file says, as plain Python values, and where each key stands; UserError if it is no YAML.

    `name` is what the file is called in errors, by default its path.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"{path}: {reason}; expected a YAML file; give the path of a suite") from error
    try:
        value = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader by inheritance
        lines: dict[str, int] = {}
        _note_lines(yaml.compose(text, Loader=_StrictLoader), "", lines)
        return value, Source(name or str(path), lines)
    except yaml.YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: broken YAML ({problem}); correct that line") from error


def _note_lines(node: yaml.Node | None, where: str, lines: dict[str, int]) -> None:
    """Fill in the line of each key path below a node; what an alias repeats has the line of its anchor.

    Of so many paths that only aliases of aliases can make them, the first are enough.
    """
    if len(lines) > _MOST_PATHS:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{where}.{key.value}" if where else str(key.value)
            lines[path] = key.start_mark.line + 1
            _note_lines(value, path, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[f"{where}[{number}]"] = item.start_mark.line + 1
            _note_lines(item, f"{where}[{number}]", lines)


class Fields:
    """One YAML mapping read field by field; what nobody asked for is reported by `done`.

    `where` is the key path of the mapping in its file, such as "boards[0].split", and stands in every error.
    """

    def __init__(self, value: Any, *, file: Source, where: str = "") -> None:
        self.file, self.where = file, where
        if not isinstance(value, dict):
            place = where or "the file"
            raise UserError(
                f"{file.place(where)}: {place} is {_shown(value)}; expected a mapping of keys to values; correct it"
            )
        self._values: dict[str, Any] = {str(key): item for key, item in value.items()}
        self._asked: list[str] = []

    def path(self, key: str) -> str:
        """The full key path of one field, such as "boards[0].rank_by"."""
        return f"{self.where}.{key}" if self.where else key

    def error(self, key: str, expected: str) -> UserError:
        """The error for a field that holds something else than expected."""
        got = _shown(self._values[key]) if key in self._values else "missing"
        path = self.path(key)
        return UserError(f"{self.file.place(path)}: {path} is {got}; expected {expected}; correct it")

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text; required unless there is a default."""
        value = self._take(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.error(key, "a text")
        return value

    def whole_number(self, key: str, default: int | None = None, *, at_least: int = 0) -> int:
        """A whole number of at least `at_least`."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            raise self.error(key, f"a whole number of at least {at_least}")
        return value

    def numbers(self, key: str, default: tuple[float, ...], *, length: int) -> tuple[float, ...]:
        """A list of `length` numbers."""
        value = self._take(key, default)
        wrong = not isinstance(value, list | tuple) or len(value) != length
        if wrong or any(isinstance(item, bool) or not isinstance(item, int | float) for item in value):
            raise self.error(key, f"a list of {length} numbers")
        return tuple(float(item) for item in value)

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping, empty when the field is absent."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "a mapping of keys to values")
        return {str(name): item for name, item in value.items()}

    def items(self, key: str, default: list[Any] | None = None) -> list[Any]:
        """A list with at least one item."""
        value = self._take(key, default)
        if not isinstance(value, list) or not value:
            raise self.error(key, "a list with at least one item")
        return value

    def value(self, key: str, default: Any = None) -> Any:
        """Whatever stands there, for a caller that checks it."""
        return self._take(key, default)

    def rest(self) -> dict[str, Any]:
        """Every field not asked for yet; after this, none is unknown."""
        left = {key: item for key, item in self._values.items() if key not in self._asked}
        self._asked += list(left)
        return left

    def done(self) -> None:
        """UserError for the first field that nobody asked for, naming the known ones."""
        for key in self._values:
            if key not in self._asked:
                error = unknown_name("key", key, self._asked)
                raise UserError(f"{self.file.place(self.path(key))}: {f'{self.where}: ' if self.where else ''}{error}")

    def one_of(self, key: str, known: Iterable[str], kind: str, default: str | None = None) -> str:
        """A text that is one of the known names."""
        value = self.text(key, default)
        names = tuple(known)
        if value not in names:
            raise located(self.file, self.path(key), unknown_name(kind, value, names))
        return value

    def _take(self, key: str, default: Any) -> Any:
        if key not in self._asked:
            self._asked.append(key)
        return self._values.get(key, default)


def located(file: Source, where: str, error: UserError) -> UserError:
    """The same mistake, with the file, the line and the key that hold it in front."""
    return UserError(f"{file.place(where)}: {where}: {error}" if where else f"{file.place(where)}: {error}")


def _shown(value: Any) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
