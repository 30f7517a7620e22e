"""Seconds a case of the volume readers against the obvious peer, both in this run, as ratios.

    python benchmarks/read_volumes.py [--folder SCRATCH] [--patients 4] [--repeats 5]

Phantoms of 32 x 512 x 512 are written in each layout. A peer gets the file names for free and stops at an array:
nibabel for pairs of NIfTI, SimpleITK's series reader for CQ500's series, pydicom with rescale for RSNA's slices. Ours
also finds the geometry, orients it, checks the mask's grid and the values. Ours and the peer take turns at being first;
the figures are medians of processor time (all threads), so that others on the machine disturb neither. The files are in
the disk's cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from ratios import Ratio, options, ratio, tell

from hemobench.case import Case
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec, generate_patients
from hemobench.datasets.rehearsal import get_layout

Peer = Callable[[Case], object]


def nibabel_pair(case: Case) -> object:
    """Image as float32 and mask as uint8, the way of a nibabel loop."""
    import nibabel as nib

    image_path, mask_path = case.load.args[:2]  # type: ignore[attr-defined]
    image = nib.load(image_path).get_fdata(dtype=np.float32)
    return image, np.asarray(nib.load(mask_path).dataobj).astype(np.uint8)


def nibabel_raters(case: Case) -> object:
    """Image and the masks of all raters, no vote."""
    import nibabel as nib

    image_path, masks = case.load.args[:2]  # type: ignore[attr-defined]
    image = nib.load(image_path).get_fdata(dtype=np.float32)
    return image, [np.asarray(nib.load(mask).dataobj).astype(np.uint8) for mask in masks]


def sitk_series(case: Case) -> object:
    """The series that ours chooses, through GDCM's sorting and SimpleITK's reader."""
    import SimpleITK as sitk  # noqa: N813 (its own documentation calls it so)

    folder = case.load.args[0] / "Unknown Study" / "CT Plain"  # type: ignore[attr-defined]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.GetArrayFromImage(sitk.Cast(reader.Execute(), sitk.sitkFloat32))


def pydicom_loop(paths: list[Path]) -> object:
    """Read, sort by height, rescale: the loop of most public notebooks."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slices = sorted((pydicom.dcmread(path) for path in paths), key=lambda one: float(one.ImagePositionPatient[2]))
        return np.stack(
            [
                one.pixel_array.astype(np.float32) * float(one.RescaleSlope) + float(one.RescaleIntercept)
                for one in slices
            ]
        )


def pydicom_rsna(case: Case) -> object:
    """RSNA's slices of one series; their names come from our index, for free."""
    from hemobench.datasets.rsna.index import images_of

    folder, index, first, last = case.load.args  # type: ignore[attr-defined]
    return pydicom_loop([folder / f"{name}.dcm" for name, _ in images_of(index, first, last)])


def pydicom_hemseg(case: Case) -> object:
    """RSNA's slices and the NIfTI mask."""
    import nibabel as nib

    folder, images, mask = case.load.args  # type: ignore[attr-defined]
    return pydicom_loop([folder / f"{name}.dcm" for name in images]), np.asarray(nib.load(mask).dataobj)


PEERS: dict[str, tuple[str, Peer]] = {
    "bhsd": ("nibabel loop", nibabel_pair),
    "mbh-seg": ("nibabel loop", nibabel_raters),
    "instance22": ("nibabel loop", nibabel_pair),
    "nifti-folder": ("nibabel loop", nibabel_pair),
    "cq500": ("SimpleITK series reader", sitk_series),
    "rsna": ("pydicom loop", pydicom_rsna),
    "hemseg": ("pydicom loop, nibabel", pydicom_hemseg),
}


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(cases: tuple[Case, ...], peer: Peer, repeats: int) -> Iterator[tuple[float, float]]:
    for case in cases:
        case.load(), peer(case)  # once for imports and the disk's cache
    for repeat in range(repeats):
        for case in cases:
            pair = (case.load, lambda case=case: peer(case))
            times = [seconds(work) for work in (pair if repeat % 2 else pair[::-1])]
            yield (times[0], times[1]) if repeat % 2 else (times[1], times[0])


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for the phantoms (1 GB; default: temporary)")
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layouts", nargs="+", choices=PEERS, default=list(PEERS))
    arguments = options(parser, argv, {"patients": 1, "slices": 3, "matrix": 48, "repeats": 1})
    spec = PhantomSpec(patients=arguments.patients, slices=arguments.slices, matrix=arguments.matrix)
    studies = [(f"phantom-{index}", loaded) for index, loaded in generate_patients(spec)]
    print("reader\tcases\tours s\tpeer s\tpeer / ours\tpeer")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as home:
        os.environ["HEMOBENCH_HOME"] = home
        for name in arguments.layouts:
            title, peer = PEERS[name]
            root = Path(home) / name
            get_layout(name).write(root, iter(studies), 1)
            cases = open_dataset(f"{name}:{root}").cases
            times = list(zip(*measure(cases, peer, arguments.repeats), strict=True))
            ours, theirs = (statistics.median(column) for column in times)
            print(f"{name}\t{len(cases)}\t{ours:.3f}\t{theirs:.3f}\t{theirs / ours:.2f}\t{title}", flush=True)
            yield ratio(f"a case of {name}", title, *times, unit="CPU s")
            shutil.rmtree(root)


if __name__ == "__main__":
    tell(run())
