"""Pictures a second from epoch 2 on: the decoded cache against torchvision's ImageFolder, which decodes every epoch.

    python benchmarks/cached_loader.py [--patients 8] [--slices 32] [--matrix 512] [--size 128] [--epochs 5]
    python benchmarks/cached_loader.py --pictures FOLDER [--limit 256]

Phantom slices are written as JPEGs in class folders, the layout that both read; or some of the JPEGs under a folder are
linked into one, and their labels mean nothing. The peer is ImageFolder and DataLoader:
grey, resized to the same size (bilinear, anti-aliased), a tensor in [0, 1], shuffled; without workers and with two, of
which the faster counts. Ours is the training loop's source of shuffled batches on the memory-mapped cache; making the
cache is epoch 1 and is printed apart. Each epoch of ours follows one of the peer's, so that a busy machine slows both;
the pictures that come out are compared too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import Ratio, options, processes, ratio, tell
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec, generate_patients
from hemobench.labels import SUBTYPES
from hemobench.training.batches import BatchSource
from hemobench.views.view import ClassificationView
from hemobench.views.windows import to_grey_uint8

WORKERS = (0, 2)
BATCH = 32


def write_pictures(root: Path, spec: PhantomSpec) -> int:
    """One JPEG a slice, brain window, in the folder of its type; slices of several types have one of them."""
    count = 0
    for _, loaded in generate_patients(spec):
        for hu, types in zip(loaded.image.voxels, loaded.slice_labels, strict=True):
            folder = root / (SUBTYPES[int(types.argmax())] if types.any() else "normal")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(to_grey_uint8(hu, "brain")).save(folder / f"{count:05d}.jpg", quality=95)
            count += 1
    return count


def link_pictures(root: Path, source: Path, limit: int) -> int:
    """So many of the JPEGs under `source`, evenly over all, as links in a class folder of `root`."""
    found = sorted(source.rglob("*.jpg"))
    (root / "normal").mkdir(parents=True)
    chosen = found[:: max(1, len(found) // limit)][:limit]
    for number, path in enumerate(chosen):
        (root / "normal" / f"{number:05d}.jpg").symlink_to(path.resolve())
    return len(chosen)


def cached_epoch(source: BatchSource, count: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Batches (B, 1, S, S) of all examples, shuffled anew."""
    order = torch.randperm(count, generator=generator).numpy()
    for start in range(0, count, BATCH):
        yield source.whole(order[start : start + BATCH])[0]


def peer_loader(root: Path, size: int, workers: int) -> DataLoader:
    steps = (transforms.Grayscale(), transforms.Resize((size, size), antialias=True), transforms.ToTensor())
    pictures = ImageFolder(str(root), transforms.Compose(steps))
    return DataLoader(pictures, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def seconds(batches: Iterator[torch.Tensor]) -> float:
    start = time.perf_counter()
    for batch in batches:
        batch.sum()  # read what came, as a network would
    return time.perf_counter() - start


def largest_difference(root: Path, examples: Examples, size: int) -> float:
    """Mean grey levels by which ours and the peer's differ, of the picture where it is most."""
    pictures = peer_loader(root, size, 0).dataset
    theirs = {Path(path).name: pictures[number][0].numpy()[0] for number, (path, _) in enumerate(pictures.samples)}
    return max(
        float(np.abs(image[0] / 255 - theirs[Path(study).name]).mean() * 255)
        for study, image in zip(examples.study_ids.tolist(), examples.images, strict=True)
    )


def measure(count: int, rounds: int, source: BatchSource, loaders: dict[int, DataLoader]) -> Ratio:
    """Print pictures a second of both, medians over the epochs after each one's first."""
    generator = torch.Generator().manual_seed(0)
    epochs: dict[str, Callable[[], Iterator[torch.Tensor]]] = {
        f"ImageFolder, {workers} workers": lambda loader=loader: (images for images, _ in loader)
        for workers, loader in loaders.items()
    }
    epochs["hemobench cache"] = lambda: cached_epoch(source, count, generator)
    taken: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            passed = seconds(epoch())
            if number:
                taken[name].append(passed)
    rates = {name: count / statistics.median(times) for name, times in taken.items()}
    for name, rate in rates.items():
        print(f"{name}\t{rate:,.0f} pictures/s")
    ours = rates.pop("hemobench cache")
    best = max(rates, key=lambda name: rates[name])
    print(f"ratio to the faster ({best})\t{ours / rates[best]:.1f}")
    each = {name: [passed / count for passed in times] for name, times in taken.items()}
    return ratio("a picture of an epoch after the first", best, each["hemobench cache"], each[best])


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pictures", type=Path, help="folder of JPEGs, in place of phantoms")
    parser.add_argument("--limit", type=int, default=256, help="how many of them")
    given = options(parser, argv, {"patients": 1, "slices": 6, "matrix": 64, "size": 32, "epochs": 1, "limit": 6})
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "pictures"
        if given.pictures is None:
            count = write_pictures(root, PhantomSpec(patients=given.patients, slices=given.slices, matrix=given.matrix))
        else:
            count = link_pictures(root, given.pictures, given.limit)
        os.environ["HEMOBENCH_HOME"] = f"{scratch}/home"  # not before: phantoms need what lies in the usual one
        start = time.perf_counter()
        view = ClassificationView(("brain",), given.size)
        examples = build_examples(open_dataset(f"image-folder:{root}"), view, jobs=processes(given))
        print(f"epoch 1, the cache is made\t{count / (time.perf_counter() - start):,.0f} pictures/s of {count}")
        print(f"largest mean difference of a picture\t{largest_difference(root, examples, given.size):.2f} grey levels")
        source = BatchSource(examples, examples.targets, torch.device("cpu"))
        loaders = {workers: peer_loader(root, given.size, workers) for workers in WORKERS}
        yield measure(count, given.epochs, source, loaders)


if __name__ == "__main__":
    tell(run())
