"""Who made a network, without naming anybody: hashes of people, against which other data can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hemobench.case import Case, Dataset
from hemobench.datasets.splits import Split
from hemobench.errors import UserError

SCHEMA = 1
HASH = "first 16 hex digits of SHA-256 of lineage/patient_id; signed: of lineage/patient_id/signature"
_DIGITS = 16


@dataclass(frozen=True)
class People:
    """Real people of a network: `taught` its weights, `chose` among them (early stopping, calibration, thresholds).

    Both are sorted hashes (`person_hash`). lineages: collections that they are from. signed: hashes of those of them
    whose data sets have signatures (`Case.signature`), with these. Phantoms are nobody.
    """

    taught: tuple[str, ...] = ()
    chose: tuple[str, ...] = ()
    lineages: tuple[str, ...] = ()
    signed: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, split: Split) -> People:
        """The training and validation patients of a split of this data set; nobody where it is generated."""
        if dataset.info.phantom:
            return cls()
        lineage_of = {case.patient_id: case.lineage for case in dataset.cases}
        taught, chose = (
            tuple(sorted(person_hash(lineage_of[patient], patient) for patient in part if patient in lineage_of))
            for part in (split.train, split.validation)
        )
        asked = {*split.train, *split.validation}
        lineages = {lineage for patient, lineage in lineage_of.items() if patient in asked}
        signed = {_signed(case) for case in dataset.cases if case.patient_id in asked and case.signature}
        return cls(taught, chose, tuple(sorted(lineages)), tuple(sorted(signed)))

    def joined(self, other: People) -> People:
        """Those of both."""
        names = [item.name for item in fields(self)]
        return People(*(tuple(sorted({*getattr(self, name), *getattr(other, name)})) for name in names))

    def known_in(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """Those of a data set's cases that are of them: by number and, where both sides have one, by signature. Where
        not one signature of a known number fits, the data are others', and so are their cases without signature."""
        everybody = {*self.taught, *self.chose}
        numbered = [case for case in cases if person_hash(case.lineage, case.patient_id) in everybody]
        fits = {case.study_id: _signed(case) in self.signed for case in numbered if self.signed and case.signature}
        if fits and not any(fits.values()):
            return ()
        return tuple(case for case in numbered if fits.get(case.study_id, True))

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form; `from_mapping` reads it back."""
        return {
            "schema": SCHEMA,
            "hash": HASH,
            "lineages": list(self.lineages),
            "taught": list(self.taught),
            "chose": list(self.chose),
            "signed": list(self.signed),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> People:
        """People from JSON. Raises: UserError for another schema and for what are no lists of texts."""
        if mapping.get("schema") != SCHEMA:
            raise UserError(
                f"list of people has schema {mapping.get('schema')!r}; expected {SCHEMA}; use the "
                "hemobench that wrote it"
            )
        parts = [mapping.get(name) for name in ("taught", "chose", "lineages")] + [mapping.get("signed", [])]
        for part in parts:
            if not isinstance(part, list) or not all(isinstance(one, str) for one in part):
                raise UserError("list of people without lists taught, chose, lineages; expected them; fetch it again")
        return cls(*(tuple(sorted(part or ())) for part in parts))


@dataclass(frozen=True)
class Seen:
    """People of a data set whom a network knows: numbers, and a line where nobody can tell."""

    taught: int
    chose: int
    doubt: str | None = None

    @property
    def count(self) -> int:
        return self.taught + self.chose


def person_hash(lineage: str, patient_id: str) -> str:
    """A person's hash: the same for one patient of one collection, whichever copy of it was read.

    It keeps names out of a file, no more: who has the collection's list of patients can find them again.

    >>> person_hash("ct-ich", "050")
    '10862d42966b6476'
    """
    return hashlib.sha256(f"{lineage}/{patient_id}".encode()).hexdigest()[:_DIGITS]


def find_seen(people: People, dataset: Dataset) -> Seen:
    """How many people of a data set taught or chose a network; someone who did both counts as taught."""
    if dataset.info.phantom:
        return Seen(0, 0)
    there = {person_hash(case.lineage, case.patient_id) for case in people.known_in(dataset.cases)}
    taught, chose = there & set(people.taught), there & set(people.chose)
    shared = sorted({case.lineage for case in dataset.cases} & set(people.lineages))
    doubt = None
    if dataset.leaky and shared:
        doubt = (
            f"'{dataset.info.name}' shows patients of {', '.join(shared)}, as the network's training did, and "
            "does not say who they are: some may be the same people"
        )
    numbers = {person_hash(case.lineage, case.patient_id) for case in dataset.cases}
    others = len(numbers & {*people.taught, *people.chose}) - len(there)
    if others:
        doubt = (
            f"{others} people of '{dataset.info.name}' have the numbers of people who taught the network and "
            "other labels: taken for others; if this is a changed copy of the same data, the scores are too good"
        )
    return Seen(len(taught), len(chose - taught), doubt)


def unseen_cases(people: People, dataset: Dataset) -> tuple[Case, ...]:
    """The data set's cases of people whom a network does not know."""
    known = () if dataset.info.phantom else people.known_in(dataset.cases)
    return tuple(case for case in dataset.cases if case not in known)


def _signed(case: Case) -> str:
    return person_hash(case.lineage, f"{case.patient_id}/{case.signature}")
