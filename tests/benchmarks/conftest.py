"""Scripts of `benchmarks/` as modules, in the surroundings that they find where they are started by themselves."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hemobench.machine import cache_home

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Gives a script as a module; what it changes for itself is put back."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(FOLDER)])
    monkeypatch.setenv("HEMOBENCH_HOME", str(cache_home()))
    threads = torch.get_num_threads()
    yield _loaded
    torch.set_num_threads(threads)


def _loaded(name: str) -> ModuleType:
    if name == "ratios":
        return importlib.import_module(name)
    # A name of its own: `evaluate` and `blast_ct` are other packages' names too.
    spec = importlib.util.spec_from_file_location(f"benchmark_{name.replace('/', '_')}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
