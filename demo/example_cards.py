"""Examples as picture cards: HTML with the thumbnails inside, and the script that tells which one was chosen."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from demo.examples import Example

# Gradio hears of a click through `trigger`; the handler gets the index as `event.index`. The component's value is the
# number of the chosen one. The cards are one stop of the Tab key; arrows go from one to the next.
SCRIPT = """
const all = () => [...element.querySelectorAll("button.example")];
const stop = (card) => all().forEach((one) => { one.tabIndex = one === card ? 0 : -1; });
const words = element.querySelector(".example-caption");
const tell = (card) => { words.textContent = (card ?? all()[props.value])?.title ?? words.dataset.first; };
const mark = () => {
  tell();
  all().forEach((one, number) => one.setAttribute("aria-pressed", String(number === props.value)));
  stop(all()[props.value] ?? all()[0]);
};
element.addEventListener("click", (event) => {
  const card = event.target.closest("button.example");
  if (card && element.contains(card)) trigger("click", { index: Number(card.dataset.index) });
});
// What is pointed at or focused is told of, else what was chosen.
for (const kind of ["pointerover", "focusin"])
  element.addEventListener(kind, (event) => tell(event.target.closest("button.example")));
for (const kind of ["pointerleave", "focusout"]) element.addEventListener(kind, () => tell());
element.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const at = all().indexOf(event.target.closest("button.example"));
  if (!step || at < 0) return;
  event.preventDefault();
  const next = all()[(at + step + all().length) % all().length];
  stop(next);
  next.focus();
});
watch("value", mark);
mark();
"""

_FIRST = "What was drawn into each is known: “Show truth” holds the answer against it."


def cards(examples: Sequence[Example]) -> str:
    """Buttons, one an example, and a line for the caption of one; the pictures travel inside the page because there are
    few and small."""
    found = "".join(_card(number, one) for number, one in enumerate(examples))
    return (
        f'<div class="examples" role="group" aria-label="Examples">{found}</div>'
        f'<p class="example-caption" data-first="{escape(_FIRST)}">{escape(_FIRST)}</p>'
    )


def _card(number: int, example: Example) -> str:
    picture = base64.b64encode(example.thumbnail.read_bytes()).decode("ascii")
    return (
        f'<button type="button" class="example" data-index="{number}" aria-pressed="false" '
        f'title="{escape(example.caption)}">'
        f'<img src="data:image/png;base64,{picture}" alt="" width="104" height="104" />'
        f"<span>{_parted(escape(example.title))}</span></button>"
    )


def _parted(title: str) -> str:
    """Places where a long word may be parted: cards are narrow.

    >>> _parted("Intraventricular").replace("&shy;", "-")
    'Intra-ven-tricular'
    """
    for start in ("Intra", "Sub", "paren", "ven", "arach"):
        title = title.replace(start, f"{start}&shy;")
    return title
