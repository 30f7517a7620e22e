"""From a recipe to a checkpoint folder: data, training, calibration, card, in one go and resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hemobench.case import Case, DatasetInfo
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.opening import Dataset, dataset_info, open_dataset, parse_spec
from hemobench.datasets.patient_hashes import People
from hemobench.datasets.splits import Split, check_disjoint_cases, split_by_patient
from hemobench.datasets.support import first_lines, unsupported
from hemobench.errors import UserError
from hemobench.inference.checkpoint import MANIFEST, PEOPLE, Checkpoint
from hemobench.inference.shipped import shipped_folder
from hemobench.io.json_files import read_json, write_json
from hemobench.progress import ConsoleReporter, counting
from hemobench.release.export import export_run
from hemobench.release.recipes import Recipe, load_recipe, stream_of
from hemobench.release.start import start_of
from hemobench.training.crossfit import EVERYBODY, CrossFitted, crossfit, everybody, train_folds
from hemobench.training.experiment import run_experiment
from hemobench.training.problem import check_config
from hemobench.views.view import SegmentationView


def make_checkpoint(
    recipe_name: str,
    checkpoint: Path,
    *,
    data: str | None,
    tests: Sequence[str],
    seed: int | None,
    run: Path | None,
    resume: bool,
    anatomies: str | None = None,
    start: Path | None = None,
) -> None:
    """Train a recipe and write its checkpoint folder; stopped and started again, it goes on where it was.

    data: another copy or source for the recipe's data set (`phantom:FOLDER` takes the anatomies from a folder).
    tests: data sets that the finished network is measured on. anatomies: of the phantoms that a recipe with a stream
    makes while it trains, by default those of phantom data or the MNI head. start: finished run or checkpoint folder
    that a recipe with a start begins with, by default `runs/<start>`. Raises: UserError.
    """
    recipe = load_recipe(recipe_name)
    if seed is not None:
        recipe = dataclasses.replace(recipe, config=dataclasses.replace(recipe.config, seed=seed))
    config = recipe.config
    check_config(config)
    folder = run or Path("runs") / recipe.name
    # What is trained first, for the folds, is begun with too; anything else has to be there.
    from_beside = start is None and recipe.start is not None and recipe.start == recipe.beside
    begin = None if from_beside else start_of(recipe, start, folder)
    spec = data or str(recipe.data["name"])
    with ConsoleReporter() as reporter:
        dataset, others = _opened(recipe, spec, tests, reporter)
        assert config.view is not None
        material = anatomies or (spec if dataset.info.phantom else "phantom")
        listener = _trained_beside(recipe, dataset, material, reporter)
        begin = start_of(recipe, None, folder) if from_beside else begin
        examples = build_examples(
            dataset, config.view, masks=config.locates, progress=counting(reporter, f"reading {dataset.info.name}")
        )
        asked = _Training(recipe, dataset, examples, folder, material, begin)
        if recipe.folds:
            crossfitted = _trained_in_folds(asked, listener if from_beside else None, reporter)
            folder, split = folder / EVERYBODY, everybody(dataset.cases, recipe.split_seed)
        else:
            crossfitted, split = None, _trained_once(asked, resume, reporter, own_heads=material == spec)
        split.save(folder / "split.json")
        people = _people(dataset, split, begin)
        write_json(folder / PEOPLE, people.to_mapping())
        reporter.say("fitting the decision rule, measuring, writing the card")
        written = export_run(
            folder,
            checkpoint,
            recipe,
            examples,
            split,
            data=_without_path(spec),
            crossfitted=crossfitted,
            command=_command(recipe_name, spec, tests, seed, anatomies),
            people=people,
            beside=_beside(recipe, material, dataset, people),
            others=[
                build_examples(other, config.view, progress=counting(reporter, f"reading {other.info.name}"))
                for other in others
            ],
            datasets=(dataset, *others),
            progress=counting(reporter, "asking about patients unseen"),
            beside_run=listener,
        )
    _announce(recipe, written, checkpoint)


@dataclasses.dataclass(frozen=True)
class _Training:
    """A recipe with what it is trained on, where, and what it begins with. material: what its stream is made of."""

    recipe: Recipe
    dataset: Dataset
    examples: Examples
    folder: Path
    material: str
    begin: Path | None


def _trained_in_folds(asked: _Training, fold_starts: Path | None, reporter: ConsoleReporter) -> CrossFitted:
    """A network for each fold's patients, and one of everybody."""
    recipe, cases = asked.recipe, asked.dataset.cases
    if fold_starts is None:
        _check_strangers(recipe, cases, asked.begin)
    return crossfit(
        recipe.config,
        asked.examples,
        cases,
        asked.folder,
        folds=recipe.folds,
        seed=recipe.split_seed,
        stream=stream_of(recipe, asked.material, None),
        start=asked.begin,
        fold_starts=fold_starts,
        progress=reporter,
    )


