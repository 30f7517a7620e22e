"""Two gloo processes under torchrun learn what one process learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from hemobench.training.result import RunResult

HERE = Path(__file__).parent


@pytest.mark.slow
def test_two_gloo_processes_give_the_result_of_one(tmp_path: Path) -> None:
    """The same batches are divided among both, so gradients are the same but for the order of sums."""
    environment = {
        **os.environ,
        "HEMOBENCH_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_addr",
        "127.0.0.1",
        "--master_port",
        str(29500 + os.getpid() % 2000),
    ]
    for launcher, name, processes in (([], "one", 1), (torchrun, "two", 2)):
        done = subprocess.run(
            [sys.executable, *launcher, str(HERE / "gloo_run.py"), str(tmp_path / name)],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count(f"{processes} processes") == processes
    one, two = (RunResult.load(tmp_path / name) for name in ("one", "two"))
    assert one.split_fingerprint == two.split_fingerprint
    losses = [[row["train_loss"] for row in run.history] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    np.testing.assert_allclose(one.test.probabilities, two.test.probabilities, atol=1e-4)
    weights = [load_file(tmp_path / name / "best.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(tensor.numpy(), weights[1][name].numpy(), atol=1e-3)
    assert not np.allclose(one.history[0]["train_loss"], one.history[-1]["train_loss"]), "it learnt nothing"
