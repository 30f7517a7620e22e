"""Networks behind one registry."""

from hemobench.models.registry import count_parameters, create_model, known_models

__all__ = ["count_parameters", "create_model", "known_models"]
