"""Phantom patients: one by one, in parallel, as a data set, or written into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import torch

from hemobench.case import Loaded
from hemobench.datasets.cache import usable_cores
from hemobench.datasets.phantom.plan import PhantomSpec, Plan, plan_patient
from hemobench.datasets.phantom.render import render_ct, render_t1
from hemobench.datasets.phantom.sources import anatomy_keys, is_cached, load_anatomy
from hemobench.datasets.phantom.visible import seen_alone

GENERATOR_VERSION = 5  # raise it when voxels change, so that caches of older phantoms are not used
T1_VERSION = 2  # the same for what is T1-weighted MRI alone


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
    return render_plan(spec, plan_patient(spec, index))


def render_plan(spec: PhantomSpec, plan: Plan) -> Loaded:
    """Make the patient of a plan, perhaps one that was changed after `plan_patient` drew it."""
    render: Callable[[PhantomSpec, Plan, object], Loaded] = render_t1 if spec.product == "t1" else render_ct  # type: ignore[assignment]
    with one_thread(), torch.inference_mode():
        made = render(spec, plan, load_anatomy(spec.anatomy, anatomy_number(spec, plan.index)))
    return seen_alone(made, spec.least_contrast_hu)


def prepare_anatomy(spec: PhantomSpec) -> None:
    """Build the MNI152 head into the cache where it is missing, before many workers ask for it at once.

    Label maps are left to the workers: each patient needs another one.
    """
    if spec.anatomy is None and not is_cached(None, 0):
        load_anatomy(None, 0)


def generate_selected(
    spec: PhantomSpec, indices: Sequence[int], jobs: int | None = None
) -> Iterator[tuple[int, Loaded]]:
    """These patients of a data set, in order, made by `jobs` processes of one thread each (default: every core)."""
    if not indices:
        return
    prepare_anatomy(spec)
    make = partial(generate_patient, spec)
    workers = min(jobs or usable_cores(), len(indices))
    if workers <= 1:
        yield from ((index, make(index)) for index in indices)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(indices, pool.map(make, indices), strict=True)


def generate_patients(spec: PhantomSpec, jobs: int | None = None) -> Iterator[tuple[int, Loaded]]:
    """All patients of a data set, as `generate_selected` makes them."""
    yield from generate_selected(spec, range(spec.patients), jobs)
