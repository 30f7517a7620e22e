"""`hemobench demo`: serves the page, from a clone as from an installation."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from hemobench.errors import UserError
from hemobench.inference.places import shipped_root

app = typer.Typer(help="Serve the demo page.", add_completion=False)


@app.command()
def demo(
    host: Annotated[str | None, typer.Option(help="Address to listen at; 0.0.0.0 lets others in.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; by default 7860, or the next free.")] = None,
) -> None:
    """Serve the page until it is stopped: a scan dropped there is analysed on this machine. Research use only.

    HEMOBENCH_CHECKPOINT names the networks as for every command; `;` between sets puts several into the drop-down.
    """
    root = shipped_root()
    if not (root / "demo" / "app.py").is_file():
        raise UserError(
            f"no demo in {root}; expected it beside the package; install hemobench from its wheel, or run "
            "this in a clone"
        )
    if find_spec("gradio") is None:
        raise UserError("gradio is not installed; expected it for the page; pip install 'hemobench[demo]'")
    if host is not None:
        os.environ["GRADIO_SERVER_NAME"] = host
    if port is not None:
        os.environ["GRADIO_SERVER_PORT"] = str(port)
    # The page imports the package and nothing imports the page: it is started, as `python app.py` does.
    sys.path.insert(0, str(root))
    import_module("demo.app").launch()
