"""A board of what exists as a YAML file: `data`, `entries` of kinds `checkpoint:`, `predictions:` and `board:`, and
its terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.boards.entries import BOARD, KINDS, Wanted
from hemobench.io.strict_yaml import Fields, Source, read_yaml
from hemobench.predictions.folder import COUNT, MISSING


@dataclass(frozen=True)
class BoardFile:
    """What a file asks for. data: NAME:PATH, "" where the command line is to say it. missing: of MISSING."""

    entries: tuple[Wanted, ...]
    data: str
    missing: str


def is_board_file(name: str) -> bool:
    """Whether a suite's name is that of a YAML file which lists entries that exist, not boards to train."""
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
        return False
    content = read_yaml(path)[0]
    return isinstance(content, dict) and "entries" in content and "boards" not in content


def read_board_file(path: Path) -> BoardFile:
    """What such a file asks for. Raises UserError, naming the line, for what it cannot mean."""
    content, source = read_yaml(path)
    fields = Fields(content, file=source)
    entries = tuple(_entry(item, source, number) for number, item in enumerate(fields.items("entries")))
    file = BoardFile(
        entries, fields.text("data", ""), fields.one_of("missing", MISSING, "way to count missing answers", COUNT)
    )
    fields.done()
    return file


def _entry(value: Any, source: Source, number: int) -> Wanted:
    fields = Fields(value, file=source, where=f"entries[{number}]")
    name = fields.text("name", "")
    given = {kind: fields.text(kind, "") for kind in KINDS}
    fields.done()
    kinds = [kind for kind in KINDS if given[kind]]
    if len(kinds) != 1:
        raise fields.error(KINDS[0], f"one of {' and '.join(KINDS)}")
    if name and kinds[0] == BOARD:
        raise fields.error("name", "none beside a board, which brings the names of its entries")
    return Wanted(kinds[0], name, given[kinds[0]])
