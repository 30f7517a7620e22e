"""Many visitors at once: each gets their own answer; one's crash is nobody else's; logs stay without names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scans import ball_in_a_head, oblique_affine

from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.shipped import checkpoints_by_role
from hemobench.inference.study import analyse
from hemobench.io.nifti import write_nifti

gradio_client = pytest.importorskip("gradio_client", reason="the demo needs gradio")
VISITORS = 20
SPACING_MM = (12.0, 4.0, 4.0)
NAME = "DOE_JOHN_1950"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Another scan each: size of the bleed, place and number of slices differ."""
    folder = tmp_path_factory.mktemp("scans")
    paths = []
    for number in range(VISITORS):
        shape = (8 + number % 5, 48, 44)
        centre_mm = (30.0 - 3 * number, 20.0, 15.0)
        affine = oblique_affine(shape, SPACING_MM)
        volume = ball_in_a_head(shape, affine, centre_mm=centre_mm, radius_mm=14 + number / 2)
        paths.append(folder / f"{NAME}-{number}.nii.gz")
        write_nifti(volume, paths[-1])
    return paths


def ask(url: str, path: Path, downloads: Path, **arguments: Any) -> tuple[Any, ...]:
    client = gradio_client.Client(url, verbose=False, download_files=str(downloads))
    try:
        return tuple(client.predict(gradio_client.handle_file(path), **arguments, api_name="/analyse"))
    finally:
        client.close()


def test_twenty_visitors_at_once_get_their_own_answers(
    demo: Any, scans: list[Path], hand_made: tuple[Path, ...], tmp_path: Path
) -> None:
    checkpoints = list(checkpoints_by_role(list(hand_made)).values())
    with ThreadPoolExecutor(VISITORS) as visitors:
        answers = list(visitors.map(lambda path: ask(demo.url, path, tmp_path / path.name), scans))
    found = set()
    for path, (mapping, mask, _, _) in zip(scans, answers, strict=True):
        own = analyse(path, checkpoints)
        for key in ("source", "study", "slices", "lesions", "volume_ml"):
            assert mapping[key] == json.loads(json.dumps(own.to_mapping()[key])), (path.name, key)
        found.add(json.dumps(mapping["lesions"]))
        own_voxels = int(np.count_nonzero(own.label_map.voxels))  # type: ignore[union-attr]
        assert np.count_nonzero(np.asanyarray(nibabel.load(mask).dataobj)) == own_voxels
    assert len(found) == VISITORS  # no two scans have the same answer, so a mix-up would show


class Failing:
    """Opens the hand-made networks, and fails as a defect would where the set says so."""

    def __call__(self, sources: Sequence[str | Path]) -> dict[str, Checkpoint]:
        if "defect" in map(str, sources):
            raise RuntimeError(f"a defect with the file {NAME}.nii.gz")
        return checkpoints_by_role(list(sources))


def test_a_crash_leaves_the_others_alone_and_no_name_in_the_log(
    scans: list[Path],
    hand_made: tuple[Path, ...],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from demo.weights import WeightSet, WeightShelf

    from ..demo_app import running_demo

    sets = [WeightSet("good", "Good", hand_made), WeightSet("defect", "Defect", ("defect",))]
    broken = tmp_path / f"{NAME}.zip"
    broken.write_bytes(b"PK\x03\x04" + b"no zip" * 100)
    with running_demo(tmp_path / "gradio", WeightShelf(sets, Failing())) as demo:

        def visit(number: int) -> Any:
            try:
                if number % 3 == 2:
                    return ask(demo.url, broken, tmp_path / "x")
                checkpoint = "defect" if number % 3 else "good"
                return ask(demo.url, scans[number], tmp_path / str(number), checkpoint=checkpoint)
            except Exception as error:
                return str(error)

        with ThreadPoolExecutor(6) as visitors:
            answers = list(visitors.map(visit, range(6)))
    for number in (0, 3):
        assert answers[number][0]["source"]["shape"] == [8 + number % 5, 48, 44]
    for number in (1, 4):
        assert answers[number].startswith("Something went wrong here")
    for number in (2, 5):
        assert "damaged" in answers[number]
    written = "".join(capsys.readouterr()) + caplog.text
    assert "RuntimeError" in written
    assert NAME not in written
    assert NAME not in "".join(map(str, answers))
