"""What long work says while it goes on: bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

PLAIN_SECONDS = 20.0
_Own = TypeVar("_Own", bound="ConsoleReporter")


class Reporter(Protocol):
    """Where work reports to: `start` a piece of it, `advance` that, `say` a line that stays."""

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
    """A bar for the work at hand, and one above it for the whole where `expect` told its size. Context manager.

    Without a terminal what is finished is a line, and work that takes long has one every 20 seconds.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bars: Progress | None = None
        self._whole: TaskID | None = None
        self._work: TaskID | None = None
        self._whole_text, self._name, self._text = "", "", ""
        self._total, self._done, self._told, self._last = 0, 0, 0, time.monotonic()

    def __enter__(self: _Own) -> _Own:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
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

    def say(self, text: str) -> None:
        """A line of the work at hand."""
        self.line(text)

    def expect(self, text: str, total: int) -> None:
        """The whole has `total` parts, each of which comes to `finish`."""
        self._whole_text = text
        if self._bars is not None:
            self._whole = self._bars.add_task(text, total=total)

    def finish(self, text: str) -> None:
        """A part of the whole is done: say what came out."""
        if self._bars is not None and self._whole is not None:
            self._bars.advance(self._whole)
        self.line(text)

    def begin(self, name: str) -> None:
        """Name the part that the next `start`, `advance` and `reach` belong to."""
        self._name, self._last = name, time.monotonic()
        if self._bars is not None and self._whole is not None:
            self._bars.update(self._whole, description=f"{self._whole_text}: {name}")

    def start(self, text: str, total: int) -> None:
        """A piece of work begins, of `total` steps; 0 where that is not known yet."""
        self._text, self._total, self._done, self._told, self._last = text, total, 0, 0, time.monotonic()
        if self._bars is not None:
            if self._work is not None:
                self._bars.remove_task(self._work)
            self._work = self._bars.add_task(self._title, total=total or None)

    def advance(self, count: int = 1) -> None:
        """`count` more steps are done."""
        self.reach(self._done + count, self._total)

    def reach(self, done: int, total: int) -> None:
        """`done` of `total` steps are done."""
        self._done, self._total = done, total
        if self._bars is not None and self._work is not None:
            self._bars.update(self._work, completed=done, total=total)
        elif time.monotonic() - self._last > PLAIN_SECONDS:
            self._tell()

    def stop(self) -> None:
        """The work at hand came to its end: without a terminal say how far it was, unless that was said."""
        if self._bars is None and self._done > self._told:
            self._tell()

    def _tell(self) -> None:
        self._last, self._told = time.monotonic(), self._done
        self.line(f"{self._title}: {self._done} of {self._total}")

    @property
    def _title(self) -> str:
        return f"{self._name}: {self._text}" if self._name else self._text


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


@contextmanager
def reporting_progress(title: str, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows how far the one piece of work is; its end is a line in any case."""
    with ConsoleReporter(console) as reporter:
        reporter.start(title, 0)
        yield reporter.reach
        reporter.stop()