def _trained_once(asked: _Training, resume: bool, reporter: ConsoleReporter, *, own_heads: bool) -> Split:
    """One network on a split by patient. own_heads: its stream's anatomies are those of the data set, of which it may
    see the training patients' alone; elsewhere the same names are other people's heads."""
    recipe, dataset = asked.recipe, asked.dataset
    split = split_by_patient(dataset.cases, fractions=recipe.fractions, seed=recipe.split_seed)
    _check_strangers(recipe, [case for case in dataset.cases if case.patient_id in split.test], asked.begin)
    run_experiment(
        recipe.config,
        asked.examples,
        split,
        asked.folder,
        resume=resume,
        name=recipe.name,
        progress=reporter,
        stream=stream_of(recipe, asked.material, _groups(dataset, split) if own_heads else None),
        start=asked.begin,
    )
    return split


def _trained_beside(recipe: Recipe, dataset: Dataset, material: str, reporter: ConsoleReporter) -> Path | None:
    """The folds, in `runs/<beside>`, of the classifier that a recipe's segmenter judges with, trained where they are
    not yet, and the network of everybody where none is shipped; None where the recipe names no classifier."""
    if recipe.beside is None:
        return None
    other = load_recipe(recipe.beside)
    run = Path("runs") / other.name
    reporter.say(f"{other.name}, which {recipe.name} judges with, in {run}")
    config = other.config
    assert config.view is not None
    examples = build_examples(
        dataset, config.view, masks=config.locates, progress=counting(reporter, f"reading {dataset.info.name}")
    )
    begin = start_of(other, None, run)
    _check_strangers(other, dataset.cases, begin)
    train = train_folds if (shipped_folder() / other.name / MANIFEST).is_file() else crossfit
    train(
        config,
        examples,
        dataset.cases,
        run,
        folds=recipe.folds,
        seed=recipe.split_seed,
        stream=stream_of(other, material, None),
        start=begin,
        progress=reporter,
    )
    if train is train_folds:
        return run
    people = _people(dataset, everybody(dataset.cases, recipe.split_seed), begin)
    write_json(run / EVERYBODY / PEOPLE, people.to_mapping())
    return run


def _opened(
    recipe: Recipe, spec: str, tests: Sequence[str], reporter: ConsoleReporter
) -> tuple[Dataset, list[Dataset]]:
    """The data set to learn from and those to be measured on, which share nobody with it and serve the recipe."""
    name, _ = parse_spec(spec)
    for asked in (spec, *tests):
        _check_serves(dataset_info(parse_spec(asked)[0]), recipe)  # before minutes of reading
    # The recipe's numbers of patients and slices belong to its own data set.
    options = {k: v for k, v in recipe.data.items() if k != "name"} if name == recipe.data["name"] else {}
    others = [open_dataset(test, progress=counting(reporter, f"opening {test}")) for test in tests]
    dataset = open_dataset(spec, progress=counting(reporter, f"opening {spec}"), **options)
    for line in first_lines(dataset, spec):
        reporter.say(f"warning: {line}")
    for each in (dataset, *others):
        _check_serves(each.info, recipe)
    for other in others:
        check_disjoint_cases(dataset.cases, other.cases)
    return dataset, others


