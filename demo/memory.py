"""Memory back to the system after each request: glibc keeps what a thread has freed, a scan's worth a thread."""

from __future__ import annotations

import ctypes
import gc
import sys

# mallopt's parameters, from malloc.h of glibc.
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_ARENAS = 2
_MMAP_FROM_BYTES = 256 * 1024


def limit_arenas() -> bool:
    """Few arenas, and blocks from a quarter MiB as maps of their own that go back when they are freed.

    Call it before threads start. False where the C library is not glibc.
    """
    library = _glibc()
    if library is None:
        return False
    return bool(library.mallopt(_M_ARENA_MAX, _ARENAS)) and bool(library.mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM_BYTES))


def give_back() -> None:
    """Collect cycles and hand freed memory back to the system."""
    gc.collect()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
