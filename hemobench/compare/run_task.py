"""One run of a suite as a piece of work that any process on any machine can do, and do only once.

How often it is done and where does not change its result. Sums of floats depend on how many threads share them, so
each run computes with a number of threads that is given with the suite (`--threads`, one unless said) and never with
what happens to be free: one run alone, N at once or a cluster give the same bits on CPUs of one kind. A run's folder
is claimed with a file lock, which ends with the process that holds it, so two commands on one output share the work.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from hemobench.compare.costs import StageClock
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.image_splits import IMAGE, by_image
from hemobench.datasets.opening import Dataset
from hemobench.datasets.splits import Split
from hemobench.errors import UserError
from hemobench.progress import Reporter, Silent
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.training.loop import HISTORY
from hemobench.training.stream import StreamSpec

CLAIM = ".claim"
HEARTBEAT_SECONDS = 30.0
DEFAULT_THREADS = 1
DONE, BUSY, REFUSED, LOST = "done", "busy", "refused", "lost"


@dataclass(frozen=True)
class RunTask:
    """One entry with one seed of a board, everything it learns from, and the folder it leaves its result in.

    fold: which of a cross-validated board's folds it tests, from 1; 0 on other boards. stream: phantoms that it learns
    from beside the training patients.
    """

    board: int
    entry: str
    config: TrainConfig
    folder: Path
    dataset: Dataset
    split: Split
    threads: int = DEFAULT_THREADS
    fold: int = 0
    stream: StreamSpec | None = None

    @property
    def title(self) -> str:
        """How the run is called in lines and tables."""
        ending = f", fold {self.fold}" if self.fold else ""
        return f"{self.config.task} {self.entry}, seed {self.config.seed}{ending}"


@dataclass(frozen=True)
class Workforce:
    """Who trains: an engine, how many runs at once (None: as many as there is room for), and threads of each run."""

    engine: str = "local"
    jobs: int | None = None
    threads: int = DEFAULT_THREADS


@dataclass(frozen=True)
class Outcome:
    """How a task ended: DONE with its seconds, BUSY where another process is at it, REFUSED or LOST with the reason."""

    kind: str
    seconds: float = 0.0
    reason: str = ""


class Heartbeat:
    """Says every half minute what is training elsewhere and how far it is, unless something ended meanwhile."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note, self.last = note, time.monotonic()

    def ended(self) -> None:
        """Something was said anyway."""
        self.last = time.monotonic()

    def beat(self, tasks: Iterable[RunTask]) -> None:
        """A line about these tasks if it is time for one."""
        if time.monotonic() - self.last < HEARTBEAT_SECONDS:
            return
        self.ended()
        self.note("; ".join(f"{task.title}: {_epochs(task)} of {task.config.epochs} epochs" for task in tasks))


def _epochs(task: RunTask) -> int:
    """Finished epochs of a run: rows of its history, which is written after each."""
    path = task.folder / HISTORY
    return max(0, len(path.read_text(encoding="utf-8").splitlines()) - 1) if path.is_file() else 0


def examples_of(task: RunTask) -> Examples:
    """The task's decoded examples, from the cache where they are in it."""
    assert task.config.view is not None
    examples = build_examples(task.dataset, task.config.view, masks=task.config.locates)
    return by_image(examples) if task.split.unit == IMAGE else examples


def carry_out(task: RunTask, examples: Examples | None = None, progress: Reporter | None = None) -> Outcome:
    """Train and score a task in this process; the result is on disk. A finished one is left as it is."""
    clock = StageClock()
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(task.folder / CLAIM, timeout=0), _threads(task.threads):
            run_experiment(
                task.config,
                examples_of(task) if examples is None else examples,
                task.split,
                task.folder,
                name=task.folder.name,
                progress=progress or Silent(),
                stream=task.stream,
            )
    except Timeout:
        return Outcome(BUSY)
    except UserError as error:
        return Outcome(REFUSED, clock.total_seconds, f"{task.title}: {error}")
    return Outcome(DONE, clock.total_seconds)


def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    if not torch.cuda.is_available():
        return ()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(given or map(str, range(torch.cuda.device_count())))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def slug(text: str) -> str:
    """A text as a folder's name: lower case, digits, dots and single hyphens.

    >>> slug("unet2.5d [0.2, 0.8]")
    'unet2.5d-0.2-0.8'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"
