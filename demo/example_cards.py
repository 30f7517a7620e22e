"""Examples as picture cards: HTML with the thumbnails inside, and the script that tells which one was chosen."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from demo.examples import Example

# Gradio hears of a click through `trigger`; the handler gets the index as `event.index`.
SCRIPT = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("button.example");
  if (card && element.contains(card)) trigger("click", { index: Number(card.dataset.index) });
});
"""


def cards(examples: Sequence[Example]) -> str:
    """Buttons, one an example; the pictures travel inside the page because there are few and small."""
    return f'<div class="examples">{"".join(_card(number, one) for number, one in enumerate(examples))}</div>'


def _card(number: int, example: Example) -> str:
    picture = base64.b64encode(example.thumbnail.read_bytes()).decode("ascii")
    return (
        f'<button type="button" class="example" data-index="{number}" title="{escape(example.words)}">'
        f'<img src="data:image/png;base64,{picture}" alt="" width="104" height="104" />'
        f"<span>{_parted(escape(example.title))}</span></button>"
    )


def _parted(title: str) -> str:
    """Places where a long word may be parted: cards are narrow.

    >>> _parted("Intraventricular").replace("&shy;", "-")
    'Intra-ventricular'
    """
    for start in ("Intra", "Sub"):
        title = title.replace(start, f"{start}&shy;")
    return title
