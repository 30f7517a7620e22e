"""Shipped suites made small: the same boards, entries and splits on a handful of tiny phantoms for a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hemobench.compare.costs import StageClock
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.runner import SuiteResult, Workforce, run_suite
from hemobench.compare.suite_files import load_suite
from hemobench.compare.suites import BoardSpec, Suite
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.views.view import view_from_mapping

CT = {"patients": 8, "slices": 8, "matrix": 64, "healthy": 0.3, "least_size": 0.5, "seed": 7}
T1 = {"patients": 4, "seed": 7}
FRACTIONS = {"patient": (0.5, 0.25, 0.25), "both": (0.5, 0.25, 0.25), "image": (0.75, 0.0, 0.25)}


def small_suite(name: str, *, entries: int = 2, seeds: int = 1, boards: int | None = None) -> Suite:
    """A shipped suite with the first `entries` of its first `boards` on phantoms that train in a second."""
    suite = load_suite(name)
    shrunk = tuple(small_board(board, entries) for board in suite.boards[:boards])
    return replace(suite, boards=shrunk).with_seeds(seeds)


def small_board(board: BoardSpec, entries: int) -> BoardSpec:
    """The board with its own task, loss and split on 8 scans of 8 slices, or 4 MR volumes."""
    brief = {"epochs": 2, "max_steps": 4, "batch_size": 4}
    view: dict[str, object] = {"windows": list(getattr(board.view, "windows", ())), "size": 32}
    if board.task == "segmentation":
        target = board.view.target
        blood = target == "haemorrhage"
        view = {
            "target": target,
            "window": board.view.window,
            "spacing_mm": [10, 12, 12] if blood else [8, 8, 8],
            "shape": [8, 16, 16],
        }
    kept = tuple(replace(entry, difference={**_narrow(entry.difference), **brief}) for entry in board.entries[:entries])
    # Phantoms stand for patients too, divided once.
    dataset = board.dataset if board.dataset.startswith("phantom") else "phantom"
    stream = None if board.stream is None else replace(board.stream, patients=4, options={"slices": 8, "matrix": 64})
    return replace(
        board,
        dataset=dataset,
        options=CT if dataset == "phantom" else T1,
        view=view_from_mapping(board.task, view),
        fractions=FRACTIONS[board.split_by],
        folds=1,
        resamples=20,
        baseline={**_narrow(board.baseline), **brief},
        entries=kept,
        stream=stream,
    )


def train(suite: Suite, output: Path, workforce: Workforce | None = None, tests: tuple[str, ...] = ()) -> SuiteResult:
    """Run a suite to its end, silently; in this process unless told otherwise."""
    for board in suite.boards:
        # In this process: starting a pool takes longer than eight tiny phantoms.
        build_examples(open_dataset(board.dataset, **dict(board.options)), board.view, jobs=1)
    with SuiteProgress(Console(quiet=True)) as progress:
        return run_suite(
            suite, output, workforce=workforce or Workforce(jobs=1), tests=tests, progress=progress, clock=StageClock()
        )


def _narrow(options: object) -> dict[str, object]:
    """Settings with U-Nets of four channels in the first stage."""
    settings = dict(options)  # type: ignore[call-overload]
    model = dict(settings.get("model_options", {}))
    if "base" in model or str(settings.get("model", "")).startswith("unet"):
        settings["model_options"] = {**model, "base": min(8, model.get("base", 8)) // 2}
    return settings
