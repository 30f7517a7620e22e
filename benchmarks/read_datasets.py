"""Readers of pictures and arrays against what people write by hand, and Zeta's index at 10,000 to 752,803 pictures.

    python benchmarks/read_datasets.py [readers] [--patients 2] [--slices 16] [--matrix 512] [--repeats 5]
    python benchmarks/read_datasets.py [index] [--folder SCRATCH] [--counts 10000 100000 752803]

`readers` writes rehearsal copies of phantoms and loads every case by the reader and by the peer in turn; times a case
are medians over repeats, after one round that warms the disk's cache. The peers give pictures, labels and masks, as the
readers do, but only decode, scale and draw: no Hounsfield units, no geometry, no checks. `index` makes empty files, a
table of as many rows and patients, and opens the copy in a process of its own; the peer is pandas with a loop over
os.listdir.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from ratios import Ratio, options, ratio, tell

from hemobench.case import Case
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout

HEADER = "Image,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
COUNTS = (10_000, 100_000, 752_803)


def grey(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255


@lru_cache(maxsize=8)
def labels_of(table: Path, key: str) -> pd.DataFrame:
    """A table by picture or patient, read once."""
    return pd.read_csv(table).set_index(key)


@lru_cache(maxsize=8)
def outlines_of(root: Path) -> dict[str, list[str]]:
    """Texts of the polygons by picture, read once."""
    tables = [pd.read_csv(path, keep_default_na=False) for path in root.glob("Results_*.csv")]
    columns = ["Majority Label" if "Majority Label" in table else "ROI" for table in tables]
    found: dict[str, list[str]] = {}
    for table, column in zip(tables, columns, strict=True):
        for origin, text in zip(table["Origin"], table[column], strict=True):
            found.setdefault(origin, []).append(text)
    return found


def zeta_peer(root: Path, case: Case, windows: tuple[str, ...]) -> tuple[object, ...]:
    """Row of the table, pictures by PIL, mask by ImageDraw, as public notebooks do it."""
    labels = labels_of(root / "hemorrhage-labels.csv", "Image").loc[case.study_id].to_numpy()
    folder = next((root / "renders").glob(f"*/max_contrast_window/{case.study_id}.jpg")).parents[1]
    pictures = [grey(folder / window / f"{case.study_id}.jpg") for window in windows]
    mask = Image.new("L", pictures[0].shape[::-1])
    draw = ImageDraw.Draw(mask)
    height, width = pictures[0].shape
    for text in outlines_of(root).get(f"{case.study_id}.jpg", ()):
        points = [(point["x"] * width, point["y"] * height) for point in json.loads(text or "[]") if point]
        if len(points) > 2:
            draw.polygon(points, fill=1)
    return pictures, labels, np.asarray(mask)


def paper_peer(root: Path, case: Case) -> tuple[object, ...]:
    labels = labels_of(root / "hemorrhage-labels.csv", "Image").loc[case.study_id].to_numpy()
    (path,) = (root / "renders").glob(f"*/max_contrast_window/{case.study_id}.jpg")
    return (np.asarray(Image.open(path)).mean(axis=2) / 255)[::4, ::4], labels


def ct_ich_peer(root: Path, case: Case) -> tuple[object, ...]:
    labels = labels_of(root / "hemorrhage_diagnosis.csv", "PatientNumber").loc[int(case.patient_id)].to_numpy()
    folder = root / "Patients_CT" / case.patient_id
    numbers = sorted(int(path.stem) for path in (folder / "bone").glob("*.jpg"))
    planes = [np.stack([grey(folder / window / f"{n}.jpg") for n in numbers]) for window in ("brain", "bone")]
    masks = [grey(path) > 0.5 for path in (folder / "brain").glob("*_HGE_Seg.jpg")]
    return planes, masks, labels


def nifti_peer(root: Path, case: Case) -> tuple[object, ...]:
    labels = labels_of(root / "hemorrhage_diagnosis_raw_ct.csv", "PatientNumber").loc[int(case.patient_id)].to_numpy()
    images = [nib.load(root / name / f"{case.patient_id}.nii") for name in ("ct_scans", "masks")]
    return [np.ascontiguousarray(nib.as_closest_canonical(image).get_fdata().T) for image in images], labels


def ventricles_peer(root: Path, case: Case) -> list[np.ndarray]:
    arrays = []
    for ending in ("", "seg"):
        path = root / f"{case.study_id}{ending}"
        packed = path.with_name(f"{path.name}.npz")
        loaded = np.load(packed)["arr_0"] if packed.exists() else np.load(path.with_name(f"{path.name}.npy"))
        arrays.append(np.ascontiguousarray(loaded.astype(np.float32).transpose(2, 1, 0)[:, ::-1, ::-1]))
    return arrays


def folder_peer(root: Path, case: Case) -> tuple[object, ...]:
    name = Path(case.study_id)
    labels = labels_of(root / "labels.csv", "image").loc[int(name.stem)].to_numpy()
    mask = root / "masks" / name.name
    return grey(root / name), (grey(mask) > 0.5) if mask.exists() else None, labels


def hounsfield_peer(root: Path, case: Case) -> tuple[object, ...]:
    return zeta_peer(root, case, ("brain_window", "subdural_window", "brain_bone_window"))


def contrast_peer(root: Path, case: Case) -> tuple[object, ...]:
    return zeta_peer(root, case, ("max_contrast_window",))


READERS: tuple[tuple[str, dict[str, object], str, Callable[[Path, Case], object]], ...] = (
    ("zeta", {}, "pandas, PIL, 3 windows", hounsfield_peer),
    ("zeta", {"protocol": "max-contrast"}, "pandas, PIL, 1 window", contrast_peer),
    ("zeta", {"protocol": "paper"}, "pandas, PIL mean(axis=2)", paper_peer),
    ("ct-ich", {}, "pandas, PIL, 2 windows", ct_ich_peer),
    ("ct-ich-nifti", {}, "nibabel, canonical", nifti_peer),
    ("image-folder", {}, "pandas, PIL loop", folder_peer),
    ("ventricles", {}, "numpy.load, turned", ventricles_peer),
)


def measure(cases: tuple[Case, ...], work: Callable[[Case], object]) -> float:
    """Seconds of processor time a case in one round over all, so that others on the machine disturb little."""
    start = time.process_time()
    for case in cases:
        work(case)
    return (time.process_time() - start) / len(cases)


def compare_readers(patients: int, slices: int, matrix: int, repeats: int) -> Iterator[Ratio]:
    print("reader\tcases\tms/case\tpeer\tpeer ms/case\tratio")
    with tempfile.TemporaryDirectory() as scratch:
        for name, options, peer_name, peer in READERS:
            layout = get_layout(name)
            root = Path(scratch) / name
            if not root.exists():
                spec = PhantomSpec(patients=patients, slices=slices, matrix=matrix, product=layout.product)
                build_layout(root, layout, spec, jobs=1)
            cases = open_dataset(f"{layout.data_set}:{root}", **options).cases
            works = (lambda case: case.load(), lambda case, root=root, peer=peer: peer(root, case))
            times = [[measure(cases, work) for work in works] for _ in range(repeats + 1)][1:]
            ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            title = f"{name} {','.join(map(str, options.values()))}".strip()
            print(f"{title}\t{len(cases)}\t{ours * 1e3:.2f}\t{peer_name}\t{theirs * 1e3:.2f}\t{ours / theirs:.2f}")
            ms = [[1e3 * one for one in column] for column in zip(*times, strict=True)]
            yield ratio(f"a case of {title}", peer_name, *ms, unit="CPU ms")


def generate(root: Path, count: int) -> None:
    """Empty files, a table of `count` rows in another order, and patients of 35 pictures."""
    random = np.random.default_rng(1)
    keys = random.choice(16**7, size=count, replace=False)
    names = [f"ID_{key:09x}" for key in keys]
    for number, name in enumerate(names):
        folder = root / "renders" / ("subdural" if number % 7 == 0 else "normal") / "max_contrast_window"
        if number in (0, 1):
            folder.mkdir(parents=True)
        os.close(os.open(folder / f"{name}.jpg", os.O_CREAT | os.O_WRONLY))
    with (root / "hemorrhage-labels.csv").open("w") as table, (root / "patients.csv").open("w") as people:
        table.write(HEADER)
        people.write("Image,PatientID\n")
        for number in random.permutation(count).tolist():
            bleeds = int(number % 7 == 0)
            table.write(f"{names[number]},{bleeds},0,0,0,0,{bleeds}\n")
            people.write(f"{names[number]},P{number // 35}\n")


def index_by_hemobench(root: Path) -> int:
    return len(open_dataset(f"zeta:{root}", protocol="max-contrast").cases)


def index_by_pandas(root: Path) -> int:
    labels = pd.read_csv(root / "hemorrhage-labels.csv").set_index("Image")
    people = pd.read_csv(root / "patients.csv").set_index("Image")["PatientID"]
    records = []
    for folder in sorted((root / "renders").iterdir()):
        for name in os.listdir(folder / "max_contrast_window"):
            path = folder / "max_contrast_window" / name
            records.append({"Image": name[:-4], "path": str(path), "bytes": path.stat().st_size})
    table = pd.DataFrame(records).set_index("Image").join(labels).join(people)
    return len(table.to_dict("records"))


INDEXERS = {"hemobench": index_by_hemobench, "pandas": index_by_pandas}


def report_index(root: Path, indexer: str) -> None:
    """Time and peak memory of one indexing in this process, as JSON."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for folder in (root / "renders").iterdir():
        # Both indexers find the disk's cache warm.
        for entry in os.scandir(folder / "max_contrast_window"):
            entry.stat()
    start, cpu = time.perf_counter(), time.process_time()
    count = INDEXERS[indexer](root)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"count": count, "seconds": seconds, "cpu": cpu, "peak_mb": peak / 1024, "before_mb": before / 1024}
    print(json.dumps(found))


