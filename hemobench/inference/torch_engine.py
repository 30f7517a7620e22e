"""Networks computed by torch, on the CPU or a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hemobench.inference.checkpoint import Checkpoint
from hemobench.training.hardware import batch_layout, fast_bf16, to_layout


def load_torch_engine(checkpoint: Checkpoint, precision: str = "auto", threads: int | None = None) -> TorchEngine:
    """An engine on the GPU where there is one. precision, threads: as for `engine.load_engine`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = precision if precision != "auto" else "bf16" if fast_bf16(device)[0] else "fp32"
    return TorchEngine(checkpoint.build_model(), checkpoint.config.context, chosen, device, threads)


class TorchEngine:
    """A network in torch: bf16 autocast with channels-last weights, or plain fp32. context: see `Engine`."""

    def __init__(
        self, model: nn.Module, context: int | None, precision: str, device: torch.device, threads: int | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.context = context
        self._device, self._low = device, precision == "bf16"
        self._model = to_layout(model.to(device), self._low)
        version = torch.__version__.split("+")[0]
        where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else device.type
        self.description = f"torch {version} {precision}, {where}"

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (B, K) or (B, K, *spatial) of a batch (B, C, *spatial); neither is kept."""
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._low):
            images = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(self._device)
            logits: NDArray[np.float32] = self._model(batch_layout(images, self._low)).float().cpu().numpy()
        return logits
