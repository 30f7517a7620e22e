"""Divisions of patients: train/validation/test, folds, and the check that nobody is in two parts.

Divisions of pictures, which leak, stand apart in `image_splits`, and their `Split.unit` says what they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import SUBTYPES

SCHEMA = "hemobench.split/1"
PARTS = ("train", "validation", "test")
UNITS = ("patient", "image")


@dataclass(frozen=True)
class Split:
    """Patient ids of the three parts, sorted, and the seed they were drawn with.

    unit: "image" where pictures were divided (`image_splits`), whose ids the lists then hold: one person's may be in
    several parts. watch_test: the epoch is chosen on the test part, as older papers did; validation is empty then.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    unit: str = "patient"
    watch_test: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the lists and the seed: equal for equal splits, on any machine."""
        content = json.dumps(self._content(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def part_of(self, patient_id: str) -> str | None:
        """Name of the part that holds the patient, None when no part does."""
        return next((part for part in PARTS if patient_id in getattr(self, part)), None)

    def save(self, path: Path) -> None:
        """Write as JSON; the file appears whole or not at all."""
        document = {"schema": SCHEMA, **self._content(), "fingerprint": self.fingerprint}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split, from `save` or written by hand as lists `train`, `validation`, `test`.

        A `fingerprint` in the file must be that of its lists. Raises UserError for a file that is no such JSON, for a
        changed list and for patients in two parts.
        """
        document = _read_json(path)
        unknown = sorted(set(document) - {"schema", "seed", "fingerprint", "unit", "watch_test", *PARTS})
        missing = [part for part in ("train", "test") if part not in document]
        if unknown or missing:
            wrong = f"unknown key {', '.join(unknown)}" if unknown else f"no list {', '.join(missing)}"
            raise UserError(f"split {path} has {wrong}; expected {', '.join(PARTS)} and seed; correct the file")
        if document.get("schema", SCHEMA) != SCHEMA:
            raise UserError(f"split {path} of schema {document['schema']}; expected {SCHEMA}; make the split again")
        seed = document.get("seed", 0)
        if not isinstance(seed, int):
            raise UserError(f"split {path} has seed {seed!r}; expected a whole number; correct the file")
        train, validation, test = (_patient_list(document.get(part, []), part, path) for part in PARTS)
        unit, watch_test = document.get("unit", UNITS[0]), document.get("watch_test", False)
        if unit not in UNITS or not isinstance(watch_test, bool):
            raise UserError(
                f"split {path} has unit {unit!r}, watch_test {watch_test!r}; expected "
                f"{' or '.join(UNITS)}, true or false; correct the file"
            )
        split = cls(train, validation, test, seed, unit, watch_test)
        if document.get("fingerprint", split.fingerprint) != split.fingerprint:
            raise UserError(
                f"split {path} was changed after it was saved; expected fingerprint {document['fingerprint']}; "
                "restore the file, or delete its fingerprint line to use the lists as they are"
            )
        check_disjoint(split)
        return split

    def _content(self) -> dict[str, Any]:
        content = {"seed": self.seed, **{part: list(getattr(self, part)) for part in PARTS}}
        # Only where it is out of the ordinary: a split by patient keeps the fingerprint it always had.
        unusual = {"unit": self.unit} if self.unit != UNITS[0] else {}
        return {**content, **unusual, **({"watch_test": True} if self.watch_test else {})}


def split_by_patient(
    cases: Iterable[Case],
    *,
    fractions: Sequence[float] = (0.6, 0.15, 0.25),
    seed: int,
    stratify: bool = True,
) -> Split:
    """Divide the patients of `cases` into train, validation and test.

    Part sizes are the fractions of the number of patients, rounded so that each is within one patient. With
    `stratify`, haemorrhage types (a patient has a type when any study has it) are spread in the same proportions,
    rarest type first (Sechidis et al. 2011, iterative stratification). Where cases have groups, whole groups are
    divided instead, so that sizes are the fractions of their number. The result depends on the set of patients, their
    groups and labels and the seed, not on the order of `cases`.
    """
    shares = checked_fractions(fractions)
    units, members = _units(cases)
    if len(units) < np.count_nonzero(shares):
        kind = "patients" if members is None else "groups of patients (anatomies)"
        raise UserError(
            f"{len(units)} {kind} for {np.count_nonzero(shares)} parts; expected at least one a part; add some"
        )
    train, validation, test = (_people(part, members) for part in _assign(units, shares, seed, stratify))
    return Split(train, validation, test, seed)


