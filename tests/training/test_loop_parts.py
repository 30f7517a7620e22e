"""Schedule, hardware, batches, priors, checkpoints and logs: the parts that the loop is put together from."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hemobench.datasets.cache import Examples
from hemobench.errors import UserError
from hemobench.models import create_model
from hemobench.training.batches import BatchSource, patch_corner
from hemobench.training.checkpointing import load_tensors, load_training_state, save_tensors, save_training_state
from hemobench.training.config import TrainConfig
from hemobench.training.hardware import (
    batch_layout,
    fast_bf16,
    guard_shallow_convolutions,
    plan_compute,
    to_layout,
)
from hemobench.training.logging import write_history
from hemobench.training.problem import pose_problem, weighted_prior
from hemobench.training.schedule import learning_rate_at
from hemobench.weighting import ClassWeights, create_weighting

CPU = torch.device("cpu")


def test_onecycle_is_torchs() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=20)
    for step in range(20):
        assert learning_rate_at(step, 20, "onecycle", 0.1) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        if step < 19:
            schedule.step()


def test_cosine_falls_from_the_peak_and_constant_stays() -> None:
    rates = [learning_rate_at(step, 10, "cosine", 2e-4) for step in range(10)]
    assert rates[0] == 2e-4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(2e-4 * (1 + math.cos(math.pi * 0.9)) / 2)
    assert learning_rate_at(9, 10, "constant", 2e-4) == 2e-4


@pytest.mark.parametrize("total", [1, 2, 3, 5])
def test_very_short_runs_have_a_rate(total: int) -> None:
    for step in range(total):
        assert 0 < learning_rate_at(step, total, "onecycle", 1.0) <= 1.0


def test_the_plan_follows_what_the_cpu_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("hemobench.machine.CPUINFO", cpuinfo)
    # avx512_bf16 without AMX is slower than fp32.
    cpuinfo.write_text("model name : x\nflags : fpu avx512f avx512_bf16\n")
    plain = plan_compute("auto", CPU)
    assert (plain.precision, plain.channels_last) == ("fp32", True)
    assert plain.reason == "fp32: the CPU lacks amx_bf16"
    cpuinfo.write_text("model name : x\nflags : fpu avx512f avx512_bf16 amx_bf16 amx_tile\n")
    fast = plan_compute("auto", CPU)
    assert (fast.precision, fast.channels_last) == ("bf16", True)
    assert "amx_bf16" in fast.reason
    assert plan_compute("fp32", CPU).precision == "fp32"
    json.dumps(fast.to_mapping())


def test_where_the_system_does_not_say_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemobench.machine.CPUINFO", Path("/nowhere"))
    assert fast_bf16(CPU)[0] is False  # a Linux that hides it has it for nobody
    monkeypatch.setattr("hemobench.machine.sys", SimpleNamespace(platform="win32"))
    for there in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda there=there: there, raising=False)
        assert fast_bf16(CPU)[0] is there
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert fast_bf16(CPU)[0] is False


def test_bf16_on_a_device_without_it_is_one_line() -> None:
    with pytest.raises(UserError, match="use auto"):
        plan_compute("bf16", torch.device("mps"))


def test_layouts_change_strides_and_nothing_else() -> None:
    model = create_model("unet3d", task="segmentation", in_channels=1, num_outputs=1, base=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = to_layout(model, True)
    weight = changed.get_parameter("contract.1.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(tensor, before[name]) for name, tensor in changed.state_dict().items())
    assert batch_layout(torch.zeros(2, 3, 4, 4), True).is_contiguous(memory_format=torch.channels_last)
    assert isinstance(to_layout(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv3d(2, 2, 3)), True), nn.Module)


def test_bf16_gradients_of_shallow_volumes_are_right() -> None:
    # Two slices under a kernel of three: oneDNN's bf16 weight gradient is garbage there (see the guard).
    torch.manual_seed(0)
    layer = nn.Conv3d(16, 16, 3, padding=1)
    features, upstream = torch.randn(2, 16, 2, 6, 6), torch.randn(2, 16, 2, 6, 6)
    layer(features).backward(upstream)
    assert layer.weight.grad is not None
    exact = layer.weight.grad.clone()
    layer.zero_grad()
    guard_shallow_convolutions(layer)
    with torch.autocast("cpu", torch.bfloat16):
        answer = layer(features)
    answer.float().backward(upstream)
    assert torch.allclose(layer.weight.grad, exact, rtol=0.05, atol=0.05 * float(exact.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 16, 3, 6, 6)).dtype == torch.bfloat16


@pytest.mark.parametrize("on_foreground", [True, False])
def test_patches_stay_inside_and_hold_foreground_where_asked(on_foreground: bool) -> None:
    mask = torch.zeros(6, 30, 30, dtype=torch.uint8)
    mask[5, 29, 0] = 1
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(200):
        d, h, w = patch_corner(mask, (2, 8, 8), on_foreground, generator)
        patch = mask[d : d + 2, h : h + 8, w : w + 8]
        assert patch.shape == (2, 8, 8)
        hits += int(patch.any())
    assert hits == 200 if on_foreground else hits < 10


def test_patches_take_images_and_targets_at_one_place(volumes: Examples) -> None:
    source = BatchSource(volumes, np.asarray(volumes.images), CPU)
    images, targets = source.training(
        np.array([0, 3]), torch.Generator().manual_seed(0), augmentation="none", patch=(2, 8, 8), on_foreground=True
    )
    assert images.shape == (2, 1, 2, 8, 8)
    assert torch.allclose(images * 255, targets)


def test_batches_scale_grey_to_one(slices: Examples) -> None:
    source = BatchSource(slices, slices.targets, CPU, channels_last=True)
    images, targets = source.whole(np.array([1, 0]))
    assert images.max() <= 1
    assert torch.equal((images[1] * 255).round().to(torch.uint8), torch.from_numpy(np.array(slices.images[0])))
    assert targets.dtype == torch.float32


def test_the_prior_is_the_constant_that_the_weighted_loss_likes_best(slices: Examples) -> None:
    rows = np.arange(36)
    problem = pose_problem(TrainConfig().resolved(), slices)
    weights = create_weighting("0.2,0.8", problem.targets[rows])
    prior = weighted_prior(problem, rows, None, weights)
    logits = torch.zeros(6, requires_grad=True)
    targets = torch.from_numpy(np.array(problem.targets[rows])).float()
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        p = logits.sigmoid()
        loss: torch.Tensor = -(0.8 * targets * p.log() + 0.2 * (1 - targets) * (1 - p).log()).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    seen = targets.any(dim=0)
    assert torch.allclose(torch.tensor(prior)[seen], logits.detach().sigmoid()[seen], atol=1e-3)
    balanced = np.where(problem.targets[rows, 5] > 0, 0.5 / problem.targets[rows, 5].sum(), 0.0)
    balanced = np.where(balanced == 0, 0.5 / (balanced == 0).sum(), balanced)
    even = weighted_prior(problem, rows, balanced, ClassWeights(torch.ones(6), torch.ones(6)))
    assert even[5] == pytest.approx(0.5)


def test_training_state_comes_back_with_every_random_generator(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def step() -> list[float]:
        noise = torch.randn(8, 3) * random.random() + float(np.random.rand())
        optimizer.zero_grad()
        model(noise).pow(3).mean().backward()
        optimizer.step()
        return [float(value) for value in nn.utils.parameters_to_vector(model.parameters()).detach()]

    step()
    save_training_state(tmp_path / "last", model, optimizer, {"epoch": 1})
    expected = [step(), step()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert load_training_state(tmp_path / "last", model, optimizer)["epoch"] == 1
    assert [step(), step()] == expected


def test_checkpoints_are_safetensors_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shared = torch.arange(6.0)
    save_tensors(path, {"a": shared, "b": shared[:2]}, {"epoch": 3})
    tensors, header = load_tensors(path)
    assert tensors["b"].tolist() == [0, 1]
    assert header == {"epoch": 3}
    # The file starts with the length of a JSON header: no pickle.
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert json.loads(path.read_bytes()[8 : 8 + length])["a"]["dtype"] == "F32"
    for wrong in (b"", b"\x80\x04pickle", path.read_bytes()[:-3]):
        (tmp_path / "wrong").write_bytes(wrong)
        with pytest.raises(UserError, match="cannot be read"):
            load_tensors(tmp_path / "wrong")


def test_history_has_one_row_an_epoch_and_empty_cells_for_undefined(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [{"epoch": 1, "a": None}, {"epoch": 2, "a": 0.5}])
    assert (tmp_path / "history.csv").read_text().split() == ["epoch,a", "1,", "2,0.5"]


def test_tensorboard_writes_every_epoch(slices: Examples, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from blob_cases import make_split
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from hemobench.training.experiment import run_experiment

    config = TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 8}, epochs=2, tensorboard=True)
    result = run_experiment(config, slices, make_split(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("train_loss")]
    assert logged == pytest.approx([row["train_loss"] for row in result.history])


def test_a_missing_tensorboard_is_one_line(slices: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from blob_cases import make_split

    from hemobench.training.experiment import run_experiment

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = TrainConfig(view=slices.view, model_options={"width": 4, "hidden": 8}, epochs=1)
    with pytest.raises(UserError, match="logging"):
        run_experiment(dataclasses.replace(config, tensorboard=True), slices, make_split(), tmp_path)
