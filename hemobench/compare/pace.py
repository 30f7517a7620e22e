"""How long a suite still takes, by what its finished runs took: a forecast made of nothing but measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from hemobench.compare.run_task import RunTask


class Pace:
    """Seconds of the runs that ended here, by board and entry, and the runs that are left.

    jobs: how many train at once. What was kept from an earlier command tells nothing: it may be another machine's.
    """

    def __init__(self, left: Sequence[RunTask], jobs: int) -> None:
        self._left = {task.folder: task for task in left}
        self._jobs = max(1, jobs)
        self._took: dict[tuple[int, str], list[float]] = defaultdict(list)

    def ended(self, task: RunTask, seconds: float) -> None:
        """A run came to its end in so many seconds."""
        self._left.pop(task.folder, None)
        self._took[task.board, task.entry].append(seconds)

    @property
    def seconds_left(self) -> float:
        """What is left at this pace: each run as its entry's others took, else as its board's, else as all, on average;
        0 where nothing is left or nothing has ended."""
        if not self._took:
            return 0.0
        alone = sum(self._expected(task) for task in self._left.values())
        return alone / min(self._jobs, max(1, len(self._left)))

    def _expected(self, task: RunTask) -> float:
        same_entry = self._took.get((task.board, task.entry), [])
        same_board = [one for (board, _), took in self._took.items() if board == task.board for one in took]
        return fmean(same_entry or same_board or [one for took in self._took.values() for one in took])


def about(seconds: float) -> str:
    """A duration with as many digits as a forecast has.

    >>> about(7), about(734), about(9000)
    ('10 s', '12 min', '2.5 h')
    """
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s"
    return f"{round(seconds / 60)} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
