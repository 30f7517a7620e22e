"""The MNI152 head as anatomy: volumes of adults, sides, sheets, and the same file for everyone who asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hemobench.datasets.phantom import sources
from hemobench.datasets.phantom.anatomy import FALX_ZONE, LANDMARKS, TENTORIUM_ZONE, Anatomy, signed_distance_mm
from hemobench.datasets.phantom.plan import TEMPLATE_SCALE
from hemobench.datasets.phantom.tissues import Tissue

SHRINK = float(np.prod(TEMPLATE_SCALE))


def litres(mask: torch.Tensor) -> float:
    return float(mask.sum()) / 1e6


def test_volumes_are_those_of_adults(anatomy: Anatomy) -> None:
    brain = anatomy.tissue == Tissue.BRAIN
    ventricles = litres(anatomy.tissue == Tissue.VENTRICLE) * SHRINK
    assert 1.2 < litres(anatomy.depth_mm > 0) * SHRINK < 1.8
    assert 0.008 < ventricles < 0.040  # before growth: a young adult's
    assert 0.5 < float((anatomy.grey[brain] / 255).sum()) / 1e6 * SHRINK < 0.95
    assert 0.38 < float((anatomy.white[brain] / 255).sum()) / 1e6 * SHRINK < 0.65
    assert 0.25 < litres((anatomy.tissue == Tissue.CORTICAL_BONE) | (anatomy.tissue == Tissue.DIPLOE)) < 0.9


def test_tissues_that_a_head_needs_are_there(anatomy: Anatomy) -> None:
    present = {Tissue(int(value)) for value in torch.unique(anatomy.tissue)}
    assert present >= {
        Tissue.AIR,
        Tissue.SKIN,
        Tissue.FAT,
        Tissue.MUSCLE,
        Tissue.CORTICAL_BONE,
        Tissue.DIPLOE,
        Tissue.BRAIN,
        Tissue.VENTRICLE,
        Tissue.VENOUS_SINUS,
        Tissue.DURA,
        Tissue.EYE,
        Tissue.LENS,
        Tissue.MUCOSA,
    }


def test_left_is_where_columns_grow(anatomy: Anatomy) -> None:
    middle = round(float(anatomy.landmark("pineal")[2]))
    inside = anatomy.depth_mm > 5
    columns = torch.arange(anatomy.shape[2]).expand(anatomy.shape)
    assert bool((anatomy.falx_mm[inside & (columns > middle + 12)] > 0).all())
    assert bool((anatomy.falx_mm[inside & (columns < middle - 12)] < 0).all())
    assert anatomy.landmark("deep_left")[2] > middle > anatomy.landmark("deep_right")[2]


def test_tentorium_parts_cerebrum_above_from_cerebellum_below(anatomy: Anatomy) -> None:
    z, y, x = (round(float(v)) for v in anatomy.landmark("pons"))
    assert float(anatomy.tentorium_mm[z, y, x]) < 0
    z, y, x = (round(float(v)) for v in anatomy.landmark("deep_left"))
    assert float(anatomy.tentorium_mm[z, y, x]) > 3


def test_dura_lies_on_the_sheets(anatomy: Anatomy) -> None:
    dura = anatomy.tissue == Tissue.DURA
    off = torch.minimum(anatomy.falx_mm.abs(), anatomy.tentorium_mm.abs())[dura]
    assert float(off.max()) <= 0.5
    zones = anatomy.zones[dura]
    assert bool((zones & (FALX_ZONE | TENTORIUM_ZONE) > 0).all())


def test_landmarks_lie_deep_in_the_head_and_the_atria_in_the_ventricles(anatomy: Anatomy) -> None:
    for name in LANDMARKS:
        z, y, x = (round(float(v)) for v in anatomy.landmark(name))
        assert float(anatomy.depth_mm[z, y, x]) > 5, name
        assert Tissue(int(anatomy.tissue[z, y, x])) in (Tissue.BRAIN, Tissue.VENTRICLE), name
    for side in ("left", "right"):
        z, y, x = (round(float(v)) for v in anatomy.landmark(f"atrium_{side}"))
        assert float(anatomy.ventricle_mm[z, y, x]) < -2


def test_depth_grows_inwards_from_the_inner_table(anatomy: Anatomy) -> None:
    bone = (anatomy.tissue == Tissue.CORTICAL_BONE) | (anatomy.tissue == Tissue.DIPLOE)
    assert float(anatomy.depth_mm[bone].max()) < 0
    assert float(anatomy.depth_mm[anatomy.tissue == Tissue.BRAIN].min()) > 0


def test_signed_distance_of_a_slab() -> None:
    mask = np.zeros((1, 1, 9), bool)
    mask[..., 3:6] = True
    assert signed_distance_mm(mask)[0, 0].tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 0.5, -0.5, -1.5, -2.5]


def test_cache_files_are_read_back_and_damaged_ones_count_as_missing(anatomy: Anatomy, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    assert sources._read(path) is None
    save_file(anatomy.tensors(), path)
    found = sources._read(path)
    assert found is not None
    assert all(torch.equal(getattr(found, name), tensor) for name, tensor in anatomy.tensors().items())
    path.write_bytes(path.read_bytes()[:5000])
    assert sources._read(path) is None
    save_file({"tissue": torch.zeros(2)}, path)
    assert sources._read(path) is None
