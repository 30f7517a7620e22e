from __future__ import annotations

import pytest
import torch

from hemobench.augment import (
    PRESETS,
    Augmentation,
    augment,
    flip_left_right,
    move_in_plane,
    narrow_window,
)

ONE = torch.ones(1)
NO_SHIFT = torch.zeros(1, 2)


def _picture(height: int = 9, width: int = 9) -> torch.Tensor:
    return torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(3))


def test_a_quarter_turn_is_counter_clockwise() -> None:
    picture = _picture()
    mask = (picture[:, :1] > 0.5).to(torch.uint8)
    turned, turned_mask = move_in_plane(picture, mask, torch.tensor([90.0]), ONE, NO_SHIFT)
    assert torch.allclose(turned, torch.rot90(picture, 1, (-2, -1)), atol=1e-5)
    assert turned_mask is not None
    assert torch.equal(turned_mask, torch.rot90(mask, 1, (-2, -1)))


def test_a_turn_keeps_angles_where_sides_differ() -> None:
    # A bar of 5 x 1 pixels in the middle of a wide picture becomes one of 1 x 5.
    picture = torch.zeros(1, 1, 9, 15)
    picture[0, 0, 2:7, 7] = 1
    expected = torch.zeros(1, 1, 9, 15)
    expected[0, 0, 4, 5:10] = 1
    turned, _ = move_in_plane(picture, None, torch.tensor([90.0]), ONE, NO_SHIFT)
    assert torch.allclose(turned, expected, atol=1e-5)


def test_a_shift_moves_down_and_right_and_fills_with_the_minimum() -> None:
    picture = _picture(8, 10) + 0.25
    moved, _ = move_in_plane(picture, None, torch.zeros(1), ONE, torch.tensor([[2 / 8, 3 / 10]]))
    assert torch.allclose(moved[..., 2:, 3:], picture[..., :-2, :-3], atol=1e-5)
    assert torch.allclose(moved[..., :2, :], picture.amin().expand(1, 2, 2, 10), atol=1e-5)


def test_scale_two_doubles_the_side_of_a_mask() -> None:
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 4:8, 4:8] = 1
    _, larger = move_in_plane(mask, mask, torch.zeros(1), torch.tensor([2.0]), NO_SHIFT)
    expected = torch.zeros(1, 1, 12, 12)
    expected[..., 2:10, 2:10] = 1
    assert larger is not None
    assert torch.equal(larger, expected)