def kfold_by_patient(
    cases: Iterable[Case],
    *,
    folds: int = 5,
    validation_fraction: float = 0.15,
    seed: int,
    stratify: bool = True,
) -> tuple[Split, ...]:
    """`folds` splits in which every patient is in the test part once; validation is drawn from the others. Groups of
    cases stay together."""
    units, members = _units(cases)
    if not 2 <= folds <= len(units):
        kind = "patients" if members is None else "groups of patients"
        raise UserError(f"{folds} folds for {len(units)} {kind}; expected 2..{len(units)}; change it")
    if not 0 <= validation_fraction < 1:
        raise UserError(f"validation fraction {validation_fraction}; expected 0 up to below 1; correct it")
    tests = _assign(units, np.full(folds, 1 / folds), seed, stratify)
    splits = []
    for number, test in enumerate(tests):
        others = {unit: labels for unit, labels in units.items() if unit not in test}
        shares = np.array([1 - validation_fraction, validation_fraction])
        train, validation = _assign(others, shares, seed + 1 + number, stratify)
        splits.append(Split(_people(train, members), _people(validation, members), _people(test, members), seed))
    return tuple(splits)


def official_split(dataset: Dataset) -> Split:
    """The parts that the data set's authors fixed, as far as this copy has their patients; the seed is 0.

    Raises UserError where there are none, and where they share patients (scans were divided, not people).
    """
    if dataset.official_split is None:
        raise no_official_split(dataset.info.name)
    split = Split(*dataset.official_split, seed=0)
    try:
        check_disjoint(split)
    except UserError as error:
        raise UserError(f"the official split of '{dataset.info.name}' leaks: {error}") from error
    return split


def no_official_split(name: str) -> UserError:
    """What is raised where a data set has none."""
    return UserError(
        f"data set '{name}' has no official split; expected one of its authors; leave it out to draw one by patient"
    )


def check_disjoint(split: Split) -> None:
    """Raise UserError naming patients that are in two parts, or twice in one."""
    seen: dict[str, str] = {}
    repeated = []
    for part in PARTS:
        for patient in getattr(split, part):
            if patient in seen:
                repeated.append(f"{patient} ({seen[patient]} and {part})")
            seen[patient] = part
    if repeated:
        raise UserError(
            f"{split.unit}s in two places: {_some(repeated)}; expected each once; remove them from one part"
        )


def check_disjoint_cases(left: Iterable[Case], right: Iterable[Case]) -> None:
    """Raise UserError naming people in both groups: the same patient id within one lineage, whatever the data set."""
    people = {(case.lineage, case.patient_id) for case in left}
    shared = sorted(people & {(case.lineage, case.patient_id) for case in right})
    if shared:
        names = _some([f"{patient} of {lineage}" for lineage, patient in shared])
        raise UserError(f"the same patients on both sides: {names}; expected different people; take one side's out")


def check_unseen(patients: Iterable[str], lineage: str, dataset: Dataset) -> str | None:
    """Whether a network that knows `patients` of a lineage (trained, chosen or calibrated on) meets them in `dataset`.

    Returns a line to print beside the scores where nobody can tell: the data set shows the same collection and does not
    say who its patients are (`Dataset.leaky`). None where all are other people. Raises UserError naming the patients
    who are in both.
    """
    known = set(patients)
    shared = sorted({case.patient_id for case in dataset.cases if case.lineage == lineage} & known)
    if shared:
        raise UserError(
            f"'{dataset.info.name}' holds patients of {lineage} that the network was made with: "
            f"{_some(shared)}; expected people it never saw; take them out, or use the network's test part"
        )
    if dataset.leaky and any(case.lineage == lineage for case in dataset.cases):
        return (
            f"'{dataset.info.name}' shows patients of {lineage}, as the network's training did, and does not say "
            "who they are: some may be the same people"
        )
    return None


_Members = dict[str, tuple[str, ...]]


def _units(cases: Iterable[Case]) -> tuple[dict[str, tuple[int, ...]], _Members | None]:
    """What a split divides: patients with their types or, where cases have groups, groups with those of their patients;
    and the patients of each group. A patient without a group is one of their own."""
    cases = tuple(cases)
    patients = _labels_by_patient(cases)
    group_of = {case.patient_id: case.group for case in cases}
    if not any(group_of.values()):
        return patients, None
    members: dict[str, list[str]] = {}
    for patient in patients:
        members.setdefault(group_of[patient] or patient, []).append(patient)
    labels = {unit: np.max([patients[patient] for patient in members[unit]], axis=0) for unit in sorted(members)}
    return (
        {unit: tuple(row.tolist()) for unit, row in labels.items()},
        {unit: tuple(people) for unit, people in members.items()},
    )


