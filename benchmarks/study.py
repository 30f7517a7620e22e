"""From a scan's file to its report, side by side with the usual way of running the same networks.

`python benchmarks/study.py` makes a 512 x 512 x 40 phantom head CT, writes it as NIfTI and as a DICOM series, and times
`hemobench.analyse`, warm, taking turns with the peer: nibabel or pydicom, torch eager in fp32, MONAI's
sliding_window_inference (its default overlap, 0.25) over the whole field of view for the segmenter, one batch of all
slices for the classifier, scipy's components. It prints medians, ratios and how far both answers agree; where our time
goes; what cutting the input to the head changes; and time and memory of `hemobench predict` in fresh processes.

Networks are the shipped checkpoints, those of `--checkpoint`, or, where there are none, the recipes' with random
weights (`--random`): then times of networks mean something, and lesions nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from pydicom.uid import generate_uid
from ratios import Ratio, options, ratio, tell, within
from scipy import ndimage
from scipy.special import expit
from torch.nn.functional import interpolate

from hemobench.datasets.phantom import PhantomSpec, generate_patient, plan_patient
from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.inference.checkpoint import Checkpoint, write_checkpoint
from hemobench.inference.config import ROLES, VENTRICLE_ROLES, CheckpointConfig
from hemobench.inference.engine import shared_engine
from hemobench.inference.networks import threshold_of
from hemobench.inference.outputs import write_outputs
from hemobench.inference.report import StudyReport
from hemobench.inference.shipped import checkpoints_by_role
from hemobench.inference.study import analyse
from hemobench.inference.surface import surfaces
from hemobench.io import read_scan
from hemobench.models import create_model
from hemobench.release.recipes import load_recipe
from hemobench.views.scan_grid import network_input, to_source
from hemobench.views.sliding import predict_volume
from hemobench.views.view import ClassificationView, SegmentationView, View
from hemobench.views.windows import apply_window
from hemobench.volume import Volume

SLICES, MATRIX = 40, 512
NEVER = 0.999999  # half of a head would be blood to random weights
RECIPES = ("slice-classifier", "bleed")
TARGET_SECONDS, TARGET_RATIO, DICOM_RATIO = 2.0, 8.0, 10.0
FRESH_SECONDS, FRESH_GB = 2.5, 1.0
Checkpoints = Mapping[str, Checkpoint]


def make_scan(slices: int, matrix: int) -> Volume:
    """The first phantom with three bleeds or more, in whole HU as scanners give them."""
    spec = PhantomSpec(patients=200, slices=slices, matrix=matrix)
    index = next(index for index in range(spec.patients) if len(plan_patient(spec, index).bleeds) >= 3)
    volume = generate_patient(spec, index).image
    return volume.with_voxels(np.rint(volume.voxels))


def write_files(volume: Volume, folder: Path) -> dict[str, Path]:
    """The scan in the forms that are timed, by their names."""
    # As int16, which is what converters of CT write.
    image = nib.Nifti1Image(volume.voxels.astype(np.int16).transpose(2, 1, 0), _xyz(volume.affine))
    for name in ("scan.nii", "scan.nii.gz"):
        nib.save(image, folder / name)
    study, series = generate_uid(), generate_uid()
    (folder / "series").mkdir()
    for index in range(volume.shape[0]):
        names = Names("phantom", study, series, generate_uid())
        write_slice(folder / "series" / f"{index:03}.dcm", volume, index, names, Coding())
    return {"NIfTI (.nii.gz)": folder / "scan.nii.gz", "NIfTI (.nii)": folder / "scan.nii", "DICOM": folder / "series"}


def _xyz(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine of the same grid with its axes in the other order, as NIfTI has them."""
    return affine[:, (2, 1, 0, 3)]


