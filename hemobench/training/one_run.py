"""One model on one data set, from options to a RunResult: what `hemobench.train` and its command do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hemobench.case import Dataset
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import dataset_info, open_dataset, parse_spec
from hemobench.datasets.splits import Split, no_official_split, official_split, split_by_patient
from hemobench.datasets.support import first_lines
from hemobench.errors import UserError
from hemobench.progress import ConsoleReporter, Reporter, Silent, counting
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import check_epochs, run_experiment
from hemobench.training.problem import check_config
from hemobench.training.resolving import resolve_config
from hemobench.training.result import RunResult


def train_once(
    options: Mapping[str, Any],
    data: str | Dataset,
    *,
    size: int | None = None,
    patients: int | None = None,
    split: Split | str | Path | None = None,
    resume: bool = True,
    output: Path | None = None,
    progress: bool = False,
) -> RunResult:
    """Train on a data set and score the test patients; everything is kept under `output`, by default `run_folder`.

    options: fields of TrainConfig. split: one, the path of one, or "official"; None: drawn by patient. progress: on
    stderr. Raises: UserError.
    """
    name = data.info.name if isinstance(data, Dataset) else parse_spec(data)[0]
    settings = resolve_config(options, name, size)
    check_config(settings)
    check_epochs(settings, started=False)
    if str(split) == "official" and not isinstance(data, Dataset) and dataset_info(name).phantom:
        raise no_official_split(name)  # before a head is built
    folder = output or run_folder(settings, name)
    with ConsoleReporter() if progress else nullcontext(Silent()) as reporter:
        dataset = _opened(data, patients, reporter)
        # The split has a seed of its own, so that training seeds share their patients.
        parts = split if isinstance(split, Split) else _split_of(dataset, split)
        assert settings.view is not None
        examples = build_examples(
            dataset,
            settings.view,
            masks=settings.locates,
            progress=counting(reporter, f"reading {dataset.info.name}"),
        )
        kind = "phantom" if examples.phantom else "real"
        sizes = f"{len(parts.train)} train, {len(parts.validation)} validate, {len(parts.test)} test"
        reporter.say(
            f"{settings.model} for {settings.task} on {dataset.info.name}, {kind} patients: {sizes}; "
            f"seed {settings.seed}"
        )
        result = run_experiment(settings, examples, parts, folder, resume=resume, progress=reporter)
        parts.save(folder / "split.json")
    return result


def run_folder(config: TrainConfig, dataset: str) -> Path:
    """Where a run is kept when nobody says."""
    return Path("runs") / f"{config.model}-{dataset}-s{config.seed}".replace(":", "-")


def _opened(data: str | Dataset, patients: int | None, reporter: Reporter) -> Dataset:
    if isinstance(data, Dataset):
        if patients is not None:
            raise UserError("patients for an opened data set; expected it where phantoms are opened; leave it out")
        return data
    chosen: dict[str, Any] = {} if patients is None else {"patients": patients}
    dataset = open_dataset(data, progress=counting(reporter, f"opening {data}"), **chosen)
    for line in first_lines(dataset, data):
        reporter.say(f"warning: {line}")
    return dataset


def _split_of(dataset: Dataset, path: str | Path | None) -> Split:
    """Drawn by patient, its authors' own where the path is "official", or read."""
    if path is None:
        return split_by_patient(dataset.cases, seed=0)
    return official_split(dataset) if str(path) == "official" else Split.load(Path(path))
