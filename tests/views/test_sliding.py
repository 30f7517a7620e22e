from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from small_checkpoints import head_batch, small_checkpoint

from hemobench.inference.engine import Engine, load_engine
from hemobench.views import sliding
from hemobench.views.sliding import predict_slices, predict_volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sliding")


def engine_of(folder: Path, role: str, **changes: object) -> Engine:
    return load_engine(small_checkpoint(folder / role, role, **changes), "torch", precision="fp32")


class Columns:
    """An engine by hand: the logits of a picture are its leftmost and its rightmost column's mean; a volume's are its
    voxels and their column's number. batches: the sizes that it was called with."""

    description, context = "columns", 1

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(batch.shape)
        if batch.ndim == 4:
            return np.stack([batch[:, 0, :, 0].mean(axis=1), batch[:, 0, :, -1].mean(axis=1)], axis=1)
        columns = np.broadcast_to(np.arange(batch.shape[-1], dtype=np.float32), batch[:, 0].shape)
        return np.stack([batch[:, 0], columns], axis=1)


def test_slices_in_batches_equal_one_call(folder: Path) -> None:
    engine = engine_of(folder, "slice-classifier")
    images = head_batch(3, 64, 64, batch=11)
    np.testing.assert_allclose(predict_slices(engine, images, batch=4), engine.run(images), atol=1e-5)


def test_batches_are_no_larger_than_asked() -> None:
    engine = Columns()
    predict_slices(engine, np.zeros((11, 1, 4, 4), dtype=np.float32), batch=4)
    assert [shape[0] for shape in engine.batches] == [4, 4, 3]


def test_tta_of_slices_is_the_mean_with_the_mirror_image() -> None:
    images = np.zeros((1, 1, 2, 3), dtype=np.float32)
    images[..., 0], images[..., -1] = 1.0, 5.0
    np.testing.assert_array_equal(predict_slices(Columns(), images), [[1.0, 5.0]])
    np.testing.assert_array_equal(predict_slices(Columns(), images, flip_tta=True), [[3.0, 3.0]])


@pytest.mark.parametrize("patch", [(4, 2, 3), (4, 2, 2)])
@pytest.mark.parametrize("context", [1, None])
def test_tta_of_volumes_mirrors_the_answer_back(context: int | None, patch: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(0).random((1, 4, 2, 3), dtype=np.float32)
    logits = predict_volume(Columns(), volume, patch=patch, context=context, flip_tta=True)
    np.testing.assert_allclose(logits[0], volume[0], rtol=1e-6)  # voxels stay where they were
    if patch[2] == 3 or context is not None:
        np.testing.assert_allclose(logits[1], np.ones((4, 2, 3)), rtol=1e-6)  # columns 0, 1, 2 with 2, 1, 0


@pytest.mark.parametrize(("context", "chunk"), [(0, 3), (1, 1), (1, 4), (2, 3), (2, 20)])
def test_chunks_equal_one_call_on_the_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, context: int, chunk: int
) -> None:
    options = {"base": 2, "depth": 2, "norm": "batch", "context": context}
    engine = engine_of(folder, "haemorrhage", model_options=options)
    assert engine.context == context
    monkeypatch.setattr(sliding, "_SLICES_A_CALL", chunk)
    volume = np.random.default_rng(0).random((1, 10, 44, 48), dtype=np.float32)
    found = predict_volume(engine, volume, patch=(8, 44, 48), context=context)
    np.testing.assert_allclose(found, engine.run(volume[None])[0], atol=1e-5)


def test_windows_equal_monais(folder: Path) -> None:
    engine = engine_of(folder, "ventricles")
    volume = head_batch(1, 27, 50, 48, batch=1)[0]
    found = predict_volume(engine, volume, patch=(20, 44, 48), context=None, overlap=0.5)
    expected = sliding_window_inference(
        torch.from_numpy(volume[None]),
        (20, 44, 48),
        2,
        lambda window: torch.from_numpy(engine.run(window.numpy())),
        overlap=0.5,
        mode="gaussian",
    )
    np.testing.assert_allclose(found, np.asarray(expected)[0], atol=1e-5)
    whole = engine.run(volume[None])[0]
    assert np.abs(found - whole).max() > 1e-3  # instance norm sees another block, so windows are not one call


def test_a_volume_of_the_patchs_size_is_one_call(folder: Path) -> None:
    engine = engine_of(folder, "ventricles")
    volume = head_batch(1, 20, 44, 48, batch=1)[0]
    found = predict_volume(engine, volume, patch=(20, 44, 48), context=None)
    np.testing.assert_array_equal(found, engine.run(volume[None])[0])


def test_a_volume_smaller_than_the_patch_keeps_its_shape(folder: Path) -> None:
    engine = engine_of(folder, "ventricles")
    volume = head_batch(1, 9, 44, 31, batch=1)[0]
    assert predict_volume(engine, volume, patch=(20, 44, 48), context=None).shape == (1, 9, 44, 31)
