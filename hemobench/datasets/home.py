"""Where caches lie and how many cores may work; apart, because what needs only this should not load torch."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_FOLDERS = ("cache", "anatomy", "index")  # all that hemobench puts under `cache_home()`; all can be made again


def cache_home() -> Path:
    """$HEMOBENCH_HOME, or the user's cache folder of the system."""
    given = os.environ.get("HEMOBENCH_HOME")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("hemobench", appauthor=False))


def usable_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
