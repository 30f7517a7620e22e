"""The tab "Scan": upload or example in, viewer, downloads and 3D figure out. Wiring alone; no state is kept here.

A request clears what the page shows, waits its turn, and answers in two steps: the pictures first, then what takes
longer to make. Which scan it was is known to the browser alone (the upload's paths, an example's number).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.analysis import STAGES, Analyst, write_files
from demo.example_cards import SCRIPT, cards
from demo.examples import Example
from demo.jobs import begin, end, folder_of, tidy
from demo.memory import give_back
from demo.privacy import delete_now, log_defect
from demo.status import (
    DEFECT,
    DELETED,
    KEPT,
    NOTHING,
    NOTHING_THERE,
    WAITING,
    WELCOME,
    guard_script,
    panel,
    refused,
)
from demo.surface_figure import surface_figure
from demo.viewer.component import Viewer
from demo.viewer.value import viewer_value
from demo.weights import WeightShelf, in_words
from hemobench.errors import UserError
from hemobench.inference.outputs import SEGMENTATION
from hemobench.inference.report import StudyReport
from hemobench.inference.surface import surfaces

QUEUE = "analysis"
NO_EXAMPLE = -1
_RESULTS = 8  # what `_Page.results` counts
UPLOAD_PIXELS = 132
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# No place in the queue and nothing drawn over the page: for what is done at once.
_AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", **_PRIVATE}
# Whether the page is dark is known in the browser; the 3D figure's ink depends on it.
_WITH_DARK = "(...inputs) => [...inputs.slice(0, 5), document.body.classList.contains('dark')]"
# What a scan is, where its file does not say so or is wrong: the networks of CT and of MR are others.
AUTO = "auto"
_MODALITIES = [("as its file says", AUTO), ("CT", "CT"), ("MR, T1-weighted", "MR"), ("a picture, no HU", "grey")]
_SEG_NOTE = "A DICOM SEG must carry the patient's name and numbers, so it is made only when you ask for it."


@dataclass(frozen=True)
class Workshop:
    """What handlers work with: the same for every visitor. `folder` is Gradio's, where results are put."""

    analyst: Analyst
    shelf: WeightShelf
    examples: tuple[Example, ...]
    folder: Path
    concurrency: int


@dataclass(frozen=True)
class _Page:
    """The components of the tab."""

    upload: gr.File
    scan: gr.File
    example: gr.Number
    job: gr.Textbox
    dark: gr.Checkbox
    cards: gr.HTML
    weights: gr.Dropdown
    modality: gr.Dropdown
    again: gr.Button
    status: gr.HTML
    viewer: gr.HTML
    report: gr.DownloadButton
    mask: gr.DownloadButton
    overview: gr.DownloadButton
    ask_seg: gr.Button
    seg: gr.DownloadButton
    forget: gr.Button
    figure: gr.Plot

    @property
    def results(self) -> list[Any]:
        """What a request fills, in the order of `_results`."""
        return [
            self.status, self.viewer, self.report, self.mask, self.overview, self.seg, self.ask_seg, self.figure,
        ]  # fmt: skip


def scan_tab(workshop: Workshop) -> None:
    """Build the tab inside the current `gr.Tab` and wire it."""
    with gr.Row(elem_classes="scan-row"):
        with gr.Column(elem_classes="scan-side"):
            left = _left_column(workshop)
        with gr.Column(elem_classes="scan-main"):
            status = gr.HTML(panel(WELCOME), elem_id="scan-status", js_on_load=guard_script(), padding=False)
            viewer = Viewer(elem_id="scan-viewer")
            with gr.Accordion("3D: head and what was outlined", open=False, elem_id="scan-3d"):
                figure = gr.Plot(show_label=False, elem_id="scan-figure")
    _wire(_Page(status=status, viewer=viewer, figure=figure, **left), workshop)


