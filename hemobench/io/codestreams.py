"""What a compressed picture says of itself before it is decoded: markers of JPEG, JPEG-LS and JPEG 2000.

Source: ITU-T T.81 (JPEG), T.87 (JPEG-LS) and T.800 (JPEG 2000), the tables of markers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Markers of JPEG that start a frame: C0 to CF without the tables C4, C8, CC; F7 is JPEG-LS.
_START_OF_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)


def frame_marker(content: bytes) -> int | None:
    """The marker that starts the frame, which tells the kind of coding; None where there is none."""
    return next((marker for marker, _ in _segments(content) if marker in _START_OF_FRAME), None)


def codestream_size(content: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares, None where none is found."""
    if content[:4] == b"\xff\x4f\xff\x51" and len(content) >= 24:
        right, bottom, left, top = struct.unpack(">4I", content[8:24])
        return bottom - top, right - left
    for marker, place in _segments(content):
        if marker in _START_OF_FRAME and place + 9 <= len(content):
            rows, columns = struct.unpack(">HH", content[place + 5 : place + 9])
            return rows, columns
    return None


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG or JPEG-LS codestream up to the frame's start, each with the place of its 0xFF."""
    place = 2
    while content[:2] == b"\xff\xd8" and place + 4 <= len(content) and content[place] == 0xFF:
        marker, (length,) = content[place + 1], struct.unpack(">H", content[place + 2 : place + 4])
        if marker != 0xFF:
            yield marker, place
        if marker in _START_OF_FRAME:
            return
        # 0xFF before a marker is filling; all other markers up to the frame's start carry a length.
        place += 1 if marker == 0xFF else 2 + length
