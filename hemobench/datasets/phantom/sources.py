"""Anatomies by number, built once (10 to 20 s) and kept in the cache as safetensors (opened in 0.1 s)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hemobench.datasets.cache import cache_home
from hemobench.datasets.phantom.anatomy import Anatomy, build_anatomy
from hemobench.datasets.phantom.label_maps import list_label_maps, parts_from_label_map
from hemobench.datasets.phantom.mni import parts_from_mni
from hemobench.errors import UserError
from hemobench.io.atomic import replacing

ANATOMY_VERSION = 3  # raise it when the building of anatomies changes, so that old files are not used
MAP_VERSION = 4  # the same for what is made of label maps alone


@lru_cache(maxsize=32)
def anatomy_keys(folder: str | None) -> tuple[tuple[str, str | None], ...]:
    """(cache key, file) of every anatomy of a source: one for the MNI152 head, one a label map of a folder."""
    if folder is None:
        return ((f"mni152-v{ANATOMY_VERSION}", None),)
    keys = []
    for path in list_label_maps(Path(folder)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        keys.append((f"map-{digest}-v{MAP_VERSION}", str(path)))
    return tuple(keys)


def _cached_file(folder: str | None, number: int) -> Path:
    return cache_home() / "anatomy" / f"{anatomy_keys(folder)[number][0]}.safetensors"


def is_cached(folder: str | None, number: int) -> bool:
    """Whether an anatomy needs no building."""
    return _cached_file(folder, number).is_file()


@lru_cache(maxsize=2)
def load_anatomy(folder: str | None, number: int) -> Anatomy:
    """An anatomy of a source, from the cache or built into it; a process that finds another one building it waits."""
    path = anatomy_keys(folder)[number][1]
    cached = _cached_file(folder, number)
    found = _read(cached)
    if found is not None:
        return found
    with _lock(cached):
        found = _read(cached)
        if found is None:
            found = build_anatomy(parts_from_mni() if path is None else parts_from_label_map(Path(path)))
            with replacing(cached) as temporary:
                save_file(found.tensors(), temporary)
    return found


def _read(cached: Path) -> Anatomy | None:
    """The anatomy in a file; None where the file is missing, cut short or foreign."""
    try:
        return Anatomy(**load_file(cached)) if cached.is_file() else None
    except (SafetensorError, TypeError):
        return None


def _lock(cached: Path) -> FileLock:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot write {cached} ({error.strerror})"
        raise UserError(f"{what}; expected a writable cache; set HEMOBENCH_HOME to another folder") from error
    return FileLock(cached.with_suffix(".lock"))
