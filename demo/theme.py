"""The look of the page: a quiet theme in the system's own fonts, so that nothing is fetched, and the page's CSS."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_CSS = tuple(Path(__file__).with_name(name) for name in ("page.css", "content.css"))
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "Liberation Mono", "monospace")


def page_theme() -> gr.themes.Base:
    """Slate greys and one blue; names of fonts as plain words are the system's, which no request is made for."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.sky,
        secondary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        text_size=gr.themes.sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        # The theme's own is too pale to read on white.
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_border_width="1px",
        block_shadow="none",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_text_color="white",
    )


def page_css() -> str:
    """The page's own rules."""
    return "\n".join(path.read_text(encoding="utf-8") for path in _CSS)
