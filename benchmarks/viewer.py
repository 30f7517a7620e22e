"""What the viewer costs: bytes of a scan, time to its first picture, and milliseconds a slice in a real Chromium.

    python benchmarks/viewer.py [SCAN ...] [--rounds N]

Without SCAN a phantom of 40 slices of 512 x 512 and the GE series beside the repository are taken. A frame is all three
planes drawn anew, at 1440 x 900, on the processor (no GPU), and read back from the canvas, so that what Chromium would
put off is counted too. Beside it stands the peer: one slice as a PNG from a Gradio server, in the same browser.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from playwright.sync_api import Page, sync_playwright
from ratios import DATA, Ratio, SkippedError, options, ratio, tell

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the demo is beside the package and not installed

import hemobench
from demo.theme import page_css, page_theme
from demo.viewer.component import Viewer
from demo.viewer.value import viewer_value
from demo.volume_stream import encode_volume
from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.inference.report import StudyReport
from hemobench.views.windows import to_grey_uint8

GE_HEAD_CT = Path(__file__).resolve().parents[1] / DATA / "ge-head-ct"
# Every slice of a plane once, each drawn and read back; gives the milliseconds of each.
SCROLL = """([plane, flush]) => {
  const { hemobench } = document.querySelector("#viewer .viewer").parentElement;
  hemobench.showPlane(plane);
  hemobench.draw();
  const axis = { axial: 0, coronal: 1, sagittal: 2 }[plane];
  const times = [];
  for (let index = 0; index < hemobench.state().store.shape[axis]; index++) {
    const start = performance.now();
    hemobench.goTo(plane, index);
    hemobench.draw();
    if (flush) for (const view of hemobench.views) view.context.getImageData(0, 0, 1, 1);
    times.push(performance.now() - start);
  }
  return times;
}"""
# The same as a visitor sees it: one slice an animation frame, and the time between frames.
ANIMATE = """() => new Promise((done) => {
  const { hemobench } = document.querySelector("#viewer .viewer").parentElement;
  hemobench.showPlane("axial");
  const count = hemobench.state().store.shape[0];
  const times = [];
  let last = performance.now();
  const next = (now) => {
    times.push(now - last);
    last = now;
    if (times.length > 120) return done(times.slice(1));
    hemobench.goTo("axial", times.length % count);
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})"""
# The times of a scan that was given after `since`, once all of it is there.
TIMES = """(since) => {
  const times = document.querySelector("#viewer .viewer").parentElement.hemobench?.times();
  return times && times.given > since && times.drawn && times.complete ? times : null;
}"""


def spread(times: list[float]) -> str:
    return f"median {np.median(times):.1f} ms, p95 {np.percentile(times, 95):.1f} ms"


def served(report: StudyReport, folder: Path, told: dict[str, float]) -> gr.Blocks:
    """A page with the viewer and the peer: a slider whose slice comes as a picture from the server."""
    assert report.scan is not None
    volume = report.scan.volume
    start = time.perf_counter()
    encoded = encode_volume(volume)
    told["encode"] = time.perf_counter() - start

    def value() -> dict[str, Any]:
        told["ready"] = 1000 * time.time()
        made = viewer_value(report, encoded, folder)
        told["bytes"] = sum(made["stream"]["lengths"]) + (made["stream"]["labels"] or {"bytes": 0})["bytes"]
        return made

    with gr.Blocks(fill_width=True) as blocks:
        viewer = Viewer(elem_id="viewer")
        gr.Button("show", elem_id="show").click(value, None, viewer, api_visibility="private")
        peer = gr.Image(elem_id="peer", format="png")
        number = gr.Number(0, elem_id="number")
        slice_of = lambda index: to_grey_uint8(volume.voxels[int(index)], "brain")  # noqa: E731
        number.change(slice_of, number, peer, show_progress="hidden")
    return blocks


def round_trips(page: Page, rounds: int) -> list[float]:
    """Milliseconds from a new slice number to the server's picture of it."""
    times = []
    field = page.locator("#number input")
    for index in range(1, rounds + 1):
        before = page.evaluate("document.querySelector('#peer img')?.src ?? ''")
        start = time.perf_counter()
        field.fill(str(index))
        field.press("Enter")
        page.wait_for_function(
            "(old) => { const shown = document.querySelector('#peer img'); "
            "return shown && shown.src !== old && shown.complete; }",
            arg=before,
        )
        times.append(1000 * (time.perf_counter() - start))
    return times


def measure(name: str, report: StudyReport, page: Page, folder: Path, rounds: int) -> Iterator[Ratio]:
    told: dict[str, float] = {}
    blocks = served(report, folder, told)
    _, url, _ = blocks.launch(
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        theme=page_theme(),
        css=page_css(),
        server_name="127.0.0.1",
    )
    page.goto(url)
    firsts, alls = [], []
    for _ in range(rounds):
        since = 1000 * time.time()
        page.click("#show")
        times = page.wait_for_function(TIMES, arg=since).json_value()
        firsts.append(times["drawn"] - told["ready"])
        alls.append(times["complete"] - told["ready"])
    print(
        f"{name}: {' x '.join(map(str, report.source.shape))}, {told['bytes'] / 1e6:.2f} MB on the wire, "
        f"coded in {told['encode']:.2f} s; report to first picture {np.median(firsts):.0f} ms, "
        f"to the last slice {np.median(alls):.0f} ms"
    )
    frames = {}
    for plane in ("axial", "coronal", "sagittal"):
        page.evaluate(SCROLL, [plane, True])
        drawn = [one for _ in range(rounds) for one in page.evaluate(SCROLL, [plane, True])]
        frames[plane] = float(np.median(drawn))
        print(f"  {plane}: {spread(drawn)} a frame ({len(drawn)} frames, three planes each)")
    print(f"  a slice an animation frame: {spread(page.evaluate(ANIMATE))} between frames")
    trips = round_trips(page, min(10, report.source.shape[0] - 1))
    print(f"  peer, a slice from the server: {spread(trips)}")
    yield ratio(
        f"a slice of {name} in the browser",
        "a picture from the server",
        frames["axial"],
        float(np.median(trips)),
        unit="ms",
    )
    blocks.close(verbose=False)


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--matrix", type=int, default=512)
    given = options(parser, argv, {"rounds": 1, "slices": 4, "matrix": 48})
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SkippedError("no chromium on this machine; install it to measure the viewer")
    scans: list[tuple[str, Any]] = [(path.name, path) for path in given.scans]
    if not scans:
        # A large epidural bleed: much to colour and to outline.
        spec = PhantomSpec(
            patients=12, slices=given.slices, matrix=given.matrix, healthy=0, seed=77, thickness_mm=4.0, least_size=0.8
        )
        scans = [("phantom", generate_patient(spec, 7).image)]
        scans += [("GE head CT", GE_HEAD_CT)] if GE_HEAD_CT.is_dir() and not given.smoke else []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for name, scan in scans:
            yield from measure(name, hemobench.analyse(scan), page, Path(folder), given.rounds)
        browser.close()


if __name__ == "__main__":
    tell(run())
