"""Files of a checkpoint, or of a shared board, from the Hugging Face Hub, through its client's cache."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hemobench.errors import UserError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_repository(name: str) -> bool:
    """Whether a name has the form `user/name`."""
    return _REPOSITORY.fullmatch(name) is not None


def hub_copy(
    repository: str,
    revision: str | None,
    files: Sequence[str],
    *,
    local_files_only: bool = False,
    dataset: bool = False,
) -> tuple[Path, str]:
    """Folder with these files of a model repository, or of a `dataset` one, which holds a board, and the commit that
    the revision stands for.

    Files that were fetched before come from the cache, also offline; with `local_files_only` (or the client's own
    HF_HUB_OFFLINE) nothing is asked of the Hub.

    Raises: UserError where the Hub does not have them, or cannot be reached and neither does the cache.
    """
    from huggingface_hub import snapshot_download

    try:
        # The endpoint is named because the client reads its variable only once, when it is imported.
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(files),
            endpoint=hub_endpoint(),
            local_files_only=local_files_only,
            repo_type="dataset" if dataset else None,
        )
    except hub_errors() as error:
        where = f"{repository}@{revision}" if revision else repository
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        what, kind = ("board", "dataset") if dataset else ("checkpoint", "model")
        raise UserError(
            f"{what} {where} is no folder here and cannot be fetched ({type(error).__name__}: {reason})"
            f"; expected a {kind} repository on the Hub or in its cache; check the name, the revision "
            "and the network"
        ) from error
    return Path(folder), Path(folder).name


def hub_endpoint() -> str | None:
    """$HF_ENDPOINT, None for the client's own choice."""
    return os.environ.get("HF_ENDPOINT")


def hub_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client raises where something is wrong with the Hub, the network or what was asked for."""
    from huggingface_hub.errors import HfHubHTTPError

    # Transfers that break off raise the HTTP library's own error, and which library that is changes with the client.
    return OSError, ValueError, RuntimeError, cast("type[Exception]", HfHubHTTPError.__bases__[0])
