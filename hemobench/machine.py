"""Where caches lie, how many cores may work and what they have; apart, because what needs only this should not load
torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

CACHE_FOLDERS = ("cache", "anatomy", "index")  # all that hemobench puts under `cache_home()`; all can be made again

CPUINFO = Path("/proc/cpuinfo")
# avx512_bf16 alone is slower than fp32: on an Intel CPU that shows no AMX 0.71 to 0.84 times as fast by OpenVINO on the
# four shipped networks, 0.6 to 1.1 times in training steps by torch 2.15 (benchmarks/engines.py, training_step.py).
BF16_FLAG = "amx_bf16"


def cache_home() -> Path:
    """$HEMOBENCH_HOME, or the user's cache folder of the system."""
    given = os.environ.get("HEMOBENCH_HOME")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("hemobench", appauthor=False))


def usable_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cpu_has_fast_bf16() -> bool:
    """Whether bf16 is several times as fast as fp32 on this CPU: whether it has AMX.

    Linux says it; elsewhere torch is asked, whose own check is private, so that it may be absent.
    """
    if CPUINFO.is_file():
        return BF16_FLAG in CPUINFO.read_text(encoding="utf-8").split()
    if sys.platform == "linux":
        return False
    import torch

    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())
