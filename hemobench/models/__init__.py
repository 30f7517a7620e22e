"""Networks behind one registry."""

from hemobench.models.registry import context_of, count_parameters, create_model, known_models

__all__ = ["context_of", "count_parameters", "create_model", "known_models"]
