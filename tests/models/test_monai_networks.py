import importlib.util

import pytest
import torch
from monai.networks import nets
from torch.nn import functional as F

from hemobench.errors import UserError
from hemobench.models import count_parameters, create_model
from hemobench.models.monai_networks import known_networks

SIZE = (5, 17, 20)
NEED_EINOPS = {"SwinUNETR", "UNETR"}
EINOPS = importlib.util.find_spec("einops") is not None


def _network(name: str, in_channels: int = 1, num_outputs: int = 2, **options: object) -> torch.nn.Module:
    size = {"image_size": SIZE, **options}
    return create_model(f"monai:{name}", task="segmentation", in_channels=in_channels, num_outputs=num_outputs, **size)


@pytest.mark.parametrize("name", known_networks())
def test_every_network_builds_and_takes_an_odd_size(name: str) -> None:
    if name in NEED_EINOPS and not EINOPS:
        with pytest.raises(UserError, match="pip install einops"):
            _network(name)
        return
    in_channels = 1 if name == "VNet" else 3  # VNet's first layer repeats its input 16 / C times
    model = _network(name, in_channels).eval()
    with torch.no_grad():
        assert model(torch.randn(1, in_channels, *SIZE)).shape == (1, 2, *SIZE)


@pytest.mark.parametrize("name", ["DynUNet", "SegResNetDS", "UNet"])
def test_training_mode_gives_one_full_size_map_of_a_tiny_volume(name: str) -> None:
    logits = _network(name).train()(torch.randn(1, 1, 3, 4, 5))
    assert logits.shape == (1, 2, 3, 4, 5)
    logits.mean().backward()


def test_logits_are_the_networks_own_on_the_padded_volume() -> None:
    model = _network("SegResNet").eval()
    voxels = torch.randn(1, 1, *SIZE)
    padded = F.pad(voxels, (0, 4, 0, 7, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(model(voxels), model.network(padded)[:, :, :5, :17, :20], rtol=1e-4, atol=1e-5)


def test_options_go_to_the_class() -> None:
    plain = nets.SegResNet(spatial_dims=3, in_channels=1, out_channels=2, init_filters=16)
    assert count_parameters(_network("SegResNet", init_filters=16)) == count_parameters(plain)


def test_float32_logits_under_autocast() -> None:
    model = _network("UNet").eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.randn(1, 1, *SIZE)).dtype == torch.float32


def test_a_prior_moves_the_logits_by_its_own() -> None:
    model = _network("UNet", prior=[0.01, 0.5]).eval()
    voxels = torch.randn(1, 1, *SIZE)
    with torch.no_grad():
        moved = model(voxels)
        model.offset = None
        difference = moved - model(voxels)
    torch.testing.assert_close(torch.sigmoid(difference[0, :, 0, 0, 0]), torch.tensor([0.01, 0.5]), rtol=1e-3, atol=0)


def test_a_class_without_defaults_works_from_its_options() -> None:
    options = {"channels": (4, 8), "strides": (2, 2)}
    model = create_model("monai:AutoEncoder", task="segmentation", in_channels=1, num_outputs=2, multiple=4, **options)
    assert model(torch.randn(1, 1, 7, 8, 9)).shape == (1, 2, 7, 8, 9)
    with pytest.raises(UserError, match="monai:AutoEncoder without channels, strides"):
        _network("AutoEncoder")


def test_unknown_network_lists_the_names() -> None:
    for name in ("SegResNett", "Linear", "__file__"):
        with pytest.raises(UserError, match="unknown MONAI network") as caught:
            _network(name)
        assert all(known in str(caught.value) for known in known_networks())


def test_unknown_option_lists_the_options() -> None:
    with pytest.raises(UserError, match=r"unknown option of monai:UNet 'chanels'.*did you mean 'channels'"):
        _network("UNet", chanels=(4, 8))


def test_what_monai_refuses_is_one_line() -> None:
    with pytest.raises(UserError, match="monai:VNet with 3 channels") as caught:
        _network("VNet", in_channels=3)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not EINOPS, reason="MONAI's UNETR needs einops")
def test_a_network_of_one_size_says_so() -> None:
    with pytest.raises(UserError, match="image_size=None"):
        _network("UNETR", image_size=None)
    with pytest.raises(UserError, match="at most"):
        _network("UNETR")(torch.zeros(1, 1, 40, 40, 40))
