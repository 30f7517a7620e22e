"""Which of another run's weights a network can begin with."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hemobench.errors import UserError


def fitting(
    own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], network: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The `weights` that a network with the state dict `own` can take, and its parts that begin anew.

    The other run may have more parts than this network, or lack whole parts or have them for other outputs (a decoder),
    which then begin anew. network: its name, for the message. Raises: UserError for weights of another network.
    """
    other = {_part(name) for name, tensor in weights.items() if name in own and own[name].shape != tensor.shape}
    other -= {"backbone"}  # a decoder for a backbone that begins anew is worth nothing: that is another network
    given = {name: tensor for name, tensor in weights.items() if name in own and _part(name) not in other}
    parts = sorted({_part(name) for name in own if name not in given})
    misfits = [name for name, tensor in given.items() if own[name].shape != tensor.shape or _part(name) in parts]
    if not given or misfits:
        reason = f"{misfits[0]} is another there" if misfits else "it has other layers"
        raise UserError(
            f"the weights to start with do not fit {network} ({reason}); expected a run or checkpoint of the same "
            "network; name another, or leave it out"
        )
    return given, parts


def _part(name: str) -> str:
    """The part of a network that a tensor of its state dict belongs to."""
    return name.partition(".")[0]
