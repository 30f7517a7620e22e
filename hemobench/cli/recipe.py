"""From a recipe to a checkpoint folder: data, training, calibration, card, in one go and resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import typer

from hemobench.datasets.cache import build_examples
from hemobench.datasets.registry import Dataset, open_dataset, parse_spec
from hemobench.datasets.splits import check_disjoint_cases, split_by_patient
from hemobench.datasets.support import first_lines, unsupported
from hemobench.datasets.views import SegmentationView
from hemobench.errors import UserError
from hemobench.export import export_run
from hemobench.training.experiment import run_experiment
from hemobench.training.logging import ConsoleReporter, counting
from hemobench.training.problem import check_config
from hemobench.training.recipes import Recipe, load_recipe


def make_checkpoint(
    recipe_name: str, checkpoint: Path, *, data: str | None, tests: Sequence[str], seed: int | None, run: Path | None,
    resume: bool,
) -> None:
    """Train a recipe and write its checkpoint folder; stopped and started again, it goes on where it was.

    data: another copy or source for the recipe's data set (`phantom:FOLDER` takes the anatomies from a folder).
    tests: data sets that the finished network is measured on. Raises: UserError.
    """
    recipe = load_recipe(recipe_name)
    config = recipe.config if seed is None else dataclasses.replace(recipe.config, seed=seed)
    check_config(config)
    spec = data or str(recipe.data["name"])
    name, _ = parse_spec(spec)
    # The recipe's numbers of patients and slices belong to its own data set.
    options = {k: v for k, v in recipe.data.items() if k != "name"} if name == recipe.data["name"] else {}
    folder = run or Path("runs") / recipe.name
    with ConsoleReporter() as reporter:
        others = [open_dataset(test, progress=counting(reporter, f"opening {test}")) for test in tests]
        dataset = open_dataset(spec, progress=counting(reporter, f"opening {spec}"), **options)
        for line in first_lines(dataset, spec):
            reporter.say(f"warning: {line}")
        assert config.view is not None
        for each in (dataset, *others):
            _check_serves(each, recipe)
        for other in others:
            check_disjoint_cases(dataset.cases, other.cases)
        split = split_by_patient(dataset.cases, fractions=recipe.fractions, seed=recipe.split_seed)
        examples = build_examples(dataset, config.view, progress=counting(reporter, f"reading {dataset.info.name}"))
        result = run_experiment(config, examples, split, folder, resume=resume, name=recipe.name, progress=reporter)
        split.save(folder / "split.json")
        reporter.say("fitting the decision rule, measuring, writing the card")
        written = export_run(
            folder, checkpoint, recipe, examples, split, data=_without_path(spec),
            command=_command(recipe_name, spec, tests, seed),
            others=[
                build_examples(other, config.view, progress=counting(reporter, f"reading {other.info.name}"))
                for other in others
            ],
        )
    headline = f"dice_{config.view.suffix}" if isinstance(config.view, SegmentationView) else "auroc_any"
    score = written.metrics["metrics"][headline]["mean"]
    typer.echo(f"{recipe.name}: {headline} {score:.4f} on {result.patients['test']} test patients")
    typer.echo(f"checkpoint in {checkpoint}, weights {written.sha256[:12]}")


def _check_serves(dataset: Dataset, recipe: Recipe) -> None:
    assert recipe.config.view is not None
    reason = unsupported(dataset.info, recipe.config.task, recipe.config.view)
    if reason is not None:
        raise UserError(f"{reason}; recipe {recipe.name} needs it; choose another data set")


def _without_path(spec: str) -> str:
    """A data set as a card may name it: a path says nothing elsewhere, and may say too much."""
    name, path = parse_spec(spec)
    return name if path is None else f"{name}:{path.name}"


def _command(recipe: str, spec: str, tests: Sequence[str], seed: int | None) -> str:
    """The command that makes the same checkpoint again, paths cut to their last part."""
    recipe = Path(recipe).name
    parts = [f"python -m hemobench.train --recipe {recipe} --data {_without_path(spec)}"]
    parts += [f"--test {_without_path(test)}" for test in tests]
    parts += [] if seed is None else [f"--seed {seed}"]
    return " ".join([*parts, f"--checkpoint checkpoints/{recipe.removesuffix('.yaml')}"])
