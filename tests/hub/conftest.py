from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..local_hub import LocalHub

# Checkpoints are made by the inference tests' own.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "inference")]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.point_client_at(monkeypatch, tmp_path / "hub-cache")
        yield server
