"""Phantom patients: one by one, in parallel, as a data set, or written into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import torch

from hemobench.datasets.case import Loaded
from hemobench.datasets.phantom.plan import PhantomSpec, Plan, plan_patient
from hemobench.datasets.phantom.render import render_ct, render_t1
from hemobench.datasets.phantom.sources import anatomy_keys, load_anatomy


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in another order give other last bits: one thread makes the same bytes whatever the pool."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def anatomy_number(spec: PhantomSpec, index: int) -> int:
    """Which anatomy of its source a patient has: they take turns, so a split by anatomy can be made from the index."""
    return index % len(anatomy_keys(spec.anatomy))


def generate_patient(spec: PhantomSpec, index: int) -> Loaded:
    """Make patient `index` of a data set: CT with bleeds, or T1 with ventricles, as `spec.product` says.

    The same spec and index give the same bytes on one machine. Takes about a second for a 32 x 256 x 256 CT.
    """
    plan = plan_patient(spec, index)
    render: Callable[[PhantomSpec, Plan, object], Loaded] = render_t1 if spec.product == "t1" else render_ct  # type: ignore[assignment]
    with one_thread(), torch.inference_mode():
        return render(spec, plan, load_anatomy(spec.anatomy, anatomy_number(spec, index)))


def prepare_anatomies(spec: PhantomSpec) -> None:
    """Build into the cache what a run will need, before workers ask for it all at once."""
    for number in range(min(spec.patients, len(anatomy_keys(spec.anatomy)))):
        load_anatomy(spec.anatomy, number)


def generate_patients(spec: PhantomSpec, jobs: int) -> Iterator[tuple[int, Loaded]]:
    """All patients in order, made by `jobs` processes of one thread each (0: in this process)."""
    prepare_anatomies(spec)
    make = partial(generate_patient, spec)
    if jobs <= 1:
        yield from ((index, make(index)) for index in range(spec.patients))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from enumerate(pool.map(make, range(spec.patients)))
