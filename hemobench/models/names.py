"""What a network's name tells without loading it, or torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILY = "timm-unet"
ANSWER_OPTIONS = ("evidence", "mirrored")
"""Options that say how a network answers once it is trained; training is the same with any."""


def context_of(model: str, options: Mapping[str, Any]) -> int | None:
    """Slices on each side that a slice-wise network looks at; None for a network that is none.

    >>> context_of("unet2.5d", {}), context_of("timm-unet:resnet18", {"context": 2}), context_of("unet3d", {})
    (1, 2, None)
    """
    if model == "unet2.5d":
        return int(options.get("context", 1))
    if model == "unet2d":
        return 0
    return int(options.get("context", 0)) if model.startswith(f"{FAMILY}:") else None
