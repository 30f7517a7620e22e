"""What tests do with the demo's page: arrive, hand in, wait for words and pictures, take away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..demo_app import RunningDemo

NAME = "DOE_JOHN_1950"
LONG_MS = 90_000  # the first scan loads the networks


def arrive(page: Any, demo: RunningDemo) -> Any:
    page.goto(demo.url)
    page.wait_for_selector("#scan-upload input[type=file]", state="attached")
    return page


def upload(page: Any, *paths: Path) -> None:
    page.set_input_files("#scan-upload input[type=file]", [str(path) for path in paths])


def status(page: Any, kind: str) -> str:
    """The words of the panel once it is of that kind."""
    page.wait_for_selector(f"#scan-status .status.{kind}", timeout=LONG_MS)
    return str(page.inner_text("#scan-status .status"))


def drawn(page: Any) -> None:
    page.wait_for_selector("#scan-viewer .viewer[data-state=ready]", timeout=LONG_MS)


def taken(page: Any, button: str, folder: Path) -> Path:
    page.wait_for_selector(f"#{button}:not([disabled])", timeout=LONG_MS)
    with page.expect_download() as download:
        page.click(f"#{button}")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def choose_example(page: Any, name: str) -> None:
    """Click the example of that name."""
    from demo.examples import examples

    page.locator("#scan-examples button.example").nth([one.name for one in examples()].index(name)).click()


def drop(page: Any, *paths: Path, x: int = 900, y: int = 600, meanwhile: str = "") -> None:
    """Drop files or folders from outside the browser at a place of the page, as a person does: not before the page
    shows that it would take them. Chromium opens by itself what is dropped in the same moment as it comes.
    `meanwhile`: a script that the page runs just before they are let go."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
        if kind == "drop" and meanwhile:
            page.evaluate(meanwhile)
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
        if kind == "dragOver":
            page.wait_for_function("document.body.classList.contains('dropping')")
    session.detach()


def report_of(page: Any, folder: Path) -> dict[str, Any]:
    """The report that the page gives to take away."""
    found: dict[str, Any] = json.loads(taken(page, "take-report", folder).read_text(encoding="utf-8"))
    return found
