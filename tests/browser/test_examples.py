"""Examples tell the truth: what was drawn into them, over the pictures and in numbers, and what they are in words."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from demo.app import warm_up
from demo.examples import examples
from demo.weights import shelf_from_environment
from demo.workshop import Welcome
from hemobench.inference.engine import _shared

from ..demo_app import RunningDemo, running_demo
from .scan_pages import LONG_MS, arrive, choose_example, drawn, report_of, status, taken

HOOK = "document.querySelector('#scan-viewer .viewer').parentElement.hemobench"
TRUTH, WORDS = "#scan-viewer [data-layer=truth]", "#scan-viewer .findings .truth"
CAPTION = "#scan-examples .example-caption"
# How many pixels of the large picture are others once the truth is asked for.
CHANGED = f"""() => {{
  const {{ views, draw }} = {HOOK};
  const button = document.querySelector("{TRUTH}");
  const {{ context, canvas }} = views[0];
  const seen = () => {{ draw(); return context.getImageData(0, 0, canvas.width, canvas.height).data; }};
  const before = seen();
  button.click();
  const after = seen();
  let changed = 0;
  for (let at = 0; at < after.length; at += 4) if (before[at] !== after[at]) changed += 1;
  return changed;
}}"""


@pytest.mark.parametrize("name", ["subarachnoid", "mri-t1"])
def test_the_truth_of_an_example_is_drawn_and_told_in_millilitres_and_dice(
    opened: Any, tmp_path: Path, name: str
) -> None:
    choose_example(opened, name)
    status(opened, "done")
    drawn(opened)
    assert not opened.is_visible(WORDS)
    assert opened.evaluate(CHANGED) > 50
    opened.wait_for_selector(WORDS)
    found = re.fullmatch(r"Truth: ([\d.]+) mL; outlined ([\d.]+) mL; Dice ([\d.]+)", opened.inner_text(WORDS))
    assert found is not None
    one = next(one for one in examples() if one.name == name)
    assert one.truth is not None
    truth = nibabel.load(one.truth)
    answer = nibabel.load(taken(opened, "take-mask", tmp_path))
    masks = [np.asanyarray(image.dataobj) > 0 for image in (truth, answer)]
    per_voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
    true_ml, outlined_ml, dice = map(float, found.groups())
    assert true_ml == pytest.approx(masks[0].sum() * per_voxel_ml, abs=0.05)
    assert outlined_ml == pytest.approx(masks[1].sum() * per_voxel_ml, abs=0.05)
    assert dice == pytest.approx(2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum()), abs=0.005)
    # What the browser draws from is the truth, voxel by voxel.
    box = opened.evaluate(f"{HOOK}.state().value.truth")
    voxels = np.frombuffer(zlib.decompress(base64.b64decode(box["outline"])), dtype=np.uint8)
    assert voxels.sum() == masks[0].sum()
    opened.keyboard.press("Escape")
    opened.focus("#scan-viewer canvas[tabindex='0']")
    opened.keyboard.press("t")
    opened.wait_for_selector(WORDS, state="hidden")
    assert opened.get_attribute(TRUTH, "aria-pressed") == "false"


def test_of_a_head_without_blood_the_truth_says_so_and_an_upload_has_none(opened: Any, tmp_path: Path) -> None:
    choose_example(opened, "healthy")
    status(opened, "done")
    drawn(opened)
    opened.click(TRUTH)
    words = opened.inner_text(WORDS)
    total = report_of(opened, tmp_path)["volume_ml"]["total"]
    assert words.startswith("Truth: no blood; ")
    assert words.endswith("nothing outlined") == (total == 0)
    own = tmp_path / "own.nii.gz"
    own.write_bytes(examples()[0].path.read_bytes())
    opened.set_input_files("#scan-upload input[type=file]", str(own))
    opened.wait_for_function(f"{HOOK}.state()?.value.title.startsWith('Example') === false")
    drawn(opened)
    assert not opened.is_visible(TRUTH)
    assert not opened.is_visible(WORDS)


def test_the_caption_of_an_example_is_read_when_it_is_pointed_at_and_when_it_is_open(opened: Any) -> None:
    first, last = examples()[0], examples()[-1]
    assert "Show truth" in opened.inner_text(CAPTION)
    cards = opened.locator("#scan-examples button.example")
    cards.nth(len(examples()) - 1).hover()
    assert opened.inner_text(CAPTION) == last.caption
    cards.nth(0).click()
    status(opened, "done")
    opened.mouse.move(700, 5)
    opened.locator("#scan-viewer canvas").first.focus()
    assert opened.inner_text(CAPTION) == first.caption
    assert "17.3 mL drawn in. A phantom, no patient." in first.caption


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The page once the process is warm."""
    shelf, welcome = shelf_from_environment(), Welcome()
    with running_demo(tmp_path_factory.mktemp("gradio"), shelf, welcome) as running:
        warm_up(shelf, running.folder, welcome).join()
        yield running


