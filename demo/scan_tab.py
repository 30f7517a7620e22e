"""The tab "Scan": upload or example in, viewer, downloads and 3D figure out. Wiring alone; no state is kept here.

A request clears what the page shows, waits its turn, and answers in two steps: the pictures first, then what takes
longer to make. Which scan it was is known to the browser, and to the request's own folder: by the secret in the page's
address (`demo.jobs`) the answer comes back when the page is loaded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from plotly.io import from_json

from demo.analysis import PARTS_END, STAGES
from demo.door import door_script
from demo.jobs import begin, end, folder_of, tidy
from demo.kept import Request, keep, recall
from demo.memory import give_back
from demo.privacy import KEEP_S, delete_now, log_defect
from demo.scan_page import BEGUN, NO_EXAMPLE, RESULTS, Page, asked, results, taken, unchanged, way_in, way_out
from demo.series import SCRIPT as SERIES_SCRIPT
from demo.status import (
    DEFECT,
    DELETED,
    GONE,
    NOTHING,
    NOTHING_THERE,
    WAITING,
    WELCOME,
    answered,
    panel,
    refused,
)
from demo.viewer.component import Viewer
from demo.weights import in_words
from demo.workshop import Workshop, finished, look, paths_of
from hemobench.errors import UserError
from hemobench.inference.outputs import MASK, OVERVIEW, REPORT, SEGMENTATION

QUEUE = "analysis"
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# No place in the queue and nothing drawn over the page: for what is done at once.
_AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", **_PRIVATE}
# Whether the page is dark is known in the browser; the 3D figure's ink depends on it.
_WITH_DARK = "(...inputs) => [...inputs.slice(0, 6), document.body.classList.contains('dark')]"
# The secret goes into the address and comes from there; the page's script (demo/door.js) sees to it.
_LINK = "(job) => { window.hemobench?.link(job); return []; }"
_LINKED = (
    "(...inputs) => [new URLSearchParams(location.hash.slice(1)).get('scan') ?? '', "
    "document.body.classList.contains('dark')]"
)
_AGAIN_IF = "(pending) => { if (pending) document.querySelector('#scan-again').click(); return []; }"


def scan_tab(workshop: Workshop, demo: gr.Blocks) -> None:
    """Build the tab of `demo` inside the current `gr.Tab` and wire it."""
    with gr.Row(elem_classes=["scan-row", "desk"]):
        with gr.Column(elem_classes=["scan-side", "first"]):
            top = way_in(workshop.examples)
        with gr.Column(elem_classes="scan-main"):
            status = gr.HTML(panel(WELCOME), elem_id="scan-status", js_on_load=door_script(), padding=False)
            offers = gr.HTML("", elem_id="scan-series", js_on_load=SERIES_SCRIPT, padding=False)
            viewer = Viewer(elem_id="scan-viewer")
            with gr.Accordion("3D: head and what was outlined", open=False, elem_id="scan-3d"):
                figure = gr.Plot(show_label=False, elem_id="scan-figure")
        # After the pictures, so that the Tab key comes to them first; the style puts it below the examples.
        with gr.Column(elem_classes=["scan-side", "rest"]):
            rest = way_out(workshop.shelf)
    _wire(Page(status=status, offers=offers, viewer=viewer, figure=figure, **top, **rest), workshop, demo)


def _wire(page: Page, workshop: Workshop, demo: gr.Blocks) -> None:
    in_turn: dict[str, Any] = {
        "concurrency_id": QUEUE,
        "concurrency_limit": workshop.concurrency,
        "show_progress_on": [page.status],
        **_PRIVATE,
    }
    # `always_last`: whoever drops another scan while one is at work gets the last one in the end.
    work: dict[str, Any] = {
        "inputs": [*page.request, page.dark],
        "js": _WITH_DARK,
        "outputs": page.results,
        "trigger_mode": "always_last",
        **in_turn,
    }
    answer, starters = _answerer(workshop), _Starters(workshop.folder)
    of_the_box = [page.upload, *page.request[1:]]
    # Not `input` of a drop-down, which comes whenever it is left.
    for begun in (
        page.upload.upload(starters.uploaded, of_the_box, page.begun, **_AT_ONCE),
        page.example.click(starters.chosen, page.request, page.begun, **_AT_ONCE),
        page.offers.click(starters.of_series, page.request, page.begun, **_AT_ONCE),
        page.again.click(starters.anew, page.request, page.begun, **_AT_ONCE),
        page.weights.change(starters.rechosen, page.request, page.begun, **_AT_ONCE),
        page.modality.change(starters.rechosen, page.request, page.begun, **_AT_ONCE),
    ):
        begun.then(None, page.job, None, js=_LINK, **_AT_ONCE).then(answer, **work)
    page.ask_seg.click(_segmenter(workshop), page.request, [page.status, page.seg], **in_turn)
    page.forget.click(_forgetter(workshop), [page.scan, page.job], page.begun, **_AT_ONCE).then(
        None, page.job, None, js=_LINK, **_AT_ONCE
    )
    demo.load(
        _reviver(workshop),
        [page.job, page.dark],
        [*page.begun, page.weights, page.modality, page.pending],
        js=_LINKED,
        **_AT_ONCE,
    ).then(None, page.pending, None, js=_AGAIN_IF, **_AT_ONCE)


class _Starters:
    """What happens at once when a scan is asked for: the page's earlier request ends and nothing of it is shown."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def uploaded(
        self, files: list[str] | None, example: int, weights: str, series: str, modality: str, job: str
    ) -> list[Any]:
        return self._begin(Request(tuple(files or ()), NO_EXAMPLE, weights, modality=modality), job)

    def chosen(
        self,
        files: list[str] | None,
        example: int,
        weights: str,
        series: str,
        modality: str,
        job: str,
        event: gr.EventData,
    ) -> list[Any]:
        """The number of the example that was clicked; the upload, if there was one, is put away."""
        return self._begin(Request((), int(event.index), weights, modality=modality), job)

    def of_series(
        self,
        files: list[str] | None,
        example: int,
        weights: str,
        series: str,
        modality: str,
        job: str,
        event: gr.EventData,
    ) -> list[Any]:
        """Another series of the same files."""
        return self._begin(Request(tuple(files or ()), example, weights, str(event.key), modality), job)

    def anew(
        self, files: list[str] | None, example: int, weights: str, series: str, modality: str, job: str
    ) -> list[Any]:
        return self._begin(Request(tuple(files or ()), example, weights, series, modality), job)

    def rechosen(
        self, files: list[str] | None, example: int, weights: str, series: str, modality: str, job: str
    ) -> list[Any]:
        """By other networks, or as another modality; nothing begins where a drop-down only follows the answer that a
        link brought back."""
        folder = folder_of(self._folder, job)
        kept = None if folder is None else recall(folder)
        if kept is not None and (kept[0].weights, kept[0].modality) == (weights, modality):
            return unchanged(BEGUN)
        return self.anew(files, example, weights, series, modality, job)

    def _begin(self, request: Request, earlier: str) -> list[Any]:
        """Values of `Page.begun`."""
        if not request.files and request.example == NO_EXAMPLE:
            end(self._folder, earlier)
            return [*asked(request), "", *results(panel(NOTHING), None)]
        job = begin(self._folder, earlier)
        folder = folder_of(self._folder, job)
        if folder is not None:
            keep(folder, request)
        return [*asked(request), job, *results(panel(WAITING, "busy"), None)]


