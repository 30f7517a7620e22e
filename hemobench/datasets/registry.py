"""Data sets by name: `open_dataset("ct-ich:PATH")`, `open_dataset("phantom", patients=20)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hemobench.datasets.case import Dataset, DatasetInfo
from hemobench.datasets.catalogue import CT_ICH, PHANTOM, PHANTOM_T1
from hemobench.errors import UserError, unknown_name

__all__ = ["Dataset", "DatasetInfo", "dataset_info", "known_datasets", "open_dataset", "parse_spec"]


@dataclass(frozen=True)
class _Entry:
    """A known data set and where its opener stands: `module:function`, imported when first used."""

    info: DatasetInfo
    opener: str
    fixed: dict[str, Any] = field(default_factory=dict)


_ENTRIES = {
    entry.info.name: entry
    for entry in (
        _Entry(PHANTOM, "hemobench.datasets.phantom:open_phantom", {"product": "ct"}),
        _Entry(PHANTOM_T1, "hemobench.datasets.phantom:open_phantom", {"product": "t1"}),
        _Entry(CT_ICH, "hemobench.datasets.ct_ich:open_ct_ich"),
    )
}


def known_datasets() -> tuple[str, ...]:
    """Names that `open_dataset` takes."""
    return tuple(_ENTRIES)


def dataset_info(name: str) -> DatasetInfo:
    """Description of the data set of this name; an unknown one raises UserError listing the names."""
    if name not in _ENTRIES:
        raise unknown_name("data set", name, _ENTRIES)
    return _ENTRIES[name].info


def parse_spec(spec: str) -> tuple[str, Path | None]:
    """Name and path of `NAME` or `NAME:PATH`; the name is checked, the path is not.

    >>> parse_spec("phantom")
    ('phantom', None)
    """
    name, _, path = spec.partition(":")
    dataset_info(name)
    return name, Path(path).expanduser() if path else None


def open_dataset(spec: str, **options: Any) -> Dataset:
    """Open `NAME[:PATH]`; `options` go to the data set's own opener, and unknown ones raise UserError."""
    name, path = parse_spec(spec)
    entry = _ENTRIES[name]
    module, _, function = entry.opener.partition(":")
    opener: Callable[..., Dataset] = getattr(import_module(module), function)
    allowed = [option for option in inspect.signature(opener).parameters if option not in {"path", *entry.fixed}]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise UserError(
            f"option {', '.join(unknown)} for data set '{name}'; "
            f"expected {'one of ' + ', '.join(allowed) if allowed else 'no options'}; remove it"
        )
    return opener(path, **entry.fixed, **options)