def compare_indexes(folder: Path, counts: list[int]) -> Iterator[Ratio]:
    print("pictures\tindexer\tseconds\tus/row\tcpu us/row\tpeak MB\tof which imports MB")
    for count in counts:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            generate(Path(scratch), count)
            seconds = {}
            for indexer in INDEXERS:
                command = [sys.executable, __file__, "one-index", "--folder", scratch, "--indexer", indexer]
                found = json.loads(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)
                assert found["count"] == count
                seconds[indexer] = found["seconds"]
                per_row, cpu = (found[key] / count * 1e6 for key in ("seconds", "cpu"))
                print(
                    f"{count}\t{indexer}\t{found['seconds']:.2f}\t{per_row:.1f}\t{cpu:.1f}\t{found['peak_mb']:.0f}"
                    f"\t{found['before_mb']:.0f}",
                    flush=True,
                )
            yield ratio(f"index of {count:,} pictures of Zeta", "pandas", seconds["hemobench"], seconds["pandas"])


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("readers", "index", "one-index"), help="default: readers, index")
    parser.add_argument("--patients", type=int, default=2)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--indexer", choices=tuple(INDEXERS), default="hemobench")
    given = options(parser, argv, {"patients": 1, "slices": 2, "matrix": 48, "repeats": 1, "counts": [100]})
    if given.part == "one-index":
        report_index(given.folder, given.indexer)
    if given.part in (None, "readers"):
        yield from compare_readers(given.patients, given.slices, given.matrix, given.repeats)
    if given.part in (None, "index"):
        yield from compare_indexes(given.folder, given.counts)


if __name__ == "__main__":
    tell(run())
