"""A recipe's folds as one tool: each patient's answers by the network that never saw that patient.

    python benchmarks/peers/out_of_fold.py runs/bleed --data ct-ich:DIR --output FOLDER

RUN is what `python -m hemobench.train --recipe bleed` leaves: `fold-1/checkpoint` ..., each with thresholds that the
other folds' patients chose. FOLDER gets what `predict --masks` writes of each fold, and `together/`, which
`compare --entry NAME=predictions:FOLDER/together` reads. Slices and studies are called from the folds' median
thresholds on; masks from each fold's own.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml

from hemobench.datasets.registry import open_dataset
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.predictions.export import MASKS, SLICES, STUDIES, write_predictions
from hemobench.predictions.folder import THRESHOLDS_FILE
from hemobench.predictions.ids import IDS_FILE


def together(parts: list[Path], folder: Path) -> None:
    """One folder of predictions of those of all folds."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / MASKS).mkdir(parents=True)
    shutil.copy(parts[0] / IDS_FILE, folder / IDS_FILE)
    levels: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for mask in (part / MASKS).iterdir():
            shutil.copy(mask, folder / MASKS / mask.name)
        for level, by_class in yaml.safe_load((part / THRESHOLDS_FILE).read_text(encoding="utf-8")).items():
            for name, value in by_class.items():
                levels[level][name].append(float(value))
    medians = {level: {name: float(np.median(values)) for name, values in row.items()} for level, row in levels.items()}
    (folder / THRESHOLDS_FILE).write_text(yaml.safe_dump(medians), encoding="utf-8")
    for table in (SLICES, STUDIES):
        rows = [list(csv.reader((part / table).open(encoding="utf-8"))) for part in parts]
        with (folder / table).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([rows[0][0], *(row for one in rows for row in one[1:])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    checkpoints = sorted(given.run.glob("fold-*/checkpoint"))
    if not checkpoints:
        raise SystemExit(f"{given.run} has no fold-*/checkpoint; expected the run of a recipe with folds; train it")
    dataset, parts = open_dataset(given.data), []
    for path in checkpoints:
        parts.append(given.output / path.parent.name)

        def told(done: int, every: int, name: str = path.parent.name) -> None:
            print(f"{name}: {done} of {every}", file=sys.stderr, flush=True)

        write_predictions(dataset, [open_checkpoint(path)], parts[-1], strangers=True, progress=told)
    together(parts, given.output / "together")
    print(f"{len(list((given.output / 'together' / MASKS).iterdir()))} patients in {given.output / 'together'}")


if __name__ == "__main__":
    main()
