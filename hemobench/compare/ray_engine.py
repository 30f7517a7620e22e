"""Runs on a Ray cluster: RAY_ADDRESS's, the one that runs on this machine, or else this machine alone.

Output and $HEMOBENCH_HOME must be folders that every node sees under the same path. A run takes as many of a node's
CPUs as it has threads, and a GPU where the cluster has any. Results are those of the other engines.
"""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hemobench.compare.engines import BUSY_SECONDS, TRIES, Ended, Note
from hemobench.compare.run_task import BUSY, HEARTBEAT_SECONDS, LOST, REFUSED, Heartbeat, Outcome, RunTask, carry_out
from hemobench.errors import UserError
from hemobench.machine import cache_home


def on_ray(tasks: Sequence[RunTask], jobs: int | None, note: Note) -> Iterator[Ended]:
    """As many at once as the cluster has room for, at most `jobs` where that is said. UserError without Ray."""
    ray = import_ray()
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, logging_level="error")
    try:
        yield from _submitted(ray, tasks, jobs, note)
    finally:
        if ours:
            ray.shutdown()


def import_ray() -> Any:
    """Ray itself. Raises: UserError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "engine 'ray' without Ray; expected it installed; run: pip install 'hemobench[ray]', or use --jobs N"
        ) from error
    return ray


def _submitted(ray: Any, tasks: Sequence[RunTask], jobs: int | None, note: Note) -> Iterator[Ended]:
    resources = {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {}
    waiting, running = deque((task, 1) for task in tasks), dict[Any, tuple[RunTask, int]]()
    home, held, heart = str(cache_home()), list[tuple[RunTask, int]](), Heartbeat(note)
    try:
        while waiting or running or held:
            while waiting and (jobs is None or len(running) < jobs):
                task, attempt = waiting.popleft()
                remote = ray.remote(num_cpus=task.threads, max_retries=0, **resources)(_on_a_node)
                running[remote.remote(task, home)] = task, attempt
            if held and not running:
                time.sleep(BUSY_SECONDS)
            patience = BUSY_SECONDS if held else HEARTBEAT_SECONDS
            ready = ray.wait(list(running), timeout=patience)[0] if running else []
            if not ready:
                waiting, held = deque([*waiting, *held]), []
                heart.beat(task for task, _ in running.values())
            for reference in ready:
                task, attempt = running.pop(reference)
                outcome = _outcome(ray, reference, task)
                if outcome.kind == BUSY:
                    held.append((task, attempt))
                elif outcome.kind == LOST and attempt < TRIES:
                    note(f"{outcome.reason}; it is tried again from its last epoch")
                    waiting.append((task, attempt + 1))
                else:
                    heart.ended()
                    yield task, outcome
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _outcome(ray: Any, reference: Any, task: RunTask) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        return Outcome(LOST, reason=f"{task.title}: the process that trained it died ({type(error).__name__})")
    return outcome


def _on_a_node(task: RunTask, home: str) -> Outcome:
    """Train a task on whatever node this is."""
    if not task.folder.parent.is_dir():
        return Outcome(
            REFUSED,
            reason=f"node {platform.node()} does not see {task.folder.parent}; expected an --output that all nodes "
            "share; use a folder on a shared disk",
        )
    if Path(home).is_dir():
        os.environ["HEMOBENCH_HOME"] = home
    return carry_out(task)
