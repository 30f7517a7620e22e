import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from hemobench.errors import UserError
from hemobench.models import count_parameters, create_model
from hemobench.models.backbones import TimmClassifier


def _backbone(name: str, in_channels: int = 1, image_size: tuple[int, int] | None = (64, 64), **options: object):
    return create_model(
        f"timm:{name}", task="classification", in_channels=in_channels, num_outputs=6, image_size=image_size, **options
    )


@pytest.mark.parametrize("in_channels", range(1, 10))
def test_one_to_nine_channels(in_channels: int) -> None:
    model = _backbone("resnet10t", in_channels, image_size=None).eval()
    assert model(torch.randn(2, in_channels, 64, 64)).shape == (2, 6)


def test_parameters_are_timms() -> None:
    ours = count_parameters(_backbone("resnet18", 3, image_size=None))
    assert ours == sum(each.numel() for each in timm.create_model("resnet18", num_classes=6).parameters())


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "efficientnet_b0", "convnext_atto", "resnetv2_18", "vit_tiny_patch16_224"]
)
def test_families_work_on_small_pictures_and_keep_float32_logits(name: str) -> None:
    model = _backbone(name, 3, image_size=(60, 72)).eval()
    pictures = torch.randn(2, 3, 60, 72)
    with torch.no_grad():
        exact = model(pictures)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model.to(memory_format=torch.channels_last)(pictures.to(memory_format=torch.channels_last))
    assert exact.shape == (2, 6)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, rough.bfloat16().float())  # more digits than bfloat16 has
    torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)


def test_logits_are_those_of_the_plain_backbone() -> None:
    plain = timm.create_model("resnet10t", in_chans=2, num_classes=6).eval()
    pictures = torch.randn(1, 2, 64, 64)
    expected = plain(pictures)
    wrapped = TimmClassifier("resnet10t", plain, in_channels=2)
    torch.testing.assert_close(wrapped(pictures), expected)
    assert set(wrapped.state_dict()) == {f"backbone.{key}" for key in plain.state_dict()}


def test_building_leaves_the_model_in_training_mode() -> None:
    assert _backbone("resnet10t").training


def test_prior_sets_the_heads_bias() -> None:
    model = _backbone("resnet10t", prior=[0.1, 0.2, 0.3, 0.4, 0.05, 0.5])
    bias = model.backbone.get_classifier().bias
    torch.testing.assert_close(torch.sigmoid(bias), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.05, 0.5]))


def test_gradients_reach_every_parameter() -> None:
    model = _backbone("resnet10t")
    model(torch.randn(2, 1, 64, 64)).sum().backward()
    assert [key for key, each in model.named_parameters() if each.grad is None] == []


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown timm backbone 'resnet81'; nearest: resnet18"):
        _backbone("resnet81")
    with pytest.raises(UserError, match="unknown timm backbone"):
        _backbone("hf-hub:someone/something")  # nothing is fetched from a name


def test_what_timm_refuses_is_one_line() -> None:
    with pytest.raises(UserError, match="unexpected keyword argument 'colour'") as caught:
        _backbone("resnet10t", colour=3)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"inception_v4 at \(32, 32\)"):
        _backbone("inception_v4", image_size=(32, 32))


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(UserError, match=r"timm:resnet10t; expected \(B, C, H, W\) with 1 channels"):
        _backbone("resnet10t", image_size=None)(torch.zeros(1, 3, 64, 64))


def test_unknown_weight_tag_lists_the_tags() -> None:
    with pytest.raises(UserError, match=r"unknown weights 'resnet18.nope'; known: .*resnet18.a1_in1k"):
        _backbone("resnet18.nope", pretrained=True)


def test_weights_that_cannot_be_fetched_are_one_line(tmp_path: Path) -> None:
    code = (
        "from hemobench.errors import UserError\n"
        "from hemobench.models import create_model\n"
        "try:\n"
        "    create_model('timm:resnet10t', task='classification', in_channels=1, num_outputs=6, pretrained=True)\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=offline, capture_output=True, encoding="utf-8", check=True
    )
    assert result.stdout.startswith("weights of timm:resnet10t cannot be fetched")
    assert "set pretrained to false" in result.stdout
    assert result.stdout.count("\n") == 1
