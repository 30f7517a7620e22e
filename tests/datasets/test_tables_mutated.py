"""Tables, settings and headers of the readers here, mutated with a fixed seed: read or refused in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.errors import UserError

from .small_studies import small_studies

# Local runs may ask for more: HEMOBENCH_MUTATIONS=500 gives 3,000 and takes a minute.
COUNT = int(os.environ.get("HEMOBENCH_MUTATIONS", "25"))
TARGETS = {
    "rsna": "stage_2_train.csv",
    "hemseg": "annotion_file_info.jsonl",
    "cq500": "reads.csv",
    "nifti-folder": "labels.csv",
    "nifti-folder settings": "hemobench.json",
    "rsna header": "stage_2_train/*.dcm",
}
SPLICES = (
    b"\x00",
    b"\n",
    b"\r\n",
    b'"',
    b",",
    b"\xff\xfe",
    b"\xc3",
    b"../",
    b"9" * 400,
    b"[" * 50,
    b"{}",
    b"nan",
    b"-1",
)


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """One to four of: a flipped bit, bytes cut out, a cut at the end, something odd put in, a line doubled."""
    for _ in range(random.integers(1, 5)):
        # Near the beginning half of the time: headers are there.
        reach = len(content) if random.random() < 0.5 else min(len(content), 120)
        place = int(random.integers(max(1, reach)))
        kind = random.integers(5)
        if kind == 0 and content:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(random.integers(8))
            content = bytes(flipped)
        elif kind == 1:
            content = content[:place] + content[place + int(random.integers(1, 40)) :]
        elif kind == 2:
            content = content[:place]
        elif kind == 3:
            content = content[:place] + SPLICES[random.integers(len(SPLICES))] + content[place:]
        else:
            lines = content.splitlines(keepends=True)
            content += lines[int(random.integers(len(lines)))] if lines else b"x"
    return content


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_are_read_or_refused(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    name = target.partition(" ")[0]
    get_layout(name).write(tmp_path / "copy", small_studies(2, depth=3, size=16), 1)
    path = sorted((tmp_path / "copy").glob(TARGETS[target]))[0]
    content = path.read_bytes()
    random = np.random.default_rng(len(target))
    for _ in range(COUNT):
        path.write_bytes(mutated(content, random))
        for line in lines_of(f"{name}:{tmp_path / 'copy'}"):
            assert line.isprintable(), ascii(line)
            assert len(line) < 1000
        shutil.rmtree(tmp_path / "home", ignore_errors=True)


def lines_of(spec: str) -> list[str]:
    """What a user is told when everything in a copy is read; any other error than the user's own goes through."""
    try:
        dataset = open_dataset(spec)
        remarks = [remark for case in dataset.cases for remark in case.load().remarks]
    except UserError as error:
        return [str(error)]
    return [*dataset.warnings, *dataset.notes, *remarks]
