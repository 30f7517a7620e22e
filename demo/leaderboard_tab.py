"""The tab "Leaderboard": a board as a table and figures, from the shipped file, from one dropped in or from the Hub.
Wiring alone.

Nothing is kept of a visitor: the dropped file's path, or the board's id, is in the browser, and every change reads it
again. Changes stand in a queue of their own, one after the other, so that the last choice is what is shown in the end.
The Hub alone is asked beside it, because it may be slow, and its board is shown where nothing was chosen meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from demo.shipped_boards import board_words, shipped_boards
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
_INSTEAD = "Shown below is the shipped leaderboard."
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
# Read in milliseconds, and not behind scans.
_IN_TURN: dict[str, Any] = {"concurrency_id": "leaderboard", "concurrency_limit": 1, **_QUIET}
_BESIDE: dict[str, Any] = {"concurrency_id": "leaderboard-hub", "concurrency_limit": 4, **_QUIET}
# Whether the page is dark is known in the browser; the figures' ink depends on it. Every choice has a number.
_CHOSEN = """(...inputs) => {
  window.hemobenchBoard = (window.hemobenchBoard ?? 0) + 1;
  return [...inputs.slice(0, -1), document.body.classList.contains('dark')];
}"""
_ASKED = "(hub) => { window.hemobenchHub = window.hemobenchBoard = (window.hemobenchBoard ?? 0) + 1; return [hub]; }"
# What the Hub gave, unless something else was chosen since it was asked.
_FETCHED = """(found, refusal) => [
  found, refusal, window.hemobenchHub === window.hemobenchBoard, document.body.classList.contains('dark'),
]"""
Shown = list[Any]


def leaderboard_tab(shipped: Path = SHIPPED) -> None:
    """Build the tab inside the current `gr.Tab` and wire it: with the leaderboard in `shipped` at first, and those that
    lie beside it to choose from. Raises UserError where a shipped file is not usable."""
    shelf = [_Chosen(read_leaderboard(shipped))]
    titles = [board_words(shelf[0].leaderboard)]
    for words, path in shipped_boards(shipped.parent):
        if path != shipped:
            shelf.append(_Chosen(read_leaderboard(path)))
            titles.append(words)
    with gr.Row(elem_classes=["scan-row", "board-row"]):
        with gr.Column(elem_classes="scan-side"):
            gr.Markdown(LEADERBOARD_INTRO, container=False)
            side = _side(titles, shelf[0].leaderboard)
        with gr.Column(elem_classes="scan-main"):
            main = _main(shelf[0].leaderboard)
            gr.Markdown(LEADERBOARD_LEGEND, container=False, elem_classes="board-legend")
    _wire({**side, **main}, shelf)


def _side(titles: Sequence[str], first: Leaderboard) -> dict[str, Any]:
    """What to choose by, with what the browser keeps of it: the id of an opened board, or why it was not opened."""
    numbered = [(title, number) for number, title in enumerate(titles)]
    shelf = gr.Dropdown(
        numbered,
        value=0,
        label="Leaderboards that come with this page",
        elem_id="board-shelf",
        visible=len(titles) > 1,
    )
    board = gr.Radio(
        choices(first.boards), value=0, label="Board", elem_id="board-choice", type="value", container=True
    )
    # Every kind of file is taken here, so that another kind is refused in words and not by a bare "Error".
    file = gr.File(label=LEADERBOARD_DROP, file_count="single", height=132, elem_id="board-file")
    gr.Markdown(LEADERBOARD_DROP_WORDS, container=False, elem_classes="board-drop")
    hub = gr.Textbox(label="A board on the Hub", placeholder="user/name", elem_id="board-hub", max_lines=1)
    opening = gr.Button("Open", size="sm", elem_id="board-open")
    gr.Markdown(LEADERBOARD_HUB_WORDS, container=False, elem_classes="board-drop")
    opened, found, refusal = (gr.Textbox("", visible=False) for _ in range(3))
    return {
        "shelf": shelf,
        "board": board,
        "file": file,
        "hub": hub,
        "opening": opening,
        "opened": opened,
        "found": found,
        "refusal": refusal,
        "dark": gr.Checkbox(visible=False),
        "still": gr.Checkbox(visible=False),
    }


def _main(first: Leaderboard) -> dict[str, Any]:
    """Table and figures."""
    view = _table(board_view(first, 0))
    with gr.Row(elem_classes="board-figures"):
        with gr.Column(min_width=320):
            gr.Markdown("### Ranking metric", container=False)
            ranking = gr.Plot(ranking_figure(first.boards[0]), show_label=False, elem_id="board-ranking")
        with gr.Column(min_width=320, visible=types_figure(first.boards[0]) is not None) as column:
            gr.Markdown("### By type of haemorrhage", container=False)
            types = gr.Plot(types_figure(first.boards[0]), show_label=False, elem_id="board-types")
    return {"view": view, "ranking": ranking, "column": column, "types": types}


def _wire(page: dict[str, Any], shelf: Sequence[_Chosen]) -> None:
    def show(path: str | None, opened: str, place: int, number: int | None, is_dark: bool) -> Shown:
        return _shown(_chosen(path, opened, shelf[place]), number, is_dark)

    def show_file(path: str | None, opened: str, place: int, number: int | None, is_dark: bool) -> Shown:
        return show(path, "", place, 0, is_dark)

    def show_shelf(path: str | None, opened: str, place: int, number: int | None, is_dark: bool) -> Shown:
        return [*show(None, "", place, 0, is_dark), gr.File(value=None)]

    def ask_hub(identifier: str) -> tuple[str, str]:
        try:
            return open_board(identifier)[1], ""
        except UserError as error:
            return "", _sentences(str(error))

    def show_hub(found: str, refusal: str, still: bool, is_dark: bool) -> Shown:
        if not still:
            return [gr.skip() for _ in range(len(outputs) + 2)]
        chosen = _chosen(None, found, shelf[0])
        chosen = replace(chosen, refusal=f"{refusal} {_INSTEAD}") if refusal else chosen
        return [*_shown(chosen, 0, is_dark), gr.File(value=None), 0]

    outputs = [page[name] for name in ("board", "view", "ranking", "column", "types", "opened")]
    inputs = [page[name] for name in ("file", "opened", "shelf", "board", "dark")]
    wired: dict[str, Any] = {"js": _CHOSEN, **_IN_TURN}
    page["board"].input(show, inputs, outputs, **wired)
    page["shelf"].input(show_shelf, inputs, [*outputs, page["file"]], **wired)
    gr.on([page["file"].upload, page["file"].clear], show_file, inputs, outputs, **wired)
    gr.on(
        [page["hub"].submit, page["opening"].click],
        ask_hub,
        page["hub"],
        [page["found"], page["refusal"]],
        js=_ASKED,
        **_BESIDE,
    ).then(
        show_hub,
        [page[name] for name in ("found", "refusal", "still", "dark")],
        [*outputs, page["file"], page["shelf"]],
        js=_FETCHED,
        **_IN_TURN,
    )


@dataclass(frozen=True)
class _Chosen:
    """A leaderboard to show, where it comes from, and why another was not taken. identifier: of one from the Hub, at
    its commit."""

    leaderboard: Leaderboard
    source: str = AS_SHIPPED
    refusal: str = ""
    identifier: str = ""


def _chosen(path: str | None, identifier: str, otherwise: _Chosen) -> _Chosen:
    """The dropped leaderboard, the one on the Hub, or the shipped one that is chosen."""
    try:
        if path is not None:
            return _Chosen(read_leaderboard(Path(path)), "your file")
        if identifier.strip():
            leaderboard, found = open_board(identifier)
            name, _, commit = found.partition("@")
            return _Chosen(leaderboard, f"{name} on the Hub, commit {commit[:_COMMIT_DIGITS]}", identifier=found)
    except UserError as error:
        return replace(otherwise, refusal=f"{_sentences(str(error))} {_INSTEAD}")
    return otherwise


def _shown(chosen: _Chosen, number: int | None, is_dark: bool) -> Shown:
    """Values of the page for one board of it."""
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
