"""What answers the page's requests, and the work of one: look at the scan, then make what takes longer. No Gradio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from demo.analysis import Analyst, Files, write_files
from demo.examples import Example
from demo.jobs import begin, end, folder_of
from demo.kept import AUTO, Request, Shown, keep
from demo.status import ARRIVED, answered
from demo.surface_figure import surface_figure
from demo.truth import truth_of
from demo.viewer.value import viewer_value
from demo.weights import WeightShelf
from hemobench.inference.report import StudyReport
from hemobench.inference.surface import surfaces
from hemobench.io.atomic import replacing


class Welcome:
    """The answer to one example, made once by this process and kept in memory: the page opens with it. Whoever arrives
    before it is made finds the page empty. It holds nothing of visitors."""

    def __init__(self) -> None:
        self._kept: tuple[Request, dict[str, bytes], dict[bool, Shown]] | None = None

    def take(self, request: Request, folder: Path, shown: dict[bool, Shown]) -> None:
        """Keep what was made in `folder`; `shown` for a light page and a dark one."""
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self._kept = request, files, shown

    def open(self, parent: Path, dark: bool) -> str:
        """Lay the answer out as one request of this visitor alone, who may delete it or ask again; gives its secret,
        "" where there is nothing yet."""
        if self._kept is None:
            return ""
        request, files, shown = self._kept
        job = begin(parent)
        folder = folder_of(parent, job)
        assert folder is not None
        for name, content in files.items():
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)
        own = shown[dark]
        stream = folder / Path(own.viewer["volume"]["path"]).name
        keep(folder, request)
        keep(folder, replace(own, viewer={**own.viewer, "volume": {**own.viewer["volume"], "path": str(stream)}}))
        return job


@dataclass(frozen=True)
class Workshop:
    """What handlers work with: the same for every visitor. `folder` is Gradio's, where results are put."""

    analyst: Analyst
    shelf: WeightShelf
    examples: tuple[Example, ...]
    folder: Path
    concurrency: int
    welcome: Welcome = field(default_factory=Welcome)


@dataclass(frozen=True)
class Looked:
    """What is known once the networks have looked: the panel and the list of series as HTML, the viewer's value."""

    report: StudyReport
    status: str
    viewer: dict[str, Any]
    offers: str


def paths_of(request: Request, examples: Sequence[Example]) -> list[Path]:
    """The files of a request: the upload's, else the example's."""
    if request.files:
        return [Path(one) for one in request.files]
    return [examples[request.example].path] if 0 <= request.example < len(examples) else []


def look(
    workshop: Workshop,
    request: Request,
    folder: Path,
    tell: Callable[[str], None] | None = None,
    tell_part: Callable[[str, float], None] | None = None,
    note: str = "",
) -> Looked:
    """Read and analyse the scan of a request, and write what the viewer draws from into its folder. `note` stands below
    the answer's sentence; `tell` and `tell_part` are those of `Analyst.answer`. Raises: UserError for a refusal."""
    opened = workshop.shelf.open(request.weights)
    paths = paths_of(request, workshop.examples)
    found = workshop.analyst.answer(
        paths, opened, series=request.series or None, modality=request.said, tell=tell, tell_part=tell_part
    )
    assert found.encoded is not None
    report, name, truth = found.report, found.series, None
    if request.example >= 0:
        example = workshop.examples[request.example]
        name, truth = f"Example, {example.title}", truth_of(example, report, found.encoded.reduced)
    value = viewer_value(report, found.encoded, folder, name, truth)
    return Looked(report, answered(report, opened.remarks, note), value, found.offers)


def finished(looked: Looked, folder: Path, dark: bool) -> tuple[Files, Shown]:
    """Write the files to take away into the request's folder, and make the 3D figure."""
    report = looked.report
    written = write_files(report, folder)
    figure = surface_figure(surfaces(report), lesions=report.lesions, dark=dark)
    segmentable = report.source.kind == "dicom" and report.label_map is not None and not report.ventricles_alone
    return written, Shown(looked.status, looked.offers, looked.viewer, segmentable, str(figure.to_json()))


def prepare_welcome(workshop: Workshop) -> None:
    """Answer the first example for the page to open with. Raises: UserError where no network can be opened."""
    request = Request((), 0, workshop.shelf.default, modality=AUTO)
    job = begin(workshop.folder)
    folder = folder_of(workshop.folder, job)
    assert folder is not None
    try:
        looked = look(workshop, request, folder, note=ARRIVED)
        workshop.welcome.take(request, folder, {dark: finished(looked, folder, dark)[1] for dark in (False, True)})
    finally:
        end(workshop.folder, job)
