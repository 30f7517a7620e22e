"""What a request leaves in its folder, so that its link can bring the answer back: which scan it was, what was shown.

All of it goes with the folder: when the visitor deletes the scan, chooses another one, or the time is over.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hemobench.io.atomic import replacing

AUTO = "auto"
_REQUEST, _SHOWN = "request.json", "shown.json"


@dataclass(frozen=True)
class Request:
    """What was asked for: uploaded files (paths) or an example (its number), the networks, a series by its key, and
    what the visitor says that the scan is, `AUTO` where its file is to say."""

    files: tuple[str, ...]
    example: int
    weights: str
    series: str = ""
    modality: str = AUTO

    @property
    def said(self) -> str | None:
        """The modality that the visitor said, None where nothing was said."""
        return None if self.modality == AUTO else self.modality


@dataclass(frozen=True)
class Shown:
    """What the page showed in the end: the panel and the list of series as HTML, the viewer's value, whether a DICOM
    SEG can be made, and the 3D figure as plotly's JSON."""

    status: str
    offers: str
    viewer: dict[str, Any]
    segmentable: bool
    figure: str


def keep(folder: Path, what: Request | Shown) -> None:
    """Write it into the request's folder."""
    with replacing(folder / (_REQUEST if isinstance(what, Request) else _SHOWN)) as temporary:
        temporary.write_text(json.dumps(asdict(what)), encoding="utf-8")


def recall(folder: Path) -> tuple[Request, Shown | None] | None:
    """What was kept in a request's folder: None where nothing is there, no Shown where the work was not done."""
    request, shown = _read(folder / _REQUEST), _read(folder / _SHOWN)
    if request is None:
        return None
    request["files"] = tuple(one for one in request["files"] if Path(one).is_file())
    return Request(**request), None if shown is None else Shown(**shown)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content
