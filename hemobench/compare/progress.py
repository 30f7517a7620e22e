"""What a suite says while it works: bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

HEARTBEAT_SECONDS = 20.0


class SuiteProgress:
    """One bar for the whole suite and one for the work at hand. Context manager.

    It is also the `Reporter` of a run in this process (`start`, `advance`, `say`): the run's epochs move the second
    bar. Without a terminal each finished piece of work is a line, and long work has a line every 20 seconds.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars: Progress | None = None
        self._suite: TaskID | None = None
        self._work: TaskID | None = None
        self._name, self._text, self._total, self._done, self._last = "", "", 0, 0, time.monotonic()

    def __enter__(self) -> SuiteProgress:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=self.console, transient=True)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def line(self, text: str) -> None:
        """A line that stays."""
        self.console.print(Text(text), soft_wrap=True)

    def expect_runs(self, total: int, done: int) -> None:
        """Start the suite's own bar."""
        if self._bars is not None:
            self._suite = self._bars.add_task("runs", total=total, completed=done)

    def run_finished(self, text: str) -> None:
        """Move the suite's bar and say what came out."""
        if self._bars is not None and self._suite is not None:
            self._bars.advance(self._suite)
        self.line(text)

    def begin(self, name: str) -> None:
        """Name the work that the next `start` and `advance` belong to."""
        self._name, self._last = name, time.monotonic()

    def start(self, text: str, total: int) -> None:
        """A piece of the work begins, of `total` steps."""
        self._text, self._total, self._done = text, total, 0
        if self._bars is not None:
            if self._work is not None:
                self._bars.remove_task(self._work)
            self._work = self._bars.add_task(f"{self._name}: {text}", total=total)

    def advance(self, count: int = 1) -> None:
        """`count` more steps are done."""
        self.reach(self._done + count, self._total)

    def reach(self, done: int, total: int) -> None:
        """`done` of `total` steps are done; also the callback of the example cache."""
        self._done, self._total = done, total
        if self._bars is not None and self._work is not None:
            self._bars.update(self._work, completed=done, total=total)
        elif time.monotonic() - self._last > HEARTBEAT_SECONDS:
            self._last = time.monotonic()
            self.line(f"{self._name}: {self._text} {done}/{total}")

    def say(self, text: str) -> None:
        """What a run says of its epochs: kept off the page, its history.csv has it."""
        if text.startswith("going on"):
            self.line(f"{self._name}: {text}")
