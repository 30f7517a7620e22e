"""Where scan files lie: in a folder with its subfolders, or in a zip archive that nobody has to trust.

Nothing is unpacked to disk. A zip is refused as a whole when it is encrypted, when a member's name leads out of it, or
when it declares more members, bytes or compression than the limits here; what a member then gives is cut at the size
it declared.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hemobench.errors import UserError

MAX_MEMBERS = 20_000
MAX_MEMBER_BYTES = 1024**3
MAX_TOTAL_BYTES = 4 * 1024**3
# A blank CT slice shrinks a thousandfold, a whole series about fourfold.
MAX_RATIO = 100
_RATIO_COUNTS_FROM_BYTES = 256 * 1024**2
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError)
_STRAYS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, eq=False)
class Entry:
    """One file of a folder or archive. `name` is its path inside it, `member` its place in an open `archive`."""

    name: str
    root: Path
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None

    @property
    def path(self) -> Path:
        """Where the file lies on disk; for a member of an archive only a name for messages."""
        return self.root / self.name if self.name else self.root

    def open(self) -> BinaryIO:
        """The content as a stream that can seek; UserError where it cannot be read or is too large."""
        if self.archive is not None and self.member is not None:
            return io.BytesIO(_read_member(self.archive, self.member, self.root))
        try:
            size = self.path.stat().st_size
            if size > MAX_MEMBER_BYTES:
                raise UserError(f"{self.path} has {size:,} bytes; expected at most {MAX_MEMBER_BYTES:,}; crop the scan")
            return self.path.open("rb")
        except OSError as error:
            raise UserError(
                f"cannot read {self.path} ({error.strerror}); expected a readable file; check its permissions"
            ) from error

    def read(self) -> bytes:
        """The whole content; errors as for `open`."""
        with self.open() as stream:
            return stream.read()

    def head(self, count: int) -> bytes:
        """The first bytes, `count` at the most."""
        if self.archive is not None and self.member is not None:
            return _read_member(self.archive, self.member, self.root, count)
        with self.open() as stream:
            return stream.read(count)


def file_entry(path: Path) -> Entry:
    """A single file as an entry."""
    return Entry("", path)


def folder_entries(folder: Path) -> list[Entry]:
    """Every regular file under a folder, sorted, without what operating systems leave behind.

    Links to files are followed, links to folders are not (they may lead in circles).
    """
    entries: list[Entry] = []
    for path in _walk(folder):
        if len(entries) >= MAX_MEMBERS:
            raise UserError(f"{folder} has more than {MAX_MEMBERS:,} files; expected one study; choose its own folder")
        entries.append(Entry(path.relative_to(folder).as_posix(), folder))
    return sorted(entries, key=lambda entry: entry.name)


def zip_entries(path: Path) -> list[Entry]:
    """Members of a zip that are files; UserError for an archive that is broken, encrypted or beyond the limits."""
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as an entry of it is in use
        members = archive.infolist()
    except BROKEN_ZIP as error:
        raise _damaged(path) from error
    _check_limits(path, members)
    files = []
    for member in members:
        if member.flag_bits & 0x1:
            raise UserError(f"{path} is encrypted; expected a zip without password; unpack it first")
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or parts.as_posix()[1:2] == ":":
            raise UserError(f"{path} has a member whose name leads out of it; expected names inside; do not trust it")
        if not member.is_dir() and not _is_link(member) and not _is_stray(parts.parts):
            files.append(Entry(member.filename, path, archive, member))
    return sorted(files, key=lambda entry: entry.name)


def _check_limits(path: Path, members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    largest = max((member.file_size for member in members), default=0)
    if len(members) > MAX_MEMBERS:
        raise UserError(f"{path} has {len(members):,} members; expected at most {MAX_MEMBERS:,}; zip one study alone")
    if total > MAX_TOTAL_BYTES or largest > MAX_MEMBER_BYTES:
        raise UserError(
            f"{path} unpacks to {total:,} bytes, {largest:,} in one member; expected at most {MAX_TOTAL_BYTES:,} and "
            f"{MAX_MEMBER_BYTES:,}; zip one study alone"
        )
    if total > _RATIO_COUNTS_FROM_BYTES and total / packed > MAX_RATIO:
        raise UserError(
            f"{path} unpacks to {total / packed:,.0f} times its size; expected at most {MAX_RATIO} times beyond "
            f"{_RATIO_COUNTS_FROM_BYTES:,} bytes; it looks like a zip bomb, so unpack it yourself if you trust it"
        )


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_stray((name,)))
        for name in names:
            path = Path(parent, name)
            # A pipe or device would block for ever; a broken link has nothing to read.
            if not _is_stray((name,)) and path.is_file():
                yield path


def _is_stray(parts: tuple[str, ...]) -> bool:
    return any(part in _STRAYS or part.startswith("._") for part in parts)


def _is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, count: int | None = None) -> bytes:
    try:
        with archive.open(member) as stream:
            # ZipExtFile never gives more than the declared size, which the limits have seen.
            return stream.read() if count is None else stream.read(count)
    except BROKEN_ZIP as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged or no zip archive; expected a whole zip; copy or zip it again")
