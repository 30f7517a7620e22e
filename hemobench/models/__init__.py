"""Networks behind one door, `create_model`, loaded with torch and timm when the first network is asked for.

A backbone of timm needs nothing here: `timm:<name>`, `timm-unet:<name>` take any. To add a network of your own: its
module here, and a line in `_MODELS` of `creation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hemobench.models.names import context_of

if TYPE_CHECKING:
    from hemobench.models.creation import count_parameters, create_model, known_models

__all__ = ["context_of", "count_parameters", "create_model", "known_models"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hemobench.models' has no attribute '{name}'")
    from hemobench.models import creation

    return getattr(creation, name)
