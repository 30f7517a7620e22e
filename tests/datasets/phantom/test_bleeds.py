"""Each type of bleed on the template: where it lies, the shape it has, and its mass effect."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from hemobench.datasets.phantom.anatomy import CEREBELLUM, FALX_ZONE, STEP, TENTORIUM_ZONE, Anatomy
from hemobench.datasets.phantom.bleeds import BleedField, Site, Swelling, make_bleed
from hemobench.datasets.phantom.person import displacement
from hemobench.datasets.phantom.plan import Bleed, Person
from hemobench.datasets.phantom.tissues import BLOOD_HU, Tissue

KEYS = (1, 2, 3, 4)


def shaped(site: Site, subtype: str, place: str, size: float, key: int, age: str = "acute") -> BleedField:
    return make_bleed(site, Bleed(subtype, age, size, place, key))


def local(site: Site, centre: tuple[float, float, float]) -> tuple[int, ...]:
    return tuple(int(c - o) for c, o in zip(centre, site.origin, strict=True))


@pytest.mark.parametrize("key", KEYS)
def test_epidural_is_a_lens_under_the_inner_table(site: Site, key: int) -> None:
    field = shaped(site, "epidural", "convexity", 0.7, key)
    assert field.swelling is not None
    blood = field.occupancy > 0.5
    thickness = 2.2 * (32 / 2.2) ** 0.7
    assert float(site.depth[blood].min()) > 0  # nothing in bone
    assert float(site.depth[blood].max()) == pytest.approx(thickness, abs=1.5)
    # Thickness against distance along the table falls all the way, and as a parabola does: convex towards the brain.
    far = (site.squared_distance(field.swelling.centre) - site.depth**2).clamp(min=0).sqrt()
    edges = torch.linspace(0, field.swelling.reach_mm, 6)
    shells = [blood & (far >= a) & (far < b) for a, b in pairwise(edges.tolist())]
    rings = [float(site.depth[shell].max()) for shell in shells]
    assert rings == sorted(rings, reverse=True)
    assert rings[0] > 0.9 * thickness
    assert rings[-1] < 0.5 * rings[0]
    assert rings[2] > np.mean([rings[0], rings[4]])  # above the straight line between middle and edge


@pytest.mark.parametrize("key", KEYS)
def test_subdural_is_a_crescent_on_one_side(site: Site, key: int) -> None:
    blood = shaped(site, "subdural", "convexity", 0.4, key).occupancy > 0.5
    falx = site.falx[blood]
    assert bool((falx > 0).all()) or bool((falx < 0).all())
    assert float(site.depth[blood].min()) > 0
    thick = float(site.depth[blood].quantile(0.98))
    corners = torch.nonzero(blood)
    length = float((corners.max(dim=0).values - corners.min(dim=0).values).max())
    assert 2 < thick < 14
    assert length > 3.5 * thick
    assert not bool((site.zones[blood] & CEREBELLUM).any())


def test_epidural_is_shorter_for_its_thickness_than_subdural(site: Site) -> None:
    def volume_per_thickness(subtype: str) -> float:
        blood = [shaped(site, subtype, "convexity", 0.5, key).occupancy > 0.5 for key in KEYS]
        return float(np.mean([int(b.sum()) / float(site.depth[b].quantile(0.98)) for b in blood]))

    assert volume_per_thickness("epidural") < 0.5 * volume_per_thickness("subdural")


@pytest.mark.parametrize("key", KEYS)
def test_falcine_and_tentorial_subdurals_lie_against_their_sheet(site: Site, key: int) -> None:
    falcine = shaped(site, "subdural", "falx", 0.3, key).occupancy > 0.5
    assert bool((site.zones[falcine] & FALX_ZONE > 0).all())
    assert float(site.falx[falcine].abs().max()) < 6.5
    sides = torch.stack((site.falx[falcine] > 0.7, site.falx[falcine] < -0.7)).any(dim=1)
    assert int(sides.sum()) == 1  # on one side of the sheet
    tentorial = shaped(site, "subdural", "tentorium", 0.3, key).occupancy > 0.5
    assert bool((site.zones[tentorial] & TENTORIUM_ZONE > 0).all())
    assert float(site.tentorium[tentorial].min()) > -1
    assert float(site.tentorium[tentorial].max()) < 6.5


def test_thin_collections_are_two_to_six_millimetres(site: Site) -> None:
    for subtype in ("epidural", "subdural"):
        for size, low, high in ((0.0, 1.4, 3.2), (0.2, 2.2, 6.2)):
            blood = shaped(site, subtype, "convexity", size, 5).occupancy > 0.5
            assert low < float(site.depth[blood].quantile(0.99)) + 0.5 < high, (subtype, size)


@pytest.mark.parametrize("place", ["deep", "lobar", "cerebellum", "pons", "contusion"])
def test_intraparenchymal_bleeds_lie_in_the_brain_at_their_place(site: Site, place: str) -> None:
    for key in KEYS:
        field = shaped(site, "intraparenchymal", place, 0.4, key)
        blood = field.occupancy > 0.5
        assert field.oedema is not None
        assert float(site.depth[blood].min()) > 1
        assert bool((field.oedema >= 0.5)[blood & site.brain].all())
        rim = (field.oedema > 0.5) & ~blood
        assert int(rim.sum()) > 0.15 * int(blood.sum())
        centre = torch.nonzero(blood).float().mean(dim=0).round().long().tolist()
        lower = bool(site.zones[tuple(centre)] & CEREBELLUM)
        assert lower == (place in ("cerebellum", "pons"))
        if place == "deep":
            assert float(site.depth[tuple(centre)]) > 15
        if place == "contusion":
            assert float(site.depth[blood].quantile(0.1)) < 12


def test_dependent_blood_lies_behind_a_level_in_the_ventricles(site: Site) -> None:
    for key in KEYS:
        field = shaped(site, "intraventricular", "dependent", 0.5, key)
        assert field.fluid == "ventricle"
        rows = torch.arange(site.shape[1]).reshape(1, -1, 1).expand(site.shape)
        inside = site.ventricle < 0
        blood, clear = inside & (field.occupancy > 0.5), inside & (field.occupancy < 0.5)
        assert 0 < int(blood.sum()) < 0.6 * int(inside.sum())
        # The level may be tilted: three rows either way.
        assert float(rows[blood].float().quantile(0.05)) > float(rows[clear].float().quantile(0.95)) - 3


def test_subarachnoid_blood_colours_fluid_around_its_centre(site: Site, anatomy: Anatomy) -> None:
    cisterns = shaped(site, "subarachnoid", "cisterns", 0.5, 1)
    assert cisterns.fluid == "subarachnoid"
    assert float(cisterns.occupancy[local(site, tuple(anatomy.landmark("suprasellar")))]) > 0.9
    sulci = shaped(site, "subarachnoid", "sulci", 0.2, 1).occupancy > 0.5
    spread = torch.nonzero(sulci).float().std(dim=0)
    assert float(spread.max()) < 20


@pytest.mark.parametrize("age", list(BLOOD_HU))
def test_density_follows_age(site: Site, age: str) -> None:
    field = shaped(site, "epidural", "convexity", 0.5, 3, age)
    low, high = BLOOD_HU[age]
    assert low - 4 < float(field.hu[field.occupancy > 0.5].mean()) < high + 4


def test_the_same_plan_gives_the_same_bleed(site: Site) -> None:
    first, second = (shaped(site, "intraparenchymal", "lobar", 0.5, 9) for _ in range(2))
    assert torch.equal(first.occupancy, second.occupancy)
    assert torch.equal(first.hu, second.hu)
    assert not torch.equal(first.occupancy, shaped(site, "intraparenchymal", "lobar", 0.5, 10).occupancy)


def still() -> Person:
    return Person((1.0, 1.0, 1.0), 0, 0, 0, 0.0, 0.3, 0.0, 1.0, 1.0, 40.0)


def test_a_big_collection_pushes_the_midline_away_and_leaves_bone(site: Site, anatomy: Anatomy) -> None:
    field = next(
        f
        for f in (shaped(site, "epidural", "convexity", 0.9, key) for key in range(50))
        if f.swelling and f.swelling.centre[2] > 145 and 105 < f.swelling.centre[0] < 130
    )  # on the left, over the vault
    moves = displacement(anatomy, still(), [field.swelling])  # type: ignore[list-item]
    depth = anatomy.depth_mm[::STEP, ::STEP, ::STEP].float()
    falx = anatomy.falx_mm[::STEP, ::STEP, ::STEP].float()
    z = int(field.swelling.centre[0] / STEP)  # type: ignore[union-attr]
    y = int(anatomy.landmark("pineal")[1] / STEP)
    line = (falx[z, y].abs() <= 4) & (depth[z, y] > 15)
    # Backward mapping: what is at the midline now came from the left, so the tissue has moved to the right.
    assert float(moves[0, z, y][line].mean()) > 1.0
    assert float(moves[:, depth <= 0].abs().max()) == 0
    # Nothing inside is fetched from beyond the inner table.
    reach = moves.square().sum(dim=0).sqrt()
    assert bool((reach <= (depth - 1.5).clamp(min=0) + 1e-3).all())


def test_a_body_pushes_outwards_and_not_at_the_skull(anatomy: Anatomy) -> None:
    centre = tuple(float(v) for v in anatomy.landmark("deep_left"))
    moves = displacement(anatomy, still(), [Swelling("body", centre, 20.0, 60.0)])  # type: ignore[arg-type]
    z, y, x = (int(c / STEP) for c in centre)
    beside = int(12 / STEP)
    assert float(moves[0, z, y, x + beside]) < -1  # to the left of it, tissue came from nearer its middle
    assert float(moves[0, z, y, x - beside]) > 1
    bone = anatomy.depth_mm[::STEP, ::STEP, ::STEP] <= 0
    assert float(moves[:, bone].abs().max()) == 0


def test_subarachnoid_and_ventricular_fluid_do_not_overlap(anatomy: Anatomy) -> None:
    ventricle = (anatomy.tissue == Tissue.VENTRICLE).flatten()
    assert not bool(ventricle[anatomy.brain.index].any())
