"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hemobench.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, with its suffixes, and move the file there when the block ends well.

    Missing folders are made. When the block raises, the temporary file is removed and `path` stays as it was. Raises
    UserError where the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".part-{uuid.uuid4().hex}{''.join(path.suffixes[-2:])}")
        # Not mkstemp, which makes private files: what is kept should be as readable as any other file of the user's.
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); expected a writable folder; use another") from error
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
