"""The series of a study as a list to choose from: pictures, names and kernels as HTML. Knows nothing of Gradio.

Names and kernels are the header's own: they are shown to whoever gave the files, and stand in no file to take away.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from hemobench.errors import UserError
from hemobench.io import DicomSource, Scan, SeriesOffer
from hemobench.views.windows import to_grey_uint8

THUMBNAIL_PIXELS = 96
# A study of more is no head CT's; its first ones are enough to see that.
_MOST = 24
# Gradio hears of a click through `trigger`; the handler gets the key as `event.key`.
SCRIPT = """
element.addEventListener("click", (event) => {
  const offer = event.target.closest("button.offer");
  if (offer && element.contains(offer)) trigger("click", { key: offer.dataset.key });
});
"""


def offers_of(scan: Scan) -> str:
    """HTML of the list, "" where there is nothing to choose. Decodes a slice of each, so the files must be there."""
    series = scan.source.series if isinstance(scan.source, DicomSource) else ()
    if len(series) < 2:
        return ""
    more = f", of which the first {_MOST} are listed" if len(series) > _MOST else ""
    return (
        f'<p class="side-title" id="offers-title">{len(series)} series in what you gave{more}; the marked one is shown'
        f'</p><div class="offers" role="group" aria-labelledby="offers-title">{_buttons(series[:_MOST])}</div>'
    )


def series_words(scan: Scan) -> str:
    """Which series is shown, in words: "" where no DICOM series is."""
    series = scan.source.series if isinstance(scan.source, DicomSource) else ()
    shown = next((one for one in series if one.chosen), None)
    if shown is None:
        return ""
    return f"Series {shown.key}" + (f", {shown.name}" if shown.name else "")


def _buttons(series: Sequence[SeriesOffer]) -> str:
    return "".join(
        f'<button type="button" class="offer" data-key="{escape(one.key)}" aria-pressed="{str(one.chosen).lower()}">'
        f'<img src="{_thumbnail(one)}" alt="" width="48" height="48" />'
        f"<span><b>{escape(_title(one))}</b><br />{escape(_details(one))}</span></button>"
        for one in series
    )


def _title(one: SeriesOffer) -> str:
    return f"{one.key}: {one.name}" if one.name else f"Series {one.key}"


def _details(one: SeriesOffer) -> str:
    slices = "1 slice" if one.slices == 1 else f"{one.slices} slices"
    return ", ".join(part for part in (slices, one.kernel, one.words) if part)


def _thumbnail(one: SeriesOffer) -> str:
    """A data URL of the middle slice, black where it cannot be decoded."""
    try:
        grey = to_grey_uint8(one.picture(), "brain")
    except UserError:
        grey = np.zeros((1, 1), dtype=np.uint8)
    picture = Image.fromarray(grey)
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    content = BytesIO()
    picture.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
