"""A request and its folder are one: the folder is made when it begins and is where its results go; whoever deletes the
folder, because another scan was chosen or the visitor asked for it, ends the request. Nothing is kept in memory.

A request is known by a secret that only the browser has, and its folder by the secret's hash: paths of files stand in
addresses and logs, and nobody finds the secret in them. A mark in the folder says that it is wanted: what is being
written when a folder goes would bring the folder back.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import time
from pathlib import Path

_SECRET_BYTES = 24
_SECRET = re.compile(r"[A-Za-z0-9_-]{32}")
_MARK = "wanted"


def begin(parent: Path, earlier: str | None = None) -> str:
    """Begin a request, ending the page's earlier one; gives its secret, which nobody can guess."""
    end(parent, earlier)
    job = secrets.token_urlsafe(_SECRET_BYTES)
    folder = _place(parent, job)
    assert folder is not None
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    return job


def folder_of(parent: Path, job: str | None, *, within_s: float | None = None) -> Path | None:
    """The folder of a request that is still wanted, and that began not longer ago than `within_s`."""
    folder = _place(parent, job)
    try:
        began = None if folder is None else (folder / _MARK).stat().st_mtime
    except OSError:
        return None
    if began is None or (within_s is not None and time.time() - began > within_s):
        return None
    return folder


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
    # It comes from a browser: only secrets like those we give lead anywhere.
    if not job or not _SECRET.fullmatch(job):
        return None
    return parent / hashlib.sha256(job.encode("ascii")).hexdigest()[:32]
