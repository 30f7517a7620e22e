"""Engines: what computes a checkpoint's network. OpenVINO where it is installed, torch elsewhere, one protocol."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from hemobench.errors import UserError, unknown_name
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.openvino_engine import OpenVinoEngine, has_graph, has_openvino, network_of, run_beside
from hemobench.machine import cpu_has_fast_bf16
from hemobench.views.sliding import Engine

KINDS = ("auto", "openvino", "torch")
PRECISIONS = ("auto", "bf16", "fp32")
# Largest and mean difference of a probability from torch's in fp32, on heads: what the shipped checkpoints keep to, by
# test. Measured on a phantom study of 40 x 512 x 512: fp32 0.0038 (3D, instance norm) and 5e-8; bf16 0.081 and 0.0008
# (bleed-2d, which is trained to be sure of itself), both libraries alike. benchmarks/engines.py prints them for any
# checkpoint. Networks with random weights differ less: fp32 1.2e-4, bf16 0.025. An input unlike those that taught can
# do more: a head without its skull 0.0129 in fp32 with the ventricle network.
FP32_TOLERANCE, FP32_MEAN_TOLERANCE = 0.01, 1e-5
BF16_TOLERANCE, BF16_MEAN_TOLERANCE = 0.15, 0.004
_MOST_SHARED = 8
_PREPARE = """
import sys
from pathlib import Path
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.engine import load_engine
for folder in sys.argv[1:]:
    load_engine(open_checkpoint(Path(folder)), "openvino")
"""
# What the drivers of NVIDIA (in a container of WSL too) and AMD leave on Linux.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
_shared: OrderedDict[tuple[str, str, str], _Shared] = OrderedDict()
_shared_lock = threading.Lock()


class _Shared:
    """A place for one engine of the process, and who may load it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: Engine | None = None


def load_engine(
    checkpoint: Checkpoint, kind: str = "auto", threads: int | None = None, precision: str = "auto"
) -> Engine:
    """An engine for a checkpoint.

    kind: one of KINDS; auto is torch where there is a GPU, else OpenVINO where it is installed, else torch. threads:
    all usable cores where None; torch has one number for the whole process. precision: one of PRECISIONS; auto is bf16
    where the hardware is fast with it (a GPU's units, a CPU's AMX), else fp32.

    Probabilities differ from those of torch in fp32 by less than the tolerances above.

    Raises: UserError for another kind or precision, and for OpenVINO where it is missing.
    """
    if kind not in KINDS:
        raise unknown_name("engine", kind, KINDS)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if kind == "openvino" and not has_openvino():
        raise UserError("engine 'openvino' without OpenVINO; expected it installed; pip install openvino or use torch")
    if kind == "openvino" or (kind == "auto" and has_openvino() and not _has_cuda()):
        chosen = precision if precision != "auto" else "bf16" if cpu_has_fast_bf16() else "fp32"
        return OpenVinoEngine(checkpoint, chosen, threads)
    # Only here: whoever has OpenVINO and no GPU reads and judges a scan without loading torch.
    from hemobench.inference.torch_engine import load_torch_engine

    return load_torch_engine(checkpoint, precision, threads)


def prepare_engines(checkpoints: Sequence[Checkpoint]) -> bool:
    """Leave in the cache what OpenVINO's engines are made from, by a process of its own: torch, which traces a network
    once, then stays out of this one's memory. Nothing where the cache has all, or torch is here already or computes.

    False where the other process failed; engines are then made here, as without it.
    """
    if "torch" in sys.modules or not has_openvino() or _has_cuda():
        return True
    missing = [str(one.directory) for one in checkpoints if not has_graph(one)]
    if not missing:
        return True
    return run_beside(_PREPARE, *missing)


def _has_cuda() -> bool:
    """Whether torch sees a GPU; it is asked only where there may be one."""
    if sys.platform == "linux" and "torch" not in sys.modules and not any(path.exists() for path in _GPU_DEVICES):
        return False
    import torch

    return torch.cuda.is_available()


def shared_engine(checkpoint: Checkpoint, kind: str = "auto") -> Engine:
    """This process' engine for a checkpoint: loaded by the first who asks, the same one for all who ask later."""
    key = (checkpoint.sha256, network_of(checkpoint.config), kind)
    with _shared_lock:
        shared = _shared.setdefault(key, _Shared())
        _shared.move_to_end(key)
        if len(_shared) > _MOST_SHARED:
            _shared.popitem(last=False)
    # A lock for each: who needs this network waits for it alone, and not while another is compiled.
    with shared.lock:
        if shared.engine is None:
            shared.engine = load_engine(checkpoint, kind)
        return shared.engine
