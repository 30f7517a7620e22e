"""Examples tell the truth: what was drawn into them, over the pictures and in numbers, and what they are in words."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from demo.examples import examples

from ..demo_app import RunningDemo, running_demo
from .scan_pages import arrive, choose_example, drawn, report_of, status, taken

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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("gradio")) as running:
        yield running


@pytest.fixture
def opened(page: Any, demo: RunningDemo) -> Any:
    return arrive(page, demo)


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