def _people(units: tuple[str, ...], members: _Members | None) -> tuple[str, ...]:
    return units if members is None else tuple(sorted(patient for unit in units for patient in members[unit]))


def _labels_by_patient(cases: Iterable[Case]) -> dict[str, tuple[int, ...]]:
    """Patients in sorted order, each with its types over all studies (five 0/1)."""
    labels: dict[str, NDArray[np.int64]] = {}
    lineages: dict[str, str] = {}
    for case in cases:
        if lineages.setdefault(case.patient_id, case.lineage) != case.lineage:
            raise UserError(
                f"patient id '{case.patient_id}' is in {lineages[case.patient_id]} and in {case.lineage}; "
                "expected unique ids; split the data sets separately"
            )
        study = np.asarray(case.study_labels or (0,) * len(SUBTYPES), dtype=np.int64)
        labels[case.patient_id] = np.maximum(labels.get(case.patient_id, 0), study)
    if not labels:
        raise UserError("no cases to split; expected at least one patient; check the data's path")
    return {patient: tuple(labels[patient].tolist()) for patient in sorted(labels)}


def _assign(
    patients: Mapping[str, tuple[int, ...]], shares: NDArray[np.float64], seed: int, stratify: bool
) -> tuple[tuple[str, ...], ...]:
    """Patients of each part, sorted; sizes follow the shares, labels too where `stratify` asks for it."""
    generator = np.random.default_rng(seed)
    names = sorted(patients)
    generator.shuffle(names)
    capacity = part_sizes(len(names), shares)
    # A column for patients without any bleed, which would otherwise fall where room is left.
    table = np.array([(*patients[name], int(not any(patients[name]))) for name in names], dtype=np.int64)
    if not stratify:
        table = np.zeros((len(names), 1), dtype=np.int64)
    part_of = _iterative_stratification(table, shares, capacity)
    return tuple(
        tuple(sorted(name for name, part in zip(names, part_of, strict=True) if part == wanted))
        for wanted in range(len(shares))
    )


def _iterative_stratification(
    table: NDArray[np.int64], shares: NDArray[np.float64], capacity: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Part of each row of `table` (patients, labels), the label with the fewest unassigned patients first."""
    part_of = np.full(len(table), -1, dtype=np.int64)
    desired = shares[:, None] * table.sum(axis=0)[None, :]
    room = capacity.astype(np.float64)
    while np.any(part_of < 0):
        open_rows = part_of < 0
        remaining = table[open_rows].sum(axis=0)
        if remaining.any():
            label = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
            rows = np.flatnonzero(open_rows & (table[:, label] > 0))
        else:
            label, rows = -1, np.flatnonzero(open_rows)
        for row in rows:
            need = desired[:, label] if label >= 0 else room
            # Most wanted first, then most room; full parts never.
            order = np.lexsort((-room, -need))
            part = next(int(candidate) for candidate in order if room[candidate] >= 1)
            part_of[row] = part
            room[part] -= 1
            desired[part] -= table[row]
    return part_of


def part_sizes(count: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers near `count * shares` that add up to `count` (largest remainder); no asked-for part is empty."""
    exact = count * shares
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    for part in np.argsort(-(exact - sizes), kind="stable")[: count - sizes.sum()]:
        sizes[part] += 1
    for part in np.flatnonzero((sizes == 0) & (shares > 0)):
        if sizes.max() > 1:
            sizes[int(np.argmax(sizes))] -= 1
            sizes[part] += 1
    return sizes


def checked_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    """Three shares as an array (3,); UserError unless they are at least 0 and add up to 1."""
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or np.any(shares < 0) or abs(shares.sum() - 1) > 1e-6:
        raise UserError(
            f"fractions {tuple(fractions)}; expected train, validation and test adding up to 1; correct them"
        )
    return shares


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no split at {path}; expected a JSON file; check the path") from error
    except (OSError, ValueError) as error:
        raise UserError(f"split {path} cannot be read ({type(error).__name__}); expected JSON; remake it") from error
    if not isinstance(document, dict):
        raise UserError(f"split {path} holds a {type(document).__name__}; expected an object of lists; correct it")
    return document


def _patient_list(entries: Any, part: str, path: Path) -> tuple[str, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise UserError(f"split {path}: {part} is no list of texts; expected patient ids in quotes; correct the file")
    return tuple(sorted(entries))


def _some(names: Sequence[str], limit: int = 10) -> str:
    """The names, or the first ten and how many more."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