def _reviver(workshop: Workshop) -> Callable[[str, bool], list[Any]]:
    def revive(job: str, dark: bool) -> list[Any]:
        """What the page with this link showed; an answer that was not there yet is asked for again by the page. Without
        a link the example that opens the page, which has none either: its address stays what the visitor typed."""
        job = job or workshop.welcome.open(workshop.folder, dark)
        if not job:
            return [*unchanged(BEGUN), *unchanged(2), False]
        folder = folder_of(workshop.folder, job, within_s=KEEP_S)
        kept = None if folder is None else recall(folder)
        if folder is None or kept is None:
            return [*unchanged(4), "", *results(panel(GONE), None), *unchanged(2), False]
        request, shown = kept
        there = request.weights in {one.identity for one in workshop.shelf.sets}
        choices = [request.weights if there else gr.skip(), request.modality]
        if shown is None:
            return [*asked(request), job, *results(panel(WAITING, "busy"), None), *choices, True]
        files = [path if (path := folder / name).is_file() else None for name in (REPORT, MASK, OVERVIEW)]
        return [
            *asked(request),
            job,
            shown.status,
            shown.viewer,
            shown.offers,
            *taken(files),
            gr.Button(interactive=shown.segmentable),
            from_json(shown.figure),
            *choices,
            False,
        ]

    return revive


