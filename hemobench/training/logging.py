"""What a run says while it works: progress, history.csv, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hemobench.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PLAIN_SECONDS = 20.0


class Reporter(Protocol):
    """Where a run reports to: `start` a piece of work, `advance` it, `say` a line that stays."""

    def start(self, text: str, total: int) -> None: ...

    def advance(self, count: int = 1) -> None: ...

    def say(self, text: str) -> None: ...


class Silent:
    """Reports nothing: for workers and tests."""

    def start(self, text: str, total: int) -> None:
        return

    def advance(self, count: int = 1) -> None:
        return

    def say(self, text: str) -> None:
        return


class ConsoleReporter:
    """A bar on a terminal; elsewhere plain lines, at most one in 20 seconds for a piece of work. Context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._text, self._total, self._done, self._last = "", 0, 0, 0.0

    def __enter__(self) -> ConsoleReporter:
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, text: str, total: int) -> None:
        self._text, self._total, self._done, self._last = text, total, 0, time.monotonic()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(text, total=total)

    def advance(self, count: int = 1) -> None:
        self._done += count
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
        elif time.monotonic() - self._last > PLAIN_SECONDS:
            self._last = time.monotonic()
            self.say(f"{self._text}: {self._done} of {self._total}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def write_history(path: Path, rows: Sequence[Mapping[str, float | None]]) -> None:
    """history.csv, one row an epoch, undefined values empty; written whole each time, so a kill leaves no half row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


class TensorBoardLog:
    """Scalars of every epoch under `folder`, for those who watch them live."""

    def __init__(self, folder: Path, first_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "tensorboard is on and the package is not installed; expected it; pip install 'hemobench[logging]'"
            ) from error
        # Events of epochs that a killed run logged and a resumed one repeats are dropped by the viewer.
        self._writer: SummaryWriter = SummaryWriter(str(folder), purge_step=first_epoch)  # type: ignore[no-untyped-call]

    def log(self, row: Mapping[str, float]) -> None:
        """One epoch's numbers."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))  # type: ignore[no-untyped-call]
        self._writer.flush()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()  # type: ignore[no-untyped-call]


def counting(reporter: Reporter, text: str) -> Callable[[int, int], None]:
    """A function (done, total) that shows how far a piece of work is."""
    shown = 0

    def count(done: int, total: int) -> None:
        nonlocal shown
        if shown == 0:
            reporter.start(text, total)
        reporter.advance(done - shown)
        shown = done

    return count
