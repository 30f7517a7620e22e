import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hemobench.errors import UserError
from hemobench.losses import create_loss, known_losses
from hemobench.weighting import ClassWeights, create_weighting

TARGETS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-3.0, 1.5]])


def _weights(negative: list[float], positive: list[float]) -> ClassWeights:
    return ClassWeights(torch.tensor(negative), torch.tensor(positive))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_weighted_bce_by_hand() -> None:
    loss = create_loss("bce", _weights([0.2, 0.5], [0.8, 3.0]))
    terms = [
        0.8 * -math.log(_sigmoid(2.0)),
        0.5 * -math.log(1 - _sigmoid(-1.0)),
        0.2 * -math.log(1 - _sigmoid(0.5)),
        3.0 * -math.log(_sigmoid(0.0)),
        0.2 * -math.log(1 - _sigmoid(-3.0)),
        0.5 * -math.log(1 - _sigmoid(1.5)),
    ]
    assert loss(LOGITS, TARGETS).item() == pytest.approx(sum(terms) / 6, rel=1e-6)


def test_bce_agrees_with_torch_and_survives_large_logits() -> None:
    logits = torch.tensor([[-200.0, -30.0, 0.3, 30.0, 200.0]])
    targets = torch.tensor([[0.0, 0.25, 0.5, 1.0, 0.0]])  # soft targets keep the formula
    plain = create_loss("bce")(logits, targets)
    torch.testing.assert_close(plain, F.binary_cross_entropy_with_logits(logits, targets))
    paper = create_loss("bce", create_weighting("paper"))(logits, targets)
    expected = 0.2 * F.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor(4.0))
    torch.testing.assert_close(paper, expected)


def test_class_weights_of_a_volume_act_channel_by_channel() -> None:
    logits, targets = torch.randn(2, 2, 3, 4, 5), torch.randint(0, 2, (2, 2, 3, 4, 5)).float()
    both = create_loss("bce", _weights([1.0, 0.0], [1.0, 0.0]))(logits, targets)
    first = create_loss("bce")(logits[:, :1], targets[:, :1])
    torch.testing.assert_close(both, first / 2)


def test_focal_by_hand() -> None:
    loss = create_loss("focal", gamma=2.0, alpha=0.25)
    expected = 0.0
    for logit, target in zip(LOGITS.flatten().tolist(), TARGETS.flatten().tolist(), strict=True):
        right = _sigmoid(logit) if target else 1 - _sigmoid(logit)
        expected += (0.25 if target else 0.75) * (1 - right) ** 2 * -math.log(right) / 6
    assert loss(LOGITS, TARGETS).item() == pytest.approx(expected, rel=1e-5)


def test_focal_without_focus_is_weighted_bce() -> None:
    weights = _weights([0.2, 0.5], [0.8, 3.0])
    focal = create_loss("focal", weights, gamma=0.0)(LOGITS, TARGETS)
    torch.testing.assert_close(focal, create_loss("bce", weights)(LOGITS, TARGETS))


def test_dice_by_hand_pooled_and_case_by_case() -> None:
    logits = torch.tensor([[[0.0, 0.0]], [[math.log(3.0), -100.0]]])  # probabilities 0.5 0.5 / 0.75 0
    targets = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])
    pooled = 1 - 2 * (0.5 + 0.5 + 0.75) / (1.75 + 3)
    by_case = 1 - (2 * 1.0 / (1 + 2) + 2 * 0.75 / (0.75 + 1)) / 2
    assert create_loss("dice")(logits, targets).item() == pytest.approx(pooled, rel=1e-4)
    assert create_loss("dice", batch=False)(logits, targets).item() == pytest.approx(by_case, rel=1e-4)


