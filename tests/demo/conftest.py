from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
# Scans and checkpoints whose content is known are those of the pipeline's tests.
sys.path[:0] = [str(TESTS / "inference"), str(TESTS / "io")]


@pytest.fixture(scope="session")
def hand_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """One checkpoint a role, whose answers are known without training."""
    from hand_made import blood_checkpoint, slice_checkpoint, ventricle_checkpoint
    from scans import MIDWAY_HU

    folder = tmp_path_factory.mktemp("checkpoints")
    blood_checkpoint(folder / "blood", threshold_hu=MIDWAY_HU, subtype="intraparenchymal")
    slice_checkpoint(folder / "slices", threshold_hu=MIDWAY_HU, gain=600.0)
    ventricle_checkpoint(folder / "ventricles")
    return folder / "slices", folder / "blood", folder / "ventricles"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, hand_made: tuple[Path, ...]) -> Iterator[Any]:
    """The whole demo with the hand-made networks, one for all tests of this process."""
    pytest.importorskip("gradio", reason="the demo needs gradio")
    from demo.weights import WeightSet, WeightShelf

    from ..demo_app import running_demo

    shelf = WeightShelf([WeightSet("hand-made", "Hand-made", hand_made)])
    with running_demo(tmp_path_factory.mktemp("gradio"), shelf) as running:
        yield running
