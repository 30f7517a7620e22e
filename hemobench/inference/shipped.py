"""Which checkpoints are used: those that were given, those that the environment names, or those that are shipped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from hemobench.errors import UserError
from hemobench.inference.checkpoint import MANIFEST, Checkpoint, open_checkpoint
from hemobench.inference.places import shipped_folder, shipped_names

__all__ = ["ENVIRONMENT", "SHIPPED", "CheckpointSource", "checkpoints_by_role", "shipped_folder", "shipped_names"]

ENVIRONMENT = "HEMOBENCH_CHECKPOINT"
SHIPPED = ("slice-classifier", "bleed", "ventricles", "ventricles-ct")
CheckpointSource = str | Path | Checkpoint


def checkpoints_by_role(given: CheckpointSource | Sequence[CheckpointSource] | None = None) -> dict[str, Checkpoint]:
    """One checkpoint a role, from folders, Hub ids, or open ones.

    None stands for `$HEMOBENCH_CHECKPOINT` (several with commas between), and without it for the shipped ones that are
    there. Each is read and verified once a process, and again when its manifest changes. Raises UserError where there
    is none, one cannot be opened, or two fill the same role.
    """
    by_role: dict[str, Checkpoint] = {}
    for one in _sources(given):
        checkpoint = one if isinstance(one, Checkpoint) else _opened(one)
        role = checkpoint.config.role
        if role in by_role:
            raise UserError(
                f"two checkpoints for the role {role} ({by_role[role].name} and {checkpoint.name}); expected one a "
                "role; leave one out"
            )
        by_role[role] = checkpoint
    return by_role


def _sources(given: CheckpointSource | Sequence[CheckpointSource] | None) -> list[CheckpointSource]:
    if isinstance(given, str | Path | Checkpoint):
        return [given]
    if given is not None:
        if not given:
            raise UserError("no checkpoint given; expected one or more; leave the option out for the shipped ones")
        return list(given)
    named = [part.strip() for part in os.environ.get(ENVIRONMENT, "").split(",") if part.strip()]
    if named:
        return list(named)
    shipped = [shipped_folder() / name for name in SHIPPED]
    found = [folder for folder in shipped if (folder / MANIFEST).is_file()]
    if not found:
        raise UserError(
            f"no checkpoint given and none shipped beside this installation; expected a checkpoint's folder or Hub id; "
            f"name one, or set {ENVIRONMENT}"
        )
    return list(found)


def _opened(where: str | Path) -> Checkpoint:
    manifest = Path(where).expanduser() / MANIFEST
    changed = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return _opened_once(str(where), changed)


@lru_cache(maxsize=16)
def _opened_once(where: str, changed: int) -> Checkpoint:
    return open_checkpoint(where)