def test_tversky_by_hand_and_equal_to_dice_at_one_half() -> None:
    logits, targets = torch.tensor([[[0.0, 0.0, 0.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    expected = 1 - 1.0 / (1.0 + 0.3 * 0.5 + 0.7 * 1.0)  # TP 1, FP 0.5, FN 1
    assert create_loss("tversky")(logits, targets).item() == pytest.approx(expected, rel=1e-4)
    half = create_loss("tversky", alpha=0.5, beta=0.5)(logits, targets)
    torch.testing.assert_close(half, create_loss("dice")(logits, targets), atol=1e-5, rtol=0)


def test_an_empty_patch_adds_no_constant_to_pooled_dice() -> None:
    logits = torch.full((2, 1, 4, 4), -100.0)
    targets = torch.zeros(2, 1, 4, 4)
    logits[0, :, :2], targets[0, :, :2] = 100.0, 1.0
    assert create_loss("dice")(logits, targets).item() == pytest.approx(0.0, abs=1e-5)


def test_dice_and_bce_add_up() -> None:
    weights = create_weighting("paper")
    total = create_loss("dice+bce", weights, dice_weight=0.3, bce_weight=2.0)(LOGITS, TARGETS)
    dice, bce = create_loss("dice")(LOGITS, TARGETS), create_loss("bce", weights)(LOGITS, TARGETS)
    torch.testing.assert_close(total, 0.3 * dice + 2.0 * bce)


def test_cross_entropy_by_hand_and_against_torch() -> None:
    logits, labels = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), torch.tensor([1, 0])
    targets = F.one_hot(labels, 3).float()
    plain = create_loss("cross-entropy")(logits, targets)
    torch.testing.assert_close(plain, F.cross_entropy(logits, labels))
    weighted = create_loss("cross-entropy", _weights([1.0] * 3, [0.5, 2.0, 7.0]))(logits, targets)
    log_p = F.log_softmax(logits, 1)
    assert weighted.item() == pytest.approx((-2.0 * log_p[0, 1] - 0.5 * log_p[1, 0]).item() / 2, rel=1e-6)


@pytest.mark.parametrize("name", known_losses())
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4, 5, 6)])
def test_every_loss_is_a_finite_float32_scalar_under_autocast(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    logits = (torch.randn(shape) * 4).requires_grad_()
    targets = torch.zeros(shape)
    targets[:, 0] = 1  # exclusive, and no positives in the others
    loss = create_loss(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits.bfloat16(), targets)
    assert value.dtype == torch.float32
    assert value.shape == ()
    torch.testing.assert_close(value, loss(logits, targets), rtol=0.02, atol=1e-3)
    value.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", known_losses())
def test_a_step_along_the_gradient_lowers_every_loss(name: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    targets = F.one_hot(torch.randint(0, 3, (2, 4, 4)), 3).movedim(-1, 1).float()
    loss = create_loss(name)
    before = loss(logits, targets)
    before.backward()
    assert loss(logits - 0.5 * logits.grad, targets) < before


def test_weights_of_absent_classes_keep_the_loss_finite() -> None:
    targets = np.zeros((5, 2))
    weights = create_weighting("inverse-frequency", targets)
    assert torch.isfinite(create_loss("bce", weights)(torch.zeros(5, 2), torch.zeros(5, 2)))


def test_weights_are_no_part_of_a_checkpoint() -> None:
    assert create_loss("dice+bce", create_weighting("paper")).state_dict() == {}


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(UserError, match="did you mean 'focal'") as caught:
        create_loss("focl")
    assert all(name in str(caught.value) for name in known_losses())
    with pytest.raises(UserError, match=r"unknown option of loss 'focal' 'gama'; known: alpha, gamma"):
        create_loss("focal", gama=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("focal", {"gamma": -1}),
        ("focal", {"alpha": 2}),
        ("tversky", {"alpha": -1}),
        ("cross-entropy", {"label_smoothing": 1}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="expected"):
        create_loss(name, **options)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_weights_that_would_be_ignored_are_refused(name: str) -> None:
    create_loss(name, create_weighting("none"))
    with pytest.raises(UserError, match="class weights for loss"):
        create_loss(name, create_weighting("paper"))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape expected"):
        create_loss("bce")(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="weights for 3 outputs"):
        create_loss("bce", create_weighting("paper", num_outputs=3))(torch.zeros(2, 2), torch.zeros(2, 2))


def test_blood_and_type_by_hand() -> None:
    # Two voxels of blood of type 1, one of type 2, one of background, types scored with logits 0 but for one.
    blood = torch.tensor([2.0, 2.0, 2.0, -2.0]).view(1, 1, 4)
    types = torch.zeros(1, 5, 4)
    types[0, 0, 0] = math.log(6)  # softmax of type 1 there: 6 / 10
    targets = torch.zeros(1, 6, 4)
    targets[0, 0, :3] = 1
    targets[0, 1, :2] = 1
    targets[0, 2, 2] = 1
    loss = create_loss("blood+type", dice_weight=0.0, type_weight=0.5)
    of_blood = math.log(1 + math.exp(-2.0))  # every voxel is right by a logit of 2
    type_1 = -(math.log(0.6) + math.log(0.2)) / 2
    type_2 = -math.log(0.2)
    expected = of_blood + 0.5 * (type_1 + type_2) / 2
    assert loss(torch.cat([blood, types], dim=1), targets).item() == pytest.approx(expected, rel=1e-5)


def test_what_slices_are_said_to_show_by_hand() -> None:
    # Three slices of one pixel: blood of type 2, blood of an unknown type, none.
    targets = torch.zeros(3, 6, 1, 1)
    targets[:2, 0] = 1
    targets[0, 2] = 1
    maps = torch.zeros(3, 6, 1, 1)
    named = torch.zeros(3, 6)
    named[1, 0] = 5.0  # of a type that is not shown nothing is known in the second slice
    named[:, 5] = torch.tensor([2.0, 2.0, -2.0])
    loss = create_loss("blood+type", slice_weight=0.5)
    of_types = 10 * math.log(2)  # five logits of 0 in the first slice and five in the last
    of_any = 3 * math.log(1 + math.exp(-2.0))
    expected = loss(maps, targets).item() + 0.5 * (of_types + of_any) / 18
    assert loss.labelled(maps, named, targets).item() == pytest.approx(expected, rel=1e-5)  # type: ignore[operator]
    stacked = [each.unsqueeze(0).movedim(1, 2) for each in (maps, named, targets)]
    assert loss.labelled(*stacked).item() == pytest.approx(expected, rel=1e-5)  # type: ignore[operator]


def test_blood_and_type_without_blood_is_a_number() -> None:
    logits = torch.zeros(2, 6, 3, requires_grad=True)
    value = create_loss("blood+type")(logits, torch.zeros(2, 6, 3))
    value.backward()
    assert math.isfinite(value.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
