"""Engines: the same bits whoever trains, a killed worker costs its run alone, and two commands share one folder."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))

from small_suites import small_suite, train

from hemobench.compare.engines import default_jobs
from hemobench.compare.run_task import CLAIM
from hemobench.compare.runner import Workforce
from hemobench.compare.suites import Suite
from hemobench.errors import UserError


def one_board(epochs: int = 2, entries: int = 2) -> Suite:
    """The first board of `weights`: two 3D segmenters of ventricles."""
    suite = small_suite("weights", boards=1, entries=entries)
    board = suite.boards[0]
    longer = {"epochs": epochs, "max_steps": 2 * epochs}
    kept = tuple(replace(entry, difference={**entry.difference, **longer}) for entry in board.entries)
    return replace(suite, boards=(replace(board, entries=kept),))


def weights_of(output: Path) -> dict[str, str]:
    """SHA-256 of each run's weights, bit by bit (of the tensors: the file's header comes in any order)."""
    found = {}
    for path in sorted(output.glob("runs/*/best.safetensors")):
        tensors = load_file(path)
        joined = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
        found[path.parent.name] = hashlib.sha256(joined).hexdigest()
    return found


def scores_of(output: Path) -> list[list[str]]:
    with (output / "runs.csv").open(encoding="utf-8") as file:
        return sorted([row["entry"], row["seed"], row["value"]] for row in csv.DictReader(file))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("alone")
    train(one_board(), output)
    return output


def test_processes_give_the_same_bits_as_one_after_the_other(alone: Path, tmp_path: Path) -> None:
    train(one_board(), tmp_path, Workforce(jobs=2))
    assert len(weights_of(tmp_path)) == 2
    assert weights_of(tmp_path) == weights_of(alone)
    assert scores_of(tmp_path) == scores_of(alone)


def test_a_killed_worker_costs_its_run_alone(alone: Path, tmp_path: Path) -> None:
    """One worker is killed while it trains; both runs end, with the weights of a run that nobody disturbed."""
    killed: list[int] = []

    def kill_first() -> None:
        import multiprocessing

        while not killed:
            begun = [path.parent for path in tmp_path.glob("runs/*/" + CLAIM)]
            workers = [child for child in multiprocessing.active_children() if "hemobench-worker" in child.name]
            if begun and workers and workers[0].pid is not None:
                os.kill(workers[0].pid, signal.SIGKILL)
                killed.append(workers[0].pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_first, daemon=True)
    thread.start()
    train(one_board(), tmp_path, Workforce(jobs=2))
    thread.join()
    assert killed
    assert weights_of(tmp_path) == weights_of(alone)


def test_what_is_finished_is_kept_and_a_claimed_run_is_left_to_its_owner(alone: Path, tmp_path: Path) -> None:
    """Another process holds the first run's folder: the second is trained first, the first when it is free."""
    first = tmp_path / "runs" / "1-segmentation-0.5-0.5-seed0"
    first.mkdir(parents=True)
    lock = FileLock(first / CLAIM, thread_local=False)  # another thread lets go
    lock.acquire()

    def let_go() -> None:
        while not list(tmp_path.glob("runs/*/run.json")):
            time.sleep(0.02)
        lock.release()

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    train(one_board(), tmp_path)
    thread.join()
    order = sorted(tmp_path.glob("runs/*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    assert order[-1].parent == first
    assert weights_of(tmp_path) == weights_of(alone)
    before = {path: path.stat().st_mtime_ns for path in order}
    train(one_board(), tmp_path, Workforce(jobs=2))
    assert {path: path.stat().st_mtime_ns for path in order} == before


def test_a_run_that_diverges_leaves_the_others_their_results(tmp_path: Path) -> None:
    suite = one_board()
    board = suite.boards[0]
    wild = replace(board.entries[0], name="wild", difference={**board.entries[0].difference, "learning_rate": 1e30})
    suite = replace(suite, boards=(replace(board, entries=(wild, *board.entries)),))
    with pytest.raises(UserError, match=r"1 of 3 runs have no result: segmentation wild, .* the others are kept"):
        train(suite, tmp_path)
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 2
    assert [row[0] for row in scores_of(tmp_path)] == ["[0.3, 0.7]", "[0.5, 0.5]"]


def test_jobs_divide_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemobench.compare.engines.visible_gpus", tuple)
    monkeypatch.setattr("hemobench.compare.engines.usable_cores", lambda: 6)
    assert default_jobs(100, 1) == 6
    assert default_jobs(100, 4) == 1
    assert default_jobs(3, 1) == 3
    monkeypatch.setattr("hemobench.compare.engines.visible_gpus", lambda: ("0", "1"))
    assert default_jobs(100, 1) == 2


@pytest.mark.slow
def test_a_ray_cluster_of_two_nodes_gives_the_same_bits(alone: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra: ray)")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
        train(one_board(), tmp_path, Workforce("ray"))
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(weights_of(tmp_path)) == 2
    assert weights_of(tmp_path) == weights_of(alone)
    assert scores_of(tmp_path) == scores_of(alone)
