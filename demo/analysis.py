"""One request, from uploaded files to a report and the files to take away. Knows nothing of Gradio or visitors."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from demo.limits import check_upload
from demo.privacy import laid_out, words_of
from demo.series import offers_of, series_words
from demo.volume_stream import EncodedVolume, encode_volume
from demo.weights import Opened
from hemobench.errors import UserError
from hemobench.inference.intake import take_in
from hemobench.inference.outputs import MASK, OVERVIEW, REPORT, write_outputs
from hemobench.inference.report import StudyReport
from hemobench.inference.study import analyse
from hemobench.io import Scan, read_scan
from hemobench.io.dicom_seg import write_dicom_seg

# Stages of `hemobench.analyse`, in words and as how much of the way is behind.
STAGES = {
    "reading": ("Reading the scan", 0.05),
    "loading": ("Loading the networks", 0.25),
    "resampling": ("Preparing the slices", 0.35),
    "slice-classifier": ("Looking at every slice", 0.45),
    "haemorrhage": ("Outlining blood", 0.6),
    "ventricles": ("Outlining the ventricles", 0.6),
    "ventricles-ct": ("Outlining the ventricles", 0.75),
    "lesions": ("Measuring what was found", 0.85),
    "measuring": ("Measuring the ventricles", 0.9),
}
# What a stage that tells its parts has behind it when it is done.
PARTS_END = 0.85


class _AtWork:
    """How many scans are looked at in this process: what can wait does not take the processor from a visitor's."""

    def __init__(self) -> None:
        self._count, self._changed = 0, threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self) -> None:
        """Wait until no scan is looked at."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)


AT_WORK = _AtWork()


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found in one scan, and the scan as the viewer draws it (None where nobody will).

    `series` names the DICOM series that was read, `offers` is the list of all of a study's, as HTML; "" where there is
    none. Both hold words of the header's, and are for the page alone.
    """

    report: StudyReport
    encoded: EncodedVolume | None
    series: str = ""
    offers: str = ""


@dataclass(frozen=True)
class Files:
    """The files to take away; `mask` is None where no network outlines anything in such a scan."""

    report: Path
    mask: Path | None
    overview: Path


class Analyst:
    """Answers requests. `folder` is for links to uploads while they are read; engines are shared by the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._analyse = _on_gpu_where_lent(analyse)
        # The other process that a lent GPU works in cannot call back.
        self._tells = "SPACES_ZERO_GPU" not in os.environ

    def answer(
        self,
        paths: Sequence[Path],
        opened: Opened,
        *,
        tell: Callable[[str], None] | None = None,
        tell_part: Callable[[str, float], None] | None = None,
        series: str | None = None,
        modality: str | None = None,
        for_viewer: bool = True,
        segmentation: Path | None = None,
    ) -> Answer:
        """Read an upload and analyse it, coding it for the viewer meanwhile.

        `tell` gets the name of each stage, `tell_part` the share that is done of one that tells it. `segmentation` is
        where to write a DICOM SEG, for which the upload's headers are needed. Raises UserError, one line without file
        names, for a refusal.
        """
        check_upload(paths)
        with AT_WORK, laid_out(paths, self._folder) as place:
            try:
                if tell is not None:
                    tell("reading")
                scan = read_scan(place, series=series)
                if segmentation is not None and scan.kind != "dicom":
                    raise UserError(f"a {scan.kind} scan; expected a DICOM series for a DICOM SEG; take the NIfTI mask")
                found = self._look(scan, opened, (tell, tell_part), modality, for_viewer)
                if for_viewer:
                    found = dataclasses.replace(found, series=series_words(scan), offers=offers_of(scan))
                if segmentation is not None:
                    _segment(found.report, scan, segmentation)
                return found
            except UserError as error:
                raise UserError(words_of(error, place)) from None

    def _look(
        self,
        scan: Scan,
        opened: Opened,
        tell: tuple[Callable[[str], None] | None, Callable[[str, float], None] | None],
        modality: str | None,
        for_viewer: bool,
    ) -> Answer:
        taken = take_in(scan, modality=modality, look_for_head=False)
        # As the networks take it, which is what the viewer must know: grey, HU or MR. Its millimetres are the file's.
        shown = dataclasses.replace(taken.volume, affine=scan.volume.affine)
        options: dict[str, Any] = {"on_stage": tell[0], "on_part": tell[1]} if self._tells else {}
        with ThreadPoolExecutor(max_workers=1) as beside:
            coded = beside.submit(encode_volume, shown) if for_viewer else None
            report = self._analyse(scan, list(opened.checkpoints), modality=modality, **options)
            encoded = None if coded is None else coded.result()
        source = report.source.with_remarks([*opened.remarks, *report.source.warnings])
        return Answer(dataclasses.replace(report, source=source), encoded)


def write_files(report: StudyReport, folder: Path) -> Files:
    """Write report, mask and overview, under names that say nothing of the scan."""
    write_outputs(report, folder)
    mask = folder / MASK
    return Files(folder / REPORT, mask if mask.is_file() else None, folder / OVERVIEW)


def _segment(report: StudyReport, scan: Scan, path: Path) -> None:
    if report.label_map is None or report.ventricles_alone:
        raise UserError("no blood is outlined in such a scan; expected a head CT for a DICOM SEG; take the report")
    algorithm = next((one.name for one in report.model if one.role == "haemorrhage"), "hemobench")
    write_dicom_seg(report.label_map, scan, path, algorithm=algorithm)


def _on_gpu_where_lent(function: Callable[..., StudyReport]) -> Callable[..., StudyReport]:
    """The function, on a GPU that a Space borrows for each call where the `spaces` package is there."""
    if find_spec("spaces") is None:
        return function
    import spaces

    wrapped: Callable[..., StudyReport] = spaces.GPU(function)
    return wrapped
