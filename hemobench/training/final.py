"""The weights that a run ends with: its best epoch's, or these mixed with the weights that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

BEST, MIXED = "best.safetensors", "mixed.safetensors"


def final_file(run: Path) -> Path:
    """The file in a run's folder that holds them."""
    return run / MIXED if (run / MIXED).is_file() else run / BEST


def mixed(trained: Mapping[str, Tensor], begun: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Each weight (1 - share) of what it became and `share` of what it was; what the start lacked stays.

    A network that learnt from few people and began with one that learnt from many cases keeps more of what the first
    one knew of other people (WiSE-FT: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

    >>> import torch
    >>> mixed({"w": torch.tensor([4.0])}, {"w": torch.tensor([0.0])}, 0.25)
    {'w': tensor([3.])}
    """
    found = dict(trained)
    for name, before in begun.items():
        if name in trained and trained[name].is_floating_point():
            found[name] = (1 - share) * trained[name] + share * before.to(trained[name])
    return found
