"""The tab "Scan", its parts: components of the page, and the values that fill them. No wiring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.door import FOLDER_CHOICE
from demo.example_cards import SCRIPT, cards
from demo.examples import Example
from demo.kept import AUTO, Request
from demo.status import KEPT
from demo.weights import WeightShelf

NO_EXAMPLE = -1
RESULTS = 9  # what `Page.results` counts
BEGUN = 5 + RESULTS  # what `Page.begun` counts
UPLOAD_PIXELS = 132
# What a scan is, where its file does not say so or is wrong: the networks of CT and of MR are others.
_MODALITIES = [("as its file says", AUTO), ("CT", "CT"), ("MR, T1-weighted", "MR"), ("a picture, no HU", "grey")]
_SEG_NOTE = "A DICOM SEG must carry the patient's name and numbers, so it is made only when you ask for it."
_LINK_NOTE = (
    f"Else it is deleted after {KEPT}. Until then the address of this page brings the answer back: whoever has it can "
    "see the scan."
)


@dataclass(frozen=True)
class Page:
    """The components of the tab."""

    upload: gr.File
    scan: gr.File
    example: gr.HTML
    series: gr.Textbox
    job: gr.Textbox
    pending: gr.Checkbox
    dark: gr.Checkbox
    weights: gr.Dropdown
    modality: gr.Dropdown
    again: gr.Button
    status: gr.HTML
    offers: gr.HTML
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
            self.status,
            self.viewer,
            self.offers,
            self.report,
            self.mask,
            self.overview,
            self.seg,
            self.ask_seg,
            self.figure,
        ]

    @property
    def request(self) -> list[Any]:
        """What was asked for, in the order of `Request`, and the request's secret."""
        return [self.scan, self.example, self.weights, self.series, self.modality, self.job]

    @property
    def begun(self) -> list[Any]:
        """What changes when a request begins, in the order of the tab's starters."""
        return [self.scan, self.upload, self.example, self.series, self.job, *self.results]


def way_in(examples: Sequence[Example]) -> dict[str, Any]:
    """The components by which a scan comes in, by their names in `Page`."""
    upload = gr.File(label="Scan", file_count="multiple", elem_id="scan-upload", height=UPLOAD_PIXELS)
    # What is at work or was; the box above is empty again, so that the next scan does not join the last one.
    scan = gr.File(visible=False, file_count="multiple")
    gr.HTML(FOLDER_CHOICE, padding=False, elem_classes="folder")
    gr.HTML('<p class="side-title">Examples: phantoms, no patients</p>', padding=False)
    example = gr.HTML(
        NO_EXAMPLE, html_template=cards(examples), js_on_load=SCRIPT, elem_id="scan-examples", padding=False
    )
    series, job = gr.Textbox("", visible=False), gr.Textbox("", visible=False)
    pending, dark = gr.Checkbox(visible=False), gr.Checkbox(visible=False)
    return {
        "upload": upload,
        "scan": scan,
        "example": example,
        "series": series,
        "job": job,
        "pending": pending,
        "dark": dark,
    }


def way_out(shelf: WeightShelf) -> dict[str, Any]:
    """The components that choose how it is looked at, and by which results go out, by their names in `Page`."""
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
    gr.HTML(f'<p class="side-note">{_LINK_NOTE}</p>', padding=False)
    return {
        "weights": weights,
        "modality": modality,
        "again": again,
        "report": report,
        "mask": mask,
        "overview": overview,
        "ask_seg": ask_seg,
        "seg": seg,
        "forget": forget,
    }


def asked(request: Request) -> list[Any]:
    """Values of the first of `Page.begun`: scan, the emptied box, example, series."""
    return [list(request.files) or None, None, request.example, request.series]


def results(status: str, viewer: Any) -> list[Any]:
    """Values of `Page.results`: this panel and this picture, and nothing else to show."""
    return [status, viewer, "", *taken(), gr.Button(interactive=False), None]


def unchanged(count: int = RESULTS) -> list[Any]:
    """Values of `Page.results`, or of so many components, that leave the page as it is."""
    return [gr.skip() for _ in range(count)]


def taken(files: Sequence[Path | None] = (None, None, None)) -> list[Any]:
    """The buttons that take files away; a DICOM SEG of an earlier scan goes."""
    downloads = [gr.DownloadButton(value=str(one) if one else None, interactive=one is not None) for one in files]
    return [*downloads, gr.DownloadButton(value=None, visible=False)]
