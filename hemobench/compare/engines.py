"""Where runs are trained: here in turn, or in processes of this machine (`ray_engine` has a cluster).

An engine takes tasks and gives each back with its outcome as it ends. What another command is training is left to it
and looked at again; a worker that dies costs the run it was at, which is tried once more from its last epoch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from hemobench.compare.run_task import (
    BUSY,
    HEARTBEAT_SECONDS,
    LOST,
    Heartbeat,
    Outcome,
    RunTask,
    carry_out,
    visible_gpus,
)
from hemobench.machine import usable_cores

TRIES = 2
BUSY_SECONDS = 1.0
MOST_AUTOMATIC_JOBS = 8  # a worker takes about a gigabyte of memory

Ended = tuple[RunTask, Outcome]
Note = Callable[[str], None]


def default_jobs(runs: int, threads: int) -> int:
    """How many runs train at once where nobody says: one a GPU, else as many as the cores are enough for.

    >>> default_jobs(1, 1)
    1
    """
    places = len(visible_gpus()) or usable_cores() // threads
    return max(1, min(runs, places, MOST_AUTOMATIC_JOBS))


def in_turn(tasks: Sequence[RunTask], run: Callable[[RunTask], Outcome]) -> Iterator[Ended]:
    """One after the other in this process; those that another process is at come last."""
    waiting = deque(tasks)
    held = 0
    while waiting:
        task = waiting.popleft()
        outcome = run(task)
        if outcome.kind != BUSY:
            held = 0
            yield task, outcome
            continue
        waiting.append(task)
        held += 1
        if held >= len(waiting):
            time.sleep(BUSY_SECONDS)
            held = 0


def in_processes(tasks: Sequence[RunTask], jobs: int, note: Note) -> Iterator[Ended]:
    """`jobs` at once, each in a process of its own that takes one task after the other."""
    pool = _Pool(tasks, jobs, note)
    try:
        yield from pool.run()
    finally:
        # After an error or Ctrl-C the other runs stop too; their checkpoints let them go on next time.
        pool.stop()


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: RunTask | None = None


class _Pool:
    """Workers and what waits for them. Not concurrent.futures: there, one worker that dies breaks the whole pool."""

    def __init__(self, tasks: Sequence[RunTask], jobs: int, note: Note) -> None:
        self.waiting = deque(tasks)
        self.held: list[tuple[float, RunTask]] = []
        self.deaths: dict[Path, int] = {}
        self.note, self.heart = note, Heartbeat(note)
        self.gpus = visible_gpus()
        self.workers = [self._start(number) for number in range(min(jobs, len(tasks)))]

    def run(self) -> Iterator[Ended]:
        while self.waiting or self.held or any(worker.task for worker in self.workers):
            self._hand_out()
            working = {worker.connection: number for number, worker in enumerate(self.workers) if worker.task}
            for connection in wait(list(working), timeout=BUSY_SECONDS if self.held else HEARTBEAT_SECONDS):
                ended = self._ended(working[connection])  # type: ignore[index]
                if ended is not None:
                    self.heart.ended()
                    yield ended
            self.heart.beat(worker.task for worker in self.workers if worker.task)

    def stop(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in self.workers:
            worker.process.join()

    def _hand_out(self) -> None:
        now = time.monotonic()
        self.waiting.extend(task for due, task in self.held if due <= now)
        self.held = [(due, task) for due, task in self.held if due > now]
        for number, worker in enumerate(self.workers):
            if worker.task is None and self.waiting:
                task = self.waiting.popleft()
                try:
                    worker.connection.send(task)
                except (BrokenPipeError, ConnectionError):  # it died while it was idle
                    self.workers[number] = worker = self._start(number)
                    worker.connection.send(task)
                worker.task = task
        if self.held and not any(worker.task for worker in self.workers):
            time.sleep(BUSY_SECONDS)

    def _ended(self, number: int) -> Ended | None:
        worker = self.workers[number]
        task = worker.task
        assert task is not None
        worker.task = None
        try:
            outcome: Outcome = worker.connection.recv()
        except (EOFError, ConnectionError):
            return self._died(number, task)
        if outcome.kind == BUSY:
            self.held.append((time.monotonic() + BUSY_SECONDS, task))
            return None
        return task, outcome

    def _died(self, number: int, task: RunTask) -> Ended | None:
        worker = self.workers[number]
        worker.process.join()
        worker.connection.close()
        how = f"the process that trained it ended with {worker.process.exitcode}"
        self.workers[number] = self._start(number)
        self.deaths[task.folder] = self.deaths.get(task.folder, 0) + 1
        if self.deaths[task.folder] < TRIES:
            self.note(f"{task.title}: {how}; it is tried again from its last epoch")
            self.waiting.append(task)
            return None
        return task, Outcome(LOST, reason=f"{task.title}: {how}, twice")

    def _start(self, number: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        gpu = self.gpus[number % len(self.gpus)] if len(self.gpus) > 1 else None
        process = context.Process(target=_work, args=(theirs, gpu), name=f"hemobench-worker-{number}")
        process.start()
        theirs.close()  # so that its end is the end of the pipe
        return _Worker(process, ours)


def _work(connection: Connection, gpu: str | None) -> None:
    """A worker's life: tasks from the pipe, outcomes back. Ctrl-C ends it at once and silently."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA starts; Accelerate takes the first that it sees
    parent = multiprocessing.parent_process()

    def leave_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(carry_out(task))
