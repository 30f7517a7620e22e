"""Real scans, damaged: is one read wrong in silence? Prints counts by kind of damage, and names every fault.

    python benchmarks/mutations.py [DATA] [--count 2000] [--seed 0] [--jobs 1]

DATA is a folder with `ge-head-ct/` (a DICOM series), `ct-template/` (NIfTI), `t1-ventricles/` (MGZ) and `ct-ich/`
(JPEG); without it the one beside the repository, or phantoms in its place. Each mutant is one seed: bits flipped, a
file cut short, values of tags swapped between files of a series, or a header taken from another series. A fault is a
crash, more than 5 s or 2 GB, and a scan that is read, without a line that the whole one does not have as well, while
more than 5% of its voxels differ from the whole one's by more than half a unit (of a scan of another shape, all do).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import generate_uid
from ratios import DATA, Ratio, options, ratio, tell

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
from hemobench.errors import UserError
from hemobench.inference.intake import Intake, take_in
from hemobench.io.nifti import write_nifti
from hemobench.views.windows import to_grey_uint8

MOST_SECONDS, MOST_MB, MOST_DIFFERENT, UNIT = 5.0, 2000.0, 0.05, 0.5
_HEADER_BYTES = 2000
_SWAPPED = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "InstanceNumber",
    "SliceThickness",
    "Rows",
    "BitsStored",
    "PixelRepresentation",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "PixelPaddingValue",
    "Modality",
    "ImageType",
    "PixelData",
)
Rng = np.random.Generator
Mutation = Callable[[list[Path], Path, Rng], str]


def flipped(files: list[Path], other: Path, rng: Rng) -> str:
    """Bits anywhere in one file."""
    return _changed(files[int(rng.integers(len(files)))], rng, lambda content: len(content))


def flipped_header(files: list[Path], other: Path, rng: Rng) -> str:
    """Bits in the first bytes of one file."""
    return _changed(files[int(rng.integers(len(files)))], rng, lambda content: min(len(content), _HEADER_BYTES))


def cut(files: list[Path], other: Path, rng: Rng) -> str:
    """One file, or every one, ends early."""
    chosen = files if rng.random() < 0.2 else [files[int(rng.integers(len(files)))]]
    share = rng.random()
    for path in chosen:
        content = _own(path).read_bytes()
        path.write_bytes(content[: int(share * len(content))])
    return f"{len(chosen)} files to {share:.0%}"


def swapped_tags(files: list[Path], other: Path, rng: Rng) -> str:
    """The value of a tag of one file in another one, and the other way round."""
    if files[0].suffix != ".dcm":
        return flipped_header(files, other, rng)
    one, two = (files[int(number)] for number in rng.choice(len(files), 2, replace=False))
    keyword = _SWAPPED[int(rng.integers(len(_SWAPPED)))]
    first, second = pydicom.dcmread(one), pydicom.dcmread(two)
    values = first.get(keyword), second.get(keyword)
    for path, dataset, value in ((one, first, values[1]), (two, second, values[0])):
        if value is not None:
            setattr(dataset, keyword, value)
        dataset.save_as(_own(path))
    return f"{keyword} of {one.name} and {two.name}"


def foreign_header(files: list[Path], other: Path, rng: Rng) -> str:
    """Pixels of some files under the headers of another series."""
    if files[0].suffix != ".dcm":
        path, strange = files[0], other.read_bytes()
        content = bytearray(_own(path).read_bytes())
        length = int(rng.integers(8, 348))
        content[:length] = strange[:length]
        path.write_bytes(content)
        return f"{length} bytes of another header"
    count = int(rng.integers(1, len(files)))  # all of them would be a whole series of another scanner
    foreign = pydicom.dcmread(sorted(other.iterdir())[0])
    for number in rng.choice(len(files), count, replace=False):
        path = files[int(number)]
        own = pydicom.dcmread(path)
        made = pydicom.dcmread(sorted(other.iterdir())[int(number) % len(list(other.iterdir()))])
        made.PixelData, made.Rows, made.Columns = own.PixelData, own.Rows, own.Columns
        made["PixelData"].VR = "OW"
        made.save_as(_own(path))
    return f"{count} files under series {foreign.SeriesNumber}"


MUTATIONS: dict[str, Mutation] = {
    "bits": flipped,
    "bits of the header": flipped_header,
    "cut": cut,
    "tags swapped": swapped_tags,
    "header of another series": foreign_header,
}


def _changed(path: Path, rng: Rng, reach: Callable[[bytes], int]) -> str:
    content = bytearray(_own(path).read_bytes())
    count = int(rng.integers(1, 65)) if rng.random() < 0.5 else 1
    for place in rng.integers(reach(bytes(content)), size=count):
        content[int(place)] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return f"{count} bits of {path.name}"


def _own(path: Path) -> Path:
    """The path with a copy of the file in the place of the link to it."""
    if path.is_symlink():
        source = path.resolve()
        path.unlink()
        shutil.copy(source, path)
    return path


def stand_in(folder: Path, slices: int, matrix: int) -> Path:
    """A folder like DATA, of two phantoms, for machines that have no public scans."""
    spec = PhantomSpec(patients=2, slices=slices, matrix=matrix)
    first, second = (generate_patient(spec, number).image for number in (0, 1))
    study, series = generate_uid(), generate_uid()
    for index in range(slices):
        write_slice(
            folder / "ge-head-ct" / f"{index:02}.dcm",
            first,
            index,
            Names("phantom", study, series, generate_uid()),
            Coding(),
        )
    write_nifti(first, folder / "ct-template" / "scct.nii.gz")
    for number, image in enumerate((first, second)):
        path = folder / "ct-ich" / str(number) / "brain" / "14.jpg"
        path.parent.mkdir(parents=True)
        Image.fromarray(to_grey_uint8(image.voxels[slices // 2], "brain")).save(path)
    return folder


def sources(data: Path, work: Path) -> dict[str, tuple[Path, Path]]:
    """Scans by name, each with another one whose headers may be taken: folders of files."""
    made: dict[str, tuple[Path, Path]] = {}
    made["DICOM"] = (data / "ge-head-ct", _other_series(data / "ge-head-ct", work / "other-series"))
    (template,) = (
        sorted((data / "ct-template").glob("scct*.nii.gz"))[:1] or sorted((data / "ct-template").glob("*.nii*"))[:1]
    )
    image = nib.load(template)
    hu = np.asarray(image.dataobj, dtype=np.float32)[::2, ::2, ::3]
    hu = np.where(hu == 0, -1000, hu).astype(np.int16)
    affine = image.affine @ np.diag([2, 2, 3, 1])
    nifti, strange = work / "nifti" / "scan.nii", work / "strange.nii"
    nifti.parent.mkdir()
    nib.save(nib.Nifti1Image(hu, affine), nifti)
    nib.save(nib.Nifti1Image(hu[:, :, :20].astype(np.float32), np.diag([0.5, 0.5, 5, 1])), strange)
    made["NIfTI"] = nifti.parent, strange
    (work / "packed").mkdir()
    nib.save(nib.Nifti1Image(hu, affine), work / "packed" / "scan.nii.gz")
    made["NIfTI, packed"] = work / "packed", strange
    pictures = sorted((data / "ct-ich").rglob("brain/14.jpg"))
    (work / "picture").mkdir()
    shutil.copy(pictures[0], work / "picture" / "14.jpg")
    made["JPEG"] = work / "picture", pictures[-1]
    return made


def _other_series(series: Path, folder: Path) -> Path:
    """The same slices as another scanner would have written them."""
    folder.mkdir()
    uid = generate_uid()
    for number, path in enumerate(sorted(series.glob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.InstanceNumber = uid, 7, number + 1
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.41, 0.41], [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient, dataset.RescaleIntercept = [-110, -120, 3.0 * number], 0
        dataset.SliceThickness = 3
        dataset.save_as(folder / path.name)
    return folder


def attempt(source: Path, other: Path, seed: int, folder: Path, whole: Intake) -> tuple[str, str, str]:
    """The kind of damage, what was done, and what came of it: "read", "refused", "told" or a fault."""
    rng = np.random.default_rng(seed)
    files = []
    for path in sorted(source.iterdir()):
        link = folder / path.name
        link.symlink_to(path.resolve())
        files.append(link)
    kind = list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))]
    done = MUTATIONS[kind](files, other, rng)
    given = folder if len(files) > 1 else files[0]
    start = time.perf_counter()
    try:
        taken = take_in(given)
    except UserError as error:
        return kind, done, "refused" if "\n" not in str(error) else f"FAULT more than one line: {error}"
    except Exception:
        return kind, done, f"FAULT crash: {traceback.format_exc()[-600:]}"
    seconds = time.perf_counter() - start
    if seconds > MOST_SECONDS:
        return kind, done, f"FAULT {seconds:.1f} s"
    told = [line for line in taken.warnings if line not in whole.warnings]
    different = difference(np.asarray(taken.scan.volume.voxels), np.asarray(whole.scan.volume.voxels))
    if told:
        return kind, done, "told" if different > MOST_DIFFERENT else "read, and told"
    return kind, done, "read" if different <= MOST_DIFFERENT else f"FAULT {different:.0%} differ and nothing is said"


def difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Share of voxels that are not the same."""
    return 1.0 if one.shape != other.shape else float((np.abs(one - other) > UNIT).mean())


