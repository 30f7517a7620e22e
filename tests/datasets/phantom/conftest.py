"""One anatomy for all tests: the MNI152 head, from the ordinary cache, built by whichever process comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from hemobench.datasets.phantom.anatomy import Anatomy
from hemobench.datasets.phantom.bleeds import Site, site_of
from hemobench.datasets.phantom.plan import Bleed, Person, PhantomSpec, Plan, Scan, plan_patient
from hemobench.datasets.phantom.sources import load_anatomy


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    return load_anatomy(None, 0)


@pytest.fixture(scope="session")
def site(anatomy: Anatomy) -> Site:
    return site_of(anatomy)


@pytest.fixture
def plain_plan() -> Callable[..., Plan]:
    """Makes a plan of a straight head of the template's own size: no bleed, look-alike, tilt, noise or coarse pixel."""

    def make(*, bleeds: tuple[Bleed, ...] = (), lookalikes: tuple[str, ...] = (), **changes: object) -> Plan:
        person = Person((1.0, 1.0, 1.0), 0, 0, 0, 0.0, 0.3, 0.0, 1.0, 1.0, 40.0)
        scan = Scan(230.0, 5.0, 1.0, 0.0, (0.0, 0.0), 0.2, 0.01)
        plan = plan_patient(PhantomSpec(), 0)
        parts = {
            "person": replace(person, **{k: v for k, v in changes.items() if hasattr(person, k)}),
            "scan": replace(scan, **{k: v for k, v in changes.items() if hasattr(scan, k)}),
        }
        return replace(plan, bleeds=bleeds, lookalikes=lookalikes, **parts)

    return make
