"""Memory back to the system after each request: glibc keeps what a thread has freed, a scan's worth a thread."""

from __future__ import annotations

import ctypes
import gc
import sys

# mallopt's parameter, from malloc.h of glibc.
_M_ARENA_MAX = -8
_ARENAS = 2


def limit_arenas() -> bool:
    """Few arenas for all threads together. Call it before threads start; False where the C library is not glibc."""
    library = _glibc()
    return library is not None and bool(library.mallopt(_M_ARENA_MAX, _ARENAS))


def settle() -> None:
    """Take what is loaded by now for lasting: looking through all of torch after each request would take 0.2 s."""
    gc.collect()
    gc.freeze()


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