def run_part(data: Path, seeds: list[int]) -> None:
    """Attempt these seeds, a line each on standard output."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        known = sources(data, work)
        whole = {
            name: take_in(folder if name == "DICOM" else next(folder.iterdir())) for name, (folder, _) in known.items()
        }
        for seed in seeds:
            name = list(known)[seed % len(known)]
            folder = work / "mutant"
            folder.mkdir()
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            kind, done, result = attempt(*known[name], seed, folder, whole[name])
            peak = _peak_mb()
            result = f"FAULT {peak:.0f} MB" if peak > MOST_MB and not result.startswith("FAULT") else result
            print("\t".join((str(seed), name, kind, done, " ".join(result.split()))), flush=True)
            shutil.rmtree(folder)


def _peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[1] / DATA
    parser.add_argument("data", type=Path, nargs="?", default=beside if beside.is_dir() else None)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    given = options(parser, argv, {"data": None, "count": 8, "jobs": 1})
    seeds = list(range(given.seed, given.seed + given.count))
    if given.part is not None:
        run_part(given.data, seeds[given.part :: given.jobs])
        return
    with tempfile.TemporaryDirectory() as folder:
        size = (28, 48) if given.smoke else (28, 512)
        data = given.data or stand_in(Path(folder), *size)
        yield attempt_all(data, given.count, given.seed, given.jobs)


def attempt_all(data: Path, count: int, seed: int, jobs: int) -> Ratio:
    """Print counts and faults of mutants made by several processes; how many were no fault, of all."""

    def part(number: int) -> str:
        command = [
            sys.executable,
            __file__,
            str(data),
            "--count",
            str(count),
            "--seed",
            str(seed),
            "--jobs",
            str(jobs),
            "--part",
            str(number),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
        ended = f"-\t-\t-\t-\tFAULT the process ended with {done.returncode}\n"
        return done.stdout if done.returncode == 0 else done.stdout + ended

    with ThreadPoolExecutor(jobs) as pool:
        rows = [line.split("\t") for text in pool.map(part, range(jobs)) for line in text.splitlines()]
    counts = Counter((row[1], row[2], row[4] if not row[4].startswith("FAULT") else "FAULT") for row in rows)
    for (name, kind, result), many in sorted(counts.items()):
        print(f"{name:14} {kind:26} {result:16} {many}")
    faults = [row for row in rows if row[4].startswith("FAULT")]
    for row in faults:
        print("seed", *row)
    print(f"{len(rows)} mutants, {len(faults)} faults")
    sound = len(rows) - len(faults)
    return ratio("damaged scans read or refused as they should be", "all", len(rows), sound, unit="scans", goal=1.0)


if __name__ == "__main__":
    tell(run())
