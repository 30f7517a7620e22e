"""Progress of long work: a bar on a terminal, a plain line every tenth elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 10


@contextmanager
def reporting_progress(title: str, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows how far the work is. Goes to stderr, so that output can be piped."""
    target = Console(stderr=True) if console is None else console
    if target.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=target, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return

    def print_line(done: int, total: int) -> None:
        if done * LINES // total > (done - 1) * LINES // total:
            target.print(f"{title}: {done} of {total}", highlight=False, soft_wrap=True)

    yield print_line