def test_an_example_is_open_on_arrival_and_gives_way_to_what_is_asked_for(
    page: Any, warmed: RunningDemo, new_page: Callable[..., Any], tmp_path: Path
) -> None:
    arrive(page, warmed)
    words = status(page, "done")
    drawn(page)
    first = examples()[0]
    assert "An example, so that there is something to look at. Drop a scan anywhere" in words
    assert page.inner_text("#scan-viewer .source").startswith(f"Example, {first.title}")
    assert page.inner_text("#scan-examples button.example[aria-pressed=true]") == first.title
    assert page.inner_text(CAPTION) == first.caption
    assert "#" not in page.url
    report = report_of(page, tmp_path)
    assert f"{report['volume_ml']['total']:.1f} mL" in words
    page.click(TRUTH)
    assert page.inner_text(WORDS).startswith(f"Truth: {first.volume_ml} mL; ")

    # Another visitor has files of their own: deleting here takes nothing there.
    stranger = arrive(new_page(color_scheme="dark"), warmed)
    drawn(stranger)
    stranger.click("#scan-forget")
    stranger.wait_for_function("document.querySelector('#scan-status').innerText.startsWith('Deleted')")
    assert report_of(page, tmp_path) == report

    page.click("#scan-again")
    page.wait_for_function("location.hash.startsWith('#scan=')")
    status(page, "done")
    assert report_of(page, tmp_path)["lesions"] == report["lesions"]
    choose_example(page, "healthy")
    page.wait_for_function("document.querySelector('#scan-status .done')?.innerText.startsWith('Haemorrhage unlikely')")


def test_a_link_opens_its_own_answer_and_not_the_example(
    page: Any, warmed: RunningDemo, new_page: Callable[..., Any]
) -> None:
    arrive(page, warmed)
    drawn(page)
    choose_example(page, "healthy")
    page.wait_for_function("location.hash.startsWith('#scan=')")
    page.wait_for_function("document.querySelector('#scan-status .done')?.innerText.startsWith('Haemorrhage unlikely')")
    page.wait_for_selector("#take-report:not([disabled])", timeout=LONG_MS)
    friend = new_page()
    friend.goto(page.url)
    assert status(friend, "done").startswith("Haemorrhage unlikely")
    drawn(friend)
    assert friend.inner_text("#scan-viewer .source").startswith("Example, No blood")
    page.reload()
    assert status(page, "done").startswith("Haemorrhage unlikely")
    gone = new_page()
    gone.goto(page.url[:-4] + "AAAA")
    gone.wait_for_function(
        "document.querySelector('#scan-status')?.innerText.startsWith('The scan of this link is not here any more')"
    )
    assert gone.locator("#scan-viewer .viewer[data-state=empty]").count() == 1


# Every figure that the progress has shown, from now on.
WATCH_PROGRESS = """() => {
  window.seen = [];
  const look = () => {
    const words = document.querySelector("#scan-status")?.innerText ?? "";
    const found = words.match(/Outlining the ventricles[^0-9]*([\\d.]+)\\s*%/);
    if (found && window.seen.at(-1) !== Number(found[1])) window.seen.push(Number(found[1]));
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def test_every_network_is_loaded_before_it_is_asked_for_and_progress_moves_in_an_mri(
    page: Any, warmed: RunningDemo
) -> None:
    for checkpoint in shelf_from_environment().open().checkpoints:
        assert any(key[0] == checkpoint.sha256 and one.engine is not None for key, one in _shared.items())
    arrive(page, warmed)
    drawn(page)
    page.evaluate(WATCH_PROGRESS)
    choose_example(page, "mri-t1")
    page.wait_for_function("document.querySelector('#scan-status .done')?.innerText.startsWith('Ventricles')")
    seen = page.evaluate("window.seen")
    # Between where the network begins and where it ends: how many of its windows are seen is the machine's matter.
    assert [one for one in seen if 60 < one < 85], seen
    assert seen == sorted(seen)
