"""The checkpoints in the repository: whole, small enough, and the same in both engines to the stated tolerance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.inference.checkpoint import open_checkpoint, weights_of
from hemobench.inference.engine import (
    BF16_MEAN_TOLERANCE,
    BF16_TOLERANCE,
    FP32_MEAN_TOLERANCE,
    FP32_TOLERANCE,
    load_engine,
)
from hemobench.views.scan_grid import network_input
from hemobench.views.slices import slice_images
from hemobench.views.view import ClassificationView, SegmentationView
from hemobench.volume import Volume

FOLDER = Path(__file__).resolve().parents[2] / "checkpoints"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/manifest.json"))
MOST_BYTES = 12_000_000


@pytest.fixture(scope="module")
def heads() -> dict[str, Volume]:
    """A head for each modality that the networks take."""
    ct = PhantomSpec(patients=4, slices=12, matrix=128, healthy=0.0)
    # Patient 1 has its skull, as the shipped ventricle network's teachers had.
    return {"CT": generate_patient(ct, 1).image, "MR": generate_patient(PhantomSpec(patients=2, product="t1"), 1).image}


def test_what_is_shipped() -> None:
    assert NAMES == [
        "bleed",
        "paper-cnn",
        "slice-classifier",
        "slice-classifier-phantom",
        "slice-classifier-timm",
        "ventricles",
        "ventricles-ct",
    ]
    stored = sorted(FOLDER.glob("*/model.safetensors"))
    assert {path.parent.name for path in stored} == {*NAMES} - {"slice-classifier-timm"}  # which is cut from another
    assert sum(path.stat().st_size for path in stored) <= 32_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_whole_small_and_names_no_path(name: str) -> None:
    checkpoint = open_checkpoint(FOLDER / name)
    assert checkpoint.config.name == name
    assert len(weights_of(FOLDER / name, checkpoint.sha256)) <= MOST_BYTES
    for file in ("README.md", "config.json", "metrics.json", "manifest.json"):
        text = (FOLDER / name / file).read_text()
        # A path from the root says too much of whoever trained it: after a quote, a colon or a space, before a name.
        assert re.search(r"""[\s"':=(]/[A-Za-z]\w*/""", text) is None
    low, high = next(iter(checkpoint.metrics["metrics"].values()))["ci"]
    assert low <= high


@pytest.mark.parametrize(
    ("name", "grid"),
    [("bleed", "5 x 0.75 x 0.75 mm"), ("ventricles", "1.5 x 1.5 x 1.5 mm"), ("ventricles-ct", "4 x 1 x 1 mm")],
)
def test_a_card_names_the_limits_of_its_own_grid(name: str, grid: str) -> None:
    limits = (FOLDER / name / "README.md").read_text().split("## Limits")[1]
    assert grid in limits


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "precision", "largest", "mean"),
    [
        ("openvino", "fp32", FP32_TOLERANCE, FP32_MEAN_TOLERANCE),
        ("openvino", "bf16", BF16_TOLERANCE, BF16_MEAN_TOLERANCE),
        ("torch", "bf16", BF16_TOLERANCE, BF16_MEAN_TOLERANCE),
    ],
)
def test_engines_keep_to_the_tolerance(
    name: str, kind: str, precision: str, largest: float, mean: float, heads: dict[str, Volume]
) -> None:
    checkpoint = open_checkpoint(FOLDER / name)
    view = checkpoint.config.view
    head = heads["MR" if name == "ventricles" else "CT"]
    if isinstance(view, ClassificationView):
        batch = slice_images(head, view, name).astype(np.float32) / 255
    else:
        assert isinstance(view, SegmentationView)
        seen = network_input(head, view).array
        if checkpoint.config.context is None:
            # What such a network is given is a window of its size; this is the middle one.
            starts = [(side - size) // 2 for side, size in zip(seen.shape[1:], view.shape, strict=True)]
            window = [slice(start, start + size) for start, size in zip(starts, view.shape, strict=True)]
            seen = seen[(slice(None), *window)]
        batch = np.ascontiguousarray(seen[None])
    expected = expit(load_engine(checkpoint, "torch", precision="fp32").run(batch))
    error = np.abs(expit(load_engine(checkpoint, kind, precision=precision).run(batch)) - expected)
    assert error.max() < largest
    assert error.mean() < mean
