"""Mutated scans are read or refused in one line; none crashes, hangs or takes gigabytes.

HEMOBENCH_FUZZ sets how many; HEMOBENCH_FUZZ_SEED where the seeds start.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import make_mutant, write_sources

COUNT = int(os.environ.get("HEMOBENCH_FUZZ", "150"))
FIRST_SEED = int(os.environ.get("HEMOBENCH_FUZZ_SEED", "0"))
WORKER = Path(__file__).with_name("hostile_worker.py")
# A hang, on a busy machine; the figures that are printed say how long each took.
MOST_SECONDS = 60
MOST_MB = 2000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


class Reader:
    """A process that reads; a new one where it died or hung."""

    def __init__(self) -> None:
        self.process = self._start()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            bufsize=1,
        )

    def read(self, path: Path) -> dict:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], MOST_SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.close()
        code = self.process.returncode
        self.process = self._start()
        return {"result": "died" if ready else "hung", "text": f"exit code {code}", "seconds": 0.0, "peak_mb": 0.0}

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def is_fault(answer: dict) -> bool:
    one_line = "\n" not in answer["text"] and "expected" in answer["text"]
    told = answer["result"] == "read" or (answer["result"] == "refused" and one_line)
    return not told or answer["peak_mb"] > MOST_MB


def test_sources_themselves_are_read(tmp_path: Path) -> None:
    reader = Reader()
    answers = {path.name: reader.read(path) for path in write_sources(tmp_path)}
    reader.close()
    assert {name: answer["text"] for name, answer in answers.items() if answer["result"] != "read"} == {}


def test_mutants_are_read_or_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = write_sources(tmp_path / "sources")
    reader = Reader()
    faults, answers = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + COUNT):
        what, path = make_mutant(sources, tmp_path / "mutant", seed)
        answer = reader.read(path)
        answers.append({**answer, "what": what, "seed": seed})
        if is_fault(answer):
            faults.append(f"seed {seed}: {what}: {answer['result']}: {answer['text']}")
    reader.close()
    slowest = max(answers, key=lambda answer: answer["seconds"])
    largest = max(answers, key=lambda answer: answer["peak_mb"])
    read = sum(answer["result"] == "read" for answer in answers)
    refused = sum(answer["result"] == "refused" for answer in answers)
    with capsys.disabled():
        print(
            f"\n{len(answers)} mutants: {read} read, {refused} refused; slowest {slowest['seconds']:.2f} s (seed "
            f"{slowest['seed']}, {slowest['what']}); largest {largest['peak_mb']:.0f} MB (seed {largest['seed']}, "
            f"{largest['what']})"
        )
    assert faults == []
    # Mutants that are all refused, or all read, would test nothing.
    assert min(read, refused) > 0.1 * COUNT
