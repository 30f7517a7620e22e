"""An answer has a link: it outlives a reload and Back, belongs to whoever has it, and ends with the scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.examples import examples

from ..demo_app import RunningDemo
from .scan_pages import LONG_MS, NAME, arrive, choose_example, drawn, report_of, status, upload

TITLE = "#scan-viewer .source"
GONE = "The scan of this link is not here any more"


def secret_of(page: Any) -> str:
    found: str = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('scan')")
    return found


def test_an_answer_outlives_a_reload_and_back_and_its_secret_reaches_no_address(
    opened: Any, demo: RunningDemo, tmp_path: Path
) -> None:
    asked: list[str] = []
    opened.context.on("request", lambda request: asked.extend([request.url, request.headers.get("referer", "")]))
    scan = tmp_path / f"{NAME}.nii.gz"
    scan.write_bytes(examples()[4].path.read_bytes())
    upload(opened, scan)
    words = status(opened, "done")
    drawn(opened)
    before, title = report_of(opened, tmp_path), opened.inner_text(TITLE)
    secret = secret_of(opened)
    assert len(secret) >= 32
    assert NAME not in opened.url

    opened.reload()
    assert status(opened, "done") == words
    drawn(opened)
    assert report_of(opened, tmp_path) == before
    assert opened.inner_text(TITLE) == title
    assert opened.locator("#scan-3d").is_visible()

    opened.go_back()  # to where the page had no answer yet: it stays
    opened.wait_for_function("location.hash.startsWith('#scan=')")
    drawn(opened)
    opened.goto("about:blank")
    opened.go_back()
    assert status(opened, "done") == words
    drawn(opened)

    opened.click("#scan-again")  # the scan is known again, not its pictures alone
    opened.wait_for_function("document.querySelector('#scan-status .busy')")
    status(opened, "done")
    assert report_of(opened, tmp_path)["lesions"] == before["lesions"]
    assert secret_of(opened) != secret
    assert not [address for address in asked if secret in address or secret_of(opened) in address]
    assert not [path for path in demo.folder.rglob("*") if secret in path.name]


def test_a_link_is_for_whoever_has_it_and_ends_with_the_scan(
    opened: Any, demo: RunningDemo, new_page: Callable[..., Any]
) -> None:
    choose_example(opened, "epidural")
    words = status(opened, "done")
    opened.wait_for_selector("#take-report:not([disabled])", timeout=LONG_MS)
    link = opened.url

    stranger = arrive(new_page(), demo)
    stranger.wait_for_load_state("networkidle")
    assert "Drop a scan anywhere" in stranger.inner_text("#scan-status")
    assert stranger.locator("#scan-viewer .viewer[data-state=empty]").count() == 1
    stranger.goto(link[:-4] + "AAAA")  # another fragment alone: the page loads itself again
    stranger.wait_for_function(f"document.querySelector('#scan-status')?.innerText.startsWith('{GONE}')")

    friend = new_page()
    friend.goto(link)
    assert status(friend, "done") == words
    drawn(friend)
    marked = "#scan-examples button.example[aria-pressed=true]"
    assert friend.inner_text(marked) == "Epidural"

    opened.click("#scan-forget")
    opened.wait_for_function("document.querySelector('#scan-status').innerText.startsWith('Deleted')")
    assert "#" not in opened.url
    friend.reload()
    friend.wait_for_function(f"document.querySelector('#scan-status')?.innerText.startsWith('{GONE}')")
    assert friend.locator("#scan-viewer .viewer[data-state=empty]").count() == 1
    assert friend.is_disabled("#take-report")


def test_what_the_visitor_says_that_the_scan_is_asks_anew_and_comes_back_with_the_answer(
    opened: Any, tmp_path: Path
) -> None:
    choose_example(opened, "epidural")
    status(opened, "done")
    assert report_of(opened, tmp_path)["source"]["modality"] == "CT"
    first = secret_of(opened)
    opened.click("#scan-modality input")
    opened.get_by_role("option", name="a picture, no HU").click()
    opened.wait_for_function("(first) => !location.hash.endsWith(first)", arg=first)
    words = status(opened, "done")
    assert report_of(opened, tmp_path)["source"]["modality"] == "grey"

    second = secret_of(opened)
    opened.reload()
    assert status(opened, "done") == words
    drawn(opened)
    assert opened.input_value("#scan-modality input") == "a picture, no HU"
    opened.wait_for_timeout(1500)
    assert secret_of(opened) == second, "the drop-down followed the answer and asked for nothing"
    assert report_of(opened, tmp_path)["source"]["modality"] == "grey"


def test_a_reload_while_the_scan_is_at_work_asks_for_it_again(opened: Any) -> None:
    choose_example(opened, "mri-t1")
    opened.wait_for_function("location.hash.startsWith('#scan=')")
    opened.reload()
    status(opened, "done")
    drawn(opened)
    assert opened.inner_text(TITLE).startswith("Example, MRI")
