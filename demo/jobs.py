"""A request and its folder are one: the folder is made when it begins and is where its results go; whoever deletes the
folder, because another scan was chosen or the visitor asked for it, ends the request. Nothing is kept in memory.

A mark in the folder says that it is wanted: what is being written when a folder goes would bring the folder back.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from demo.privacy import new_folder

_NAME = re.compile(r"[0-9a-f]{32}")
_MARK = "wanted"


def begin(parent: Path, earlier: str | None = None) -> str:
    """Begin a request, ending the page's earlier one; gives its name, which nobody can guess."""
    end(parent, earlier)
    folder = new_folder(parent)
    (folder / _MARK).touch()
    return folder.name


def folder_of(parent: Path, job: str | None) -> Path | None:
    """The folder of a request that is still wanted."""
    folder = _place(parent, job)
    return folder if folder is not None and (folder / _MARK).is_file() else None


def end(parent: Path, job: str | None) -> None:
    """Delete a request's folder with all that was made; what is at work on it stops before it shows anything."""
    folder = _place(parent, job)
    if folder is not None:
        (folder / _MARK).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def tidy(parent: Path, job: str | None) -> None:
    """Delete what was still being written for a request when it ended; nothing where it has not."""
    if folder_of(parent, job) is None:
        end(parent, job)


def _place(parent: Path, job: str | None) -> Path | None:
    # It comes from a browser: only names like those we give lead anywhere.
    return parent / job if job and _NAME.fullmatch(job) else None
