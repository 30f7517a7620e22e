"""What the machine is good at: device, precision and memory layout, looked up instead of assumed."""

from __future__ import annotations

import functools
import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

from hemobench.errors import UserError
from hemobench.machine import BF16_FLAG, CPUINFO, cpu_has_fast_bf16

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class ComputePlan:
    """How a run computes. precision: "fp32" or "bf16" (autocast; weights stay fp32). channels_last: memory layout of
    convolutions. reason: why, in one line for the log."""

    device: str
    device_name: str
    precision: str
    channels_last: bool
    reason: str

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form, with the thread count and the torch version that timings depend on."""
        return asdict(self) | {"threads": torch.get_num_threads(), "torch": torch.__version__.split("+")[0]}


def plan_compute(precision: str, device: torch.device) -> ComputePlan:
    """Plan for a device. `auto` takes bf16 where the hardware is fast with it, else fp32.

    Raises: UserError when bf16 is asked for and the device cannot compute it.
    """
    fast, evidence = fast_bf16(device)
    if precision == "bf16" and not fast and device.type != "cpu":
        raise UserError(f"precision bf16 on {device.type} ({evidence}); expected hardware with bf16; use auto")
    chosen = ("bf16" if fast else "fp32") if precision == "auto" else precision
    asked = "" if precision == "auto" else ", as asked"
    channels_last = fast or device.type == "cpu"
    return ComputePlan(str(device), _device_name(device), chosen, channels_last, f"{chosen}{asked}: {evidence}")


def fast_bf16(device: torch.device) -> tuple[bool, str]:
    """Whether the device computes faster in bf16, and the evidence in words."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported, f"{_device_name(device)} {'has' if supported else 'lacks'} bf16 units"
    if device.type == "cpu":
        fast = cpu_has_fast_bf16()
        return fast, f"the CPU {'has' if fast else 'lacks'} {BF16_FLAG}"
    return False, f"bf16 is not relied on for {device.type}"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "cpu" and CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or device.type


def to_layout(module: torch.nn.Module, channels_last: bool) -> torch.nn.Module:
    """The module with its 4-D and 5-D weights in channels-last layout, where asked for."""
    if channels_last:
        # nn.Module.to takes one format for all weights and refuses a model that has both ranks.
        for parameter in module.parameters():
            if parameter.ndim in _LAYOUTS:
                parameter.data = parameter.data.contiguous(memory_format=_LAYOUTS[parameter.ndim])
    return module


def guard_shallow_convolutions(module: torch.nn.Module) -> torch.nn.Module:
    """3D convolutions that compute in fp32 where their input has fewer slices than their kernel, else as before.

    The CPU's bf16 weight gradient is garbage there: oneDNN 3.13's `jit_bf16:avx512_core_bf16` reads memory that it
    never wrote when both ends of the padding fall into one kernel position. In a U-Net that is its bottleneck, where
    fp32 costs next to nothing.
    """
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv3d):
            layer.forward = functools.partial(_guarded_convolution, layer)  # type: ignore[method-assign]
    return module


def _guarded_convolution(layer: torch.nn.Conv3d, features: torch.Tensor) -> torch.Tensor:
    if features.shape[2] >= layer.kernel_size[0]:
        return torch.nn.Conv3d.forward(layer, features)
    with torch.autocast(features.device.type, enabled=False):
        return torch.nn.Conv3d.forward(layer, features.float())


def batch_layout(images: torch.Tensor, channels_last: bool) -> torch.Tensor:
    """A batch (B, C, H, W) or (B, C, D, H, W) in the layout of the model's weights."""
    if not channels_last:
        return images
    return images.contiguous(memory_format=_LAYOUTS[images.ndim])


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory so far: of the GPU's allocator, else of this process; NaN where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # not on Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 2**10
