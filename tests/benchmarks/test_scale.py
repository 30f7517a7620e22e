"""The cost model of `benchmarks/scale.py` on numbers that one can check on paper."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from types import ModuleType

import pytest

from hemobench.compare import engines


@pytest.fixture
def scale(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # Two runs at once on every machine, wherever this is tested.
    monkeypatch.setattr(engines, "usable_cores", lambda: 2)
    monkeypatch.setattr(engines, "visible_gpus", lambda: ())
    return load("scale")


def test_line_goes_through_two_points_and_never_below_nothing(scale: ModuleType) -> None:
    line = scale.fitted([100, 300], [12.0, 32.0])
    assert (line.fixed, line.each, line.at(1000)) == pytest.approx((2.0, 0.1, 102.0))
    # Faster on more images is chance: no cost an image, and the mean as the fixed one.
    flat = scale.fitted([100, 300], [12.0, 10.0])
    assert (flat.fixed, flat.each) == pytest.approx((11.0, 0.0))
    steep = scale.fitted([100, 200], [1.0, 4.0])
    assert steep.fixed == 0
    # Least squares through the origin: (100 x 1 + 200 x 4) / (100^2 + 200^2).
    assert steep.each == pytest.approx(900 / 50_000)


def test_paper_multiplies_rounds_of_runs_and_epochs_and_nothing_else(scale: ModuleType) -> None:
    model = {part: scale.Line(1.0, 0.01) for part in scale.PARTS}
    # Measured: 4 runs, 2 at once, 2 rounds. Wanted: 8 runs of 6 epochs, on one machine 4 rounds.
    one = scale.at_scale(model, 1000, entries=4, runs=8, epochs=6, workers=1)
    assert one == pytest.approx(
        {
            "index": 11.0,
            "cache": 11.0,
            "train": 2 * (1 + 6 * 10.0),
            "evaluate": 2 * 11.0,
            "board": 2 * 11.0,
            "rest": 11.0,
        }
    )
    # Two machines: 4 at once, 2 rounds. Eight: all 8 at once, one round, and half of the places stay empty.
    two, eight = (scale.at_scale(model, 1000, entries=4, runs=8, epochs=6, workers=count) for count in (2, 8))
    assert (two["train"], two["evaluate"]) == pytest.approx((61.0, 11.0))
    assert (eight["train"], eight["evaluate"]) == pytest.approx((30.5, 5.5))
    assert all(one[part] == two[part] == eight[part] for part in ("index", "cache", "board", "rest"))


@pytest.mark.parametrize("name", ["ratios", "run", "scale"])
def test_examples_in_docstrings_hold(load: Callable[[str], ModuleType], name: str) -> None:
    tried = doctest.testmod(load(name))
    assert tried.attempted
    assert not tried.failed
