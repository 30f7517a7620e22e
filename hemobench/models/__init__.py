"""Networks behind one registry, which is loaded, with torch and timm, when the first network is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hemobench.models.names import context_of

if TYPE_CHECKING:
    from hemobench.models.creation import count_parameters, create_model, known_models

__all__ = ["context_of", "count_parameters", "create_model", "known_models"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hemobench.models' has no attribute '{name}'")
    from hemobench.models import creation as registry

    return getattr(registry, name)
