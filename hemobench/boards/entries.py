"""Entries of a board that nobody trains for it: named on the command line, opened, and asked about every case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.case import Case, Dataset
from hemobench.compare.progress import SuiteProgress
from hemobench.compare.run_task import slug
from hemobench.datasets.patient_hashes import People, find_seen
from hemobench.errors import UserError
from hemobench.evaluation import run
from hemobench.evaluation.case_predictions import Answer, mask_path
from hemobench.evaluation.journal import Journal
from hemobench.evaluation.scores import Rule
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.labels import SUBTYPES
from hemobench.predictions import measure
from hemobench.predictions.folder import EMPTY, MaskFile, Predictions, open_predictions, plain_thresholds
from hemobench.predictions.ids import OURS

CHECKPOINT, PREDICTIONS, BOARD = "checkpoint", "predictions", "board"
KINDS = (CHECKPOINT, PREDICTIONS, BOARD)
FOLDER = "entries"
NOTHING = "nothing outlined (no image)"


@dataclass(frozen=True)
class Wanted:
    """An entry as it was asked for; name is "" where it is to be its own."""

    kind: str
    name: str
    where: str


@dataclass(frozen=True)
class Entrant:
    """An entry with its answers, one a case in their order, and how they are to be read.

    told: what the settings of the board say of it. remarks: lines that a reader of its scores must know. masks: files
    of its masks by the case's place, to draw them. measured_by: who measured it, "" for this command.
    """

    name: str
    rule: Rule
    answers: Sequence[Answer]
    told: Mapping[str, Any]
    remarks: tuple[str, ...]
    masks: Mapping[int, MaskFile]
    measured_by: str = ""


def parse_entry(text: str) -> Wanted:
    """`[NAME=][checkpoint:|predictions:]WHERE`, or `board:WHERE`. Raises UserError for an entry that names nothing.

    >>> parse_entry("BLAST-CT=predictions:made"), parse_entry("user/name").kind
    (Wanted(kind='predictions', name='BLAST-CT', where='made'), 'checkpoint')
    """
    before, equals, after = text.partition("=")
    name, rest = (before.strip(), after) if equals and not Path(text).exists() else ("", text)
    kind, colon, where = rest.partition(":")
    kind, where = (kind, where) if colon and kind in KINDS else (CHECKPOINT, rest)
    if not where.strip() or (equals and not name and rest != text):
        raise UserError(
            f"--entry '{text}'; expected [NAME=]FOLDER, [NAME=]user/name, [NAME=]predictions:FOLDER or "
            "board:user/name; correct it"
        )
    if kind == BOARD and name:
        raise UserError(
            f"--entry '{text}': a board brings the names of its entries; expected board:WHERE; leave '{name}=' out"
        )
    return Wanted(kind, name, where.strip())


def open_checkpoints(wanted: Sequence[Wanted]) -> dict[int, Checkpoint]:
    """The checkpoints among the entries, by their place."""
    return {place: open_checkpoint(one.where) for place, one in enumerate(wanted) if one.kind == CHECKPOINT}


def without_known(checkpoints: Sequence[Checkpoint], dataset: Dataset, *, allow: bool, leave_out: bool) -> Dataset:
    """The data set that all entries are measured on: see `check_seen`, which is asked for each checkpoint."""
    for checkpoint in checkpoints:
        run.check_measurable(checkpoint, dataset)
        dataset = run.check_seen(checkpoint, dataset, allow=allow, leave_out=leave_out)
    return dataset


def ask_all(
    wanted: Sequence[Wanted],
    checkpoints: Mapping[int, Checkpoint],
    dataset: Dataset,
    output: Path,
    *,
    missing: str,
    engine: str,
    progress: SuiteProgress,
    left_out: Sequence[Case] = (),
    truths: bool = False,
) -> tuple[list[Entrant], Entrant | None]:
    """Every entry's answers to every case, and those of outlining nothing where some entry outlines, or where `truths`
    asks for them, since they hold the labels of every case.

    left_out: cases that nobody is asked about, though folders may answer for them. Answers are kept under
    `output/entries`: what is there already is not asked again. Raises: UserError for two entries of one name, and where
    predictions cannot be opened or a checkpoint is for other data.
    """
    names = _names(wanted, checkpoints)
    opened = {
        place: open_predictions(
            Path(one.where).expanduser(), dataset, name=names[place], missing=missing, left_out=left_out
        )
        for place, one in enumerate(wanted)
        if one.kind == PREDICTIONS
    }
    outlines = any(one.config.task == "segmentation" for one in checkpoints.values())
    outlines = outlines or any("masks" in one.kinds for one in opened.values())
    entrants: dict[int, Entrant] = {}
    for place, checkpoint in checkpoints.items():
        entrants[place] = _ask_checkpoint(names[place], checkpoint, dataset, output, engine, progress)
    outlines = outlines or truths
    sources = [*opened.values(), *([_nothing()] if outlines else [])]
    read = _read_predictions(sources, dataset, output, progress)
    entrants |= dict(zip(opened, read, strict=False))
    return [entrants[place] for place in range(len(wanted))], read[-1] if outlines else None


def _names(wanted: Sequence[Wanted], checkpoints: Mapping[int, Checkpoint]) -> list[str]:
    names = []
    for place, one in enumerate(wanted):
        own = checkpoints[place].name if place in checkpoints else Path(one.where).expanduser().resolve().name
        names.append(one.name or own)
        if slug(names[-1]) in [slug(earlier) for earlier in names[:-1]]:
            raise UserError(f"two entries '{names[-1]}'; expected a name of its own for each; say --entry NAME=...")
    return names


def _ask_checkpoint(
    name: str, checkpoint: Checkpoint, dataset: Dataset, output: Path, engine: str, progress: SuiteProgress
) -> Entrant:
    subject = run.Subject.of(checkpoint, dataset)
    outlines = checkpoint.config.task == "segmentation"
    folder, claim = output / FOLDER / slug(name), run.claim_of(checkpoint, dataset, engine, outlines)
    progress.begin(name)
    progress.start("cases", len(dataset.cases))
    with Journal(folder, claim) as journal:
        before = len(journal.answers)
        if before < len(dataset.cases):
            run.collect(checkpoint, dataset, journal, folder, engine=engine, masks=outlines, progress=progress.reach)
        answers = [journal.answers[number] for number in range(len(dataset.cases))]
    progress.line(f"{name}: {_counted(answers, before)}")
    seen = find_seen(checkpoint.people or People(), dataset)
    remarks = [f"{name}: {note}" for note in subject.notes] + ([f"{name}: {seen.doubt}"] if seen.doubt else [])
    config = checkpoint.config
    told = {
        "kind": CHECKPOINT,
        **subject.told,
        "role": config.role,
        "model": config.model,
        "thresholds": {level: dict(by_class) for level, by_class in config.thresholds.items()},
    }
    return Entrant(
        _marked(name, seen.count),
        subject.rule,
        answers,
        told,
        tuple(remarks),
        _written(folder, dataset) if outlines else {},
    )


def _written(folder: Path, dataset: Dataset) -> dict[int, MaskFile]:
    """The label maps that a segmenter left."""
    paths = {number: mask_path(folder / run.MASKS, case) for number, case in enumerate(dataset.cases)}
    return {number: MaskFile(path, OURS) for number, path in paths.items() if path.is_file()}


def _read_predictions(
    sources: Sequence[Predictions], dataset: Dataset, output: Path, progress: SuiteProgress
) -> list[Entrant]:
    """All folders of answers at once, so that each case is read once for all of them."""
    found = []
    with ExitStack() as stack:
        journals = [
            stack.enter_context(Journal(output / FOLDER / slug(one.name), measure.claim_of(one, dataset)))
            for one in sources
        ]
        before = [len(journal.answers) for journal in journals]
        progress.begin("predictions")
        progress.start("cases", len(dataset.cases))
        measure.collect(sources, journals, dataset, progress=progress.reach)
        for source, journal, known in zip(sources, journals, before, strict=True):
            answers = [journal.answers[number] for number in range(len(dataset.cases))]
            subject = measure.subject_of(source, dataset)
            if source.name != NOTHING:
                progress.line(f"{source.name}: {_counted(answers, known)}")
            told = {**subject.told, "thresholds": {level: list(row) for level, row in source.thresholds.items()}}
            remarks = tuple(f"{source.name}: {note}" for note in subject.notes)
            found.append(Entrant(_marked(source.name, source.seen), subject.rule, answers, told, remarks, source.masks))
    return found


def _marked(name: str, seen: int) -> str:
    return f"{name} [SEEN: knows {seen} of these people]" if seen else name


def _counted(answers: Sequence[Answer], before: int) -> str:
    given = sum(answer.error is None for answer in answers)
    kept = "all kept from before" if before == len(answers) else f"{before} kept from before" if before else ""
    return f"{given} of {len(answers)} cases answered" + (f", {kept}" if kept else "")


def _nothing() -> Predictions:
    """The trivial answer: a mask without a voxel for every case."""
    return Predictions(NOTHING, frozenset({"masks"}), EMPTY, {}, SUBTYPES, {}, (), {}, (), plain_thresholds(), (), "")
