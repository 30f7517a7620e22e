"""From epoch 2 on nothing is decoded: training ends, and with the same numbers, after the pictures are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.opening import Dataset, open_dataset
from hemobench.datasets.splits import split_by_patient
from hemobench.errors import UserError
from hemobench.training.batches import BatchSource
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.views.view import ClassificationView

VIEW = ClassificationView(("brain",), 16)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixteen JPEGs of eight patients, half of them with a bright square and the label of a bleed."""
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    root = tmp_path / "copy"
    root.mkdir()
    random, rows = np.random.default_rng(0), ["image,patient,any"]
    for number in range(16):
        grey = random.integers(20, 60, (32, 32)).astype(np.uint8)
        bleeds = number // 2 % 2
        grey[8:20, 8:20] += np.uint8(150 * bleeds)
        Image.fromarray(grey).save(root / f"{number:02d}.jpg")
        rows.append(f"{number:02d}.jpg,p{number // 2},{bleeds}")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


def opened(root: Path) -> tuple[Dataset, Examples]:
    dataset = open_dataset(f"image-folder:{root}")
    return dataset, build_examples(dataset, VIEW, jobs=1)


def epoch(examples: Examples, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All examples by shuffled batches, put back in order."""
    source = BatchSource(examples, examples.targets, torch.device("cpu"))
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).numpy()
    batches = [source.whole(order[start : start + 5]) for start in range(0, len(order), 5)]
    back = np.argsort(order)
    return torch.cat([images for images, _ in batches])[back], torch.cat([targets for _, targets in batches])[back]


def test_an_epoch_without_pictures_gives_what_the_one_with_them_gave(copy: Path) -> None:
    dataset, examples = opened(copy)
    first, targets = epoch(examples, seed=1)
    for picture in copy.glob("*.jpg"):
        picture.unlink()
    with pytest.raises(UserError, match="no picture"):
        dataset.cases[0].load()
    second, again = epoch(build_examples(dataset, VIEW, jobs=1), seed=2)
    assert torch.equal(first, second)
    assert torch.equal(targets, again)
    # What came is the pictures and not an empty cache: bleeds are the bright ones.
    bright = second[:, 0, 4:10, 4:10].mean(dim=(1, 2)) > 0.5
    assert torch.equal(bright, targets[:, -1] > 0)


def test_training_ends_alike_with_and_without_pictures(copy: Path, tmp_path: Path) -> None:
    dataset, examples = opened(copy)
    split = split_by_patient(dataset.cases, fractions=(0.5, 0.25, 0.25), seed=0)
    config = TrainConfig(
        view=VIEW, model="paper_cnn", model_options={"width": 4, "hidden": 8}, epochs=3, batch_size=4, precision="fp32"
    )
    whole = run_experiment(config, examples, split, tmp_path / "with")
    for picture in copy.glob("*.jpg"):
        picture.write_bytes(b"no longer a picture")
    bare = run_experiment(config, build_examples(dataset, VIEW, jobs=1), split, tmp_path / "without")
    assert len(bare.history) == 3
    assert [row["train_loss"] for row in bare.history] == [row["train_loss"] for row in whole.history]
