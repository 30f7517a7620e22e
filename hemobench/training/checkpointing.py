"""Checkpoints as single safetensors files, moved in place when whole. What is no tensor stands in their JSON header."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hemobench.errors import UserError

FORMAT = "hemobench-1"


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON-able header; the file under `path` is at every moment whole, old or new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    # Clones, because safetensors refuses tensors that share memory and views of other layouts.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Not save_file: its files are readable by their owner alone, and checkpoints are there to be shared.
    temporary.write_bytes(save(plain, {"format": "pt", "hemobench": FORMAT, "header": json.dumps(header)}))
    os.replace(temporary, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and header. Raises: UserError when the file is no checkpoint of hemobench."""
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            if metadata.get("hemobench") != FORMAT:
                raise UserError(
                    f"checkpoint {path} has format {metadata.get('hemobench')!r}; expected {FORMAT!r}; train it again"
                )
            return {name: stream.get_tensor(name) for name in stream.keys()}, json.loads(metadata["header"])  # noqa: SIM118
    except UserError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); expected a safetensors file of "
            "hemobench; train again without --resume"
        ) from error


def save_training_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    header: dict[str, Any],
    mean: nn.Module | None = None,
) -> None:
    """Everything the next epoch depends on: weights, their running mean, optimizer state, random generators, and the
    header."""
    state = optimizer.state_dict()
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    if mean is not None:
        tensors |= {f"mean/{name}": tensor for name, tensor in mean.state_dict().items()}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value)
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        for index, generator_state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"random/cuda-{index}"] = generator_state
    save_tensors(path, tensors, {**header, "groups": state["param_groups"], "random": _plain_random_states()})


def load_training_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, mean: nn.Module | None = None
) -> dict[str, Any]:
    """Put back what `save_training_state` wrote; returns the header."""
    tensors, header = load_tensors(path)
    for network, prefix in ((model, "model/"), (mean, "mean/")):
        if network is not None:
            network.load_state_dict(
                {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            )
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            index, key = int(name.split("/")[1]), name.split("/")[2]
            state.setdefault(index, {})[key] = _in_layout_of(parameters[index], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": header["groups"]})
    _restore_random_states(tensors, header["random"])
    return header


def _in_layout_of(parameter: Tensor, value: Tensor) -> Tensor:
    """Moments lie in memory like their parameter, so that a resumed step runs the same kernels as before."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _plain_random_states() -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(kind), np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
    }


def _restore_random_states(tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    version, numbers, gauss = plain["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = plain["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["random/torch"])
    saved = sum(name.startswith("random/cuda-") for name in tensors)
    if torch.cuda.is_available() and saved == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([tensors[f"random/cuda-{index}"] for index in range(saved)])
