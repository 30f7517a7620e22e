"""The ventricles of CT phantoms: where the picture shows fluid, with blood in them, pushed and widened."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from hemobench.case import Loaded
from hemobench.datasets.phantom.generate import render_plan
from hemobench.datasets.phantom.plan import Bleed, PhantomSpec, Plan
from hemobench.errors import UserError
from hemobench.labels import LABEL_IDS
from hemobench.views.render import mask_of, render
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume

MakePlan = Callable[..., Plan]
SPEC = PhantomSpec(slices=28, matrix=128, thickness_mm=5.0)


def ventricles(loaded: Loaded) -> np.ndarray:
    assert loaded.ventricles is not None
    return loaded.ventricles


def millilitres(loaded: Loaded) -> float:
    return float(ventricles(loaded).sum() * loaded.image.voxel_volume_ml)


def middle_mm(loaded: Loaded) -> np.ndarray:
    """RAS+ mm of the middle of the ventricles."""
    return loaded.image.to_world(np.argwhere(ventricles(loaded))).mean(axis=0)


def both(plain_plan: MakePlan, bleed: Bleed) -> list[Loaded]:
    """One head without and with a bleed."""
    return [render_plan(SPEC, plain_plan(ventricle_growth_mm=2.0, bleeds=bleeds)) for bleeds in ((), (bleed,))]


def test_ventricles_are_fluid_of_the_templates_amount_that_grows(plain_plan: MakePlan) -> None:
    narrow, wide = (render_plan(SPEC, plain_plan(ventricle_growth_mm=growth)) for growth in (0.0, 3.0))
    # The template's 16 mL or so at 1 mm; thick slices lose what is thinner than half of one.
    assert 9 < millilitres(narrow) < 22
    assert millilitres(wide) > 1.6 * millilitres(narrow)
    inside = ndimage.binary_erosion(ventricles(wide), np.ones((1, 3, 3), dtype=bool))
    assert 0 < np.median(wide.image.voxels[inside]) < 16  # CSF
    assert narrow.label_map is not None
    assert not narrow.label_map.any()


@pytest.mark.parametrize("place", ["dependent", "cast"])
def test_blood_in_them_is_ventricle_too(place: str, plain_plan: MakePlan) -> None:
    bleed = Bleed("intraventricular", "acute", 0.9, place, 4)
    plain, bloody = both(plain_plan, bleed)
    np.testing.assert_array_equal(ventricles(plain), ventricles(bloody))
    assert bloody.label_map is not None
    blood = bloody.label_map == LABEL_IDS["intraventricular"]
    assert blood.sum() > 50
    assert (ventricles(bloody) & blood).sum() == blood.sum(), "at least half blood in fluid is at least half ventricle"


def test_a_deep_bleed_pushes_them_and_is_none_of_them(plain_plan: MakePlan) -> None:
    bleed = Bleed("intraparenchymal", "acute", 0.85, "deep", 5)
    plain, bloody = both(plain_plan, bleed)
    assert bloody.label_map is not None
    blood = bloody.label_map > 0
    assert not (ventricles(bloody) & blood).any()
    side = np.sign((bloody.image.to_world(np.argwhere(blood)).mean(axis=0) - middle_mm(plain))[0])
    assert (middle_mm(bloody) - middle_mm(plain))[0] * side < -0.4, "away from the bleed"
    assert millilitres(bloody) < millilitres(plain)


def test_a_subdural_shifts_them(plain_plan: MakePlan) -> None:
    bleed = Bleed("subdural", "acute", 1.0, "convexity", 8)
    plain, bloody = both(plain_plan, bleed)
    assert bloody.label_map is not None
    side = np.sign(bloody.image.to_world(np.argwhere(bloody.label_map > 0)).mean(axis=0)[0])
    assert (middle_mm(bloody) - middle_mm(plain))[0] * side < -1.0


def test_the_target_is_the_ventricles_and_not_the_blood(plain_plan: MakePlan) -> None:
    loaded = render_plan(SPEC, plain_plan(bleeds=(Bleed("epidural", "acute", 0.8, "convexity", 2),)))
    view = SegmentationView("ventricles", (5.0, 2.0, 2.0), (28, 112, 96))
    _, target = render(loaded, view, "case a")
    # A voxel of the grid is 20 mm^3.
    assert target[0, 0].sum() * 0.02 == pytest.approx(millilitres(loaded), rel=0.08)
    np.testing.assert_array_equal(mask_of(loaded, "haemorrhage"), loaded.foreground)


def test_ct_without_a_window_is_seen_as_brain(plain_plan: MakePlan) -> None:
    """The paper's ventricle board names none, for MR; between percentiles of air and bone nothing would be seen."""
    loaded = render_plan(PhantomSpec(slices=4, matrix=64), plain_plan())
    plain, named = (
        render(loaded, SegmentationView("ventricles", (5, 4, 4), (4, 48, 48), window), "a")[0]
        for window in (None, "brain")
    )
    np.testing.assert_array_equal(plain, named)


def test_a_case_of_ct_without_them_says_so() -> None:
    image = Volume(np.full((2, 8, 8), 40.0), np.eye(4))
    blood = Loaded(image, None, None, blood_mask=np.ones((2, 8, 8), dtype=bool))
    assert blood.ventricle_mask is None
    with pytest.raises(UserError, match="case a has no mask of the ventricles"):
        render(blood, SegmentationView("ventricles", (1, 1, 1), (2, 8, 8), "brain"), "case a")
    with pytest.raises(UserError, match=r"ventricles of shape \(1, 8, 8\)"):
        Loaded(image, None, None, ventricles=np.ones((1, 8, 8), dtype=bool))