def random_checkpoints(folder: Path, smoke: bool) -> list[Path]:
    """The recipes' networks without training, for a machine where no checkpoint is shipped; smaller under --smoke."""
    torch.manual_seed(0)
    made = []
    for name in RECIPES:
        recipe = load_recipe(name)
        config, outputs = recipe.config, ROLES[recipe.role][1]
        assert config.view is not None
        if smoke:
            config = replace(config, view=small_view(config.view))
            if "base" in config.model_options:
                config = replace(config, model_options={**config.model_options, "base": 4})
        model = create_model(
            config.model,
            task=config.task,
            in_channels=config.view.channels,
            num_outputs=len(outputs),
            image_size=config.view.image_size,
            **config.model_options,
        )
        described = CheckpointConfig(
            name=f"random {name}",
            role=recipe.role,
            task=config.task,
            model=config.model,
            model_options=config.model_options,
            in_channels=config.view.channels,
            outputs=outputs,
            view=config.view,
            thresholds={"voxel": {"any": NEVER}} if recipe.role == "haemorrhage" else {},
        )
        write_checkpoint(folder / name, model, described, {}, "random weights", commit="", command="")
        made.append(folder / name)
    return made


def small_view(view: View) -> View:
    """A view of few voxels of the same windows."""
    if isinstance(view, ClassificationView):
        return replace(view, size=32)
    return replace(view, spacing_mm=(10.0, 6.0, 6.0), shape=(8, 40, 40))


