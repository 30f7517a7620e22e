"""The demo as visitors get it: built, launched in this process, and closed again.

with running_demo(folder) as demo:
    Client(demo.url)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class RunningDemo:
    """Where it answers, and the folder that Gradio and the demo keep files in."""

    url: str
    folder: Path
    blocks: Any


def spare_stderr() -> None:
    """Keep a server's start from closing pytest's capture.

    uvicorn configures logging anew, which closes every handler there is; absl's, which tensorboard brings, closes its
    stream with it unless that is the interpreter's own.
    """
    absl = sys.modules.get("absl.logging")
    if absl is not None:
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


@contextmanager
def running_demo(folder: Path, shelf: Any = None, welcome: Any = None) -> Iterator[RunningDemo]:
    """`shelf`: the networks to choose from, by default the shipped ones. `welcome`: what the page opens with; it opens
    empty where nobody has filled it."""
    import gradio.mcp

    from demo.app import build_demo, serving

    folder = folder.resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setattr(gradio.mcp, "DEFAULT_TEMP_DIR", str(folder))  # as the demo does; an outer one gets its own back
        folder.mkdir(parents=True, exist_ok=True)
        blocks = build_demo(shelf, folder=folder, welcome=welcome)
        patch.delenv("GRADIO_SERVER_PORT", raising=False)
        spare_stderr()
        _, url, _ = blocks.launch(**serving(), server_name="127.0.0.1", prevent_thread_lock=True)
        try:
            yield RunningDemo(str(url), folder, blocks)
        finally:
            blocks.close(verbose=False)
