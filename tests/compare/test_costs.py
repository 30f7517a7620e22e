"""The stage clock adds up, and the memory watch sees the memory of children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hemobench.compare.costs import MemoryWatch, StageClock, family_bytes


def test_a_stage_that_comes_again_adds_up_and_order_is_kept():
    clock = StageClock()
    clock.add("train", 2.0)
    clock.add("report", 1.0)
    clock.add("train", 0.5)
    assert clock.stages()[:2] == (("train", 2.5), ("report", 1.0))


def test_what_no_stage_covers_is_other():
    clock = StageClock()
    clock.started -= 10.0  # ten seconds ago
    clock.add("train", 4.0)
    name, seconds = clock.stages()[-1]
    assert name == "other"
    assert seconds == pytest.approx(6.0, abs=1.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_child_counts():
    held = 150_000_000
    before = family_bytes(os.getpid())
    code = f"block = bytearray(b'x') * {held}; print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with_child = family_bytes(os.getpid())
        child.communicate(b"\n")
    assert with_child - before > 0.9 * held
    assert with_child - before < 1.5 * held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_watch_reports_a_peak():
    with MemoryWatch() as watch:
        pass
    assert watch.peak_gb is not None
    assert 0.01 < watch.peak_gb < 100
