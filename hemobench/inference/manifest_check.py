"""What a checkpoint's manifest vouches for, after git and the Hub's editor had the files in hand.

Weights, config, scores and people are as the manifest says or the checkpoint is refused. The card, its pictures and
its tables are for reading: edited or missing, they keep nobody from opening it. Git may have changed line ends (a clone
on Windows), which changes no JSON; and where its large files were not fetched, pointers stand in their place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemobench.errors import UserError

_FOR_READING = (".md", ".png", ".jpg", ".csv")
_TEXTS = (".json", ".md", ".csv")
_POINTER = b"version https://git-lfs.github.com/spec/"


def is_vouched(name: str) -> bool:
    """Whether the checkpoint is refused where the file of this name is missing or changed.

    >>> is_vouched("model.safetensors"), is_vouched("config.json"), is_vouched("README.md")
    (True, True, False)
    """
    return not name.lower().endswith(_FOR_READING)


def as_written(name: str, content: bytes, sha256: str) -> bytes | None:
    """The bytes that have this hash: the content, or a text's with the line ends that it was written with.

    None where the file is another one. Line ends are all of one kind, or the same file cannot be told.
    """
    unix = content.replace(b"\r\n", b"\n")
    variants = (content, unix, unix.replace(b"\n", b"\r\n")) if name.lower().endswith(_TEXTS) else (content,)
    return next((one for one in variants if hashlib.sha256(one).hexdigest() == sha256), None)


def is_pointer(content: bytes) -> bool:
    """Whether this is git's note of where a large file is, in place of the file."""
    return content.startswith(_POINTER)


def refuse_pointer(path: Path, content: bytes, wanted: str) -> None:
    """Raise UserError where the file is a pointer in place of `wanted`."""
    if is_pointer(content):
        raise UserError(
            f"{path} is a Git LFS pointer, not the {wanted}; expected what it points to; run `git lfs "
            "pull` in its folder, or fetch the checkpoint again"
        )


def restated(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest with the files for reading as they are now: edited ones with their new hash, missing ones gone.

    contents: by name; what is vouched for is in there as the manifest has it.
    """
    files = {
        name: entry if is_vouched(name) else {**entry, **entry_of(contents[name])}
        for name, entry in manifest["files"].items()
        if name in contents
    }
    return {**manifest, "files": files}


def entry_of(content: bytes) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