class _UnwantedError(Exception):
    """Work on a scan that was deleted, or that another took the place of, stops where it is."""


def _answerer(workshop: Workshop) -> Callable[..., Iterator[list[Any]]]:
    def answer(
        files: list[str] | None,
        example: int,
        weights: str,
        series: str,
        modality: str,
        job: str,
        dark: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[list[Any]]:
        furthest = 0.0

        def tell(stage: str, done: float = 0.0) -> None:
            nonlocal furthest
            if folder_of(workshop.folder, job) is None:
                raise _UnwantedError
            words, share = STAGES.get(stage, ("Working", 0.5))
            furthest = max(furthest, share + done * max(0.0, PARTS_END - share))
            progress(furthest, desc=words)

        try:
            request = Request(tuple(files or ()), int(example), weights, series, modality)
            for step in _steps(workshop, request, job, dark, tell):
                # Asked again before each step is shown: another scan may have been chosen meanwhile.
                if folder_of(workshop.folder, job) is None:
                    raise _UnwantedError
                yield step
        except UserError as error:
            yield results(refused(str(error)), None) if folder_of(workshop.folder, job) else unchanged()
        except Exception as error:
            if folder_of(workshop.folder, job) is None:
                yield unchanged()  # its folder went under its hands, as it should
                return
            log_defect(error)
            yield results(panel(DEFECT, "failed"), None)
        finally:
            tidy(workshop.folder, job)
            give_back()

    return answer


def _steps(
    workshop: Workshop, request: Request, job: str, dark: bool, tell: Callable[..., None]
) -> Iterator[list[Any]]:
    """Values of `Page.results`: first the answer and its pictures, then what takes longer to make."""
    folder = folder_of(workshop.folder, job)
    if folder is None or not paths_of(request, workshop.examples):
        yield results(panel(NOTHING), None)
        return
    if (kept := recall(folder)) is not None and kept[0] == request and kept[1] is not None:
        yield unchanged()  # it is answered, and shown
        return
    looked = look(workshop, request, folder, tell, tell)
    yield [looked.status, looked.viewer, looked.offers, *unchanged(RESULTS - 3)]
    written, shown = finished(looked, folder, dark)
    keep(folder, shown)
    yield [
        *unchanged(3),
        *taken((written.report, written.mask, written.overview)),
        gr.Button(interactive=shown.segmentable),
        from_json(shown.figure),
    ]


def _segmenter(workshop: Workshop) -> Callable[..., list[Any]]:
    def segment(files: list[str] | None, example: int, weights: str, series: str, modality: str, job: str) -> list[Any]:
        request = Request(tuple(files or ()), int(example), weights, series, modality)
        try:
            paths = paths_of(request, workshop.examples)
            folder = folder_of(workshop.folder, job)
            if not paths or folder is None:
                return [panel(NOTHING), gr.skip()]
            opened = workshop.shelf.open(weights)
            path = folder / SEGMENTATION
            report = workshop.analyst.answer(
                paths,
                opened,
                series=request.series or None,
                modality=request.said,
                for_viewer=False,
                segmentation=path,
            ).report
            if folder_of(workshop.folder, job) is None:
                return [gr.skip(), gr.skip()]
            words = f"The DICOM SEG is ready to take. It was made anew by {in_words(report.model)}."
            return [answered(report, opened.remarks, words), gr.DownloadButton(value=str(path), visible=True)]
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
        return None, None, NO_EXAMPLE, "", "", *results(panel(DELETED if there else NOTHING_THERE), None)

    return forget
