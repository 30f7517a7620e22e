from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from hemobench.case import Case, Dataset
from hemobench.datasets.catalogue import CT_ICH, PHANTOM, ZETA
from hemobench.datasets.patient_hashes import People, Seen, find_seen, person_hash, unseen_cases
from hemobench.datasets.splits import Split
from hemobench.errors import UserError

SPLIT = Split(("001", "002"), ("003",), ("004",), 0)


def nothing() -> Any:
    raise AssertionError("no case is decoded for this")


def dataset(info: Any = CT_ICH, patients: tuple[str, ...] = ("001", "002", "003", "004"), **options: Any) -> Dataset:
    cases = tuple(Case(name, f"study {name}", info.name, info.lineage, None, nothing) for name in patients)
    return Dataset(info, cases, "f", (), **options)


def test_hashes_are_of_lineage_and_patient() -> None:
    people = People.of(dataset(), SPLIT)
    assert people.chose == (hashlib.sha256(b"ct-ich/003").hexdigest()[:16],)
    assert people.taught == tuple(sorted(person_hash("ct-ich", name) for name in ("001", "002")))
    assert people.lineages == ("ct-ich",)
    assert "001" not in str(people.to_mapping())
    assert People.from_mapping(people.to_mapping()) == people


def test_phantoms_are_nobody() -> None:
    assert People.of(dataset(PHANTOM), SPLIT) == People()
    rehearsal = dataset(replace(CT_ICH, phantom=True))
    assert People.of(rehearsal, SPLIT) == People()
    assert find_seen(People.of(dataset(), SPLIT), rehearsal) == Seen(0, 0)


def test_those_who_taught_and_chose_are_found_and_the_test_patient_is_not() -> None:
    people = People.of(dataset(), SPLIT)
    assert find_seen(people, dataset()) == Seen(2, 1)
    assert [case.patient_id for case in unseen_cases(people, dataset())] == ["004"]
    assert find_seen(people, dataset(patients=("004", "005"))) == Seen(0, 0)
    # The same numbers in another collection are other people.
    assert find_seen(people, dataset(ZETA)) == Seen(0, 0)


def test_who_taught_one_part_and_chose_another_counts_once() -> None:
    turned = People.of(dataset(), Split(("003",), ("001",), (), 0))
    both = People.of(dataset(), SPLIT).joined(turned)
    assert find_seen(both, dataset()) == Seen(3, 0)


def test_pictures_of_a_known_collection_without_names_leave_a_doubt() -> None:
    people = People((), (), ("rsna",))
    seen = find_seen(people, dataset(ZETA, ("ID_1",), leaky=True))
    assert seen.count == 0
    assert seen.doubt is not None
    assert "may be the same people" in seen.doubt


@pytest.mark.parametrize("content", [{}, {"schema": 2}, {"schema": 1, "taught": "a", "chose": [], "lineages": []}])
def test_what_is_no_such_list_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        People.from_mapping(content)


def test_two_people_of_one_number_are_told_apart_by_their_labels() -> None:
    def signed(signatures: dict[str, str]) -> Dataset:
        made = dataset(patients=tuple(signatures))
        return replace(made, cases=tuple(replace(one, signature=signatures[one.patient_id]) for one in made.cases))

    people = People.of(signed({"001": "a", "002": "b", "003": "c", "004": "d"}), SPLIT)
    assert People.from_mapping(people.to_mapping()) == people
    elsewhere = signed({"001": "a", "002": "other", "003": "c", "009": "e"})
    seen = find_seen(people, elsewhere)
    assert (seen.taught, seen.chose) == (1, 1)
    assert seen.doubt is not None
    assert seen.doubt.startswith("1 people of 'ct-ich' have the numbers of people who taught the network")
    assert [case.patient_id for case in unseen_cases(people, elsewhere)] == ["002", "009"]
    # A copy that has no signatures, and lists of people from before there were any: the number decides.
    assert find_seen(people, dataset()).count == 3
    assert find_seen(People.of(dataset(), SPLIT), elsewhere).count == 3
    assert People().joined(people) == people

    # Other people's copy of the layout: nobody bleeds as ours did, so those without a signature are others too.
    strangers = signed({"001": "x", "002": "y", "003": ""})
    assert find_seen(people, strangers).count == 0
    assert len(unseen_cases(people, strangers)) == 3
    # Our own: who has no signature is known by the number.
    assert [case.patient_id for case in unseen_cases(people, signed({"001": "a", "003": "", "009": ""}))] == ["009"]
