"""Time per row and peak memory of the RSNA index at 10,000, 100,000 and all 752,803 images, generated as tiny files.

    python benchmarks/index_rsna.py [--folder SCRATCH] [--counts 10000 100000 752803]

Each count is indexed in a process of its own with an empty cache; the files were just written, so the disk's cache is
warm for all. The peer, in the same run on the smallest count: one pydicom.dcmread(stop_before_pixels=True) a file and a
pandas pivot of the CSV, the way of most public notebooks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ratios import Ratio, options, ratio, tell

COUNTS = (10_000, 100_000, 752_803)
SLICES = 35
PLACES = {"patient": b"ID_pppppppp", "study": b"ID_ssssssssss", "series": b"ID_tttttttttt", "image": b"ID_iiiiiiiii"}


def generate(root: Path, count: int) -> None:
    """`count` DICOM files of 4 x 4 pixels in studies of 35, and their CSV, in an order that mixes the patients."""
    from hemobench.datasets.rehearsal.dicom_files import Coding, Names, write_slice
    from hemobench.labels import CLASSES
    from hemobench.volume import Volume

    folder = root / "stage_2_train"
    names = Names(*(PLACES[name].decode() for name in ("patient", "study", "series", "image")))
    write_slice(root / "template.dcm", Volume(np.zeros((1, 4, 4)), np.eye(4)), 0, names, Coding())
    template = (root / "template.dcm").read_bytes()
    folder.mkdir()
    random = np.random.default_rng(1)
    keys = np.unique(random.integers(16**9, size=count + count // 10 + 10))
    keys = random.permutation(keys)[:count]
    with (root / "stage_2_train.csv").open("w") as table:
        table.write("ID,Label\n")
        for number in range(count):
            # 1 patient has about 1.15 studies; neighbours in the folder belong to different patients.
            study = number % max(1, count // SLICES)
            ids = {
                "patient": f"ID_{study * 7 // 8:08x}",
                "study": f"ID_{study:010x}",
                "series": f"ID_{study:010x}",
                "image": f"ID_{keys[number]:09x}",
            }
            content = template
            for name, value in ids.items():
                content = content.replace(PLACES[name], value.encode())
            (folder / f"{ids['image']}.dcm").write_bytes(content)
            label = int(number % 7 == 0)
            table.write(
                "".join(f"{ids['image']}_{kind},{label if kind in ('subdural', 'any') else 0}\n" for kind in CLASSES)
            )


def resident_mib() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def index(root: Path) -> dict[str, float]:
    """Open the copy with an empty cache, then again."""
    from hemobench.datasets.opening import open_dataset
    from hemobench.datasets.rsna.dataset import open_rsna

    assert callable(open_rsna)
    before = resident_mib()
    start = time.perf_counter()
    dataset = open_dataset(f"rsna:{root}")
    cold = time.perf_counter() - start
    peak = peak_mib()
    start = time.perf_counter()
    assert open_dataset(f"rsna:{root}").fingerprint == dataset.fingerprint
    warm = time.perf_counter() - start
    return {"cold_s": cold, "warm_s": warm, "cases": len(dataset.cases), "before_mib": before, "peak_mib": peak}


def peer(root: Path) -> float:
    """Seconds of the plain way: pydicom in a loop, pandas for the labels."""
    import warnings

    import pandas as pd
    import pydicom

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = []
        for path in (root / "stage_2_train").iterdir():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            rows.append((path.stem, header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID))
    headers = pd.DataFrame(rows, columns=["image", "patient", "study", "series"])
    labels = pd.read_csv(root / "stage_2_train.csv")
    labels[["image", "kind"]] = labels["ID"].str.rsplit("_", n=1, expand=True)
    table = labels.pivot_table(index="image", columns="kind", values="Label", aggfunc="max")
    headers.merge(table, left_on="image", right_index=True).groupby(["patient", "study", "series"])
    return time.perf_counter() - start


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for the generated files (3 GB for all rows; default: temporary)")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--part", choices=("index", "peer"), help=argparse.SUPPRESS)
    arguments = options(parser, argv, {"counts": [100, 200]})
    if arguments.part:
        print(json.dumps(index(arguments.folder) if arguments.part == "index" else peer(arguments.folder)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        yield from measure(Path(scratch), sorted(arguments.counts))


def measure(folder: Path, counts: list[int]) -> Iterator[Ratio]:
    """Print a line a count, the peer's beside the first."""
    print("images\tcases\tcold s\tus a row\twarm s\tpeak MiB\tof it building")
    per_row = {}
    for count in counts:
        root = folder / f"rsna-{count}"
        root.mkdir(parents=True)
        generate(root, count)
        with tempfile.TemporaryDirectory() as home:
            found = apart(root, "index", home)
            per_row[count] = found["cold_s"] / count
            times = f"{found['cold_s']:.1f}\t{per_row[count] * 1e6:.0f}\t{found['warm_s']:.2f}"
            growth = found["peak_mib"] - found["before_mib"]
            print(f"{count}\t{found['cases']}\t{times}\t{found['peak_mib']:.0f}\t{growth:.0f}", flush=True)
            if count == counts[0]:
                seconds = apart(root, "peer", home)
                print(f"peer on {count}: {seconds:.1f} s, {seconds / found['cold_s']:.2f} times ours", flush=True)
                yield ratio(f"index of {count:,} images of RSNA", "pydicom loop, pandas", found["cold_s"], seconds)
            else:
                what, first = f"a row of an index of {count:,} images", f"a row of one of {counts[0]:,}"
                yield ratio(what, first, per_row[count] * 1e6, per_row[counts[0]] * 1e6, unit="us")
        shutil.rmtree(root)
    first = per_row[min(per_row)]
    print("time a row against the smallest:", ", ".join(f"{n}: {value / first:.2f}" for n, value in per_row.items()))


def apart(root: Path, part: str, home: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(root), "--part", part]
    environment = {**os.environ, "HEMOBENCH_HOME": home}
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    tell(run())
