"""The demo as a process of its own: how soon it is there, what 20 visitors wait, and where memory stands after many.

    python benchmarks/demo_load.py                     # all of it
    python benchmarks/demo_load.py --requests 40 --concurrency 1 2
    python benchmarks/demo_load.py --concurrency       # the MRI example and the memory of a new process alone

Every visitor sends another phantom. Memory is the resident set of the process and its children, read where the
operating system has /proc. The MRI example is asked for in a process of its own, first and again, once the networks
are loaded: when the processors that the process uses come to rest.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gradio_client import Client, handle_file
from ratios import Ratio, load_average, options, ratio, tell, within

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.io.nifti import write_nifti

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 300.0
LEAST_WARMING_S = 4.0  # of processors, from the command to the end of warming up: it takes more everywhere
TARGET_PAGE_S, TARGET_FIRST_S, TARGET_GB = 4.0, 2.0, 1.2
TARGET_MRI_S, TARGET_MRI_AGAIN_S = 3.0, 1.5
MRI = ROOT / "demo" / "examples" / "mri-t1.nii.gz"


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200, help="after which memory is read")
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--matrix", type=int, default=256)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--again", type=int, default=5, help="how often the MRI example is asked for again")
    tiny = {"visitors": 2, "requests": 5, "slices": 3, "matrix": 48, "concurrency": [2], "again": 1}
    given = options(parser, argv, tiny)
    with tempfile.TemporaryDirectory() as folder:
        scans = make_scans(Path(folder), given.visitors, given.slices, given.matrix)
        for concurrency in given.concurrency:
            print(f"-- {concurrency} at a time, {given.slices} x {given.matrix} x {given.matrix}", flush=True)
            last = concurrency == given.concurrency[-1]
            yield from measure(scans, concurrency, given.requests if last else 0)
    yield from measure_mri(given.again)


def make_scans(folder: Path, visitors: int, slices: int, matrix: int) -> list[Path]:
    """A phantom for each visitor."""
    spec = PhantomSpec(patients=visitors, slices=slices, matrix=matrix)
    paths = []
    for number in range(visitors):
        paths.append(folder / f"{number}.nii.gz")
        write_nifti(generate_patient(spec, number).image, paths[-1])
    return paths


def measure(scans: list[Path], concurrency: int, requests: int) -> Iterator[Ratio]:
    """Start the demo, let the visitors come together, then one after the other, and print what was seen."""
    with running(concurrency) as (url, process, started_s):
        print(f"cold start to a page: {started_s:.1f} s", flush=True)
        first_s = ask(url, scans[0])
        print(f"first answer after it: {first_s:.2f} s", flush=True)
        alone = statistics.median(ask(url, scan) for scan in scans[:6])
        begun, worked = time.perf_counter(), processor_s(process)
        with ThreadPoolExecutor(len(scans)) as pool:
            waits = sorted(pool.map(lambda scan: ask(url, scan), scans))
        total = time.perf_counter() - begun
        print(
            f"one visitor alone: {alone:.2f} s (median of 6); {len(scans)} at once: all in {total:.1f} s, "
            f"median {statistics.median(waits):.1f} s, last {waits[-1]:.1f} s; "
            f"{(processor_s(process) - worked) / len(scans):.2f} s of processors a scan",
            flush=True,
        )
        several = f"{len(scans)} visitors at once, {concurrency} at a time"
        yield ratio(several, "one after the other", total, len(scans) * alone)
        if requests:
            yield within("the demo, from its command to a page", started_s, TARGET_PAGE_S)
            yield within("the demo's first answer", first_s, TARGET_FIRST_S)
            most = follow_memory(url, process, scans, requests)
            yield within(f"the demo's memory after {requests} requests", most * 2**20 / 1e9, TARGET_GB, "GB")


def measure_mri(again: int) -> Iterator[Ratio]:
    """A new process, asked for the MRI example once its networks are loaded, and so many times again."""
    with running(1) as (url, process, _):
        if again > 1:  # a tiny run measures nothing
            wait_for_rest(process)
        print(f"memory once warm: {resident_mib(process):.0f} MiB", flush=True)
        first, *later = [ask(url, MRI) for _ in range(1 + again)]
        print(
            f"MRI example: first {first:.2f} s, again {statistics.median(later):.2f} s (median of {again}); memory "
            f"{resident_mib(process):.0f} MiB; load of the machine {load_average():.1f}",
            flush=True,
        )
        yield within("the MRI example, first", first, TARGET_MRI_S)
        yield within("the MRI example, again", statistics.median(later), TARGET_MRI_AGAIN_S)


def wait_for_rest(process: int) -> None:
    """Until a process has done next to nothing for two seconds: its warming up is over."""
    end, used = time.monotonic() + WAIT_S, -1.0
    while time.monotonic() < end:
        before, used = used, processor_s(process)
        if 0 <= used - before < 0.1 and used > LEAST_WARMING_S:
            return
        time.sleep(2)


def follow_memory(url: str, process: int, scans: list[Path], requests: int) -> float:
    """Resident memory after each fifth of the requests, four visitors at a time, each asking ten times."""
    levels = [resident_mib(process)]
    done = 0
    for _ in range(5):
        batch = requests // 5
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: ask(url, scans[number % len(scans)]), range(done, done + batch)))
        done += batch
        time.sleep(0.05 * batch)  # what is freed a moment later
        levels.append(resident_mib(process))
        print(f"after {done} more requests: {levels[-1]:.0f} MiB", flush=True)
    print(f"memory before: {levels[0]:.0f} MiB; the last fifth added {levels[-1] - levels[-2]:+.0f} MiB", flush=True)
    return levels[-1]


def ask(url: str, scan: Path) -> float:
    """Seconds from opening the page's API to the last file of the answer."""
    begun = time.perf_counter()
    client = Client(url, verbose=False, download_files=tempfile.mkdtemp(prefix="hemobench-load-"))
    try:
        report = client.predict(scan=handle_file(scan), api_name="/analyse")[0]
    finally:
        client.close()
    if not report["slices"]:
        raise RuntimeError("an answer without slices")
    return time.perf_counter() - begun


@contextmanager
def running(concurrency: int) -> Iterator[tuple[str, int, float]]:
    """The demo in its own process: address, process id, seconds until the page was there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    code = f"from demo.app import launch; launch(concurrency={concurrency})"
    begun = time.perf_counter()
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not answers(url):
            if server.poll() is not None or time.perf_counter() - begun > WAIT_S:
                raise RuntimeError("the demo did not start")
            time.sleep(0.05)
        yield url, server.pid, time.perf_counter() - begun
    finally:
        server.terminate()
        server.wait(30)


def answers(url: str) -> bool:
    """Whether the page and its settings are served, which is when a browser can build it."""
    try:
        with urllib.request.urlopen(f"{url}config", timeout=5) as reply:
            return bool(reply.read())
    except (urllib.error.URLError, OSError):
        return False


def processor_s(process: int) -> float:
    """Processor seconds that a process has used, which other processes on the machine change little."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(process: int) -> float:
    """Resident set of a process and its children in MiB."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    children = listed.read_text(encoding="ascii").split() if listed.is_file() else []
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024 + sum(resident_mib(int(one)) for one in children)


if __name__ == "__main__":
    tell(run())
