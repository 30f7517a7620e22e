"""Reads the paths that come on standard input and answers each with a line of JSON: result, seconds, peak memory."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
import warnings
from pathlib import Path

from hemobench.errors import UserError
from hemobench.io import read_scan


def peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def attempt(path: Path) -> dict:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.perf_counter()
    try:
        scan = read_scan(path)
        result, text = "read", f"{scan.kind} {scan.volume.shape}"
        if not scan.volume.voxels.size:
            result = "crashed"
    except UserError as error:
        result, text = "refused", str(error)
    except BaseException:
        result, text = "crashed", traceback.format_exc()
    return {"result": result, "text": text, "seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(attempt(Path(json.loads(line)))), flush=True)
