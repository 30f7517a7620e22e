"""RSNA's 752,803 images on paper, and a hundredth of them for real: what each part of a comparison costs, and where.

    python benchmarks/scale.py [--images 7528] [--workers 8] [--page docs/scale.md]

Phantoms are written as RSNA's DICOM files (a few of them, again and again under other patients' names: what is in a
slice changes no time here) at two small sizes and at `--images`. The classifiers of the suite `quick` are trained on
each for one epoch by `run_suite`, whose own clock says what opening and indexing, decoding and caching, training,
scoring and ranking took. The two small sizes give each part a fixed cost and one an image (least squares, none below
0); that model must say beforehand what the rehearsal takes, part by part and end to end. It is then read at 752,803
images, for this machine and for `--workers` like it on Ray. What needs no pixels is measured at full size too: the
board of as many test answers. Run it when nothing else runs.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from ratios import Ratio, load_average, options, processes, ratio, tell, this_machine
from rich.console import Console
from scipy.optimize import nnls

from hemobench.case import Loaded
from hemobench.compare.costs import MemoryWatch, StageClock
from hemobench.compare.engines import default_jobs
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.runner import SuiteResult, Workforce, run_suite
from hemobench.compare.suite_files import load_suite
from hemobench.compare.suites import Suite
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec, generate_patients
from hemobench.datasets.rehearsal import get_layout
from hemobench.training.experiment import package_commit
from hemobench.training.result import RunResult, SlicePredictions

RSNA_IMAGES = 752_803
TESTED = RSNA_IMAGES // 4
DISTINCT = 6
PARTS = ("index", "cache", "train", "evaluate", "board", "rest")
STAGES = {"open data": "index", "score all runs": "evaluate", "bootstrap and ranks": "board"}


@dataclass(frozen=True)
class Run:
    """Seconds by part of one comparison of so many images, and bytes an image of its cache and files."""

    images: int
    seconds: Mapping[str, float]
    cache_bytes: float
    file_bytes: float
    decode_s: float
    memory_gb: float

    @property
    def total(self) -> float:
        """Seconds from open files to ranked boards."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Line:
    """Seconds of a part as a straight line: a fixed cost and one an image."""

    fixed: float
    each: float

    def at(self, images: float) -> float:
        """Seconds for so many images."""
        return self.fixed + self.each * images


