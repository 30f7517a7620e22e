import pytest
import torch

from hemobench.errors import UserError
from hemobench.losses import create_loss
from hemobench.models import count_parameters, create_model
from hemobench.models.paper_cnn import PaperCNN


@pytest.mark.parametrize(("in_channels", "parameters"), [(1, 1_195_558), (3, 1_195_558 + 2 * 32 * 9)])
def test_parameters_are_the_papers_within_five_percent(in_channels: int, parameters: int) -> None:
    model = create_model("paper_cnn", task="classification", in_channels=in_channels, num_outputs=6)
    assert count_parameters(model) == parameters
    assert abs(parameters / 1_200_000 - 1) < 0.05


def test_layers_are_the_papers() -> None:
    kinds = [type(module).__name__ for module in PaperCNN().modules()]
    assert kinds.count("Conv2d") == 4
    assert kinds.count("MaxPool2d") == 3
    assert kinds.count("Linear") == 3  # two hidden, one output
    assert kinds.count("Dropout") == 2


@pytest.mark.parametrize("size", [(128, 128), (64, 96), (256, 256), (100, 131), (8, 8)])
def test_other_sizes_work(size: tuple[int, int]) -> None:
    model = PaperCNN(2, 6, size, width=4).eval()
    assert model(torch.randn(2, 2, *size)).shape == (2, 6)
    assert model(torch.randn(1, 2, 40, 40)).shape == (1, 6)  # and sizes it was not made for


def test_at_the_papers_size_nothing_is_averaged() -> None:
    model = PaperCNN(width=4).eval()
    images = torch.randn(2, 1, 128, 128)
    by_hand = model.final(model.dense(model.features(images).flatten(1)))
    torch.testing.assert_close(model(images), by_hand)


def test_larger_images_keep_the_budget() -> None:
    assert count_parameters(PaperCNN(image_size=(512, 512))) == 1_195_558


def test_depth_width_hidden_and_dropout_are_adjustable() -> None:
    model = PaperCNN(1, 6, (64, 64), depth=2, width=5, hidden=7, dropout=0.0)
    expected = (9 * 5 + 5) + (9 * 5 * 10 + 10) + (9 * 10 * 5 + 5) + (5 * 256 * 7 + 7) + (49 + 7) + (42 + 6)
    assert count_parameters(model) == expected
    images = torch.randn(1, 1, 64, 64)
    assert torch.equal(model(images), model(images))  # no dropout, no noise


def test_a_tiny_batch_is_learned_and_gradients_reach_every_parameter() -> None:
    images, targets = torch.rand(6, 1, 32, 32) * 0.1, torch.eye(6)
    for number, image in enumerate(images):
        image[0, 5 * number : 5 * number + 5] = 1.0  # each class has its own bright band
    model, loss = PaperCNN(1, 6, (32, 32), width=4, dropout=0.0), create_loss("bce")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    first = loss(model(images), targets).item()
    for _ in range(80):
        optimiser.zero_grad()
        value = loss(model(images), targets)
        value.backward()
        assert all(each.grad is not None for each in model.parameters())
        optimiser.step()
    assert value.item() < 0.5 * first


def test_dropout_is_off_in_evaluation() -> None:
    model = PaperCNN(image_size=(32, 32), width=4)
    images = torch.randn(4, 1, 32, 32)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_prior_and_float32_logits() -> None:
    model = PaperCNN(num_outputs=3, image_size=(32, 32), width=4, prior=0.05).eval()
    torch.testing.assert_close(torch.sigmoid(model.final.bias), torch.full((3,), 0.05))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.rand(1, 1, 32, 32)).dtype == torch.float32


@pytest.mark.parametrize("options", [{"depth": 0}, {"width": 0}, {"dropout": 1.0}, {"depth": 8}])
def test_what_cannot_be_built_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="paper_cnn with"):
        PaperCNN(**options)
