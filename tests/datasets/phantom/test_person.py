"""A person in place of the template: HU of tissues, atrophy, look-alikes painted into tissue, ventricles, skull."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hemobench.datasets.phantom.anatomy import STEP, Anatomy
from hemobench.datasets.phantom.noise import stream
from hemobench.datasets.phantom.person import _calcify, displacement, neural_fractions, paint_ct, paint_t1
from hemobench.datasets.phantom.plan import Plan
from hemobench.datasets.phantom.tissues import APPEARANCE, CSF_HU, GREY_HU, WHITE_HU, Tissue

MakePlan = Callable[..., Plan]


def median(hu: torch.Tensor, where: torch.Tensor) -> float:
    return float(hu[where].median())


def changed(anatomy: Anatomy, plan: Plan, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """HU without a look-alike, and what it adds."""
    without = paint_ct(anatomy, plan)
    return without, paint_ct(anatomy, replace(plan, lookalikes=(name,))) - without


def test_tissues_have_their_cited_densities(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    hu = paint_ct(anatomy, plain_plan())
    for tissue, appearance in APPEARANCE.items():
        where = anatomy.tissue == tissue
        if int(where.sum()) > 500:
            low, high = appearance.hu
            assert low - 3 <= median(hu, where) <= high + 3, tissue.name
    brain = anatomy.tissue == Tissue.BRAIN
    deep = brain & (anatomy.depth_mm > 18)  # away from the skull, where "cupping" raises all of them
    assert GREY_HU[0] - 1 < median(hu, deep & (anatomy.grey > 250)) < GREY_HU[1] + 2
    assert WHITE_HU[0] - 1 < median(hu, deep & (anatomy.white > 250)) < WHITE_HU[1] + 2
    fluid = deep & (anatomy.grey < 5) & (anatomy.white < 5)
    assert CSF_HU[0] - 1 < median(hu, fluid) < CSF_HU[1] + 2


def test_atrophy_opens_the_sulci(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    young, old = (neural_fractions(anatomy, plain_plan(atrophy=a).person)[0] for a in (0.0, 1.0))
    assert bool((old <= young + 1e-6).all())
    assert float(young.sum()) * 0.80 < float(old.sum()) < float(young.sum()) * 0.97


def test_pineal_calcification_is_dense_and_small(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    _, added = changed(anatomy, plain_plan(), "pineal-calcification")
    where = torch.nonzero(added > 20).float()
    assert len(where) > 0
    assert float(added.min()) >= 0
    away = (where - anatomy.landmarks[3]).square().sum(dim=1).sqrt()
    assert float(away.max()) < 9
    assert len(where) < 400


@pytest.mark.parametrize("name", ["choroid-calcification", "basal-ganglia-calcification"])
def test_paired_calcifications_lie_on_both_sides(anatomy: Anatomy, plain_plan: MakePlan, name: str) -> None:
    _, added = changed(anatomy, plain_plan(), name)
    falx = anatomy.falx_mm[added > 20]
    assert float(falx.min()) < -5
    assert float(falx.max()) > 5
    assert float(anatomy.depth_mm[added > 20].min()) > 10


def test_falx_calcification_lies_on_the_falx(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    _, added = changed(anatomy, plain_plan(), "falx-calcification")
    assert int((added > 20).sum()) > 0
    assert float(anatomy.falx_mm[added > 20].abs().max()) < 8


def test_most_calcifications_are_small(anatomy: Anatomy) -> None:
    volumes = []
    for key in range(40):
        hu = torch.zeros(anatomy.shape)
        _calcify(anatomy, hu, "pineal-calcification", stream(key, "pineal-calcification"))
        volumes.append(int((hu > 40).sum()))
    assert sorted(volumes)[20] < 33  # half of them below a ball of 4 mm
    assert max(volumes) < 4 / 3 * 3.15 * 5**3
    assert max(volumes) > 5 * sorted(volumes)[10]


def test_dense_sinus_raises_the_sinuses_alone(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    without, added = changed(anatomy, plain_plan(), "dense-sinus")
    sinus = anatomy.tissue == Tissue.VENOUS_SINUS
    assert float(added[~sinus].abs().max()) == 0
    assert 66 <= median(without + added, sinus) <= 80


def test_bright_rim_fades_with_depth(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    _, added = changed(anatomy, plain_plan(), "bright-rim")
    brain = anatomy.tissue == Tissue.BRAIN
    near, deep = brain & (anatomy.depth_mm < 2), brain & (anatomy.depth_mm > 20)
    assert float(added[near].mean()) > 3
    assert float(added[deep].max()) < 0.3
    assert float(added[~brain].abs().max()) == 0


def test_old_infarct_is_a_dark_patch_of_cortex(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    without, added = changed(anatomy, plain_plan(), "old-infarct")
    patch = added < -8
    assert 300 < int(patch.sum()) < 120_000
    assert bool((anatomy.tissue[patch] == Tissue.BRAIN).all())
    assert median(without + added, patch) < 22
    assert float(anatomy.depth_mm[patch].min()) < 10


def test_ventricles_grow_by_what_the_person_says(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    moves = displacement(anatomy, plain_plan(ventricle_growth_mm=3.0).person, ())
    ventricle = anatomy.ventricle_mm[::STEP, ::STEP, ::STEP].float()
    depth = anatomy.depth_mm[::STEP, ::STEP, ::STEP]
    wall = (ventricle.abs() < 1) & (depth > 15)
    length = moves.square().sum(dim=0).sqrt()
    assert float(length[wall].median()) == pytest.approx(2.9, abs=0.5)
    assert float(length[(ventricle > 45) & (depth > 0)].max()) < 0.1
    assert float(length[depth <= 0].max()) < 1e-3


def test_a_thicker_skull_moves_nothing_inside(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    moves = displacement(anatomy, plain_plan(skull_factor=1.5, scalp_factor=1.4).person, ())
    depth = anatomy.depth_mm[::STEP, ::STEP, ::STEP].float()
    length = moves.square().sum(dim=0).sqrt()
    assert float(length[depth > 0].max()) == 0
    vault = slice(80, None)  # over the vault the gradient is smooth
    shell = (depth[vault] < -8) & (depth[vault] > -10)
    assert float(length[vault][shell].median()) == pytest.approx(9 / 3, abs=0.5)  # out * (1 - 1/1.5)


def test_t1_contrast_is_white_over_grey_over_fluid(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    plan = plain_plan()
    bright = paint_t1(anatomy, plan.person, stream(plan.key, "t1"))
    brain = anatomy.tissue == Tissue.BRAIN
    white, grey = median(bright, brain & (anatomy.white > 250)), median(bright, brain & (anatomy.grey > 250))
    fluid = median(bright, anatomy.tissue == Tissue.VENTRICLE)
    assert white > grey + 0.1 > fluid + 0.4
