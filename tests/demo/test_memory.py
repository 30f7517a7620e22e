"""Freed memory goes back to the system, which a process of its own shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Small blocks, which malloc keeps: about 200 MB of them, freed in a thread while one of the last stays.
PROGRAM = """
import sys, threading
from demo.memory import give_back, limit_arenas
assert limit_arenas()
def resident_mb():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
kept = []
def work():
    blocks = [bytearray(60_000) for _ in range(3500)]
    kept.append(blocks[-1])
before = resident_mb()
thread = threading.Thread(target=work)
thread.start()
thread.join()
held = resident_mb()
give_back()
print(before, held, resident_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's way of giving memory back")
def test_memory_of_small_blocks_goes_back() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, encoding="utf-8", check=True)
    before, held, after = map(float, run.stdout.split())
    assert held > before + 100  # else malloc had nothing to give back, and this shows nothing
    assert after < before + 40
