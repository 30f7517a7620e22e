"""A timm backbone with a decoder: a classifier that says where, and a segmenter of the same weights."""

from __future__ import annotations

import pytest
import timm
import torch

from hemobench.errors import UserError
from hemobench.models import count_parameters, create_model

NAME = "timm-unet:test_resnet"


def _both(size: int = 64) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    classifier = create_model(
        "timm-unet:resnet10t", task="classification", in_channels=2, num_outputs=6, image_size=(size, size)
    )
    segmenter = create_model("timm-unet:resnet10t", task="segmentation", in_channels=2, num_outputs=6)
    weights = classifier.state_dict()
    segmenter.load_state_dict({name: weights[name] for name in segmenter.state_dict()})
    return classifier, segmenter.eval()


def test_while_it_trains_it_says_where_and_afterwards_it_is_a_classifier() -> None:
    classifier, _ = _both()
    images = torch.rand(3, 2, 64, 64)
    logits, maps = classifier.train()(images)
    assert (logits.shape, maps.shape) == ((3, 6), (3, 6, 32, 32))
    assert classifier.eval()(images).shape == (3, 6)


def test_its_classifier_half_is_timms_own_network() -> None:
    classifier, _ = _both()
    classifier.eval()
    plain = classifier.plain()  # type: ignore[operator]
    images = torch.rand(3, 2, 64, 64)
    bare = timm.create_model("resnet10t", in_chans=2, num_classes=6).eval()
    bare.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in plain.state_dict().items()})
    with torch.no_grad():
        assert torch.equal(classifier(images), plain(images))
        torch.testing.assert_close(bare(images), plain(images))
    assert count_parameters(plain) == count_parameters(bare) < count_parameters(classifier)


def test_the_segmenter_gives_the_maps_of_the_classifier_slice_by_slice() -> None:
    classifier, segmenter = _both()
    volume = torch.rand(2, 2, 3, 64, 96)
    with torch.no_grad():
        logits = segmenter(volume)
        assert logits.shape == (2, 6, 3, 64, 96)
        slices = volume.movedim(2, 1).flatten(0, 1)
        classifier.eval()
        features = classifier.backbone.forward_intermediates(slices, intermediates_only=True)  # type: ignore
        maps = classifier.decoder(features)  # type: ignore[operator]
        expected = torch.nn.functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        torch.testing.assert_close(logits.movedim(1, 2).flatten(0, 1), expected)
        assert torch.equal(segmenter(volume[:, :, 0]), logits[:, :, 0])


def test_sizes_that_32_does_not_divide_come_back_whole() -> None:
    _, segmenter = _both()
    with torch.no_grad():
        assert segmenter(torch.rand(1, 2, 2, 50, 71)).shape == (1, 6, 2, 50, 71)


def test_at_the_start_blood_is_rare_and_no_type_is_likelier() -> None:
    torch.manual_seed(1)
    classifier = create_model(NAME, task="classification", in_channels=1, num_outputs=6, image_size=(64, 64))
    assert classifier.decoder.final.bias[0].sigmoid().item() == pytest.approx(0.01, rel=1e-3)  # type: ignore
    assert classifier.decoder.final.bias[1:].abs().max().item() == pytest.approx(0, abs=1e-6)  # type: ignore


def test_backbones_without_such_features_are_refused() -> None:
    with pytest.raises(UserError, match=r"timm-unet:test_vit has features at strides .*; expected 2, 4, 8, 16, 32"):
        create_model("timm-unet:test_vit", task="classification", in_channels=3, num_outputs=6, image_size=(160, 160))
    with pytest.raises(UserError, match="unknown timm backbone"):
        create_model("timm-unet:resnet10", task="segmentation", in_channels=3, num_outputs=6)


def test_evidence_of_both_is_the_mean_of_the_head_and_of_the_likeliest_spots() -> None:
    torch.manual_seed(2)
    both = create_model(
        "timm-unet:test_resnet",
        task="classification",
        in_channels=1,
        num_outputs=6,
        image_size=(64, 64),
        evidence="both",
    ).eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        features = both.backbone.forward_intermediates(images, intermediates_only=True)  # type: ignore
        maps, head = both.decoder(features), both.backbone(images)  # type: ignore[operator]
        # 32 x 32 pixels: the likeliest one speaks (1024 / 768 rounds to 1).
        blood = maps[:, 0].flatten(1)
        shares = maps[:, 1:].flatten(2).softmax(dim=1).log()
        spots = torch.cat([(blood[:, None] + shares).amax(dim=2), blood.amax(dim=1, keepdim=True)], dim=1)
        torch.testing.assert_close(both(images), (head + spots) / 2)
    with pytest.raises(UserError, match="evidence"):
        create_model(NAME, task="classification", in_channels=1, num_outputs=6, evidence="map")


@pytest.mark.parametrize("evidence", ["head", "both"])
def test_a_mirrored_classifier_answers_alike_for_a_head_and_its_mirror_image(evidence: str) -> None:
    torch.manual_seed(0)
    network = create_model(
        "timm-unet:resnet10t",
        task="classification",
        in_channels=3,
        num_outputs=6,
        image_size=(64, 64),
        evidence=evidence,
        mirrored=True,
    ).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        answers = network(images)
        torch.testing.assert_close(answers, network(images.flip(-1)))
        network.mirrored = False
        torch.testing.assert_close(answers, (network(images) + network(images.flip(-1))) / 2)
        assert not torch.allclose(answers, network(images)), "the mirror image changed nothing"


