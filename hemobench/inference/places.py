"""Where the shipped things lie: in a clone beside the package, in an installation inside it."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.json"
_PACKAGE = Path(__file__).resolve().parents[1]
# What setup.py lays into the wheel, in the repository's own layout.
INSTALLED = _PACKAGE / "_shipped"


def shipped_root() -> Path:
    """The folder that holds `checkpoints/` and `demo/`: the package's own where it was installed, else the clone's."""
    return INSTALLED if INSTALLED.is_dir() else _PACKAGE.parent


def shipped_folder() -> Path:
    """`checkpoints/`, of the clone or of the installation; it may not be there."""
    return shipped_root() / "checkpoints"


def shipped_names() -> tuple[str, ...]:
    """Names of the checkpoints that are there: `open_checkpoint` and every command take them as they take a folder."""
    return tuple(sorted(path.parent.name for path in shipped_folder().glob(f"*/{MANIFEST}")))
