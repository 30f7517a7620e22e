"""Which transfer syntax a DICOM file is written in, whatever it declares.

Anonymisers and archives copy a transfer syntax from elsewhere. The first element of a data set shows its byte order and
whether it names kinds (VR).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from hemobench.errors import UserError
from hemobench.io.archive import Entry

_META_BYTES = 4096
_MOST_BYTES = 256 * 1024**2
_NOBODY = UID("2.25.0")  # stands where a file meta header must name an instance


def believable(entry: Entry, stream: BinaryIO) -> tuple[BinaryIO, int]:
    """The file with a meta header that its data set bears out, and by how many bytes that moved the data set: where
    the declared way of writing is not the one that shows, the latter is written in its place. Raises: UserError for a
    file that is too large for that.
    """
    head = stream.read(_META_BYTES)
    stream.seek(0)
    if head[128:132] != b"DICM" or head[132:140] != b"\x02\0\0\0UL\x04\0":
        return stream, 0
    start = 144 + struct.unpack("<I", head[140:144])[0]
    shown, declared = _syntax_shown(head[start : start + 8]), _declared_syntax(head[:start])
    if shown is None or declared is None or shown == _written_as(declared):
        return stream, 0
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = shown, CTImageStorage
    meta.MediaStorageSOPInstanceUID = _NOBODY
    written = DicomBytesIO()
    write_file_meta_info(written, meta, enforce_standard=False)
    preface = head[:132] + written.getvalue()
    stream.seek(start)
    rest = stream.read(_MOST_BYTES + 1)
    if len(rest) > _MOST_BYTES:
        raise UserError(
            f"{entry.path} declares a transfer syntax that it has not, and is too large to be mended; export it again"
        )
    return BytesIO(preface + rest), len(preface) - start


def _syntax_shown(head: bytes) -> UID | None:
    """What the first 8 bytes of a data set are written in, None where they are not the start of one."""
    if head[:2] == b"\x08\0" and head[3:4] == b"\0":
        return ExplicitVRLittleEndian if head[4:6].isalpha() and head[4:6].isupper() else ImplicitVRLittleEndian
    if head[:2] == b"\0\x08" and head[2:3] == b"\0" and head[4:6].isalpha() and head[4:6].isupper():
        return ExplicitVRBigEndian
    return None


def _declared_syntax(meta: bytes) -> UID | None:
    at = meta.find(b"\x02\0\x10\0UI", 132)
    if at < 0:
        return None
    (length,) = struct.unpack("<H", meta[at + 6 : at + 8])
    return UID(meta[at + 8 : at + 8 + length].decode("latin-1").strip(" \0"))


def _written_as(syntax: UID) -> UID | None:
    """How the data set around the pixels is written in a transfer syntax; None for one that is deflated."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return None
    return syntax if syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian) else ExplicitVRLittleEndian
