"""Clots set into slices without blood: square heads on whole pixels, where every pixel can be told beforehand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hemobench import transplants
from hemobench.augment import PRESETS, augment
from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.transplants import transplant

SKULL, BRAIN, CLOT = 1.0, 0.4, 0.8
Pair = tuple[Tensor, Tensor]


def head(side: int = 24, size: int = 40, brain: float = BRAIN) -> Tensor:
    """(1, 3, size, size): a square head of `side` pixels in the middle, its skull 2 thick, three slices alike."""
    picture = torch.zeros(1, 3, size, size)
    low, high = (size - side) // 2, (size + side) // 2
    picture[..., low:high, low:high] = SKULL
    picture[..., low + 2 : high - 2, low + 2 : high - 2] = brain
    return picture


def with_clot(rows: slice, columns: slice, label: int = 5) -> Pair:
    """A head with blood there in its middle slice, and its label map (1, 1, 40, 40)."""
    picture, labels = head(), torch.zeros(1, 1, 40, 40, dtype=torch.uint8)
    picture[0, 1, rows, columns] = CLOT
    labels[0, 0, rows, columns] = label
    return picture, labels


def batch(*pairs: Pair) -> Pair:
    return torch.stack([image for image, _ in pairs]), torch.stack([labels for _, labels in pairs])


HEALTHY: Pair = (head(), torch.zeros(1, 1, 40, 40, dtype=torch.uint8))


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is turned, scaled or moved; the mirror image is left to chance."""
    for name in ("_DEGREES", "_SCALE", "_SHIFT"):
        monkeypatch.setattr(transplants, name, 0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.usefixtures("still")
def test_a_clot_lies_where_it_lay_or_in_the_mirror() -> None:
    donor = with_clot(slice(14, 20), slice(10, 15))
    seen = set()
    for seed in range(8):
        images, labels = transplant(*batch(donor, HEALTHY), 1.0, generator(seed))
        places = [donor[1], donor[1].flip(-1)]
        found = [number for number, place in enumerate(places) if torch.equal(labels[1], place)]
        assert len(found) == 1
        seen.add(found[0])
        where = places[found[0]][0, 0] > 0
        rows, columns = where.any(1).nonzero().flatten(), where.any(0).nonzero().flatten()
        inner = images[1, 0, 1, int(rows[1]) : int(rows[-1]), int(columns[1]) : int(columns[-1])]
        assert torch.allclose(inner, torch.full_like(inner, CLOT), atol=1e-5)
        # Soft at its edge by a box of three pixels: 6 of 9 at a side in the clot, 3 of 9 beside it.
        middle = int(columns[2])
        edge = images[1, 0, 1, int(rows[0]) - 1 : int(rows[0]) + 1, middle]
        expected = torch.tensor([BRAIN, BRAIN + 2 / 3 * (CLOT - BRAIN)])
        assert torch.allclose(edge, expected, atol=1e-5)
        # The donor has no blood beside this slice, so nothing is seen there.
        assert torch.allclose(images[1, 0, ::2], HEALTHY[0][0, ::2], atol=1e-5)
        assert torch.equal(images[0], donor[0])
    assert seen == {0, 1}


@pytest.mark.usefixtures("still")
def test_it_follows_the_size_and_place_of_the_head() -> None:
    # A head of 24 x 24 gives to one of 22 x 22 that lies 3 pixels lower and 2 further left.
    small = head(side=22).roll((3, -2), dims=(-2, -1))
    donor = with_clot(slice(17, 23), slice(17, 23))  # in the very middle
    _, labels = transplant(*batch(donor, (small, HEALTHY[1])), 1.0, generator())
    rows, columns = (labels[1, 0, 0] > 0).any(1).nonzero().flatten(), (labels[1, 0, 0] > 0).any(0).nonzero().flatten()
    # 6 pixels are 5.5 there: 5 or 6 of them, about the centre of 22.5 and 17.5.
    assert len(rows) in (5, 6)
    assert abs(float(rows.float().mean()) - 22.5) <= 0.5
    assert abs(float(columns.float().mean()) - 17.5) <= 0.5
    assert set(labels[1].unique().tolist()) == {0, 5}


@pytest.mark.usefixtures("still")
def test_bone_and_air_take_no_blood() -> None:
    donor = with_clot(slice(10, 30), slice(10, 15))  # along the inner table of a skull that is 2 thick
    thick = head()
    thick[..., 8:12, 8:32] = SKULL  # two of its rows become bone
    _, labels = transplant(*batch(donor, (thick, HEALTHY[1])), 1.0, generator())
    assert labels[1].any()
    taken = labels[1, 0, 0] > 0
    assert not (taken & (thick[0, 1] == SKULL)).any()
    assert not (taken & (thick[0, 1] == 0)).any()


@pytest.mark.usefixtures("still")
def test_what_would_lie_in_bone_for_the_most_part_is_left_out() -> None:
    donor = with_clot(slice(10, 13), slice(14, 26))
    thick = head()
    thick[..., 8:13, 8:32] = SKULL
    images, labels = transplant(*batch(donor, (thick, HEALTHY[1])), 1.0, generator())
    assert torch.equal(images[1], thick)
    assert not labels[1].any()


def test_heads_of_another_outline_give_nothing() -> None:
    donor, small = with_clot(slice(17, 23), slice(17, 23)), head(side=18)  # 24 is a third longer
    images, labels = transplant(*batch(donor, (small, HEALTHY[1])), 1.0, generator())
    assert torch.equal(images[1], small)
    assert not labels[1].any()


def test_a_share_receives_and_those_who_bleed_never() -> None:
    donor = with_clot(slice(14, 20), slice(14, 20))
    pairs = [donor, *[HEALTHY] * 200]
    _, labels = transplant(*batch(*pairs), 0.3, generator(5))
    receiving = int(labels[1:].flatten(1).any(1).sum())
    assert 40 <= receiving <= 80  # 60 in the mean, 3 standard deviations are 19.4
    assert torch.equal(labels[0], donor[1])
    _, again = transplant(*batch(*pairs), 0.3, generator(5))
    assert torch.equal(labels, again)


def test_without_a_donor_or_a_recipient_nothing_changes() -> None:
    bleeding, air = with_clot(slice(14, 20), slice(14, 20)), (torch.zeros(1, 3, 40, 40), HEALTHY[1])
    for pairs in ([HEALTHY] * 3, [bleeding] * 2, [air, bleeding]):
        given = batch(*pairs)
        for before, after in zip(given, transplant(*given, 1.0, generator()), strict=True):
            assert torch.equal(before, after)


def test_the_preset_sets_clots_in_before_it_moves_anything() -> None:
    given = batch(with_clot(slice(14, 24), slice(14, 24)), *[HEALTHY] * 20)
    _, labels = augment(*given, PRESETS["any-slice-transplants"], generator())
    assert labels is not None
    assert 4 <= int(labels[1:].flatten(1).any(1).sum()) <= 16
    _, untouched = augment(*given, PRESETS["any-slice"], generator())
    assert untouched is not None
    assert not untouched[1:].any()


def test_transplants_want_single_slices_of_volumes() -> None:
    with pytest.raises(UserError, match="use sampling slices"):
        TrainConfig(task="segmentation", model="unet2.5d", augment="any-slice-transplants", sampling="balanced")
