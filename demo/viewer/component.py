"""The viewer as a Gradio component: template, style and script of this folder, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.viewer.value import viewer_look

_FOLDER = Path(__file__).parent
# In the order in which they stand in one function, whose last part begins.
SCRIPTS = (
    "words.js",
    "stream.js",
    "planes.js",
    "raster.js",
    "view.js",
    "measures.js",
    "truth.js",
    "gestures.js",
    "navigator.js",
    "findings.js",
    "shown.js",
    "controls.js",
    "keys.js",
    "start.js",
)


def viewer_script() -> str:
    """The whole script, as it runs when the component appears."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)


def create_viewer(value: dict[str, Any] | None = None, **options: Any) -> gr.HTML:
    """Everything that was found in one scan, drawn in the browser; its value is what `viewer_value` gives, or None.

    `options` are those of `gr.HTML`. The template does not name the value, so a new one leaves the page's elements as
    they are and the script hears of it. Not a class of its own: Gradio writes a stub file beside each when it is made.
    """
    return gr.HTML(
        value,
        html_template=(_FOLDER / "template.html").read_text(encoding="utf-8"),
        css_template=(_FOLDER / "viewer.css").read_text(encoding="utf-8"),
        js_on_load=viewer_script(),
        apply_default_css=False,
        look=viewer_look(),
        **options,
    )


# The name that the rest of the demo knows it by.
Viewer = create_viewer
