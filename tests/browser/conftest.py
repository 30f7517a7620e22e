"""A real Chromium, pages that may only speak to this machine, and Gradio apps served from this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..demo_app import RunningDemo, running_demo, spare_stderr
from .scan_pages import arrive

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
gradio = pytest.importorskip("gradio", reason="the browser tests need gradio")

CHROMIUM = os.environ.get("HEMOBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # WebGL on the processor, for the 3D figure
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
# Long, for machines that do other things as well; nothing waits longer than it must.
WAIT_MS = 60_000
Serve = Callable[[Any], str]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests; without one they are skipped."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install it to run the browser tests")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def outside() -> list[str]:
    """Addresses outside this machine that pages of this test asked for; checked when the test ends."""
    return []


@pytest.fixture
def new_page(browser: Any, outside: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens pages in contexts of their own (viewport, colour scheme, touch as `browser.new_context` takes them)."""
    contexts = []

    def watched(route: Any) -> None:
        address = route.request.url
        if address.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:")):
            route.continue_()
        else:
            outside.append(address)
            route.abort()

    def opened(**options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        context.route("**/*", watched)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not outside, f"pages asked for addresses outside this machine: {sorted(set(outside))}"


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """A desktop page whose errors fail the test."""
    opened = new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert not errors, f"the page's script failed: {errors}"


@contextmanager
def serving(folder: Path) -> Iterator[Serve]:
    """Launches `gr.Blocks` in this process, their files under `folder`, and closes them at the end."""
    running = []

    def launched(blocks: Any, **options: Any) -> str:
        running.append(blocks)
        spare_stderr()
        _, url, _ = blocks.launch(
            prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, share=False, ssr_mode=False, **options
        )
        return str(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield launched
        for blocks in running:
            blocks.close(verbose=False)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Launches a `gr.Blocks` in this process and gives its address; closed when the test ends."""
    with serving(tmp_path / "gradio") as launched:
        yield launched


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """The same for a page that all tests of a module share."""
    with serving(tmp_path_factory.mktemp("gradio")) as launched:
        yield launched


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The whole page with the shipped networks, for all tests of a module."""
    with running_demo(tmp_path_factory.mktemp("gradio")) as running:
        yield running


@pytest.fixture
def opened(page: Any, demo: RunningDemo) -> Any:
    """That page in a browser, just arrived."""
    return arrive(page, demo)