def _left_column(workshop: Workshop) -> dict[str, Any]:
    shelf = workshop.shelf
    upload = gr.File(
        label="Scan", file_count="multiple", elem_id="scan-upload", elem_classes="first", height=UPLOAD_PIXELS
    )
    # What is at work or was; the box above is empty again, so that the next scan does not join the last one.
    scan = gr.File(visible=False, file_count="multiple")
    gr.HTML('<p class="side-title">Examples: phantoms, no patients</p>', padding=False, elem_classes="first")
    chooser = gr.HTML(
        cards(workshop.examples), js_on_load=SCRIPT, elem_id="scan-examples", elem_classes="first", padding=False
    )
    example = gr.Number(NO_EXAMPLE, visible=False, precision=0)
    job = gr.Textbox("", visible=False)
    dark = gr.Checkbox(visible=False)
    weights = gr.Dropdown(shelf.choices(), value=shelf.default, label="Networks", elem_id="scan-weights")
    modality = gr.Dropdown(_MODALITIES, value=AUTO, label="The scan is", elem_id="scan-modality")
    again = gr.Button("Analyse again", size="sm", elem_id="scan-again")
    gr.HTML('<p class="side-title">To take away</p>', padding=False)
    with gr.Column(elem_classes="downloads"):
        report = gr.DownloadButton("Report, JSON", size="sm", interactive=False, elem_id="take-report")
        mask = gr.DownloadButton("Mask, NIfTI", size="sm", interactive=False, elem_id="take-mask")
        overview = gr.DownloadButton("Overview, PNG", size="sm", interactive=False, elem_id="take-overview")
        ask_seg = gr.Button("Make DICOM SEG", size="sm", interactive=False, elem_id="ask-seg")
        seg = gr.DownloadButton("Take DICOM SEG", size="sm", visible=False, elem_id="take-seg")
    gr.HTML(f'<p class="side-note">{_SEG_NOTE}</p>', padding=False)
    forget = gr.Button("Delete my scan now", size="sm", elem_id="scan-forget")
    gr.HTML(f'<p class="side-note">Else it is deleted after {KEPT}.</p>', padding=False)
    return {
        "upload": upload, "scan": scan, "example": example, "job": job, "dark": dark, "cards": chooser,
        "weights": weights, "modality": modality, "again": again, "report": report, "mask": mask, "overview": overview,
        "ask_seg": ask_seg, "seg": seg, "forget": forget,
    }  # fmt: skip


def _wire(page: _Page, workshop: Workshop) -> None:
    inputs = [page.scan, page.example, page.weights, page.job, page.modality]
    begun = [page.scan, page.upload, page.example, page.job, *page.results]
    in_turn: dict[str, Any] = {
        "concurrency_id": QUEUE, "concurrency_limit": workshop.concurrency, "show_progress_on": [page.status],
        **_PRIVATE,
    }  # fmt: skip
    # `always_last`: whoever drops another scan while one is at work gets the last one in the end.
    work: dict[str, Any] = {
        "inputs": [*inputs, page.dark], "js": _WITH_DARK, "outputs": page.results, "trigger_mode": "always_last",
        **in_turn,
    }  # fmt: skip
    answer, starters = _answerer(workshop), _Starters(workshop.folder)
    page.upload.upload(starters.uploaded, [page.upload, page.job], begun, **_AT_ONCE).then(answer, **work)
    page.cards.click(starters.chosen, page.job, begun, **_AT_ONCE).then(answer, **work)
    anew = [page.job, *page.results]
    page.again.click(starters.anew, page.job, anew, **_AT_ONCE).then(answer, **work)
    # Not `input`, which comes whenever the drop-down is left.
    for choice in (page.weights, page.modality):
        choice.change(starters.anew, page.job, anew, **_AT_ONCE).then(answer, **work)
    page.ask_seg.click(_segmenter(workshop), inputs, [page.status, page.seg], **in_turn)
    page.forget.click(_forgetter(workshop), [page.scan, page.job], begun, **_AT_ONCE)


