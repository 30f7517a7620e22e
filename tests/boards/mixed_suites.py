"""A suite of tiny networks on eight heads whose blood is known, and answers to them that one can score by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hemobench.boards.entries import parse_entry
from hemobench.boards.mixed import MixedBoards
from hemobench.boards.session import Terms
from hemobench.compare.costs import StageClock
from hemobench.compare.leaderboard import Board, Entry
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.runner import SuiteResult, Workforce, run_suite
from hemobench.compare.suite_files import parse_suite
from hemobench.compare.suites import Suite
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.io.nifti import write_nifti
from hemobench.io.strict_yaml import Source
from hemobench.volume import LABEL_MAP, Volume, display_affine

SHAPE = (4, 32, 32)
AFFINE = display_affine(SHAPE, (5.0, 4.0, 4.0))
STUDIES = tuple(f"a{number}" for number in range(8))
SPLIT = {"fractions": [0.25, 0.25, 0.5], "seed": 0}
BRIEF = {"epochs": 1, "max_steps": 2, "batch_size": 2, "learning_rate": 1e-3}


def truth(study: str) -> NDArray[np.uint8]:
    """Nothing in every fourth head; in the others intraparenchymal blood in slices 1 and 2, in a2 and a6 subdural."""
    labels, number = np.zeros(SHAPE, dtype=np.uint8), int(study[1:])
    if number % 4:
        labels[1:3, 8:16, 8 : 14 + number] = 5 if number % 4 == 2 else 2
    return labels


def write_scans(folder: Path, studies: Iterable[str] = STUDIES) -> Path:
    """The heads as `nifti-folder` reads them; blood is what is bright in them."""
    for study in studies:
        scan = np.full(SHAPE, -1000, dtype=np.float32)
        scan[:, 4:28, 4:28] = 30
        scan[truth(study) > 0] = 80
        write_nifti(Volume(scan, AFFINE), folder / "images" / f"{study}.nii.gz")
        write_nifti(Volume(truth(study), AFFINE, LABEL_MAP), folder / "masks" / f"{study}.nii.gz")
    return folder


def write_masks(folder: Path, *, upper: bool = False, studies: Iterable[str] = STUDIES) -> Path:
    """The true masks, or with `upper` their upper slice alone: Dice 2 * 1 / (1 + 2) wherever there is something."""
    for study in studies:
        labels = truth(study)
        labels[1] *= not upper
        write_nifti(Volume(labels, AFFINE, LABEL_MAP), folder / f"{study}.nii.gz")
    return folder


def write_table(folder: Path, *, sign: int = 1, studies: Iterable[str] = STUDIES) -> Path:
    """Probabilities of `any` that are right, or with `sign` -1 all wrong."""
    folder.mkdir()
    rows = [
        f"{study},{index},{0.5 + 0.4 * sign * (1 if truth(study)[index].any() else -1)}"
        for study in studies
        for index in range(SHAPE[0])
    ]
    (folder / "slices.csv").write_text("\n".join(["study,slice,any", *rows]) + "\n")
    return folder


def slices(scans: Path, *existing: dict[str, str], **more: object) -> dict[str, object]:
    """A board of slices with one entry to train."""
    return {
        "task": "classification",
        "title": "Slices",
        "data": f"nifti-folder:{scans},mask_ids=types",
        "split": SPLIT,
        "view": {"windows": ["brain"], "size": 32},
        "rank_by": "auroc_any",
        "resamples": 50,
        "metrics": ["auroc_any", "auroc_subdural", "logloss_rsna", "auroc_any_study"],
        "baseline": {"model": "paper_cnn", **BRIEF},
        "entries": [{"name": "cnn"}, *existing],
        **more,
    }


def masks(scans: Path, *existing: dict[str, str], **more: object) -> dict[str, object]:
    """A board of masks with one entry to train, on the scans' own grid."""
    return {
        "task": "segmentation",
        "title": "Masks",
        "data": f"nifti-folder:{scans},mask_ids=types",
        "split": SPLIT,
        "view": {"target": "haemorrhage", "spacing_mm": [5, 4, 4], "shape": list(SHAPE), "window": "brain"},
        "rank_by": "dice_any",
        "metrics": ["dice_any", "nsd_2mm_any"],
        "resamples": 50,
        "baseline": {"model": "unet2d", "model_options": {"base": 4}, "weighting": "0.5,0.5", **BRIEF},
        "entries": [{"name": "unet"}, *existing],
        **more,
    }


def suite_of(*boards: dict[str, object], seeds: int = 2) -> Suite:
    return parse_suite({"name": "mixed", "seeds": seeds, "boards": list(boards)}, Source("mixed.yaml"))


def train(
    suite: Suite,
    output: Path,
    entries: Sequence[str] = (),
    terms: Terms | None = None,
    said: Path | None = None,
    tests: Sequence[str] = (),
) -> SuiteResult:
    """Run a suite to its end in this process. said: a file for its lines."""
    for board in suite.boards:
        # In this process: starting a pool takes longer than eight tiny heads.
        build_examples(open_dataset(board.dataset), board.view, jobs=1)
    guests = MixedBoards([parse_entry(text) for text in entries], terms or Terms(engine="torch"))
    lines = said or output.with_suffix(".txt")
    with lines.open("w") as file, SuiteProgress(Console(file=file, width=500)) as progress:
        return run_suite(
            suite,
            output,
            workforce=Workforce(jobs=1),
            tests=tests,
            guests=guests,
            progress=progress,
            clock=StageClock(),
        )


def asked_about(output: Path, board: str) -> list[str]:
    """The test patients of a board, who are called as their studies."""
    return list(json.loads((output / "splits" / f"{board}.json").read_text())["test"])


def by_name(board: Board) -> dict[str, Entry]:
    return {entry.name: entry for entry in board.entries}
