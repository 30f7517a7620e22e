"""All benchmarks one after the other, and every ratio of the run in one table.

    python benchmarks/run.py                    # full size, on idle cores; writes docs/performance.md
    python benchmarks/run.py --smoke            # tiny inputs: does each still run? Prints the table and writes nothing
    python benchmarks/run.py --only study engines --output FILE

Each script runs in a process of its own, so that none finds what another left in memory, and its prose goes through to
the terminal. One that fails is named in the table and costs the others nothing; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from ratios import Ratio, load_average, this_machine, told

from hemobench.io.atomic import replacing
from hemobench.training.experiment import package_commit

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
SHARED = {"ratios", "run", "other_things"}
BUSY = 0.5


@dataclass
class Result:
    """What a script said: its ratios, and where it gave none, why."""

    name: str
    ratios: list[Ratio] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""
    seconds: float = 0.0


def scripts() -> dict[str, Path]:
    """All benchmarks by name, those of `peers/` last."""
    found = [*sorted(HERE.glob("*.py")), *sorted((HERE / "peers").glob("*.py"))]
    names = (path.relative_to(HERE).with_suffix("").as_posix() for path in found)
    return {name: path for name, path in zip(names, found, strict=True) if name not in SHARED}


def run_script(name: str, path: Path, smoke: bool) -> Result:
    """Run one to its end; what it prints that is no ratio goes through."""
    result, begin, last = Result(name), time.perf_counter(), ""
    command = [sys.executable, str(path), *(["--smoke"] if smoke else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", cwd=HERE.parent) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = told(line)
            if isinstance(found, Ratio):
                result.ratios.append(found)
            elif found is not None:
                result.skipped = found
            else:
                print(line, end="", flush=True)
                last = line.strip() or last
    result.seconds = time.perf_counter() - begin
    if process.returncode:
        result.failed = f"ended with {process.returncode} after: {last or 'nothing'}"
    return result


def page(results: Sequence[Result], facts: Sequence[str], smoke: bool) -> str:
    """The whole page in Markdown: facts of the run, a table of its ratios, and what gave none."""
    lines = [
        "# Performance",
        "",
        "All of it measured in one run by `python benchmarks/run.py`; do not edit. A ratio "
        "is the peer's figure over ours, the median of turns taken side by side: above 1 is faster or smaller. "
        "Seconds are of this machine; ratios are what to compare.",
        "",
    ]
    lines += [f"- {fact}" for fact in facts]
    if smoke:
        lines += ["", "**Tiny inputs (`--smoke`): these figures say nothing about speed.**"]
    lines += ["", "| Benchmark | What | Beside | Ours | Theirs | Ratio | Wanted |", "|---|---|---|--:|--:|--:|--:|"]
    lines += [row(result.name, one) for result in results for one in result.ratios]
    without = [
        f"- {result.name}: {('failed, ' + result.failed) if result.failed else result.skipped}"
        for result in results
        if result.failed or result.skipped
    ]
    return "\n".join([*lines, *(["", "Without figures:", "", *without] if without else [])]) + "\n"


def row(name: str, one: Ratio) -> str:
    """A line of the table; a goal that is missed is bold."""
    wanted = "" if one.goal is None else f"{one.goal:g}"
    value = figure(one.value) if one.reached is not False else f"**{figure(one.value)}**"
    cells = (
        name,
        one.what,
        one.peer,
        f"{figure(one.ours)} {one.unit}",
        f"{figure(one.theirs)} {one.unit}",
        value,
        wanted,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def figure(value: float) -> str:
    """Three digits.

    >>> figure(0.012345), figure(6.6), figure(752803.0), figure(20.0)
    ('0.0123', '6.60', '752,803', '20.0')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.{2 if value < 10 else 1}f}"


def facts_of(load: float, seconds: float) -> list[str]:
    """When, where and of what it was measured, and whether the machine did other things."""
    busy = f"load {load:.1f} before the start" + (" (**other work ran**)" if load > BUSY else "")
    today = datetime.now(timezone.utc).isoformat(timespec="minutes")
    took, commit = f"{today}, {seconds / 60:.0f} minutes", package_commit() or "unknown"
    return [f"{this_machine()}; {busy}", took, f"commit {commit}"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run, write and print; 1 where a script failed."""
    known = scripts()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny inputs; the page is printed and not written")
    parser.add_argument("--only", nargs="+", choices=sorted(known), metavar="NAME", help=", ".join(known))
    parser.add_argument("--output", type=Path, help=f"the page (default: {PAGE.relative_to(HERE.parent)})")
    given = parser.parse_args(argv)
    load, begin, results = load_average(), time.perf_counter(), []
    output = given.output or (None if given.smoke or given.only else PAGE)
    for name in given.only or known:
        print(f"== {name}", flush=True)
        results.append(run_script(name, known[name], given.smoke))
        ended = results[-1]
        how = ended.failed or ended.skipped or f"{len(ended.ratios)} ratios"
        print(f"== {name}: {how}, {ended.seconds:.0f} s", flush=True)
        text = page(results, facts_of(load, time.perf_counter() - begin), given.smoke)
        if output is not None:  # after each: an hour of measurements is not lost to what stops the last
            with replacing(output) as temporary:
                temporary.write_text(text, encoding="utf-8")
    print(text)
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