def test_slices_of_a_volume_move_as_the_slices_alone_do() -> None:
    volume = torch.rand(2, 1, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    arguments = (torch.tensor([13.0, -7.0]), torch.tensor([1.1, 0.9]), torch.tensor([[0.1, 0.0], [0.0, -0.1]]))
    # The same floor for all slices, as the volume's own minimum fills it.
    volume[:, :, :, 0, 0] = 0
    moved, _ = move_in_plane(volume, None, *arguments)
    for index in range(4):
        alone, _ = move_in_plane(volume[:, :, index], None, *arguments)
        assert torch.allclose(moved[:, :, index], alone, atol=1e-6)


def test_flips_mirror_the_chosen_examples_only() -> None:
    batch = torch.arange(6.0).view(2, 1, 1, 3)
    flipped = flip_left_right(batch, torch.tensor([True, False]))
    assert flipped.tolist() == [[[[2.0, 1.0, 0.0]]], [[[3.0, 4.0, 5.0]]]]


@pytest.mark.parametrize("name", ["light", "strong", "any-picture"])
@pytest.mark.parametrize("shape", [(6, 3, 16, 16), (6, 1, 4, 16, 16)])
def test_a_preset_repeats_with_its_generator_and_keeps_ranges(name: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(shape)
    masks = (torch.rand(shape[0], 1, *shape[2:]) > 0.7).float()
    runs = [augment(images, masks, PRESETS[name], torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert not torch.equal(runs[0][0], runs[2][0])
    assert runs[0][0].min() >= 0
    assert runs[0][0].max() <= 1
    moved = runs[0][1]
    assert moved is not None
    assert set(moved.unique().tolist()) <= {0.0, 1.0}
    # Examples get draws of their own.
    twins, _ = augment(images[:1].expand(2, *shape[1:]), None, PRESETS[name], torch.Generator().manual_seed(5))
    assert not torch.equal(twins[0], twins[1])


def test_masks_follow_their_images() -> None:
    images = torch.zeros(8, 1, 32, 32)
    images[:, :, 8:20, 10:26] = 1
    geometry = Augmentation(flip=0.5, degrees=30, scale=0.2, shift=0.1)
    moved, masks = augment(images, images.clone(), geometry, torch.Generator().manual_seed(1))
    assert masks is not None
    different = ((moved > 0.5) != (masks > 0.5)).sum(dim=(1, 2, 3))
    # Linear against nearest: they part on the rim alone.
    assert (different <= 20).all()
    assert (masks != images).any()


def test_intensity_draws_change_brightness_but_not_place() -> None:
    images = torch.full((4, 1, 5, 5), 0.5)
    changed, _ = augment(images, None, Augmentation(gain=0.2, offset=0.1, gamma=0.5), torch.Generator().manual_seed(2))
    spread = changed.flatten(1)
    assert torch.allclose(spread.amin(1), spread.amax(1))
    assert len(set(spread[:, 0].tolist())) == 4


def test_none_returns_the_batch_itself() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert augment(images, None, PRESETS["none"], torch.Generator())[0] is images


def test_a_picture_shows_one_channel_in_all() -> None:
    images = torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    shown, _ = augment(images, None, Augmentation(picture=0.5), torch.Generator().manual_seed(0))
    alike = (shown == shown[:, :1]).flatten(1).all(dim=1)
    plain = (shown == images).flatten(1).all(dim=1)
    assert torch.equal(alike, ~plain)
    first = (shown[:, 0] == images[:, 0]).flatten(1).all(dim=1) & alike
    assert 3 < int(first.sum()) < int(alike.sum())  # the others show a narrowed second channel


def test_the_share_of_pictures_is_the_presets() -> None:
    images = torch.rand(400, 2, 1, 1, generator=torch.Generator().manual_seed(2))
    changed, _ = augment(images, None, Augmentation(picture=0.3), torch.Generator().manual_seed(0))
    share = float((changed[:, 0] == changed[:, 1]).float().mean())
    assert 0.23 < share < 0.37


def test_half_of_the_pictures_show_the_brain_window_and_half_a_wider_one() -> None:
    hu = torch.linspace(-40, 200, 241)
    windows = torch.stack([hu / 80, (hu + 20) / 200, (hu + 1000) / 3000]).clamp(0, 1)
    images = windows.expand(400, 3, 241)[:, :, None].contiguous()
    changed, _ = augment(images, None, Augmentation(picture=1.0), torch.Generator().manual_seed(3))
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    brain = (changed[:, 0, 0] == windows[0]).all(dim=1)
    assert 0.4 < float(brain.float().mean()) < 0.6
    # Read back from where each ramp leaves 0 and reaches 1: every other window begins and ends where windows may.
    ramps = changed[~brain, 0, 0]
    begins = hu[(ramps > 0).float().argmax(dim=1)]
    ends = hu[(ramps >= 1).float().argmax(dim=1)]
    assert begins.min() >= -20
    assert begins.max() <= 11
    assert ends.min() >= 60
    assert ends.max() <= 141
    assert (ends > 100).any()


def test_a_narrow_window_is_the_brain_window_of_a_subdural_one() -> None:
    hu = torch.tensor([-20.0, 0.0, 40.0, 80.0, 180.0]).view(1, 1, 1, 5)
    subdural = (hu + 20) / 200
    low, high = torch.tensor([0.1]), torch.tensor([0.5])
    brain = narrow_window(subdural, torch.tensor([True]), low, high)
    torch.testing.assert_close(brain.flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert torch.equal(narrow_window(subdural, torch.tensor([False]), low, high), subdural)


def test_the_share_of_travelled_pictures_is_the_presets() -> None:
    images = torch.linspace(0, 1, 64).expand(400, 1, 64, 64).contiguous()
    for name in ("coarse", "jpeg", "text"):
        changed, _ = augment(images, None, Augmentation(**{name: 0.3}), torch.Generator().manual_seed(1))
        share = float((changed - images).abs().amax(dim=(1, 2, 3)).gt(1e-4).float().mean())
        assert share == pytest.approx(0.3, abs=0.07)  # three standard deviations of 400 draws
