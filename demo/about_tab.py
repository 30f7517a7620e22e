"""The tab "About": how it works, limits, privacy, models with their cards, data, citation. Wiring alone."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from demo.about import checkpoint_cards, citation, dataset_table, limits
from demo.texts import CITE_INTRO, DATA_INTRO, HOW_IT_WORKS, MODELS_INTRO, PRIVACY

_CSS = Path(__file__).with_name("about.css")


def about_tab() -> None:
    """Build the tab inside the current `gr.Tab`; it changes nothing and asks the server for nothing."""
    with gr.Column(elem_classes="about"):
        with gr.Row(elem_classes="about-columns"):
            with gr.Column(min_width=340):
                _section("How it works", HOW_IT_WORKS)
            with gr.Column(min_width=340):
                _section("Limits", limits(), kind="caution")
        _section("Privacy", PRIVACY, kind="privacy")
        _section("Models", MODELS_INTRO)
        for card in checkpoint_cards():
            with gr.Accordion(f"{card.name}: {card.summary}", open=False, elem_classes="card"):
                gr.Markdown(card.markdown, elem_classes="prose-card")
        _section("Data and licences", DATA_INTRO)
        gr.HTML(dataset_table(), css_template=_CSS.read_text(encoding="utf-8"), apply_default_css=False, padding=False)
        _section("How to cite", CITE_INTRO)
        gr.Code(citation(), language=None, label="BibTeX", interactive=False, show_line_numbers=False)


def _section(title: str, words: str, kind: str = "") -> None:
    gr.Markdown(f"## {title}\n{words}", elem_classes=["section", *([kind] if kind else [])], container=False)
