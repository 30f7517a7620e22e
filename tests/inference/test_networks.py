"""What is saved on the way back to the scan changes nothing: the answer is that of the whole field at every voxel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hand_made import SLOPE, blood_checkpoint, slice_checkpoint
from numpy.typing import NDArray
from scans import oblique_affine
from scipy.special import expit, logit

from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.engine import shared_engine
from hemobench.inference.networks import classify, find_blood
from hemobench.views.scan_grid import network_input, to_source
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume

VIEW = SegmentationView("subtypes", (5.0, 1.5, 1.5), (8, 32, 32), "brain")


@contextmanager
def stage(name: str) -> Iterator[None]:
    yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("blood") / "blood"
    return open_checkpoint(
        blood_checkpoint(folder, threshold_hu=56, view=VIEW, subtype="subdural", brighter=(66, "epidural"))
    )


def cloudy(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], seed: int) -> Volume:
    """Smooth clouds of 20 to 80 HU in a block of head, so that blood has every form and reaches every border."""
    rng = np.random.default_rng(seed)
    waves = np.zeros(shape)
    index = np.stack(np.mgrid[tuple(map(slice, shape))], axis=-1) * spacing_mm
    for _ in range(12):
        waves += np.cos(index @ rng.normal(0, 0.12, 3) + rng.uniform(0, 6.28))
    return Volume(50 + 10 * waves, oblique_affine(shape, spacing_mm))


def by_the_long_way(volume: Volume, checkpoint: Checkpoint) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blood's probability and the grey that the network saw, at every voxel of the scan."""
    seen = network_input(volume, VIEW)
    grey = seen.array[0]
    probability = expit(SLOPE * (grey - 56 / 80)).astype(np.float32)
    return to_source(probability[None], seen.grid, volume)[0], to_source(grey[None], seen.grid, volume)[0]


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [((12, 60, 50), (5.0, 0.9, 1.0)), ((40, 40, 30), (1.2, 1.5, 1.5)), ((7, 20, 22), (8.0, 3.0, 2.5))],
)
def test_the_box_around_blood_loses_nothing(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], checkpoint: Checkpoint
) -> None:
    volume = cloudy(shape, spacing_mm, seed=sum(shape))
    # One corner alone holds blood, so that the box is smaller than the scan.
    voxels = np.minimum(volume.voxels, 40)
    corner = tuple(slice(size // 2, None) for size in shape)
    voxels[corner] = volume.voxels[corner]
    volume = volume.with_voxels(voxels)
    found = find_blood(volume, checkpoint.config, shared_engine(checkpoint, "torch"), stage)
    probability, _ = by_the_long_way(volume, checkpoint)
    # The network computes in bf16; at the threshold itself either answer is right.
    sure = np.abs(probability - 0.5) > 0.03
    assert 50 < np.count_nonzero(probability > 0.5) < 0.5 * volume.voxels.size
    np.testing.assert_array_equal(found.labels[sure] > 0, probability[sure] > 0.5)
    np.testing.assert_allclose(found.probability[found.labels > 0], probability[found.labels > 0], atol=0.03)


def test_types_are_those_of_the_nearest_point(checkpoint: Checkpoint) -> None:
    volume = cloudy((10, 40, 40), (5.0, 1.5, 1.5), seed=3)
    found = find_blood(volume, checkpoint.config, shared_engine(checkpoint, "torch"), stage)
    _, grey = by_the_long_way(volume, checkpoint)
    blood = found.labels > 0
    # Far enough from the border of the types and of the grid's points: 66 HU is grey 0.825.
    bright, faint = blood & (grey > 0.88), blood & (grey < 0.77)
    assert min(bright.sum(), faint.sum()) > 50
    assert set(np.unique(found.labels)) == {0, 1, 5}
    assert (found.labels[bright] == 1).mean() > 0.97
    assert (found.labels[faint] == 5).mean() > 0.97


def test_summary_is_the_likeliest_voxel_of_each_slice(checkpoint: Checkpoint) -> None:
    # Slices of the scan and of the network coincide.
    volume = cloudy((9, 40, 40), (5.0, 1.5, 1.5), seed=4)
    engine = shared_engine(checkpoint, "torch")
    summary = find_blood(volume, checkpoint.config, engine, stage).summary
    assert summary is not None
    grey = network_input(volume, VIEW).array[0].max(axis=(1, 2))
    expected = expit(SLOPE * (grey - 56 / 80))
    np.testing.assert_allclose(summary.slices["any"], expected, atol=0.02)
    assert summary.study["any"] == pytest.approx(expected.max(), abs=0.02)
    assert summary.study["epidural"] <= summary.study["any"]
    assert find_blood(volume, checkpoint.config, engine, stage, summarise=False).summary is None


def test_every_slice_is_classified_whatever_the_batch(tmp_path: Path) -> None:
    opened = open_checkpoint(slice_checkpoint(tmp_path / "slices", size=32, gain=50.0))
    volume = cloudy((37, 40, 40), (2.0, 3.0, 3.0), seed=5)
    engine = shared_engine(opened, "torch")
    whole = classify(volume, opened.config, engine, stage)
    assert whole.slices["any"].shape == (37,)
    for index in (0, 15, 16, 36):
        alone = volume.cropped((index, 0, 0), (index + 1, 40, 40))
        single = classify(alone, opened.config, engine, stage)
        assert single.slices["any"][0] == pytest.approx(whole.slices["any"][index], abs=1e-3)
        assert single.study["any"] == pytest.approx(single.slices["any"][0])
    assert whole.study["any"] == pytest.approx(whole.slices["any"].max())
    # Of three slices the mean of their logits speaks.
    three = classify(volume, dataclasses.replace(opened.config, study_slices=3), engine, stage)
    highest = np.sort(logit(whole.slices["any"]))[-3:]
    assert logit(three.study["any"]) == pytest.approx(highest.mean(), abs=1e-5)
    assert three.study["any"] < whole.study["any"]


def test_a_faint_piece_goes_where_the_checkpoint_asks_for_a_sure_voxel(tmp_path: Path) -> None:
    opened = open_checkpoint(blood_checkpoint(tmp_path / "blood", threshold_hu=60.0))
    voxels = np.full((8, 60, 60), 30.0, dtype=np.float32)
    voxels[2:5, 10:20, 10:20] = 75.0  # of the window's 80 HU, 15 above the threshold: logit 40 * 15 / 80
    voxels[2:5, 12:16, 20:24] = 61.0  # touches it, and is blood with it
    voxels[2:5, 40:50, 40:50] = 62.0  # by itself: logit 1, probability 0.73
    volume = Volume(voxels, np.diag([5.0, 1.4, 1.4, 1.0])[[2, 1, 0, 3]])
    engine = shared_engine(opened, "torch")
    both = find_blood(volume, opened.config, engine, stage).labels > 0
    assert both[3, 45, 45]
    assert both[3, 15, 15]
    sure = dataclasses.replace(opened.config, thresholds={**opened.config.thresholds, "lesion": {"any": 0.9}})
    kept = find_blood(volume, sure, engine, stage).labels > 0
    assert not kept[:, 35:, 35:].any()
    np.testing.assert_array_equal(kept[:, :30, :30], both[:, :30, :30])
    assert kept[3, 14, 22]
