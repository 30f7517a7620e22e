import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hemobench.errors import UserError
from hemobench.losses import create_loss
from hemobench.models import count_parameters, create_model
from hemobench.models.unet import UNet, UpConvolution, fold_slices

NAMES = ("unet2d", "unet2.5d", "unet3d")
PAPER_PARAMETERS = 1_401_413


def _unet(name: str, in_channels: int = 1, num_outputs: int = 1, **options: object) -> nn.Module:
    return create_model(
        name, task="segmentation", in_channels=in_channels, num_outputs=num_outputs, **{"base": 4, **options}
    )


def test_unet3d_has_the_papers_parameters_exactly() -> None:
    model = create_model("unet3d", task="segmentation", in_channels=1, num_outputs=1)
    assert count_parameters(model) == PAPER_PARAMETERS
    pairs = 27 * (1 * 16 + 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    ups = 8 * (128 * 64 + 64 * 32 + 32 * 16)
    back = 27 * (128 * 64 + 64 * 64 + 64 * 32 + 32 * 32 + 32 * 16 + 16 * 16)
    biases = 2 * (16 + 32 + 64 + 128) + 3 * (64 + 32 + 16)
    assert pairs + ups + back + biases + (27 * 16 * 2 + 2) + (2 + 1) == PAPER_PARAMETERS


@pytest.mark.parametrize(("name", "parameters"), [("unet2d", 1_371_173), ("unet2.5d", 1_371_659)])
def test_slice_wise_unets_have_a_matched_budget(name: str, parameters: int) -> None:
    model = create_model(name, task="segmentation", in_channels=1, num_outputs=1)
    assert count_parameters(model) == parameters
    assert abs(parameters / PAPER_PARAMETERS - 1) < 0.05


def test_the_bottleneck_is_the_papers() -> None:
    model = _unet("unet3d", base=1)
    sizes: list[torch.Size] = []
    model.contract[-1].register_forward_hook(lambda module, arguments, output: sizes.append(output.shape))
    with torch.no_grad():
        model(torch.zeros(1, 1, 80, 120, 120))
    assert sizes == [torch.Size([1, 8, 10, 15, 15])]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(8, 16, 24), (5, 17, 9), (1, 1, 1)])