class _Starters:
    """What happens at once when a scan is asked for: the page's earlier request ends and nothing of it is shown."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def uploaded(self, files: list[str] | None, job: str) -> tuple[Any, ...]:
        return files, None, NO_EXAMPLE, *self.anew(job)

    def chosen(self, job: str, event: gr.EventData) -> tuple[Any, ...]:
        """The number of the example that was clicked; the upload, if there was one, is put away."""
        return None, None, event.index, *self.anew(job)

    def anew(self, job: str) -> list[Any]:
        return [begin(self._folder, job), *_results(panel(WAITING, "busy"), None)]


def _results(status: str, viewer: Any) -> list[Any]:
    """Values of `_Page.results`: this panel and this picture, and nothing else to show."""
    return [status, viewer, *_taken(), gr.Button(interactive=False), None]


def _unchanged() -> list[Any]:
    """Values of `_Page.results` that leave the page as it is."""
    return [gr.skip() for _ in range(_RESULTS)]


def _taken(files: Sequence[Path | None] = (None, None, None)) -> list[Any]:
    """The buttons that take files away; a DICOM SEG of an earlier scan goes."""
    downloads = [gr.DownloadButton(value=str(one) if one else None, interactive=one is not None) for one in files]
    return [*downloads, gr.DownloadButton(value=None, visible=False)]


class _UnwantedError(Exception):
    """Work on a scan that was deleted, or that another took the place of, stops where it is."""


def _answerer(workshop: Workshop) -> Callable[..., Iterator[list[Any]]]:
    def answer(
        files: list[str] | None,
        example: float,
        weights: str,
        job: str,
        modality: str,
        dark: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[list[Any]]:
        furthest = 0.0

        def tell(stage: str) -> None:
            nonlocal furthest
            if folder_of(workshop.folder, job) is None:
                raise _UnwantedError
            words, share = STAGES.get(stage, ("Working", 0.5))
            furthest = max(furthest, share)
            progress(furthest, desc=words)

        try:
            for step in steps(_paths(files, example, workshop.examples), weights, job, _said(modality), dark, tell):
                # Asked again before each step is shown: another scan may have been chosen meanwhile.
                if folder_of(workshop.folder, job) is None:
                    raise _UnwantedError
                yield step
        except UserError as error:
            yield _results(refused(str(error)), None) if folder_of(workshop.folder, job) else _unchanged()
        except Exception as error:
            if folder_of(workshop.folder, job) is None:
                yield _unchanged()  # its folder went under its hands, as it should
                return
            log_defect(error)
            yield _results(panel(DEFECT, "failed"), None)
        finally:
            tidy(workshop.folder, job)
            give_back()

    def steps(
        paths: list[Path], weights: str, job: str, modality: str | None, dark: bool, tell: Callable[[str], None]
    ) -> Iterator[list[Any]]:
        folder = folder_of(workshop.folder, job)
        if folder is None or not paths:
            yield _results(panel(NOTHING), None)
            return
        opened = workshop.shelf.open(weights)
        found = workshop.analyst.answer(paths, opened, tell=tell, modality=modality)
        assert found.encoded is not None
        value = viewer_value(found.report, found.encoded, folder)
        report = found.report
        del found
        pending = (gr.skip() for _ in range(_RESULTS - 2))
        yield [panel(_done(report), "done", opened.remarks), value, *pending]
        written = write_files(report, folder)
        figure = surface_figure(surfaces(report), lesions=report.lesions, dark=dark)
        segmentable = report.source.kind == "dicom" and report.label_map is not None and not report.ventricles_alone
        yield [
            gr.skip(), gr.skip(), *_taken((written.report, written.mask, written.overview)),
            gr.Button(interactive=segmentable), figure,
        ]  # fmt: skip

    return answer


def _segmenter(workshop: Workshop) -> Callable[..., list[Any]]:
    def segment(files: list[str] | None, example: float, weights: str, job: str, modality: str) -> list[Any]:
        try:
            paths, folder = _paths(files, example, workshop.examples), folder_of(workshop.folder, job)
            if not paths or folder is None:
                return [panel(NOTHING), gr.skip()]
            opened = workshop.shelf.open(weights)
            path = folder / SEGMENTATION
            report = workshop.analyst.answer(
                paths, opened, modality=_said(modality), for_viewer=False, segmentation=path
            ).report
            if folder_of(workshop.folder, job) is None:
                return [gr.skip(), gr.skip()]
            words = f"The DICOM SEG is ready to take. It was made anew by {in_words(report.model)}."
            return [panel(words, "done", opened.remarks), gr.DownloadButton(value=str(path), visible=True)]
        except UserError as error:
            return [refused(str(error), "No DICOM SEG"), gr.skip()]
        except Exception as error:
            if folder_of(workshop.folder, job) is None:
                return [gr.skip(), gr.skip()]  # the scan was deleted meanwhile
            log_defect(error)
            return [panel(DEFECT, "failed"), gr.skip()]
        finally:
            tidy(workshop.folder, job)
            give_back()

    return segment


def _forgetter(workshop: Workshop) -> Callable[..., tuple[Any, ...]]:
    def forget(files: list[str] | None, job: str) -> tuple[Any, ...]:
        there = bool(files) or folder_of(workshop.folder, job) is not None
        end(workshop.folder, job)
        delete_now([Path(one) for one in files or []], workshop.folder)
        return None, None, NO_EXAMPLE, "", *_results(panel(DELETED if there else NOTHING_THERE), None)

    return forget


def _paths(files: list[str] | None, example: float, examples: Sequence[Example]) -> list[Path]:
    """The files of a request: the upload's, else the example's."""
    if files:
        return [Path(one) for one in files]
    number = int(example)
    return [examples[number].path] if 0 <= number < len(examples) else []


def _said(modality: str) -> str | None:
    """What the visitor said that the scan is; None where its file is to say."""
    return None if modality == AUTO else modality


def _done(report: StudyReport) -> str:
    return f"Analysed in {report.timing_s.get('total', 0.0):.1f} s by {in_words(report.model)}."
