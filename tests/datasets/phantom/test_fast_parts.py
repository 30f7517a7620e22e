"""What makes phantoms fast gives what the plain way gives: enlarged noise, boxes around masks, parts near a box."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hemobench.datasets.phantom.anatomy import Anatomy, bounding_box
from hemobench.datasets.phantom.noise import enlarged
from hemobench.datasets.phantom.person import painted
from hemobench.datasets.phantom.render import near, within
from hemobench.datasets.phantom.tissues import Tissue


@pytest.mark.parametrize(
    ("coarse", "shape"),
    [((5, 4, 7), (23, 31, 12)), ((2, 2, 2), (9, 1, 5)), ((6, 9, 4), (6, 9, 4)), ((9, 8, 7), (4, 3, 5))],
)
def test_enlarged_is_what_torch_interpolates(coarse: tuple[int, ...], shape: tuple[int, ...]) -> None:
    values = torch.randn(coarse, generator=torch.Generator().manual_seed(3))
    expected = F.interpolate(values[None, None], size=shape, mode="trilinear", align_corners=True)[0, 0]
    torch.testing.assert_close(enlarged(values, shape), expected, atol=1e-5, rtol=0)


def test_enlarged_by_hand() -> None:
    found = enlarged(torch.tensor([[[0.0, 4.0]], [[8.0, 12.0]]]), (3, 2, 5))
    assert found[:, 0, 0].tolist() == [0, 4, 8]
    assert found[1, 1].tolist() == [4, 5, 6, 7, 8]


def test_bounding_box_of_a_mask_and_of_none() -> None:
    mask = torch.zeros(6, 7, 8, dtype=torch.bool)
    assert bounding_box(mask) == (slice(0, 2), slice(0, 2), slice(0, 2))
    mask[2, 1, 3] = mask[4, 3, 7] = True
    assert bounding_box(mask) == (slice(2, 5), slice(1, 4), slice(3, 8))
    cut = mask[bounding_box(mask, margin=1)]
    assert cut.shape == (5, 5, 6)  # planes 1 to 5, rows 0 to 4, columns 2 to the last
    assert int(cut.sum()) == 2


@pytest.mark.parametrize("seed", range(8))
def test_no_position_in_a_box_lies_outside_the_part_near_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lines = (torch.arange(2.0), 1.3 * torch.arange(41.0), 1.3 * torch.arange(50.0))
    plain = torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], dim=-1)
    bend = 6 * torch.sin(plain.flip(-1) / 11 + torch.rand(3, generator=generator))
    positions = plain + bend
    low = torch.tensor([40.0, 35.0, -4.0]) * torch.rand(3, generator=generator)
    high = low + torch.tensor([6.0, 5.0, 9.0]) * torch.rand(3, generator=generator)
    inside = within(positions, low, high)
    part = near(positions, low, high)
    if part is None:
        assert not bool(inside.any())
        return
    assert int(inside[part].sum()) == int(inside.sum())
    far = positions + 1000
    assert near(far, low, high) is None


def test_every_tissue_but_brain_has_its_own_value(anatomy: Anatomy) -> None:
    table = torch.arange(len(Tissue), dtype=torch.float32) * 3 - 7
    found = painted(anatomy, table.numpy()).reshape(anatomy.shape)
    outside = anatomy.tissue != Tissue.BRAIN
    assert torch.equal(found[outside], table[anatomy.tissue.long()][outside])
