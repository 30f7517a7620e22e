"""Where time and memory go: a clock for the stages of a suite and a watch over the memory of all its processes."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
SAMPLE_SECONDS = 0.5


class StageClock:
    """Seconds by stage, in the order in which stages first came; the same stage again adds up."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begin)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    @property
    def total_seconds(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self.started

    def stages(self) -> tuple[tuple[str, float], ...]:
        """Stage and seconds; what no stage covers stands last as "other"."""
        other = self.total_seconds - sum(self._seconds.values())
        return (*self._seconds.items(), *((("other", other),) if other > 0.05 else ()))


class MemoryWatch:
    """The largest memory that this process and its children held at once, sampled twice a second on Linux.

    Pages that processes share count once. Context manager; elsewhere than on Linux `peak_gb` is None.
    """

    def __init__(self) -> None:
        self._peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)

    def __enter__(self) -> MemoryWatch:
        if sys.platform.startswith("linux"):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def peak_gb(self) -> float | None:
        """Largest memory so far in 10^9 bytes, None where it was not measured."""
        return self._peak_bytes / 1e9 if self._peak_bytes else None

    def _watch(self) -> None:
        while True:
            self._peak_bytes = max(self._peak_bytes, family_bytes(os.getpid()))
            if self._stop.wait(SAMPLE_SECONDS):
                return


def family_bytes(root: int) -> int:
    """Resident bytes of a process and its descendants from /proc; shared pages as often as the largest share."""
    parents, private, shared = {}, {}, {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The command's name stands in brackets and may hold spaces; the parent comes second after it.
            parent = int((folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            pages = (folder / "statm").read_text(encoding="ascii").split()
        except (OSError, IndexError, ValueError):
            continue  # the process ended while it was read
        number = int(folder.name)
        parents[number], shared[number] = parent, int(pages[2])
        private[number] = int(pages[1]) - int(pages[2])
    family = {root}
    while True:
        found = {number for number, parent in parents.items() if parent in family} - family
        if not found:
            break
        family |= found
    held = family & private.keys()
    return PAGE_BYTES * (sum(private[number] for number in held) + max((shared[number] for number in held), default=0))


def describe_machine() -> str:
    """Cores, system and versions in one line, for those who compare times."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    versions = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
    return f"{cores} cores{device}, {platform.system()} {platform.machine()}, {versions}"
