"""BLAST-CT's published networks on any data set here: writes the masks that `evaluate predictions:FOLDER` measures.

    pip install blast-ct
    python benchmarks/peers/blast_ct.py NETWORKS --data ct-ich:DIR --output FOLDER [--networks 1] [--cases N]

NETWORKS is a folder with `model_1.pt` ... (state dicts, opened without unpickling). Monteiro et al., Lancet Digital
Health 2020; code and networks are theirs, under Apache-2.0, and nothing of them is part of hemobench. Each case is
resampled to 1 mm, clipped to -15..100 HU and run block by block through OpenVINO, in bf16 where the CPU has it; with
several networks their probabilities are averaged. A data set without millimetres gets those of an average head, as
hemobench's own networks do. FOLDER gets one NIfTI mask a case in the case's own space, `ids.yaml` with what its numbers
mean, and `seconds.csv`; cases that are there already are not run again. Under --smoke a threshold stands in for the
networks, and a phantom for the data.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the benchmarks' shared code lies

from ratios import Ratio, SkippedError, options, tell

from hemobench.case import Case
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.io.atomic import replacing
from hemobench.io.nifti import write_nifti
from hemobench.views.head_box import assumed_scale
from hemobench.volume import LABEL_MAP, Volume

CLASSES = 5
LOW_HU, HIGH_HU = -15.0, 100.0
BLOCK, SEEN = 45, 125  # of output, and of the input that it takes
IDS = "1: intraparenchymal\n2: blood\n3: none\n4: intraventricular\n"
"""Parenchymal; extra-axial, of no single type; perilesional oedema, which is no blood; intraventricular."""
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Traceable(nn.Module):
    """A DeepMedic for one size of input, its residual sums out of place: the tracer follows no sums in place."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, voxels: Tensor) -> Tensor:
        """Probabilities (B, 5, 45, 45, 45) of voxels (B, 1, 125, 125, 125)."""
        size = (BLOCK,) * 3
        found = [
            _centre(_through(path.path, _centre(voxels, path.calculate_input_size(size))), size)
            for path in self.network.paths
        ]
        return _through(self.network.fully_connected, torch.cat(found, dim=1)).softmax(dim=1)


def _through(layers: nn.Sequential, voxels: Tensor) -> Tensor:
    for layer in layers:
        if not hasattr(layer, "conv"):
            voxels = layer(voxels)
            continue
        found = layer.conv(layer.prelu(layer.bn(voxels)))
        voxels = found + voxels[layer.shortcut_slices] if voxels.shape[1] == found.shape[1] else found
    return voxels


