"""The tab "Leaderboard": a board as a table and figures, from the shipped file, from one dropped in or from the Hub.
Wiring alone.

Nothing is kept of a visitor: the dropped file's path, or the board's id, is in the browser, and every change reads it
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.hub_board import open_board
from demo.leaderboard import (
    AS_SHIPPED,
    SHIPPED,
    board_view,
    choices,
    ranking_figure,
    read_leaderboard,
    types_figure,
)
from demo.texts import (
    LEADERBOARD_DROP,
    LEADERBOARD_DROP_WORDS,
    LEADERBOARD_HUB_WORDS,
    LEADERBOARD_INTRO,
    LEADERBOARD_LEGEND,
)
from hemobench.compare.leaderboard import Leaderboard
from hemobench.errors import UserError

_FOLDER = Path(__file__).parent
_COMMIT_DIGITS = 12
# Read in milliseconds, so it need not wait behind scans.
_AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Whether the page is dark is known in the browser; the figures' ink depends on it.
_WITH_DARK = "(file, hub, board) => [file, hub, board, document.body.classList.contains('dark')]"
Shown = list[Any]


def leaderboard_tab(shipped: Path = SHIPPED) -> None:
    """Build the tab inside the current `gr.Tab` and wire it. Raises UserError where the shipped file is not usable."""
    first = read_leaderboard(shipped)
    with gr.Row(elem_classes=["scan-row", "board-row"]):
        with gr.Column(elem_classes="scan-side"):
            gr.Markdown(LEADERBOARD_INTRO, container=False)
            board = gr.Radio(
                choices(first.boards), value=0, label="Board", elem_id="board-choice", type="value", container=True
            )
            # Every kind of file is taken here, so that another kind is refused in words and not by a bare "Error".
            file = gr.File(label=LEADERBOARD_DROP, file_count="single", height=132, elem_id="board-file")
            gr.Markdown(LEADERBOARD_DROP_WORDS, container=False, elem_classes="board-drop")
            hub = gr.Textbox(label="A board on the Hub", placeholder="user/name", elem_id="board-hub", max_lines=1)
            opening = gr.Button("Open", size="sm", elem_id="board-open")
            gr.Markdown(LEADERBOARD_HUB_WORDS, container=False, elem_classes="board-drop")
            opened = gr.Textbox("", visible=False)
            dark = gr.Checkbox(visible=False)
        with gr.Column(elem_classes="scan-main"):
            view = _table(board_view(first, 0))
            with gr.Row(elem_classes="board-figures"):
                with gr.Column(min_width=320):
                    gr.Markdown("### Ranking metric", container=False)
                    ranking = gr.Plot(ranking_figure(first.boards[0]), show_label=False, elem_id="board-ranking")
                with gr.Column(min_width=320, visible=types_figure(first.boards[0]) is not None) as types_column:
                    gr.Markdown("### By type of haemorrhage", container=False)
                    types = gr.Plot(types_figure(first.boards[0]), show_label=False, elem_id="board-types")
            gr.Markdown(LEADERBOARD_LEGEND, container=False, elem_classes="board-legend")

    def show(path: str | None, identifier: str, number: int | None, is_dark: bool) -> Shown:
        chosen = _chosen(path, identifier, first)
        boards = chosen.leaderboard.boards
        index = number if isinstance(number, int) and 0 <= number < len(boards) else 0
        figure = types_figure(boards[index], dark=is_dark)
        return [
            gr.Radio(choices(boards), value=index),
            board_view(chosen.leaderboard, index, source=chosen.source, refusal=chosen.refusal),
            ranking_figure(boards[index], dark=is_dark),
            gr.Column(visible=figure is not None),
            figure,
            chosen.identifier,
        ]

    def show_file(path: str | None, identifier: str, number: int | None, is_dark: bool) -> Shown:
        return show(path, "", 0, is_dark)

    def show_shared(path: str | None, identifier: str, number: int | None, is_dark: bool) -> Shown:
        return [*show(None, identifier, 0, is_dark), gr.File(value=None)]

    outputs = [board, view, ranking, types_column, types, opened]
    wired: dict[str, Any] = {"js": _WITH_DARK, **_AT_ONCE}
    board.input(show, [file, opened, board, dark], outputs, **wired)
    gr.on([file.upload, file.clear], show_file, [file, opened, board, dark], outputs, **wired)
    gr.on([hub.submit, opening.click], show_shared, [file, hub, board, dark], [*outputs, file], **wired)


@dataclass(frozen=True)
class _Chosen:
    """A leaderboard to show, where it comes from, and why another was not taken. identifier: of one from the Hub, at
    its commit."""

    leaderboard: Leaderboard
    source: str = AS_SHIPPED
    refusal: str = ""
    identifier: str = ""


def _chosen(path: str | None, identifier: str, first: Leaderboard) -> _Chosen:
    """The dropped leaderboard, the one on the Hub, or the shipped one."""
    try:
        if path is not None:
            return _Chosen(read_leaderboard(Path(path)), "your file")
        if identifier.strip():
            leaderboard, found = open_board(identifier)
            name, _, commit = found.partition("@")
            return _Chosen(leaderboard, f"{name} on the Hub, commit {commit[:_COMMIT_DIGITS]}", identifier=found)
    except UserError as error:
        return _Chosen(first, refusal=f"{_sentences(str(error))} Shown below is the shipped leaderboard.")
    return _Chosen(first)


def _sentences(line: str) -> str:
    """The parts of a UserError as sentences."""
    parts: Sequence[str] = [part.strip() for part in line.split(";") if part.strip()]
    return " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in parts)


def _table(value: dict[str, Any]) -> gr.HTML:
    return gr.HTML(
        value,
        html_template='<div class="leaderboard"></div>',
        css_template=(_FOLDER / "leaderboard_table.css").read_text(encoding="utf-8"),
        js_on_load=(_FOLDER / "leaderboard_table.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        padding=False,
        elem_id="board-view",
    )