class Peer:
    """The usual script: read, window, resize, run in fp32, back to the scan, threshold, components."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.configs = {role: one.config for role, one in checkpoints.items()}
        self.models = {role: one.build_model() for role, one in checkpoints.items()}

    @torch.inference_mode()
    def __call__(self, path: Path) -> tuple[dict[str, float], NDArray[np.bool_], dict[str, float]]:
        """Study probabilities, mask of blood (D, H, W) on the scan, seconds by stage."""
        clock, seconds = time.perf_counter, {}
        start = clock()
        hu, spacing_mm = peer_series(path) if path.is_dir() else peer_nifti(path)
        seconds["reading"] = clock() - start
        start = clock()
        study = self._classify(hu, spacing_mm) if "slice-classifier" in self.models else {}
        seconds["slice-classifier"] = clock() - start
        start = clock()
        labels = self._segment(hu, spacing_mm)
        seconds["haemorrhage"] = clock() - start
        start = clock()
        ndimage.label(labels, structure=np.ones((3, 3, 3)))
        seconds["components"] = clock() - start
        return study, labels > 0, seconds

    def _classify(self, hu: NDArray[np.float32], spacing_mm: Sequence[float]) -> dict[str, float]:
        config = self.configs["slice-classifier"]
        assert isinstance(config.view, ClassificationView)
        grey = torch.from_numpy(np.stack([apply_window(hu, name) for name in config.view.windows], axis=1))
        # 512 x 512 pixels that are square: no padding is needed.
        batch = interpolate(grey, size=(config.view.size,) * 2, mode="bilinear", align_corners=False, antialias=True)
        highest = self.models["slice-classifier"](batch).max(dim=0).values.double().numpy()
        study = {}
        for name, logit in zip(config.outputs, highest, strict=True):
            slope, offset = config.calibrated("study", name)
            study[name] = float(expit(slope * logit + offset))
        return study

    def _segment(self, hu: NDArray[np.float32], spacing_mm: Sequence[float]) -> NDArray[np.uint8]:
        config = self.configs["haemorrhage"]
        view = config.view
        assert isinstance(view, SegmentationView)
        grey = torch.from_numpy(np.stack([apply_window(hu, str(name)) for name in view.windows]))[None]
        size = [round(n * have / want) for n, have, want in zip(hu.shape, spacing_mm, view.spacing_mm, strict=True)]
        coarse = interpolate(grey, size=size, mode="trilinear", align_corners=False)
        logits = sliding_window_inference(coarse, view.shape, 1, self.models["haemorrhage"])
        assert isinstance(logits, torch.Tensor)
        fine = interpolate(logits, size=hu.shape, mode="trilinear", align_corners=False)[0]
        slope, offset = config.calibrated("voxel", "any")
        probability = torch.sigmoid(slope * fine[0] + offset)
        types = fine[1:].argmax(dim=0) + 1
        return (types * (probability >= threshold_of(config, "voxel", "any"))).numpy().astype(np.uint8)


def peer_nifti(path: Path) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    image: Any = nib.load(path)
    voxels = np.ascontiguousarray(image.get_fdata(dtype=np.float32).transpose(2, 1, 0))
    return voxels, tuple(float(size) for size in image.header.get_zooms()[::-1])


def peer_series(folder: Path) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    slices = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda one: one.ImagePositionPatient[2])
    hu = [one.pixel_array * np.float32(one.RescaleSlope) + np.float32(one.RescaleIntercept) for one in slices]
    first = slices[0]
    spacing_mm = (float(first.SliceThickness), *(float(size) for size in first.PixelSpacing))
    return np.stack(hu).astype(np.float32, copy=False), spacing_mm


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def compare(
    files: Mapping[str, Path], checkpoints: Checkpoints, engine: str, rounds: int
) -> tuple[StudyReport, list[Ratio]]:
    """Both ways in turns, so that a busy machine slows both; prints a table and gives the last report and ratios."""
    given, peer = list(checkpoints.values()), Peer(checkpoints)
    found = []
    print(f"\nfile to report, warm, median of {rounds} in turns")
    print(f"{'':22} {'hemobench':>10} {'the peer':>10} {'ratio':>7}")
    for name, path in files.items():
        ours: list[float] = []
        theirs: list[float] = []
        ours_by_stage: list[Mapping[str, float]] = []
        theirs_by_stage: list[Mapping[str, float]] = []
        for _ in range(rounds + 1):
            seconds, report = timed(partial(analyse, path, given, engine=engine))
            ours.append(seconds)
            ours_by_stage.append(report.timing_s)
            seconds, (study, mask, stages) = timed(partial(peer, path))
            theirs.append(seconds)
            theirs_by_stage.append(stages)
        ours, theirs = ours[1:], theirs[1:]  # the first of each loads and compiles
        goal = DICOM_RATIO if name == "DICOM" else TARGET_RATIO
        one = ratio(f"{name}, file to report", "MONAI's way in fp32", ours, theirs, goal=goal)
        verdict = "" if one.ours < TARGET_SECONDS and one.reached else "   short of the target"
        print(f"{name:22} {one.ours:8.2f} s {one.theirs:8.2f} s {one.value:6.1f}x{verdict}")
        found.append(one)
        print_stages(ours_by_stage[1:], theirs_by_stage[1:])
    print_agreement(report, study, mask)
    return report, found


def print_stages(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> None:
    """Where the time goes, in milliseconds."""
    for who, stages in (("hemobench", ours), ("the peer", theirs)):
        medians = {name: statistics.median(one[name] for one in stages) for name in stages[0] if name != "total"}
        listed = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in medians.items())
        print(f"  {who + ', ms:':16} {listed}")


def print_agreement(report: StudyReport, study: Mapping[str, float], mask: NDArray[np.bool_]) -> None:
    """How far two ways to run the same networks give the same answer."""
    assert report.label_map is not None
    ours = np.asarray(report.label_map.voxels) > 0
    both = int(ours.sum()) + int(mask.sum())
    dice = 2 * int((ours & mask).sum()) / both if both else 1.0
    apart = max((abs(study[name] - value) for name, value in report.study.probabilities.items() if study), default=0.0)
    print(
        f"agreement: Dice {dice:.3f} of {int(ours.sum())} and {int(mask.sum())} voxels, study probabilities within "
        f"{apart:.3f}; {len(report.lesions)} lesions"
    )


def print_crop(volume: Volume, checkpoint: Checkpoint, engine: str) -> None:
    """What the network says of the whole field of view and of the head alone."""
    config, runner = checkpoint.config, shared_engine(checkpoint, engine)
    assert isinstance(config.view, SegmentationView)
    slope, offset = config.calibrated("voxel", "any")
    fields, seconds, shapes = [], [], []
    for crop in (False, True):
        seen = network_input(volume, config.view, crop=crop)
        call = partial(predict_volume, runner, seen.array, patch=config.view.shape, context=runner.context)
        call()
        took, logits = timed(call)
        field = expit(slope * logits[:1] + offset)
        fields.append(to_source(field, seen.grid, volume)[0])
        seconds.append(took)
        shapes.append(" x ".join(str(size) for size in seen.array.shape[1:]))
    whole, cut = fields
    threshold = threshold_of(config, "voxel", "any")
    changed = int(((whole >= threshold) != (cut >= threshold)).sum())
    print(
        f"\ncut to the head: {shapes[1]} in {seconds[1]:.2f} s instead of {shapes[0]} in {seconds[0]:.2f} s; "
        f"{changed} of {int((whole >= threshold).sum())} voxels of blood change, probabilities by at most "
        f"{np.abs(whole - cut).max():.3f}"
    )


def print_beside(report: StudyReport, volume: Volume) -> None:
    """What is not part of a report, but follows it."""
    with tempfile.TemporaryDirectory() as folder:
        written, _ = timed(lambda: write_outputs(report, Path(folder)))
    meshed, meshes = timed(lambda: surfaces(report))
    print(f"beside the report: files and overview {written:.2f} s, {len(meshes)} surfaces {meshed:.2f} s")


def print_fresh(path: Path, checkpoints: Checkpoints, engine: str, rounds: int) -> Iterator[Ratio]:
    """`hemobench predict` from command to written report, each in a process of its own, and its peak memory.

    The first exports the networks where that was never done and is not counted.
    """
    networks = [word for one in checkpoints.values() for word in ("--checkpoint", str(one.directory))]
    took, peaks = [], []
    for _ in range(1 + max(1, rounds // 2)):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hemobench.predict", str(path), "--output", f"{folder}/out"]
            start, peak = time.perf_counter(), 0.0
            process = subprocess.Popen([*command, "--engine", engine, *networks], stderr=subprocess.DEVNULL)
            while process.poll() is None:
                peak = max(peak, peak_gb(process.pid))
                time.sleep(0.02)
            took.append(time.perf_counter() - start)
            if process.returncode or not any(Path(folder).rglob("report.json")):
                raise SystemExit(f"{' '.join(command)} left no report; expected one; run it")
        peaks.append(peak)
    first, later, peak = took[0], statistics.median(took[1:]), max(peaks[1:])
    print(
        f"fresh process: {later:.1f} s from command to written report (the first of all {first:.1f} s), {peak:.2f} GB"
    )
    yield within("a fresh process, command to written report", later, FRESH_SECONDS)
    if peak:
        yield within("memory of a fresh process", peak, FRESH_GB, "GB")


def peak_gb(process: int) -> float:
    """The most memory that a process held since it began, 0 elsewhere than on Linux.

    Not `ru_maxrss`: what a process is started from counts there too.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM:")), 0.0)


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Time everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", nargs="+", default=None, help="folders or Hub ids, one a role")
    parser.add_argument("--random", action="store_true", help="the recipes' networks with random weights")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slices", type=int, default=SLICES)
    parser.add_argument("--matrix", type=int, default=MATRIX)
    given = options(parser, argv, {"random": True, "rounds": 1, "slices": 6, "matrix": 48})
    with tempfile.TemporaryDirectory() as folder:
        where: Any = random_checkpoints(Path(folder), given.smoke) if given.random else given.checkpoint
        checkpoints = {role: one for role, one in checkpoints_by_role(where).items() if role not in VENTRICLE_ROLES}
        volume = make_scan(given.slices, given.matrix)
        files = write_files(volume, Path(folder))
        engines = {shared_engine(one, given.engine).description for one in checkpoints.values()}
        print(
            f"{', '.join(one.name for one in checkpoints.values())} by {' and '.join(sorted(engines))}; the peer by "
            f"torch {torch.__version__} fp32, {torch.get_num_threads()} threads"
        )
        spacing = " x ".join(f"{size:.2f}" for size in volume.spacing_mm)
        print(f"a phantom of {' x '.join(str(size) for size in volume.shape)} voxels of {spacing} mm")
        report, ratios = compare(files, checkpoints, given.engine, given.rounds)
        yield from ratios
        print_crop(read_scan(files["DICOM"]).volume, checkpoints["haemorrhage"], given.engine)
        print_beside(report, volume)
        yield from print_fresh(files["NIfTI (.nii.gz)"], checkpoints, given.engine, given.rounds)


if __name__ == "__main__":
    tell(run())
