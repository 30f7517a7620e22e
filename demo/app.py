"""The demo put together: tabs, endpoints, queue, and how it is served."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.mcp

from demo.about_tab import about_tab
from demo.analysis import AT_WORK, Analyst
from demo.api import Endpoints, add_endpoints
from demo.door import GUARD
from demo.examples import examples
from demo.leaderboard import SHIPPED, leaderboard_mapping
from demo.leaderboard_tab import leaderboard_tab
from demo.limits import MOST_FILE_BYTES
from demo.memory import give_back, limit_arenas, settle
from demo.privacy import KEEP_S, SWEEP_EVERY_S, keep_swept, log_defect, private_folder
from demo.scan_tab import scan_tab
from demo.theme import page_css, page_theme
from demo.weights import WeightShelf, shelf_from_environment
from demo.workshop import Welcome, Workshop, prepare_welcome
from hemobench.errors import UserError
from hemobench.inference.engine import prepare_engines, shared_engine
from hemobench.inference.openvino_engine import keep_torch_out

TITLE = "hemobench"
PURPOSE = "Intracranial haemorrhage on head CT: whether, which type, where, and how many millilitres."
RESEARCH = "Research use only. Never a diagnosis."
# Two: one scan is read and coded while the networks look at another (benchmarks/demo_load.py measures it).
CONCURRENCY = 2
MOST_WAITING = 100
# Gradio keeps a copy of the page's settings for each session; a tab that comes back after these is given a new one.
_SESSIONS = 200
_PATIENCE_S = 20.0


def prepare_process() -> Path:
    """Settle what holds for the whole process, before the page is built; gives the folder for visitors' files.

    Nothing is reported to anybody, files go to a private folder, and memory goes back when it is freed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    limit_arenas()
    keep_torch_out()
    given = os.environ.get("GRADIO_TEMP_DIR")
    # Inside of a given one, which may hold what is not ours to delete.
    folder = private_folder(Path(given) if given else None)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def _keep_files_in(folder: Path) -> None:
    """Let the part of Gradio that took its folder when it was imported use this one: what MCP clients send inline."""
    gradio.mcp.DEFAULT_TEMP_DIR = str(folder)


def build_demo(
    shelf: WeightShelf | None = None,
    *,
    folder: Path | None = None,
    concurrency: int = CONCURRENCY,
    welcome: Welcome | None = None,
) -> gr.Blocks:
    """The page, ready to launch with `serving()`.

    `shelf` holds the networks to choose from, by default those of the environment and the shipped ones. `folder` is
    where Gradio keeps files, which it knows by `$GRADIO_TEMP_DIR`; by default `prepare_process` sees to both. `welcome`
    is what the page opens with, once `warm_up` has filled it.
    """
    place = folder or prepare_process()
    _keep_files_in(place)
    workshop = Workshop(
        Analyst(place), shelf or shelf_from_environment(), examples(), place, concurrency, welcome or Welcome()
    )
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_EVERY_S, KEEP_S), fill_width=True) as demo:
        gr.HTML(_masthead(), padding=False)
        with gr.Tabs():
            with gr.Tab("Scan", id="scan"):
                scan_tab(workshop, demo)
            if SHIPPED.is_file():
                with gr.Tab("Leaderboard", id="leaderboard"):
                    leaderboard_tab()
            with gr.Tab("About", id="about"):
                about_tab()
        add_endpoints(Endpoints(workshop, leaderboard_mapping), concurrency)
    demo.queue(max_size=MOST_WAITING, default_concurrency_limit=concurrency)
    return demo


def serving() -> dict[str, Any]:
    """How the page is launched, here and in tests: options of `gr.Blocks.launch`."""
    return {
        "theme": page_theme(),
        "css": page_css(),
        "head": GUARD,
        "mcp_server": True,
        "ssr_mode": False,
        "run_history": False,
        "max_file_size": MOST_FILE_BYTES,
        "state_session_capacity": _SESSIONS,
        "enable_monitoring": False,
        "pwa": False,
        "footer_links": ["api", "settings"],
        "quiet": True,
    }


def warm_up(demo_shelf: WeightShelf, folder: Path, welcome: Welcome) -> threading.Thread:
    """Load the default networks and look at one example in the background, so that the first visitor need not wait;
    what was found is what the page opens with from then on. Then the networks that this example did not need, when
    nobody's scan is at work: that of MR."""

    def work() -> None:
        try:
            prepare_engines(demo_shelf.open().checkpoints)
            prepare_welcome(Workshop(Analyst(folder), demo_shelf, examples(), folder, 1, welcome))
            for checkpoint in demo_shelf.open().checkpoints:
                AT_WORK.wait_for_none()
                shared_engine(checkpoint)  # at once for those that have looked already
        except UserError as error:
            print(f"no scan can be analysed: {error.__cause__ or error}", file=sys.stderr, flush=True)
        except Exception as error:
            log_defect(error)
        settle()
        give_back()

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    return thread


def launch(concurrency: int = CONCURRENCY, **options: Any) -> None:
    """Serve the page until the process is stopped. `concurrency` is how many scans are looked at together; `options` go
    to Gradio; address and port are also read from `GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT`.
    """
    folder = prepare_process()
    shelf = shelf_from_environment()
    welcome = Welcome()
    demo = build_demo(shelf, folder=folder, concurrency=concurrency, welcome=welcome)
    stop = keep_swept(folder)
    signal.signal(signal.SIGTERM, _stop)
    warming = None
    try:
        _, url, _ = demo.launch(**{**serving(), **options, "prevent_thread_lock": True})
        print(f"hemobench is at {url}", flush=True)
        warming = warm_up(shelf, folder, welcome)
        demo.block_thread()
    finally:
        stop.set()
        demo.close(verbose=False)
        if warming is not None:
            warming.join(_PATIENCE_S)  # native code at work when the interpreter ends would abort it
        shutil.rmtree(folder, ignore_errors=True)


def _stop(*_: object) -> None:
    """End by way of `finally`, or the uploads would outlive the process; whoever insists does not interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _masthead() -> str:
    return (
        f'<header class="masthead"><h1>{TITLE}</h1><p>{PURPOSE}</p>'
        f'<span class="research" role="note">{RESEARCH}</span></header>'
    )
