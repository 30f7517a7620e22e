"""What becomes of a visitor's files: a private folder, neutral names, deletion on time, and a log without names.

Gradio deletes what it has registered: uploads, and files that handlers return. This module's sweep takes the rest:
uploads that broke off, empty folders, and what an earlier process left when it was killed.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hemobench.cli.scans import SCAN_ENDINGS
from hemobench.errors import UserError
from hemobench.io.picture_stack import by_name

_log = logging.getLogger("hemobench.demo")
# Uploads and results; a visitor who looks longer keeps the pictures, which are in the browser, and uploads again.
KEEP_S = 30 * 60
SWEEP_EVERY_S = 60
_PREFIX = "hemobench-demo-"
_FRAMES = 6


def private_folder(parent: Path | None = None) -> Path:
    """A new folder that only this user may look into, in `parent` or the system's own, deleted when the process ends.

    Folders of demos that were killed are deleted too: their names hold the process' id.
    """
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(f"{_PREFIX}*"):
        owner = re.match(rf"{_PREFIX}(\d+)-", old.name)
        if owner is not None and not _is_alive(int(owner[1])):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def sweep(folder: Path, older_than_s: float) -> int:
    """Delete files that nobody has changed for that long, and folders that are empty; gives how many files."""
    deleted = 0
    limit = time.time() - older_than_s
    for parent, folders, names in os.walk(folder, topdown=False):
        for path in (Path(parent, name) for name in names):
            try:
                if path.lstat().st_ctime < limit:
                    path.unlink()
                    deleted += 1
            except FileNotFoundError:
                continue  # Gradio was faster
        for path in (Path(parent, name) for name in folders):
            try:
                if path.lstat().st_ctime < limit:
                    path.rmdir()
            except OSError:
                continue  # still in use
    return deleted


def keep_swept(folder: Path, *, keep_s: float = KEEP_S, every_s: float = SWEEP_EVERY_S) -> threading.Event:
    """Sweep `folder` in a background thread until the event that this gives is set."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(every_s):
            # A little later than Gradio, which forgets only what it has deleted itself.
            sweep(folder, keep_s + 2 * every_s)

    threading.Thread(target=work, name="sweep", daemon=True).start()
    return stop


@contextmanager
def laid_out(paths: Sequence[Path], folder: Path) -> Iterator[Path]:
    """One file, or a folder of them, under neutral names, for as long as the block lasts.

    They are numbered in the order of their own names, as slices are, or as given where names are there twice (those of
    several folders). The links stand even where an upload is deleted meanwhile.
    """
    place = folder / f"work-{uuid.uuid4().hex}"
    place.mkdir(parents=True)
    names = {path.name for path in paths}
    ordered = sorted(paths, key=lambda path: by_name(path.name)) if len(names) == len(paths) else paths
    try:
        for number, path in enumerate(ordered, start=1):
            name = f"{number:05d}" if len(paths) > 1 else f"scan{_ending(path)}"
            _link(path, place / name)
        yield place if len(paths) > 1 else next(place.iterdir())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError as error:
        raise UserError(
            "the upload is no longer here; expected it within the time that scans are kept; upload it again"
        ) from error
    except OSError:
        shutil.copyfile(source, target)  # another disc, or a file system without links


def _ending(path: Path) -> str:
    """The ending where it is a scan's; whatever else stands in a name may be a patient's."""
    lower = path.name.lower()
    return max((one for one in SCAN_ENDINGS if lower.endswith(one)), key=len, default="")


def words_of(error: UserError, place: Path | None = None) -> str:
    """The line of a refusal as the visitor sees it, without our folders: "the upload" stands for `place`.

    >>> words_of(UserError("/tmp/x/work-1/scan.zip is damaged; expected a zip"), Path("/tmp/x/work-1/scan.zip"))
    'The upload is damaged; expected a zip'
    """
    line = " ".join(str(error).split())
    if place is not None:
        line = line.replace(f"{place}{os.sep}", "file ").replace(str(place), "the upload")
        line = line.replace(f"{place.parent}{os.sep}", "")
    return line[:1].upper() + line[1:]


def new_folder(parent: Path) -> Path:
    """An empty folder with a name that nobody guesses."""
    folder = parent / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def delete_now(paths: Sequence[Path], folder: Path) -> None:
    """Delete uploads and results before their time: each file and what lies beside it in a folder of its own.

    `paths` come from a browser: what does not lie in a folder directly under `folder` is left alone.
    """
    root = folder.resolve()
    for path in paths:
        own = Path(os.path.normpath(path)).parent
        if own.parent == root and re.fullmatch(r"[0-9a-f]{32,64}", own.name):
            shutil.rmtree(own, ignore_errors=True)


def log_defect(error: BaseException) -> None:
    """Log what went wrong by type and place alone: messages may hold file names, and those patients' names."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    _log.error("a request failed: %s at %s", type(error).__name__, places or "an unknown place")
