"""What all benchmarks share: the ratios they give, their tiny inputs under `--smoke`, and lines that `run.py` reads.

A script has `run(argv) -> Iterator[Ratio]`, prints what it likes, and ends with `tell(run())`, which writes one line of
JSON for each ratio. `options` gives each script `--smoke`: sizes that show in seconds that it works, and no speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hemobench.machine import CPUINFO

DATA = "../shared/data"  # public scans that cannot lie in the repository
_FLAGS = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16", "avx512f", "avx2")


@dataclass(frozen=True)
class Ratio:
    """How many times better than a peer of the same run, or than a goal: above 1 is faster, smaller, fewer.

    ours, theirs: medians over `turns`, in `unit` (s, GB, ...); value: the median of the turns' own ratios, which a
    machine that is busy with other work disturbs least. goal: the least that is wanted, None where nobody said.
    """

    what: str
    peer: str
    ours: float
    theirs: float
    value: float
    unit: str = "s"
    turns: int = 1
    goal: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether it is what was wanted; None without a goal."""
        return None if self.goal is None else self.value >= self.goal


class SkippedError(Exception):
    """What a benchmark needs is not on this machine; the reason is one line."""


def ratio(
    what: str,
    peer: str,
    ours: float | Sequence[float],
    theirs: float | Sequence[float],
    *,
    unit: str = "s",
    goal: float | None = None,
) -> Ratio:
    """`theirs` over `ours`: one number each, or one a turn, taken side by side (as many of both).

    >>> ratio("reading", "a loop", [1.0, 2.0, 1.0], [2.0, 6.0, 3.0], goal=2).value
    3.0
    """
    mine, other = ([float(one)] if isinstance(one, int | float) else list(map(float, one)) for one in (ours, theirs))
    if not mine or len(mine) != len(other):
        raise ValueError(f"{len(mine)} measurements of ours and {len(other)} of {peer}; expected as many, one or more")
    value = statistics.median(b / a for a, b in zip(mine, other, strict=True))
    return Ratio(what, peer, statistics.median(mine), statistics.median(other), value, unit, len(mine), goal)


def within(what: str, ours: float, goal: float, unit: str = "s") -> Ratio:
    """How far below a limit something stays that has no peer."""
    return ratio(what, "its limit", ours, goal, unit=unit, goal=1.0)


def processes(given: argparse.Namespace) -> int | None:
    """How many processes share work that comes with its own: as many as there are cores, and under --smoke none, as
    their start would take longer than tiny inputs do."""
    return 1 if given.smoke else None


def options(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, smoke: Mapping[str, Any]
) -> argparse.Namespace:
    """Parsed arguments; under --smoke those that nobody gave have the values in `smoke`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--smoke", action="store_true", help="tiny inputs: whether it runs, in seconds, and no speed")
    if parser.parse_known_args(argv)[0].smoke:
        parser.set_defaults(**smoke)
    return parser.parse_args(argv)


def tell(ratios: Iterable[Ratio]) -> None:
    """Print each as a line of JSON as it comes, and the reason where a benchmark cannot run here."""
    try:
        for one in ratios:
            print(json.dumps({"ratio": asdict(one)}), flush=True)
    except SkippedError as reason:
        print(json.dumps({"skipped": str(reason)}), flush=True)


def told(line: str) -> Ratio | str | None:
    """The ratio in a line of a script's output, or why it was skipped; None for any other line.

    >>> told("32 x 512 x 512 voxels"), told('{"skipped": "no chromium"}')
    (None, 'no chromium')
    """
    if not line.startswith(('{"ratio": ', '{"skipped": ')):
        return None
    found = json.loads(line)
    return Ratio(**found["ratio"]) if "ratio" in found else str(found["skipped"])


def processor(cpuinfo: str) -> str:
    """Name of the processor and its instruction sets that networks profit from, from the text of /proc/cpuinfo.

    >>> processor("model name : Big Chip 9\\nflags : fpu avx2 avx512f avx512_bf16\\n")
    'Big Chip 9 (avx512_bf16, avx512f, avx2)'
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    facts = {name.strip(): value.strip() for name, colon, value in lines if colon}
    has = [flag for flag in _FLAGS if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', 'unknown processor')} ({', '.join(has) or 'no avx2'})"


def this_machine() -> str:
    """Processor, cores, system, versions."""
    from hemobench.compare.costs import describe_machine

    about = processor(CPUINFO.read_text(encoding="utf-8")) if CPUINFO.is_file() else "processor unknown"
    return f"{about}, {describe_machine()}"


def load_average() -> float:
    """Processes that wanted a core in the last minute; NaN where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