def test_any_size_and_number_of_channels_comes_back(name: str, size: tuple[int, ...]) -> None:
    model = _unet(name, in_channels=3, num_outputs=5)
    assert model(torch.randn(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize("mode", ["replicate", "constant"])
def test_padding_equals_padding_by_hand(mode: str) -> None:
    model = _unet("unet3d", pad_mode=mode).eval()
    voxels = torch.randn(1, 1, 9, 16, 13)
    padded = F.pad(voxels, (0, 3, 0, 0, 0, 7), mode=mode)
    with torch.no_grad():
        torch.testing.assert_close(model(voxels), model(padded)[:, :, :9, :, :13], rtol=0, atol=1e-6)


def test_the_2d_network_sees_slices_one_by_one() -> None:
    model = _unet("unet2d").eval()
    volumes = torch.randn(2, 1, 3, 16, 16)
    with torch.no_grad():
        logits = model(volumes)
        alone = model(volumes[:, :, 1])
    assert alone.shape == (2, 1, 16, 16)
    torch.testing.assert_close(logits[:, :, 1], alone, rtol=1e-4, atol=1e-5)


def test_the_25d_network_sees_its_neighbours_and_no_others() -> None:
    model = _unet("unet2.5d", context=1).eval()
    volume = torch.randn(1, 1, 6, 16, 16)
    changed = volume.clone()
    changed[:, :, 2] += 1
    with torch.no_grad():
        moved = (model(volume) - model(changed)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert moved.tolist() == [False, True, True, True, False, False]


def test_neighbours_are_stacked_from_below_to_above_with_the_ends_repeated() -> None:
    volumes = torch.arange(2 * 2 * 3, dtype=torch.float32).view(2, 2, 3, 1, 1)  # value 6 b + 3 c + d
    folded = fold_slices(volumes, context=1).flatten(1)
    assert folded.shape == (6, 6)
    assert folded[0].tolist() == [0, 3, 0, 3, 1, 4]  # first slice: itself twice, then the next
    assert folded[4].tolist() == [6, 9, 7, 10, 8, 11]  # second volume, middle slice


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_transposed_convolution_is_upsampling_and_a_convolution(dimensions: int) -> None:
    up = UpConvolution(dimensions, 6, 3, "none")
    features = torch.randn(2, 6, *(3, 5, 4)[:dimensions])
    doubled = F.interpolate(features, scale_factor=2.0, mode="nearest")
    expected = F.relu(up.convolution(F.pad(doubled, (0, 1) * dimensions)))
    torch.testing.assert_close(up(features), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
def test_gradients_reach_every_parameter(name: str, norm: str) -> None:
    model = _unet(name, norm=norm, num_outputs=2)
    model(torch.randn(2, 1, 8, 16, 16)).square().mean().backward()
    still = [key for key, each in model.named_parameters() if each.grad is None or not torch.isfinite(each.grad).all()]
    assert still == []
    # A bias before a normalisation over its own channel has no effect, every weight has.
    flat = [key for key, each in model.named_parameters() if key.endswith("weight") and not each.grad.any()]
    assert flat == []


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_batch_is_learned(name: str) -> None:
    targets = torch.zeros(1, 1, 4, 16, 16)
    targets[0, :, 1:3, 4:10, 5:11] = 1
    voxels = targets * 0.5 + torch.rand(targets.shape) * 0.3
    model, loss = _unet(name, norm="group", prior=0.07), create_loss("bce")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    first = loss(model(voxels), targets).item()
    for _ in range(25):
        optimiser.zero_grad()
        value = loss(model(voxels), targets)
        value.backward()
        optimiser.step()
    assert value.item() < 0.5 * first


def test_a_prior_is_where_the_probabilities_start() -> None:
    model = _unet("unet3d", num_outputs=2, prior=[0.01, 0.2])
    torch.testing.assert_close(torch.sigmoid(model.final.bias), torch.tensor([0.01, 0.2]))
    for wrong in (0.0, 1.0, [0.1, 0.2, 0.3]):
        with pytest.raises(UserError, match="prior"):
            _unet("unet3d", num_outputs=2, prior=wrong)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_and_channels_last_agree_with_float32(name: str) -> None:
    model = _unet(name, base=8).eval()
    voxels = torch.rand(1, 1, 8, 24, 24)
    with torch.no_grad():
        exact = model(voxels)
        memory_format = torch.channels_last_3d if name == "unet3d" else torch.channels_last
        model.to(memory_format=memory_format)
        last = model(voxels.to(memory_format=torch.channels_last_3d))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(voxels.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(last, exact, rtol=1e-4, atol=1e-5)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()
    assert len(rough.unique()) > 0.5 * rough.numel()  # float32 head: bfloat16 logits would tie


def test_evaluation_is_deterministic_with_dropout() -> None:
    model = _unet("unet3d", dropout=0.5)
    voxels = torch.randn(1, 1, 8, 8, 8)
    assert not torch.equal(model(voxels), model(voxels))
    model.eval()
    assert torch.equal(model(voxels), model(voxels))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_inputs_are_refused_with_the_shape(name: str) -> None:
    model = _unet(name)
    with pytest.raises(UserError, match=r"input of shape \(1, 2, 8, 8, 8\).*1 channels"):
        model(torch.zeros(1, 2, 8, 8, 8))
    with pytest.raises(UserError, match=r"\(1, 8, 8\)"):
        model(torch.zeros(1, 8, 8))


@pytest.mark.parametrize(
    "options", [{"base": 0}, {"depth": 0}, {"dropout": 1.0}, {"norm": "layer"}, {"pad_mode": "reflect"}]
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        _unet("unet3d", **options)


def test_depth_and_base_are_adjustable() -> None:
    deep = UNet(2, base=3, depth=4)
    assert deep.multiples == (16, 16)
    assert deep(torch.zeros(1, 1, 17, 5)).shape == (1, 1, 17, 5)
