"""The plan: what is drawn for a patient, how often, and what a spec refuses."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hemobench.datasets.phantom.plan import LOOKALIKE_RATE, LOOKALIKES, PLACES, PhantomSpec, plan_patient
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES

PLANS = [plan_patient(PhantomSpec(), index) for index in range(1000)]


def test_patients_have_none_one_and_several_bleeds_in_the_stated_shares() -> None:
    counts = Counter(len(plan.bleeds) for plan in PLANS)
    assert set(counts) == {0, 1, 2, 3}
    assert counts[0] == pytest.approx(400, abs=50)  # healthy=0.4, three standard deviations
    assert counts[1] == pytest.approx(0.65 * 600, abs=50)


def test_every_type_place_and_age_occurs() -> None:
    drawn = {(bleed.subtype, bleed.place) for plan in PLANS for bleed in plan.bleeds}
    assert drawn == {(subtype, place) for subtype in SUBTYPES for place in PLACES[subtype]}
    assert {bleed.age for plan in PLANS for bleed in plan.bleeds} == {"hyperacute", "acute", "subacute", "chronic"}


def test_chronic_blood_is_subdural_over_the_convexity() -> None:
    chronic = {(b.subtype, b.place) for plan in PLANS for b in plan.bleeds if b.age == "chronic"}
    assert chronic == {("subdural", "convexity")}


@pytest.mark.parametrize(("name", "rate"), list(zip(LOOKALIKES, LOOKALIKE_RATE, strict=True)))
def test_lookalikes_occur_at_their_rate(name: str, rate: float) -> None:
    share = np.mean([name in plan.lookalikes for plan in PLANS])
    assert share == pytest.approx(rate, abs=0.05)


def test_study_labels_name_the_types_drawn() -> None:
    for plan in PLANS[:50]:
        assert plan.study_labels == tuple(int(any(b.subtype == s for b in plan.bleeds)) for s in SUBTYPES)


def test_patients_depend_on_seed_and_index_alone() -> None:
    assert plan_patient(PhantomSpec(patients=10, slices=8, matrix=64), 7) == plan_patient(PhantomSpec(), 7)
    assert plan_patient(PhantomSpec(seed=1), 7) != plan_patient(PhantomSpec(seed=2), 7)
    assert len({plan.key for plan in PLANS}) == len(PLANS)


def test_subtypes_and_healthy_restrict_what_is_drawn() -> None:
    spec = PhantomSpec(healthy=0.0, subtypes=("epidural", "subdural"))
    drawn = [{b.subtype for b in plan_patient(spec, index).bleeds} for index in range(100)]
    assert all(drawn)
    assert set().union(*drawn) == {"epidural", "subdural"}
    assert not any(plan_patient(PhantomSpec(healthy=1.0), index).bleeds for index in range(50))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"slices": 401}, "slices is 401"),
        ({"matrix": 31}, "matrix is 31"),
        ({"slices": 2.5}, "slices is 2.5"),
        ({"product": "pet"}, "product is 'pet'; expected ct or t1"),
        ({"healthy": 1.5}, "healthy is 1.5"),
        ({"subtypes": ("stroke",)}, "stroke"),
        ({"seed": -1}, "seed is -1"),
        ({"thickness_mm": 0.0}, "thickness_mm is 0.0"),
    ],
)
def test_spec_refuses_what_it_cannot_make(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        PhantomSpec(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
