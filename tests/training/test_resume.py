"""A run that is killed goes on to the same bits as one that is not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from blob_cases import make_dataset, make_split
from safetensors.torch import load_file

from hemobench.datasets.cache import ClassificationView, Examples, build_examples
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.training.loop import BEST, HISTORY, LAST
from hemobench.training.result import RESULT_FILE

SCRIPT = """
import sys
from pathlib import Path
import torch
from blob_cases import make_dataset, make_split
from hemobench.datasets.cache import build_examples
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.progress import Silent

class Announce(Silent):
    # One line a step, so that the test knows where to kill.
    def start(self, text, total):
        self.text = text
    def advance(self, count=1):
        print(self.text, flush=True)

if __name__ == "__main__":
    torch.set_num_threads(1)
    config = TrainConfig.from_yaml(Path(sys.argv[1]))
    examples = build_examples(make_dataset(), config.view, jobs=1)
    run_experiment(config, examples, make_split(), Path(sys.argv[2]), progress=Announce())
"""

YAML = """
model: paper_cnn
model_options: {width: 4, hidden: 16}
view: {windows: [brain], size: 24}
epochs: 5
batch_size: 4
learning_rate: 1e-3
optimizer: adamw
weight_decay: 0.01
schedule: onecycle
sampling: balanced
augment: strong
"""


def _bits(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


@pytest.mark.slow
def test_a_killed_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    script, config = tmp_path / "run.py", tmp_path / "config.yaml"
    script.write_text(SCRIPT)
    config.write_text(YAML)
    environment = {
        **os.environ,
        "HEMOBENCH_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])]),
    }
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, str(script), str(config), str(killed)],
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    steps = 0
    for line in process.stdout:
        steps += line.startswith("epoch 3 of 5")
        if steps == 2:
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait(timeout=60) == -signal.SIGKILL
    # Two epochs are finished and the third was under way, or, where this process was slow to hear of it, just over.
    assert not (killed / RESULT_FILE).exists()
    with (killed / HISTORY).open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] in (["1", "2"], ["1", "2", "3"])
    for output in (killed, whole):
        subprocess.run(
            [sys.executable, str(script), str(config), str(output)],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
    for name in (LAST, BEST):
        resumed, straight = _bits(killed / name), _bits(whole / name)
        assert resumed.keys() == straight.keys()
        for key, tensor in straight.items():
            assert torch.equal(resumed[key], tensor), f"{name}: {key} differs"


def test_a_ctrl_c_in_an_epoch_leaves_the_run_resumable(slices: Examples, tmp_path: Path) -> None:
    class Interrupting:
        def __init__(self) -> None:
            self.said: list[str] = []
            self.epoch = ""

        def start(self, text: str, total: int) -> None:
            self.epoch = text

        def advance(self, count: int = 1) -> None:
            if self.epoch == "epoch 2 of 2" and not self.said[-1].startswith("going on"):
                raise KeyboardInterrupt

        def say(self, text: str) -> None:
            self.said.append(text)

    config = TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 16}, epochs=2, batch_size=8)
    reporter = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, slices, make_split(), tmp_path, progress=reporter)
    result = run_experiment(config, slices, make_split(), tmp_path, progress=reporter)
    assert "going on after epoch 1 of 2" in reporter.said
    assert [row["epoch"] for row in result.history] == [1, 2]


def test_a_finished_run_is_returned_and_another_config_starts_anew(slices: Examples, tmp_path: Path) -> None:
    config = TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 16}, epochs=1, batch_size=8)
    first = run_experiment(config, slices, make_split(), tmp_path)
    stamp = (tmp_path / LAST).stat().st_mtime_ns
    time.sleep(0.01)
    again = run_experiment(config, slices, make_split(), tmp_path)
    assert (tmp_path / LAST).stat().st_mtime_ns == stamp
    assert again.metrics == pytest.approx(first.metrics, nan_ok=True)
    other = run_experiment(
        TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 16}, epochs=2, batch_size=8),
        slices,
        make_split(),
        tmp_path,
    )
    # Not one epoch more on top of the first run's: two epochs of its own.
    assert (tmp_path / LAST).stat().st_mtime_ns != stamp
    assert [row["epoch"] for row in other.history] == [1, 2]
    assert other.history[0]["train_loss"] == pytest.approx(first.history[0]["train_loss"], rel=1e-5)


def test_examples_of_another_view_make_another_run(
    slices: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    subdural = build_examples(make_dataset(), ClassificationView(("subdural",), 24), jobs=1)
    config = TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 16}, epochs=1, batch_size=8)
    first = run_experiment(config, slices, make_split(), tmp_path / "run")
    second = run_experiment(config, subdural, make_split(), tmp_path / "run")
    assert first.data_fingerprint != second.data_fingerprint
