"""bce+localisation: slices by their labels, pixels where they are known, the likeliest spots where they are not."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from hemobench.errors import UserError
from hemobench.labels import UNKNOWN
from hemobench.losses import SliceAndLocalisation, create_loss


def _of(**options: float) -> SliceAndLocalisation:
    loss = create_loss("bce+localisation", None, **options)
    assert isinstance(loss, SliceAndLocalisation)
    return loss


def _case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A slice with a known subdural (label 5) of 4 x 4 pixels, and maps of half its size."""
    generator = torch.Generator().manual_seed(3)
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    masks[0, 0, :4, :4] = 5
    targets = torch.tensor([[0.0, 0, 0, 0, 1, 1]])
    return torch.randn(1, 6, generator=generator), torch.randn(1, 6, 4, 4, generator=generator), targets, masks


def test_without_maps_it_is_the_bce_of_the_slices() -> None:
    logits, _, targets, _ = _case()
    torch.testing.assert_close(_of()(logits, targets), F.binary_cross_entropy_with_logits(logits, targets))


def test_known_pixels_add_blood_and_type_at_the_maps_stride() -> None:
    logits, maps, targets, masks = _case()
    loss = _of(map_weight=2.0, type_weight=0.5, positive_weight=3.0)
    truth = torch.zeros(4, 4)
    truth[:2, :2] = 1
    probability = maps[0, 0].sigmoid()
    dice = 1 - (2 * (probability * truth).sum() + 1e-5) / (probability.sum() + truth.sum() + 1e-5)
    terms = F.binary_cross_entropy_with_logits(maps[0, 0], truth, reduction="none")
    bce = (terms * torch.where(truth > 0, 3.0, 1.0)).mean()
    surprise = -F.log_softmax(maps[0, 1:], dim=0)[4][:2, :2].mean()
    expected = F.binary_cross_entropy_with_logits(logits, targets) + 2 * (dice + bce + 0.5 * surprise)
    torch.testing.assert_close(loss.where(logits, maps, targets, masks), expected)


def test_a_slice_of_unknown_places_should_bleed_somewhere_and_of_its_type() -> None:
    logits, maps, targets, _ = _case()
    masks = torch.full((1, 1, 8, 8), UNKNOWN, dtype=torch.uint8)
    loss = _of(spot_weight=0.5, spot=3)
    order = maps[0, 0].flatten().argsort(descending=True)[:3]
    surprise = sum(math.log1p(math.exp(-maps[0, 0].flatten()[k].item())) for k in order) / 3
    types = F.log_softmax(maps[0, 1:].flatten(1), dim=0)[4]
    expected = F.binary_cross_entropy_with_logits(logits, targets) + 0.5 * (
        surprise - sum(types[k].item() for k in order) / 3
    )
    torch.testing.assert_close(loss.where(logits, maps, targets, masks), expected)


def test_gradients_are_numbers_for_every_kind_of_slice_at_once() -> None:
    """Known blood, known to be none, unknown places of one type, of two, and of no type that anybody wrote down."""
    masks = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    masks[0, 0, 2:5, 2:5], masks[2:] = 2, UNKNOWN
    targets = torch.zeros(5, 6)
    targets[[0, 2, 3, 3, 0, 2, 3, 4], [1, 0, 2, 4, 5, 5, 5, 5]] = 1
    maps = torch.randn(5, 6, 4, 4, requires_grad=True)
    _of().where(torch.zeros(5, 6), maps, targets, masks).backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
    reached = maps.grad.abs().flatten(2).sum(dim=2) > 0
    assert reached[:, 0].all(), "every slice says something about blood"
    assert reached[:, 1:].any(dim=1).tolist() == [True, False, True, True, False]


def test_nonsense_is_refused() -> None:
    with pytest.raises(UserError, match="bce\\+localisation with a weight below 0"):
        create_loss("bce+localisation", None, spot=0)
