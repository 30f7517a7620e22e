"""Weights that are a part of another checkpoint's: not stored twice, cut out byte by byte when they are read.

A manifest may say of its weights `"part_of": {"checkpoint": "slice-classifier", "prefix": "backbone."}`: the tensors of
the checkpoint beside it whose names begin so, without that beginning. The SHA-256 is that of the whole file which comes
out, so that what is cut is vouched for as what is stored.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from hemobench.errors import UserError

_ALIGNED = 8


def part_of(content: bytes, prefix: str) -> bytes:
    """The safetensors file of the tensors whose names begin with `prefix`, in the order of `content`.

    Raises UserError where `content` is no safetensors file.
    """
    header, data = _divided(content)
    chosen: dict[str, Any] = {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}
    pieces, place = [], 0
    for name, entry in header.items():
        if name.startswith(prefix):
            start, end = entry["data_offsets"]
            chosen[name.removeprefix(prefix)] = {**entry, "data_offsets": [place, place + end - start]}
            pieces.append(data[start:end])
            place += end - start
    text = json.dumps(chosen, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return struct.pack("<Q", len(text)) + text + b"".join(pieces)


def described(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Checkpoint and prefix that a manifest's line on weights names; None for weights that are stored."""
    told = entry.get("part_of")
    if told is None:
        return None
    try:
        checkpoint, prefix = str(told["checkpoint"]), str(told["prefix"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"manifest says part_of {told!r}; expected a checkpoint and a prefix; fetch it again"
        ) from error
    if "/" in checkpoint or "\\" in checkpoint or checkpoint in ("", ".", ".."):
        raise UserError(
            f"manifest says part_of '{checkpoint}'; expected the name of a folder beside it; do not trust it"
        )
    return checkpoint, prefix


def _divided(content: bytes) -> tuple[dict[str, Any], memoryview]:
    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        return dict(header), memoryview(content)[8 + length :]
    except (struct.error, ValueError, TypeError) as error:
        raise UserError(
            "weights that others are cut from are no safetensors file; expected one; fetch it again"
        ) from error
