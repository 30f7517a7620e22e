"""Operated heads: bone goes where bone was, air and metal lie where they may."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hemobench.datasets.phantom.anatomy import Anatomy
from hemobench.datasets.phantom.person import paint_ct
from hemobench.datasets.phantom.plan import Plan
from hemobench.datasets.phantom.surgery import operate
from hemobench.datasets.phantom.tissues import Tissue

MakePlan = Callable[..., Plan]


def is_bone(anatomy: Anatomy) -> torch.Tensor:
    return (anatomy.tissue == Tissue.CORTICAL_BONE) | (anatomy.tissue == Tissue.DIPLOE)


@pytest.mark.parametrize("seed", range(8))
def test_an_operation_opens_bone_and_leaves_air_under_it_alone(
    anatomy: Anatomy, plain_plan: MakePlan, seed: int
) -> None:
    before = paint_ct(anatomy, plain_plan())
    after = before.clone()
    operate(anatomy, after, np.random.default_rng(seed))
    bone, changed = is_bone(anatomy), before != after
    assert 50 < int((changed & bone).sum()) < 60_000  # from a kerf or a burr hole to a large flap, in mm3
    opened = changed & bone & (after < 100)
    assert int(opened.sum()) > 40
    air = changed & (after < -900)
    assert bool((anatomy.depth_mm[air].float() > 0).all())
    assert bool((anatomy.depth_mm[air].float() < 8).all())
    # What is neither bone, air under it nor the drain's line is as it was.
    elsewhere = changed & ~bone & ~air
    assert int(elsewhere.sum()) < 1500


def test_the_thinned_base_is_bone_that_became_softer(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    before = paint_ct(anatomy, plain_plan())
    after = paint_ct(anatomy, plain_plan(lookalikes=("thin-base",)))
    changed = before != after
    assert int(changed.sum()) > 1000
    assert bool(is_bone(anatomy)[changed].all())
    assert bool((after[changed] < before[changed] + 1e-3).all())
    assert float(after[changed].min()) > 20
    planes = torch.nonzero(changed.flatten(1).any(1)).flatten()
    assert int(planes.max()) < float(anatomy.landmark("suprasellar")[0]) + 29
