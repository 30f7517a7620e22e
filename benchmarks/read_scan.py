"""How long reading a scan takes beside the obvious peer, alternating in one run: prints ours / peer, below 1 is faster.

    python benchmarks/read_scan.py [FOLDER_OF_A_DICOM_SERIES] [--rounds N]

Without FOLDER it is the GE series beside the repository, or one that is written here. DICOM: SimpleITK's series reader,
file discovery included. It neither corrects tilt nor uneven spacing; ours does both.
NIfTI: nibabel's get_fdata in float32, which leaves the axes as they are; ours turns them to S-P-L. Picture: Pillow to a
float array of HU. Times are of the processor, so that others on the machine disturb them little; files are in the
disk's cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from ratios import DATA, Ratio, options, ratio, tell

from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.io import read_scan
from hemobench.volume import Volume, display_affine

GE_HEAD_CT = Path(__file__).resolve().parents[1] / DATA / "ge-head-ct"


def itk_series(folder: Path) -> np.ndarray:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), reader.GetGDCMSeriesIDs(str(folder))[0]))
    return SimpleITK.GetArrayFromImage(reader.Execute()).astype(np.float32)


def nibabel_volume(path: Path) -> np.ndarray:
    return nib.load(path).get_fdata(dtype=np.float32)


def pillow_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L")) * np.float32(80 / 255)


def compare(name: str, path: Path, peer: Callable[[Path], np.ndarray], peer_name: str, rounds: int) -> Ratio:
    """Print medians and the median of the ratios of neighbouring calls, which a busy machine disturbs least."""
    ours, theirs = [], []
    for _ in range(rounds + 1):
        ours.append(seconds(lambda: read_scan(path)))
        theirs.append(seconds(lambda: peer(path)))
    ours, theirs = ours[1:], theirs[1:]  # the first of each fills the disk cache and imports
    share = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    print(
        f"{name}: {1000 * statistics.median(ours):.1f} ms, {peer_name} {1000 * statistics.median(theirs):.1f} ms, "
        f"ratio {share:.2f} (best against best {min(ours) / min(theirs):.2f}, {rounds} rounds)"
    )
    milliseconds = [[1000 * one for one in times] for times in (ours, theirs)]
    return ratio(f"reading {name}", peer_name, *milliseconds, unit="CPU ms")


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def written_series(folder: Path, voxels: np.ndarray) -> Path:
    """Voxels (W, H, D) in HU as a series of DICOM files."""
    scan = Volume(voxels.T.astype(np.float32), display_affine(voxels.shape[::-1], (5.0, 0.5, 0.5)))
    for index in range(scan.shape[0]):
        names = Names("phantom", "1.2.3", "1.2.3.4", f"1.2.3.4.{index + 1}")
        write_slice(folder / f"{index:03}.dcm", scan, index, names, Coding())
    return folder


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=Path, nargs="?", default=GE_HEAD_CT if GE_HEAD_CT.is_dir() else None)
    for name, default in (("rounds", 15), ("matrix", 512), ("slices", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = options(parser, argv, {"series": None, "rounds": 1, "matrix": 48, "slices": 4})
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        voxels = rng.normal(40, 8, (arguments.matrix, arguments.matrix, arguments.slices)).astype(np.int16)
        margin = arguments.matrix // 8
        voxels[:margin], voxels[-margin:] = -1000, -1000
        series = arguments.series or written_series(Path(folder) / "series", voxels)
        yield compare("a DICOM series", series, itk_series, "SimpleITK", arguments.rounds)
        for axes, signs in (("LPS", (-1, -1)), ("LAS", (-1, 1)), ("RAS", (1, 1))):
            for ending in (".nii", ".nii.gz") if axes == "LAS" else (".nii",):
                path = Path(folder) / f"{axes}{ending}"
                nib.save(nib.Nifti1Image(voxels, np.diag([0.5 * signs[0], 0.5 * signs[1], 5, 1])), path)
                yield compare(path.name, path, nibabel_volume, "nibabel", arguments.rounds)
        grey = np.clip(voxels[:, :, 0], 0, 255).astype(np.uint8)
        for name in ("slice.png", "slice.jpg"):
            path = Path(folder) / name
            Image.fromarray(grey).save(path)
            yield compare(name, path, pillow_picture, "Pillow", arguments.rounds)


if __name__ == "__main__":
    tell(run())
