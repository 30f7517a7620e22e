"""Where caches lie, how many cores may work and what they have; apart, because what needs only this should not load
torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

CACHE_FOLDERS = ("cache", "anatomy", "index")  # all that hemobench puts under `cache_home()`; all can be made again

CPUINFO = Path("/proc/cpuinfo")
_CPU_FLAGS = ("amx_bf16", "avx512_bf16")


def cache_home() -> Path:
    """$HEMOBENCH_HOME, or the user's cache folder of the system."""
    given = os.environ.get("HEMOBENCH_HOME")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("hemobench", appauthor=False))


def usable_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cpu_bf16_flag() -> str | None:
    """The instruction set that makes bf16 fast on this CPU, None where there is none.

    Linux says it; elsewhere torch is asked, whose own checks are private, so that each may be absent.
    """
    if CPUINFO.is_file():
        return cpuinfo_bf16_flag(CPUINFO.read_text(encoding="utf-8"))
    if sys.platform == "linux":
        return None
    import torch

    for check, flag in (("_is_amx_tile_supported", "amx_bf16"), ("_is_avx512_bf16_supported", "avx512_bf16")):
        supported = getattr(torch.cpu, check, None)
        if supported is not None and supported():
            return flag
    return None


def cpuinfo_bf16_flag(cpuinfo: str) -> str | None:
    """First bf16 instruction set named in the text of /proc/cpuinfo.

    >>> cpuinfo_bf16_flag("flags : fpu avx512f avx512_bf16")
    'avx512_bf16'
    """
    words = set(cpuinfo.split())
    return next((flag for flag in _CPU_FLAGS if flag in words), None)