def test_a_mirrored_segmenter_outlines_a_head_and_its_mirror_image_alike() -> None:
    torch.manual_seed(0)
    network = create_model(
        "timm-unet:resnet10t", task="segmentation", in_channels=3, num_outputs=6, image_size=(2, 64, 64), mirrored=True
    ).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    voxels = torch.rand(1, 3, 2, 64, 60)
    with torch.no_grad():
        outlined = network(voxels)
        torch.testing.assert_close(outlined, network(voxels.flip(-1)).flip(-1), rtol=1e-3, atol=1e-3)
        network.mirrored = False
        assert not torch.allclose(outlined, network(voxels), rtol=1e-3, atol=1e-3), "the mirror image changed nothing"
    network.train()
    network.mirrored = True
    assert network(voxels).shape == outlined.shape


def test_neighbours_are_channels_and_a_volume_is_its_slices() -> None:
    torch.manual_seed(0)
    network = create_model(NAME, task="segmentation", in_channels=2, num_outputs=6, context=1, fine=True).eval()
    volume = torch.rand(1, 2, 4, 64, 32)
    padded = torch.cat([volume[:, :, :1], volume, volume[:, :, -1:]], dim=2)
    slices = torch.cat([padded[:, :, place : place + 3].movedim(2, 1).flatten(1, 2) for place in range(4)])
    with torch.no_grad():
        whole, one_by_one = network(volume), network(slices)
    assert whole.shape == (1, 6, 4, 64, 32)
    torch.testing.assert_close(whole[0].movedim(1, 0), one_by_one, atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="6 channels"):
        network(slices[:, :2])


def test_fine_maps_give_blood_a_value_a_pixel_and_types_one_for_four() -> None:
    torch.manual_seed(1)
    network = create_model(NAME, task="segmentation", in_channels=1, num_outputs=6, fine=True).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 1, 64, 64))
    cells = logits.unfold(2, 2, 2).unfold(3, 2, 2)  # (1, 6, 32, 32, 2, 2)
    assert (cells[:, 1:].amax(dim=(-2, -1)) == cells[:, 1:].amin(dim=(-2, -1))).all()
    assert (cells[:, 0].amax(dim=(-2, -1)) > cells[:, 0].amin(dim=(-2, -1))).any()


def test_fine_maps_of_blood_alone_have_no_types_to_repeat() -> None:
    torch.manual_seed(1)
    network = create_model(NAME, task="segmentation", in_channels=1, num_outputs=1, fine=True).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 1, 2, 64, 64))
    assert logits.shape == (1, 1, 2, 64, 64)
    cells = logits.unfold(3, 2, 2).unfold(4, 2, 2)
    assert (cells.amax(dim=(-2, -1)) > cells.amin(dim=(-2, -1))).any()


def test_weights_of_single_slices_begin_as_if_there_were_no_neighbours() -> None:
    torch.manual_seed(2)
    alone = create_model(NAME, task="segmentation", in_channels=2, num_outputs=6).eval()
    wide = create_model(NAME, task="segmentation", in_channels=2, num_outputs=6, context=1).eval()
    wide.load_state_dict(wide.widened(alone.state_dict()))  # type: ignore[operator]
    volume = torch.rand(1, 2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(wide(volume), alone(volume), atol=1e-5, rtol=1e-4)


def test_less_than_no_neighbours_are_refused() -> None:
    with pytest.raises(UserError, match="0 or more slices"):
        create_model(NAME, task="segmentation", in_channels=1, num_outputs=6, context=-1)


def test_a_labelled_segmenter_names_slices_while_it_trains_and_answers_as_before() -> None:
    torch.manual_seed(0)
    options = {"task": "segmentation", "in_channels": 2, "num_outputs": 6, "context": 1, "fine": True}
    plain = create_model(NAME, **options)  # type: ignore[arg-type]
    labelled = create_model(NAME, labelled=True, **options)  # type: ignore[arg-type]
    labelled.load_state_dict(labelled.state_dict() | plain.state_dict())
    volume = torch.rand(2, 2, 3, 64, 40)
    with torch.no_grad():
        assert torch.equal(plain.eval()(volume), labelled.eval()(volume))
        maps, named = labelled.train()(volume)
        assert (maps.shape, named.shape) == ((2, 6, 3, 64, 40), (2, 6, 3))
        maps, named = labelled(torch.rand(4, 6, 64, 64))
        assert (maps.shape, named.shape) == ((4, 6, 64, 64), (4, 6))


def test_a_fine_segmenter_takes_over_what_a_classifier_says_of_where() -> None:
    classifier, _ = _both()
    fine = create_model("timm-unet:resnet10t", task="segmentation", in_channels=2, num_outputs=6, context=1, fine=True)
    given = fine.widened(classifier.state_dict())  # type: ignore[operator]
    fine.load_state_dict({name: given[name] for name in fine.state_dict()})
    volume = torch.rand(1, 2, 3, 64, 64)
    with torch.no_grad():
        features = classifier.eval().backbone.forward_intermediates(volume[:, :, 1], intermediates_only=True)  # type: ignore
        maps = classifier.decoder(features)  # type: ignore[operator]
        expected = torch.nn.functional.interpolate(maps, scale_factor=2, mode="nearest")
        torch.testing.assert_close(fine.eval()(volume)[:, :, 1], expected)
