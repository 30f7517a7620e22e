"""Single slices of volumes: which are drawn, how often, and what a step gets of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_dataset, make_split

from hemobench.augment import PRESETS, Augmentation, augment
from hemobench.datasets.cache import Examples, SegmentationView, build_examples
from hemobench.errors import UserError
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import load_model, run_experiment
from hemobench.training.slices import drawable_slices, gathered

VIEW = SegmentationView("subtypes", (5.0, 2.0, 2.0), (8, 32, 32), "brain+bone")
CONFIG = TrainConfig(
    task="segmentation",
    model="timm-unet:resnet10t",
    model_options={"context": 1, "fine": True},
    view=VIEW,
    loss="blood+type",
    sampling="slices",
    augment="any-slice",
    prior=False,
    epochs=2,
    steps_per_epoch=3,
    batch_size=4,
    average=0.5,
    precision="fp32",
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return build_examples(make_dataset(), VIEW, jobs=1)


def _by_hand() -> Examples:
    """Three volumes of four slices: a bleeds in two slices, b in one, c in none; the last slice of c is padding."""
    images = np.ones((3, 1, 4, 8, 8), dtype=np.uint8)
    targets = np.zeros((3, 1, 4, 8, 8), dtype=np.uint8)
    targets[0, 0, [0, 1], 3, 3], targets[1, 0, 2, 3, 3] = 2, 5
    images[2, 0, 3] = 0
    for row in range(3):
        images[row, 0, :3] = 10 * row + np.arange(1, 4)[:, None, None]
    ids = np.array(["a", "b", "c"])
    return Examples("segmentation", images, targets, ids, ids, np.full(3, -1), np.ones((3, 3)), "hand", True, "f", VIEW)


def test_half_of_the_draws_bleed_and_patients_come_alike() -> None:
    numbers, shares = drawable_slices(_by_hand(), np.array([0, 1, 2]))
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]  # the padding, 11, is never drawn
    # Bleeding: a quarter of all draws each for a (two slices) and b (one). Not: a sixth each for a (2), b (3), c (3).
    expected = [1 / 8, 1 / 8, 1 / 12, 1 / 12, 1 / 18, 1 / 18, 1 / 4, 1 / 18, 1 / 18, 1 / 18, 1 / 18]
    np.testing.assert_allclose(shares, expected)


def test_without_blood_every_draw_is_of_the_rest() -> None:
    numbers, shares = drawable_slices(_by_hand(), np.array([2]))
    assert numbers.tolist() == [8, 9, 10]
    np.testing.assert_allclose(shares, 1 / 3)


def test_a_slice_comes_with_its_own_neighbours_and_never_anothers() -> None:
    hand = _by_hand()
    images, targets = torch.from_numpy(hand.images), torch.from_numpy(hand.targets)
    seen, truth = gathered(images, targets, np.array([4, 6]), 1)  # the first and the third of b
    assert seen.shape == (2, 1, 3, 8, 8)
    assert truth.shape == (2, 1, 1, 8, 8)
    assert seen[0, 0, :, 0, 0].tolist() == [11, 11, 12]  # the end repeats itself
    assert seen[1, 0, :, 0, 0].tolist() == [12, 13, 1]
    assert truth.amax(dim=(1, 2, 3, 4)).tolist() == [0, 5]


def test_a_batch_is_channels_of_neighbours_and_blood_with_its_types(examples: Examples) -> None:
    source = BatchSource(examples, examples.targets, torch.device("cpu"), types=5, context=1)
    images, targets = source.training(
        np.array([3, 11]), torch.Generator().manual_seed(0), augmentation="none", patch=None, on_foreground=True
    )
    assert images.shape == (2, 6, 32, 32)  # two windows of each of three slices
    assert targets.shape == (2, 6, 32, 32)
    np.testing.assert_allclose(images[0, 2:4].numpy(), examples.images[0, :, 3] / 255, atol=1e-6)
    np.testing.assert_allclose(images[1, 4:6].numpy(), examples.images[1, :, 4] / 255, atol=1e-6)
    assert torch.equal(targets[:, 0], targets[:, 1:].sum(dim=1))


def test_alone_makes_the_middle_slice_stand_for_all() -> None:
    volumes = torch.rand(40, 2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    changed, _ = augment(volumes, None, Augmentation(alone=0.5), torch.Generator().manual_seed(0))
    alone = (changed == changed[:, :, 1:2]).flatten(1).all(dim=1)
    assert 10 < int(alone.sum()) < 30
    assert torch.equal(changed[:, :, 1], volumes[:, :, 1])
    assert torch.equal(changed[~alone], volumes[~alone])
    assert PRESETS["any-slice"].alone > 0


def test_a_run_of_slices_is_resumed_to_the_same_bits_with_its_running_mean(examples: Examples, tmp_path: Path) -> None:
    split = make_split()
    whole = run_experiment(CONFIG, examples, split, tmp_path / "whole")
    assert len(whole.history) == 2

    class StopError(Exception):
        pass

    from hemobench.progress import Silent

    class Stopping(Silent):
        def say(self, line: str) -> None:
            if line.startswith("epoch 1 of 2"):
                raise StopError

    with pytest.raises(StopError):
        run_experiment(CONFIG, examples, split, tmp_path / "stopped", progress=Stopping())
    run_experiment(CONFIG, examples, split, tmp_path / "stopped")
    first, second = (load_model(tmp_path / name)[0].state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_mean_of_the_weights_is_what_is_kept(examples: Examples, tmp_path: Path) -> None:
    from hemobench.training.checkpointing import load_tensors

    run_experiment(CONFIG, examples, make_split(), tmp_path / "run")
    last, _ = load_tensors(tmp_path / "run" / "last.safetensors")
    name = "decoder.final.weight"
    assert not torch.equal(last[f"model/{name}"], last[f"mean/module.{name}"])
    best, header = load_tensors(tmp_path / "run" / "best.safetensors")
    if header["epoch"] == 2:
        assert torch.equal(best[name], last[f"mean/module.{name}"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "unet3d", "model_options": {}}, "slice-wise"),
        ({"patch": (1, 8, 8)}, "whole slices"),
        ({"average": 1.0}, "below 1"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    import dataclasses

    with pytest.raises(UserError, match=words):
        dataclasses.replace(CONFIG, **change)  # type: ignore[arg-type]
