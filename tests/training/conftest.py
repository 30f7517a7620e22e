from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

# The tests of this folder, their worker processes and the subprocess that gets killed all import blob_cases.
sys.path.insert(0, str(Path(__file__).parent))

from blob_cases import make_dataset

from hemobench.datasets.cache import ClassificationView, Examples, SegmentationView, build_examples


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """72 slices of 12 patients at 24 x 24."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return build_examples(make_dataset(), ClassificationView(("brain",), 24), jobs=1)


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """12 volumes of (6, 24, 24)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        view = SegmentationView("haemorrhage", (5.0, 2.0, 2.0), (6, 24, 24), "brain")
        return build_examples(make_dataset(), view, jobs=1)
