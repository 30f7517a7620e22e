"""From plan to scan: geometry, true partial volume, which blood counts, where it ends up, T1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from hemobench.datasets.phantom.anatomy import Anatomy
from hemobench.datasets.phantom.bleeds import BleedField
from hemobench.datasets.phantom.generate import generate_patient, render_plan
from hemobench.datasets.phantom.person import displacement, paint_ct
from hemobench.datasets.phantom.plan import Bleed, PhantomSpec, Plan, plan_patient
from hemobench.datasets.phantom.render import (
    MIN_AREA_MM2,
    T1_SHAPE,
    BloodMixer,
    Geometry,
    Sampler,
    ct_geometry,
    sample,
)
from hemobench.labels import LABEL_IDS, SUBTYPES

MakePlan = Callable[..., Plan]
SMALL = PhantomSpec(slices=12, matrix=64)


def straight(slices: int, step_mm: float, thickness_mm: float, size: int = 48, pixel_mm: float = 1.5) -> Geometry:
    """An untilted stack around voxel (100, 118, 92)."""
    return Geometry(
        (slices, size, size),
        (step_mm, pixel_mm, pixel_mm),
        thickness_mm,
        np.eye(3),
        np.array([100.0, 118, 92]),
        np.eye(4),
        thickness_mm,
    )


def slices_of(volume: torch.Tensor, geometry: Geometry, moves: torch.Tensor) -> torch.Tensor:
    sampler = Sampler(geometry, moves, 0.0, np.random.default_rng(0))
    shown = [sample(volume, sampler.displaced(sampler.positions(k)))[0].mean(dim=0) for k in range(geometry.shape[0])]
    return torch.stack(shown)


def test_a_thick_slice_is_the_mean_of_the_thin_ones_in_it(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    plan = plain_plan(ventricle_growth_mm=2.0)
    volume = (paint_ct(anatomy, plan) + 1000)[None]
    moves = displacement(anatomy, plan.person, ())
    thick = slices_of(volume, straight(4, 5.0, 5.0), moves)
    thin = slices_of(volume, straight(20, 1.0, 1.0), moves).reshape(4, 5, 48, 48).mean(dim=1)
    # Four planes stand for the continuum in one, five in the other: equal but for what lies between planes.
    assert float((thick - thin).abs().mean()) < 2.5
    centre = slices_of(volume, straight(4, 5.0, 0.01), moves)
    assert float((thick - thin).abs().mean()) < 0.25 * float((centre - thin).abs().mean())
    same = slices_of(volume, straight(16, 1.25, 1.25), moves).reshape(4, 4, 48, 48).mean(dim=1)
    assert float((thick - same).abs().max()) < 0.1  # the very same planes


def test_a_balls_volume_is_kept_at_any_thickness(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    z, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in (40, 40, 40)), indexing="ij")
    far = ((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2).sqrt()
    ball = torch.sigmoid((11 - far) / 0.35)
    box = tuple(slice(start, start + 40) for start in (80, 98, 72))
    field = BleedField("epidural", box, ball, torch.full_like(ball, 60.0))  # type: ignore[arg-type]
    volumes = []
    for slices, step in ((40, 1.0), (8, 5.0)):
        geometry = straight(slices, step, step, size=60, pixel_mm=0.9)
        moves = torch.zeros(3, *(n // 2 for n in anatomy.shape))
        sampler, mixer = (
            Sampler(geometry, moves, 0.0, np.random.default_rng(0)),
            BloodMixer(anatomy, plain_plan(), [field]),
        )
        total = 0.0
        for k in range(slices):
            positions = sampler.positions(k)
            planes, amounts = mixer.mix(torch.full(positions.shape[:3], 30.0), positions, positions)
            total += float(amounts[0].mean(dim=0).sum()) * step * 0.9**2 if amounts else 0.0
            assert float(planes.min()) >= 29.9
        volumes.append(total)
    assert volumes[0] == pytest.approx(float(ball.sum()), rel=0.02)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)


@pytest.mark.parametrize("tilt", [0.0, 18.0, -22.0])
def test_affine_is_rigid_with_the_stated_spacing(anatomy: Anatomy, plain_plan: MakePlan, tilt: float) -> None:
    plan = plain_plan(tilt_deg=tilt, thickness_mm=2.5)
    loaded = render_plan(PhantomSpec(slices=6, matrix=32), plan)
    columns = loaded.image.affine[:3, :3]
    geometry = ct_geometry(PhantomSpec(slices=6, matrix=32), plan, anatomy)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), geometry.spacing_mm, rtol=1e-9)
    unit = columns / geometry.spacing_mm
    np.testing.assert_allclose(unit.T @ unit, np.eye(3), atol=1e-12)
    assert loaded.image.spacing_mm == pytest.approx((geometry.spacing_mm[0], 230 / 32, 230 / 32))
    assert loaded.image.orientation == "SPL"
    # The slices' normal leans by the tilt, in the sagittal plane.
    assert np.degrees(np.arccos(unit[2, 0])) == pytest.approx(abs(tilt), abs=1e-6)
    assert unit[0, 0] == pytest.approx(0, abs=1e-12)


def test_slices_cover_the_cranium(anatomy: Anatomy, plain_plan: MakePlan) -> None:
    geometry = ct_geometry(PhantomSpec(slices=32), plain_plan(), anatomy)
    low, high = anatomy.scan_range
    assert geometry.shape[0] * geometry.spacing_mm[0] == pytest.approx(high - low + 6)
    assert geometry.thickness_mm <= geometry.spacing_mm[0]
    fixed = ct_geometry(PhantomSpec(slices=32, thickness_mm=5.0), plain_plan(), anatomy)
    assert fixed.spacing_mm[0] == fixed.thickness_mm == 5.0


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_each_type_is_labelled_with_its_id_and_reads_as_blood(subtype: str, plain_plan: MakePlan) -> None:
    place = {
        "epidural": "convexity",
        "intraparenchymal": "deep",
        "intraventricular": "dependent",
        "subarachnoid": "cisterns",
        "subdural": "convexity",
    }[subtype]
    bleed = Bleed(subtype, "acute", 0.75, place, 4)
    spec = PhantomSpec(slices=16, matrix=96)
    with_blood, without = render_plan(spec, plain_plan(bleeds=(bleed,))), render_plan(spec, plain_plan())
    assert with_blood.label_map is not None
    assert set(np.unique(with_blood.label_map)) == {0, LABEL_IDS[subtype]}
    assert without.label_map is not None
    assert not without.label_map.any()
    blood = with_blood.label_map > 0
    assert 45 < np.median(with_blood.image.voxels[blood]) < 95
    if subtype in ("intraventricular", "subarachnoid"):  # no mass effect: the same anatomy, and blood where fluid was
        assert np.median(without.image.voxels[blood]) < 30


def test_oedema_is_darker_than_the_same_brain_without_it(plain_plan: MakePlan) -> None:
    bleed = Bleed("intraparenchymal", "acute", 0.6, "lobar", 3)
    spec = PhantomSpec(slices=24, matrix=128)
    pair = [render_plan(spec, plain_plan(bleeds=b)).image.voxels for b in ((bleed,), ())]
    labels = render_plan(spec, plain_plan(bleeds=(bleed,))).label_map
    assert labels is not None
    index = int((labels > 0).sum(axis=(1, 2)).argmax())
    blood = labels[index] > 0
    near = ndimage.binary_dilation(blood, iterations=2) & ~ndimage.binary_dilation(blood, iterations=1)
    far = ndimage.binary_dilation(blood, iterations=16) & ~ndimage.binary_dilation(blood, iterations=12)
    tissue = (pair[1][index] > 20) & (pair[1][index] < 60)
    assert np.median(pair[0][index][near & tissue]) < np.median(pair[0][index][far & tissue]) - 2


def test_slice_labels_are_what_the_label_map_shows() -> None:
    for index in (0, 4, 7, 9):
        loaded = generate_patient(SMALL, index)
        assert loaded.label_map is not None
        assert loaded.slice_labels is not None
        area = loaded.image.spacing_mm[1] * loaded.image.spacing_mm[2]
        for number, subtype in enumerate(SUBTYPES):
            seen = (loaded.label_map == LABEL_IDS[subtype]).sum(axis=(1, 2)) * area >= MIN_AREA_MM2
            np.testing.assert_array_equal(loaded.slice_labels[:, number], seen)


def test_planned_bleeds_are_seen() -> None:
    spec = PhantomSpec(slices=32, matrix=64, healthy=0.0)
    planned = missing = 0
    for index in range(7):
        labels = generate_patient(spec, index).slice_labels
        assert labels is not None
        wanted = np.array(plan_patient(spec, index).study_labels, bool)
        planned += int(wanted.sum())
        missing += int((wanted & ~labels.any(axis=0)).sum())
        assert not labels[:, ~wanted].any()
    assert planned >= 7
    assert missing <= 1


def test_lookalikes_never_change_the_label_map(plain_plan: MakePlan) -> None:
    bleed = Bleed("epidural", "acute", 0.5, "convexity", 2)
    plain = render_plan(SMALL, plain_plan(bleeds=(bleed,)))
    names = ("pineal-calcification", "dense-sinus", "beam-hardening", "bright-rim", "head-holder", "scalp-haematoma")
    for name in names:
        other = render_plan(SMALL, plain_plan(bleeds=(bleed,), lookalikes=(name,)))
        np.testing.assert_array_equal(plain.label_map, other.label_map)
        assert np.abs(plain.image.voxels - other.image.voxels).max() > 1, name


def test_t1_has_dark_ventricles_that_grow(plain_plan: MakePlan) -> None:
    spec = PhantomSpec(product="t1")
    small, large = (render_plan(spec, plain_plan(ventricle_growth_mm=g)) for g in (0.0, 3.0))
    assert small.image.shape == large.image.shape == T1_SHAPE == (176, 208, 176)
    assert small.image.modality == "MR"
    assert small.slice_labels is None
    assert small.label_map is not None
    assert large.label_map is not None
    assert set(np.unique(small.label_map)) == {0, 1}
    assert 10_000 < small.label_map.sum() < 22_000  # mm^3 of the template
    assert large.label_map.sum() > 1.6 * small.label_map.sum()
    ventricles, whole = small.image.voxels[small.label_map > 0], small.image.voxels
    brain = whole[60:120, 60:150, 40:136]
    assert np.median(ventricles) < 0.5 * np.median(brain)


def test_some_t1_come_without_their_skull_and_keep_their_brain() -> None:
    made = [generate_patient(PhantomSpec(patients=4, product="t1", seed=7), index) for index in range(4)]
    whole, *_, stripped = sorted(made, key=lambda one: float((one.image.voxels == 0).mean()))
    assert (whole.image.voxels == 0).mean() < 0.05
    assert 0.5 < (stripped.image.voxels == 0).mean() < 0.95
    assert stripped.label_map is not None
    inside = ndimage.binary_dilation(stripped.label_map > 0, iterations=5)
    assert (stripped.image.voxels[inside] > 0).mean() > 0.99, "what is around the ventricles is left alone"
    edges = np.concatenate([stripped.image.voxels[:, side].ravel() for side in (0, -1)])
    assert not edges.any(), "no scalp reaches the edge any more"