def fitted(images: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line nearest to these points with neither part below 0.

    >>> line = fitted([10, 30], [7, 17])
    >>> round(line.fixed, 9), round(line.each, 9)
    (2.0, 0.5)
    """
    fixed, each = nnls(
        np.stack([np.ones(len(images)), np.asarray(images, dtype=np.float64)], axis=1),
        np.asarray(seconds, dtype=np.float64),
    )[0]
    return Line(float(fixed), float(each))


def quick_classifiers(data: str, smoke: bool) -> Suite:
    """The first board of `quick` on a data set, an epoch and a seed of each entry."""
    suite = load_suite("quick")
    brief = {"epochs": 1, **({"max_steps": 2} if smoke else {})}
    board = replace(suite.boards[0], dataset=data, options={}, baseline={**suite.boards[0].baseline, **brief})
    board = replace(board, view=replace(board.view, size=32), resamples=20) if smoke else board
    return replace(suite, boards=(board,)).with_seeds(1)


def compared(
    folder: Path, studies: int, phantoms: Sequence[Loaded], smoke: bool, jobs: int | None
) -> tuple[Run, SuiteResult]:
    """Compare on so many studies, phantoms in turn, everything new, and where the time went."""
    root, home = folder / "rsna", folder / "home"
    people = ((f"person-{number}", phantoms[number % len(phantoms)]) for number in range(studies))
    get_layout("rsna").write(root, people, 1)
    os.environ["HEMOBENCH_HOME"] = str(home)
    clock, suite = StageClock(), quick_classifiers(f"rsna:{root}", smoke)
    with MemoryWatch() as memory, SuiteProgress(Console(quiet=True)) as progress:
        result = run_suite(suite, folder / "out", workforce=Workforce(jobs=jobs), progress=progress, clock=clock)
    seconds = dict.fromkeys(PARTS, 0.0)
    for stage, took in clock.stages():
        part = "train" if stage.startswith("train ") else "cache" if stage.startswith("data: ") else "rest"
        seconds[STAGES.get(stage, part)] += took
    cases = open_dataset(f"rsna:{root}").cases[:DISTINCT]
    begin = time.perf_counter()
    images = sum(case.load().image.shape[0] for case in cases)
    decode_s = (time.perf_counter() - begin) / images
    count = studies * phantoms[0].image.shape[0]
    sizes = [_bytes(place) / count for place in (home / "cache", root)]
    shutil.rmtree(root)
    return Run(count, seconds, sizes[0], sizes[1], decode_s, memory.peak_gb or math.nan), result


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def full_board(result: SuiteResult, test_images: int) -> float:
    """Seconds to rank the runs if they had been tested on so many images: their answers again and again, new people."""
    board, (runs, *_) = result.leaderboard.boards[0], result.runs
    one = next(iter(runs.values()))[0]
    times = max(1, round(test_images / len(one.test.patient_ids)))
    facts = BoardFacts(board.task, board.title, board.data, "", True, board.rank_by, (board.rank_by,), board.resamples)
    grown = {name: [_repeated(run, times) for run in group] for name, group in runs.items()}
    begin = time.perf_counter()
    build_board(facts, grown)
    return time.perf_counter() - begin


def _repeated(run: RunResult, times: int) -> RunResult:
    test = run.test
    assert isinstance(test, SlicePredictions)
    count = len(test.patient_ids)
    mark = np.char.add("/", np.repeat(np.arange(times), count).astype(np.str_))
    people, studies = (np.char.add(np.tile(ids, times), mark) for ids in (test.patient_ids, test.study_ids))
    # A little apart from each other, as another patient's answers would be: ties would sort faster.
    noise = np.random.default_rng(run.config.seed).uniform(-1e-3, 1e-3, (count * times, test.probabilities.shape[1]))
    probabilities = np.clip(np.tile(test.probabilities, (times, 1)) + noise, 0, 1).astype(np.float32)
    grown = SlicePredictions(
        probabilities,
        np.tile(test.targets, (times, 1)),
        people,
        studies,
        np.tile(test.slice_indices, times),
        test.exclusive,
    )
    return replace(run, test=grown)


def at_scale(
    model: Mapping[str, Line], images: int, entries: int, runs: int, epochs: int, workers: int
) -> dict[str, float]:
    """Seconds by part for so many images, runs of so many epochs and workers, from a model of `entries` runs of one.

    Opening, caching and ranking are done once, by one machine. Runs are dealt out whole, as many at once as there are
    cores: more workers than that leaves some idle.
    """
    slots = default_jobs(entries, 1)
    rounds_measured, rounds = math.ceil(entries / slots), math.ceil(runs / (default_jobs(runs, 1) * workers))
    more = rounds / rounds_measured
    train = model["train"]
    return {
        "index": model["index"].at(images),
        "cache": model["cache"].at(images),
        "train": more * (train.fixed + epochs * train.each * images),
        "evaluate": more * model["evaluate"].at(images),
        "board": runs / entries * model["board"].at(images),
        "rest": model["rest"].at(images),
    }


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 7528), ("slices", 35), ("matrix", 512), ("workers", 8), ("seeds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--epochs", type=int, default=6, help="of the comparison on paper; all measured have one")
    parser.add_argument("--folder", type=Path, help="for the files (5 GB; default: temporary)")
    parser.add_argument("--page", type=Path, help="write what was found there, in Markdown")
    given = options(parser, argv, {"images": 48, "slices": 3, "matrix": 48})
    load, rehearsed = load_average(), round(given.images / given.slices)
    spec = PhantomSpec(patients=min(DISTINCT, rehearsed), slices=given.slices, matrix=given.matrix)
    # Large enough for several processes: fewer cases are decoded by one, which tells nothing of many.
    small = [max(5, rehearsed // share) for share in (6, 2)]
    phantoms, runs, last = [loaded for _, loaded in generate_patients(spec, processes(given))], [], None
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        for studies in (*small, rehearsed):
            found, last = compared(Path(scratch) / str(studies), studies, phantoms, given.smoke, processes(given))
            runs.append(found)
            listed = ", ".join(f"{part} {seconds:.1f}" for part, seconds in found.seconds.items())
            print(f"{found.images} images: {found.total:.1f} s ({listed})", flush=True)
        assert last is not None
        board_s = full_board(last, 40 if given.smoke else TESTED)
    *probes, rehearsal = runs
    model = {part: fitted([one.images for one in probes], [one.seconds[part] for one in probes]) for part in PARTS}
    entries = len(last.runs[0])
    papers = [
        at_scale(model, RSNA_IMAGES, entries, entries * given.seeds, given.epochs, workers)
        for workers in (1, given.workers)
    ]
    text = page(model, rehearsal, papers, given, board_s, load)
    print(text)
    if given.page is not None:
        given.page.write_text(text, encoding="utf-8")
    yield from ratios(model, rehearsal, papers)


def ratios(model: Mapping[str, Line], rehearsal: Run, papers: Sequence[Mapping[str, float]]) -> Iterator[Ratio]:
    """How near the model was to the rehearsal (1 is exact, below 1 it promised too much), and what workers give."""
    for part in PARTS:
        predicted = model[part].at(rehearsal.images)
        if predicted > 0 and rehearsal.seconds[part] > 0:
            yield ratio(f"{part} of {rehearsal.images:,} images", "as predicted", rehearsal.seconds[part], predicted)
    whole = sum(line.at(rehearsal.images) for line in model.values())
    yield ratio(f"a comparison on {rehearsal.images:,} images", "as predicted", rehearsal.total, whole)
    one, several = (sum(paper.values()) for paper in papers)
    yield ratio("RSNA on paper, on several workers", "on one", several / 3600, one / 3600, unit="h")


def page(
    model: Mapping[str, Line],
    rehearsal: Run,
    papers: Sequence[Mapping[str, float]],
    given: argparse.Namespace,
    board_s: float,
    load: float,
) -> str:
    """What was found, in Markdown."""
    one, several = papers
    head = [
        "part",
        "fixed, s",
        "an image, ms",
        f"{rehearsal.images:,} images: predicted, s",
        "measured, s",
        f"{RSNA_IMAGES:,}: one node, h",
        f"{given.workers} workers, h",
    ]
    rows = [
        [
            part,
            f"{line.fixed:.1f}",
            f"{1e3 * line.each:.3f}",
            f"{line.at(rehearsal.images):.1f}",
            f"{rehearsal.seconds[part]:.1f}",
            f"{one[part] / 3600:.2f}",
            f"{several[part] / 3600:.2f}",
        ]
        for part, line in model.items()
    ]
    totals = [sum(line.at(rehearsal.images) for line in model.values()), rehearsal.total]
    rows.append(
        [
            "all",
            "",
            "",
            *(f"{total:.1f}" for total in totals),
            *(f"{sum(paper.values()) / 3600:.1f}" for paper in papers),
        ]
    )
    table = ["| " + " | ".join(row) + " |" for row in chain([head, ["---", *["--:"] * (len(head) - 1)]], rows)]
    return "\n".join([INTRODUCTION, "", *_facts(rehearsal, given, load), "", *table, "", _limits(rehearsal, board_s)])


INTRODUCTION = """# Scale

What a comparison on all of RSNA 2019 costs, part by part, and whether the model that says so is to be believed.
Written by `python benchmarks/scale.py --page docs/scale.md`; do not edit. Two copies, a sixth and a half of a hundredth
of RSNA, give each part a fixed cost and one an image; that hundredth, compared end to end afterwards, checks them.
index: headers and labels; cache: DICOM decoded, windowed, made small and written; train and evaluate: the classifiers
of `quick`; board: bootstrap and ranks; rest: processes that start, and files."""

LIMITS = """## Where it stops being a straight line

- **Memory of the cache.** All of RSNA is {cache_gb:.0f} GB decoded (of {files_gb:.0f} GB of files); this machine has
  {memory_gb:.0f} GB of memory. While the decoded pictures fit, shuffled batches come from memory; past it each batch
  reads its pictures from the disk, which this model does not count. A smaller view, or a node with more memory, is the
  remedy. While it is built the cache lies on the disk twice.
- **Workers.** Opening, caching and ranking are done once, by the node that gives the command, and a run is trained
  whole on one worker: more workers than runs leave some idle, so seeds and folds, not epochs, are what a cluster makes
  cheap. Reading the cache over a network is not measured here.
- **Waiting for cases.** Until November 2026 the process that decodes in parallel looked at every case that was still
  pending each time one was finished: work that grows with the square, minutes of it for RSNA's 21,744 studies. It now
  waits once for each.
- **The index.** Fewer than 20,000 images are read by one process, more by all cores, so the line above says too much
  for all of RSNA; `benchmarks/index_rsna.py` measures the index itself at 752,803 rows.
- **The board.** Ranked at full size ({tested:,} test images, answers repeated for new patients, the ranking metric
  alone): {board_s:.1f} s.
"""


def _facts(rehearsal: Run, given: argparse.Namespace, load: float) -> list[str]:
    runs = 4 * given.seeds
    busy = "; **other work ran: these figures are no measurement**" if load > 0.5 else ""
    tiny = "; **tiny inputs: these figures say nothing**" if given.smoke else ""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return [
        f"- {this_machine()}; {today}, commit {package_commit() or 'unknown'}, load {load:.1f} before{busy}{tiny}",
        f"- measured: {rehearsal.images:,} images of {given.matrix} x {given.matrix}, {given.slices} a study, an epoch "
        f"and a seed of each; peak memory {rehearsal.memory_gb:.2f} GB; decoding alone "
        f"{1e3 * rehearsal.decode_s:.1f} ms an image and core",
        f"- on paper: {RSNA_IMAGES:,} images, {runs} runs of {given.epochs} epochs; {given.workers} workers are "
        "machines like this one, on a disk that all share",
    ]


def _limits(rehearsal: Run, board_s: float) -> str:
    cache_gb, files_gb = (RSNA_IMAGES * each / 1e9 for each in (rehearsal.cache_bytes, rehearsal.file_bytes))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.nan
    return LIMITS.format(cache_gb=cache_gb, files_gb=files_gb, memory_gb=memory / 1e9, tested=TESTED, board_s=board_s)


if __name__ == "__main__":
    tell(run())
