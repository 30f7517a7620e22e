"""A recipe's folds as one tool: each patient's answers by the network that never saw that patient.

    python benchmarks/peers/out_of_fold.py runs/bleed --data ct-ich:DIR --output FOLDER

RUN is what `python -m hemobench.recipe bleed` leaves: `fold-1/checkpoint` ..., each with thresholds that the
other folds' patients chose. FOLDER gets what `predict --masks` writes of each fold, and `together/`, which
`compare --entry NAME=predictions:FOLDER/together` reads. Slices and studies are called from the folds' median
thresholds on; masks from each fold's own. Under --smoke the shipped `bleed` is both folds of a phantom.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the benchmarks' shared code lies

from ratios import Ratio, SkippedError, options, tell

from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.shipped import shipped_folder
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


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--output", type=Path)
    given = options(parser, argv, {})
    if given.smoke:
        with tempfile.TemporaryDirectory() as place:
            answer(*rehearsal(Path(place)))
        return
    if None in (given.run, given.data, given.output):
        raise SkippedError("RUN, --data or --output is missing; expected all three; give them, or --smoke")
    answer(given.run, given.data, given.output)
    yield from ()  # predictions, no ratio


def rehearsal(folder: Path) -> tuple[Path, str, Path]:
    """A run with two folds, a phantom in CT-ICH's layout, and a place for answers."""
    for fold in ("fold-1", "fold-2"):
        shutil.copytree(shipped_folder() / "bleed", folder / "run" / fold / "checkpoint")
    layout = get_layout("ct-ich-nifti")
    build_layout(folder / "data", layout, PhantomSpec(patients=1, slices=3, matrix=48, healthy=0.0), jobs=1)
    return folder / "run", f"{layout.data_set}:{folder / 'data'}", folder / "answers"


def answer(run_folder: Path, data: str, output: Path) -> None:
    """Write each fold's answers, and those of all together."""
    checkpoints = sorted(run_folder.glob("fold-*/checkpoint"))
    if not checkpoints:
        raise SystemExit(f"{run_folder} has no fold-*/checkpoint; expected the run of a recipe with folds; train it")
    dataset, parts = open_dataset(data), []
    for path in checkpoints:
        parts.append(output / path.parent.name)

        def told(done: int, every: int, name: str = path.parent.name) -> None:
            print(f"{name}: {done} of {every}", file=sys.stderr, flush=True)

        write_predictions(dataset, [open_checkpoint(path)], parts[-1], strangers=True, progress=told)
    together(parts, output / "together")
    print(f"{len(list((output / 'together' / MASKS).iterdir()))} patients in {output / 'together'}")


if __name__ == "__main__":
    tell(run())
