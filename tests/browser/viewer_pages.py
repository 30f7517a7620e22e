"""What tests do with the viewer's page: show a scan, read what it says, and find places on its pictures."""

from __future__ import annotations

from typing import Any

HOOK = "document.querySelector('#viewer .viewer').parentElement.hemobench"


def show(page: Any, name: str, state: str = "ready") -> Any:
    page.wait_for_function("Boolean(document.querySelector('#viewer .viewer')?.parentElement.hemobench)")
    before = page.evaluate(f"{HOOK}.times().given")
    page.click(f"#show-{name}")
    page.wait_for_function(f"(before) => {HOOK}.times().given !== before", arg=before)
    page.wait_for_selector(f'.viewer[data-state="{state}"]', state="attached")
    return page


def at(page: Any) -> list[int]:
    return page.evaluate(f"{HOOK}.state().at")


def text(page: Any, selector: str) -> str:
    # What is drawn follows in the next frame.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.inner_text(f".viewer {selector}").strip()


def point(page: Any, column: float, row: float, slot: int = 0) -> tuple[float, float]:
    """Where on the page the middle of a column and row of a view's picture is, by the view's own frame."""
    return tuple(
        page.evaluate(
            f"""([column, row, slot]) => {{
          const view = {HOOK}.views[slot], frame = view.frame({HOOK}.state().store);
          const box = view.canvas.getBoundingClientRect();
          return [box.left + frame.left + (column + 0.5) * frame.sx, box.top + frame.top + (row + 0.5) * frame.sy];
        }}""",
            [column, row, slot],
        )
    )


def pixel(page: Any, column: float, row: float, slot: int = 0) -> list[int]:
    """Red, green and blue on a view's canvas at a column and row of its picture."""
    return page.evaluate(
        f"""([column, row, slot]) => {{
          {HOOK}.draw();
          const view = {HOOK}.views[slot], frame = view.frame({HOOK}.state().store);
          const ratio = view.canvas.width / view.canvas.clientWidth;
          const at = [frame.left + (column + 0.5) * frame.sx, frame.top + (row + 0.5) * frame.sy];
          return [...view.context.getImageData(...at.map((one) => Math.floor(one * ratio)), 1, 1).data.slice(0, 3)];
        }}""",
        [column, row, slot],
    )


def grey(hu: float, center: float, width: float) -> float:
    return min(255.0, max(0.0, (hu - center + width / 2) / width * 255))