def _centre(voxels: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of a volume (B, C, ...), as the package cuts it."""
    for axis, (whole, kept) in enumerate(zip(voxels.shape[2:], size, strict=True), start=2):
        voxels = voxels.narrow(axis, int(whole) // 2 - int(kept) // 2, int(kept))
    return voxels


def compiled(path: Path) -> Network:
    """One network by OpenVINO. Its answers are compared with the package's own on a block of noise."""
    import openvino

    # This file has the package's name and would be found in its stead.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
    from blast_ct.models.deepmedic import DeepMedic

    network = DeepMedic(input_channels=1, num_classes=CLASSES)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()
    example = torch.rand(1, 1, SEEN, SEEN, SEEN) * 2 - 1
    with torch.no_grad():
        straight = Traceable(network).eval()
        apart = float((straight(example) - network(example)[0].softmax(dim=1)).abs().max())
        if apart > 1e-5:
            raise SystemExit(f"the network written for tracing differs from the package's by {apart}; expected none")
        traced = torch.jit.trace(straight, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example)
    model.reshape([1, 1, SEEN, SEEN, SEEN])
    core = openvino.Core()
    core.set_property({"CACHE_DIR": ""})
    bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    ready = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"})
    return lambda block: np.asarray(ready(block)[0])


def threshold(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """What stands in for a network: (B, 5, 45, 45, 45), parenchymal blood where the middle is bright."""
    margin = (SEEN - BLOCK) // 2
    bright = (block[:, 0, margin : margin + BLOCK, margin : margin + BLOCK, margin : margin + BLOCK] > 0.5) * 1.0
    return np.stack([1 - bright, bright, *np.zeros((CLASSES - 2, *bright.shape))], axis=1).astype(np.float32)


def rehearsal(folder: Path) -> str:
    """One small phantom in CT-ICH's layout under `folder`, as a data set's NAME:PATH."""
    layout = get_layout("ct-ich-nifti")
    build_layout(folder, layout, PhantomSpec(patients=1, slices=3, matrix=48, healthy=0.0), jobs=1)
    return f"{layout.data_set}:{folder}"


def outlined(volume: Volume, networks: Sequence[Network]) -> Volume:
    """The label map of BLAST-CT's numbers on a grid of 1 mm."""
    fine = volume.resampled(spacing_mm=(1.0, 1.0, 1.0))
    scaled = (2 * np.clip(fine.voxels, LOW_HU, HIGH_HU) - (LOW_HU + HIGH_HU)) / (HIGH_HU - LOW_HU)
    margin = (SEEN - BLOCK) // 2
    short = [-size % BLOCK for size in scaled.shape]
    padded = np.pad(scaled, [(margin, margin + more) for more in short], mode="edge").astype(np.float32)
    labels = np.zeros([size + more for size, more in zip(scaled.shape, short, strict=True)], dtype=np.uint8)
    for corner in itertools.product(*(range(0, size, BLOCK) for size in labels.shape)):
        seen = padded[tuple(slice(start, start + SEEN) for start in corner)][None, None]
        mean = np.mean([network(seen)[0] for network in networks], axis=0)
        labels[tuple(slice(start, start + BLOCK) for start in corner)] = mean.argmax(axis=0)
    return fine.with_voxels(labels[tuple(slice(size) for size in scaled.shape)], LABEL_MAP)


def write_mask(case: Case, networks: Sequence[Network], path: Path) -> float:
    """Write the mask of one case; gives the seconds from voxels to mask."""
    loaded = case.load()
    volume = loaded.image if case.spacing_known else assumed_scale(loaded.image)
    start = time.perf_counter()
    found = outlined(volume, networks).resampled_to(volume.affine, volume.shape)
    seconds = time.perf_counter() - start
    write_nifti(loaded.image.with_voxels(np.asarray(found.voxels, dtype=np.uint8), LABEL_MAP), path)
    return seconds


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="NETWORKS", nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--networks", type=int, default=1, help="how many of them are averaged")
    parser.add_argument("--cases", type=int, help="the first so many cases alone")
    given = options(parser, argv, {})
    if given.smoke:
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            write_all(rehearsal(place / "data"), [threshold], place / "masks", None)
        return
    if None in (given.folder, given.data, given.output):
        raise SkippedError("NETWORKS, --data or --output is missing; expected all three; give them, or --smoke")
    paths = sorted(given.folder.glob("model_*.pt"))[: given.networks]
    if len(paths) < given.networks:
        raise SystemExit(f"{given.folder} holds {len(paths)} networks; expected {given.networks}; check the folder")
    write_all(given.data, [compiled(path) for path in paths], given.output, given.cases)
    yield from ()  # what it prints is no ratio; `seconds.py` beside it gives one


def write_all(data: str, networks: Sequence[Network], output: Path, most: int | None) -> None:
    """Masks of the cases that have none yet, and what they took."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "ids.yaml").write_text(IDS, encoding="utf-8")
    cases = open_dataset(data).cases[:most]
    times = output / "seconds.csv"
    measured = dict(csv.reader(times.open(encoding="utf-8"))) if times.is_file() else {}
    for number, case in enumerate(cases, start=1):
        name = case.study_id.replace("/", "_")
        path = output / f"{name}.nii.gz"
        if path.is_file():
            continue
        seconds = write_mask(case, networks, path)
        measured[name] = f"{seconds:.2f}"
        with replacing(times) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(measured.items())
        print(f"{number} of {len(cases)}: {seconds:.1f} s", file=sys.stderr, flush=True)
    median = np.median([float(value) for value in measured.values()])
    print(f"{len(cases)} cases, {len(networks)} networks; {median:.1f} s a case, the median of {len(measured)}")


if __name__ == "__main__":
    tell(run())