def _announce(recipe: Recipe, written: Checkpoint, folder: Path) -> None:
    view = recipe.config.view
    headline = f"dice_{view.suffix}" if isinstance(view, SegmentationView) else "auroc_any"
    mean = written.metrics["metrics"][headline]["mean"]
    score = "undefined" if mean is None else f"{mean:.4f}"
    kind = "patients, out of fold" if recipe.folds else "test patients"
    typer.echo(f"{recipe.name}: {headline} {score} on {written.metrics['patients']} {kind}")
    typer.echo(f"checkpoint in {folder}, weights {written.sha256[:12]}")


def _people(dataset: Dataset, split: Split, begin: Path | None) -> People:
    """Real people whom a network knows: its own patients, and those of the network that it began with."""
    return People.of(dataset, split).joined(_known_before(begin))


def _known_before(begin: Path | None) -> People:
    if begin is None or not (begin / PEOPLE).is_file():
        return People()
    return People.from_mapping(read_json(begin / PEOPLE))


def _check_strangers(recipe: Recipe, cases: Sequence[Case], begin: Path | None) -> None:
    """Nobody is tested whom the network that a recipe begins with knows."""
    known = _known_before(begin).known_in(cases)
    if known:
        count = len({case.patient_id for case in known})
        raise UserError(
            f"recipe {recipe.name} begins with a network that {count} of the patients it is tested on have "
            "taught or chosen; expected strangers; begin with a network of others, or take other data"
        )


def _groups(dataset: Dataset, split: Split) -> tuple[str, ...] | None:
    """Anatomies that training may see; None where the data set has none."""
    found = {case.group for case in dataset.cases if case.patient_id in split.train}
    return tuple(sorted(found)) if dataset.info.phantom and all(found) else None


def _beside(recipe: Recipe, material: str, dataset: Dataset, people: People) -> dict[str, Any]:
    """What the card says of all that taught a network, beside its own data set."""
    words = []
    if recipe.stream is not None:
        share = round(100 * recipe.config.stream_share)
        words.append(f"{share}% of each batch were phantoms made while it trained ({_without_path(material)})")
    if recipe.start is not None:
        words.append(f"It began with the weights of {recipe.start}")
    grouped = dataset.info.phantom and all(case.group for case in dataset.cases)
    return {
        "beside": words,
        "split_by_anatomy": grouped,
        "generated": dataset.info.phantom,
        "phantom": dataset.info.phantom and not people.taught,
        "taught_by": _taught_by(recipe, dataset, people),
    }


def _taught_by(recipe: Recipe, dataset: Dataset, people: People) -> str:
    """Whom a network learned from, the network that it began with included."""
    phantoms = dataset.info.phantom or recipe.stream is not None or recipe.start is not None
    if not people.taught:
        return "phantoms alone"
    known = f"{len(people.taught)} patients of {', '.join(people.lineages)}"
    return f"phantoms and {known}" if phantoms else known


def _check_serves(info: DatasetInfo, recipe: Recipe) -> None:
    assert recipe.config.view is not None
    reason = unsupported(info, recipe.config.task, recipe.config.view)
    if reason is not None:
        raise UserError(f"{reason}; recipe {recipe.name} needs it; choose another data set")


def _without_path(spec: str) -> str:
    """A data set as a card may name it: a path says nothing elsewhere, and may say too much."""
    name, path = parse_spec(spec)
    return name if path is None else f"{name}:{path.name}"


def _command(recipe: str, spec: str, tests: Sequence[str], seed: int | None, anatomies: str | None) -> str:
    """The command that makes the same checkpoint again, paths cut to their last part."""
    recipe = Path(recipe).name
    parts = [f"python -m hemobench.recipe {recipe} --data {_without_path(spec)}"]
    parts += [f"--test {_without_path(test)}" for test in tests]
    parts += [] if anatomies is None else [f"--anatomies {_without_path(anatomies)}"]
    parts += [] if seed is None else [f"--seed {seed}"]
    return " ".join([*parts, f"--checkpoint checkpoints/{recipe.removesuffix('.yaml')}"])
