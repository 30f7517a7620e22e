"""The hand-made networks answer what they say, so that tests may build upon them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hand_made import SLOPE, blood_checkpoint, slice_checkpoint, ventricle_checkpoint

from hemobench.inference.checkpoint import open_checkpoint


@torch.no_grad()
def test_blood_is_what_is_bright(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(blood_checkpoint(tmp_path / "blood", threshold_hu=60, brighter=(72, "subdural")))
    model = checkpoint.build_model()
    grey = torch.rand(1, 1, 5, 13, 18)
    logits = model(grey)
    torch.testing.assert_close(logits[:, 0], SLOPE * (grey[:, 0] - 0.75), atol=1e-4, rtol=0)
    names = np.array(checkpoint.config.outputs[1:])[logits[0, 1:].argmax(dim=0).numpy()]
    assert (names == np.where(grey[0, 0].numpy() > 0.9, "subdural", "intraparenchymal")).all()


@torch.no_grad()
def test_ventricles_are_what_is_bright(tmp_path: Path) -> None:
    model = open_checkpoint(ventricle_checkpoint(tmp_path / "bright", threshold_grey=0.25)).build_model()
    grey = torch.rand(1, 1, 6, 9, 10)
    torch.testing.assert_close(model(grey)[:, 0], SLOPE * (grey[:, 0] - 0.25), atol=1e-4, rtol=0)


@torch.no_grad()
def test_classifier_answers_by_how_much_is_bright(tmp_path: Path) -> None:
    model = open_checkpoint(slice_checkpoint(tmp_path / "slices", threshold_hu=60, size=32)).build_model()
    grey = torch.full((2, 1, 32, 32), 0.5)
    grey[1, 0, 8:16, 4:12] = 1.0  # a sixteenth of the slice, 0.25 above the threshold
    logits = model(grey)
    expected = torch.full((2, 6), -6.0)
    expected[:, [1, 5]] = torch.tensor([[-4.0], [200 * 0.25 / 16 - 4.0]])
    torch.testing.assert_close(logits, expected)
