import numpy as np
import pytest
import torch

from hemobench.errors import UserError
from hemobench.weighting import count_targets, create_weighting, known_weightings

SLICES = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], dtype=np.uint8)  # positives of the two outputs: 1 and 2 of 4


def test_fixed_weightings_are_used_as_written() -> None:
    paper = create_weighting("paper", num_outputs=3)
    assert paper.negative.tolist() == pytest.approx([0.2] * 3)
    assert paper.positive.tolist() == pytest.approx([0.8] * 3)
    literal = create_weighting("0.5,2", SLICES)
    assert literal.negative.tolist() == [0.5, 0.5]
    assert literal.positive.tolist() == [2.0, 2.0]
    assert create_weighting("none").neutral
    assert not paper.neutral


def test_inverse_frequency_by_hand() -> None:
    weights = create_weighting("inverse-frequency", SLICES)
    assert weights.positive.tolist() == pytest.approx([2.0, 1.0])  # 4 / (2 * 1), 4 / (2 * 2)
    assert weights.negative.tolist() == pytest.approx([2 / 3, 1.0])


def test_inverse_frequency_of_classes_agrees_with_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [5, 2, 13])
    weights = create_weighting("inverse-frequency", np.eye(3)[labels], exclusive=True)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights.positive.tolist() == pytest.approx(expected.tolist())


def test_effective_number_by_hand() -> None:
    weights = create_weighting("effective-number:0.5", SLICES)
    # Effective numbers at beta 0.5: 1 -> 1, 2 -> 1.5, 3 -> 1.75. First output: 1/1 and 1/1.75, mean weight 1.
    scale = 4 / (1 * 1 + 3 / 1.75)
    assert weights.positive[0].item() == pytest.approx(scale)
    assert weights.negative[0].item() == pytest.approx(scale / 1.75)
    assert (weights.positive[1].item(), weights.negative[1].item()) == pytest.approx((1.0, 1.0))


def test_effective_number_runs_from_no_weighting_to_inverse_frequency() -> None:
    targets = np.zeros((1, 1, 100, 1000), dtype=np.uint8)
    targets[..., :10] = 1
    assert create_weighting("effective-number:0", targets).neutral
    inverse = create_weighting("inverse-frequency", targets)
    limit = create_weighting("effective-number:0.999999999999", targets)
    assert limit.positive.item() == pytest.approx(inverse.positive.item(), rel=1e-3)
    saturated = create_weighting("effective-number:0.99", targets)
    assert saturated.positive.item() == pytest.approx(1.0, abs=1e-3)  # what a fixed beta does to voxel counts
    default = create_weighting("effective-number", targets)
    assert 20 < default.positive.item() < inverse.positive.item()


@pytest.mark.parametrize("name", ["inverse-frequency", "effective-number", "effective-number:0.9"])
def test_mean_weight_over_the_observed_targets_is_one(name: str) -> None:
    targets = (np.random.default_rng(0).random((150, 3, 5, 4)) < np.array([0.4, 0.1, 0.01])[:, None, None]).astype("u1")
    weights = create_weighting(name, targets)
    positives, total = count_targets(targets)
    mean = (weights.positive.numpy() * positives + weights.negative.numpy() * (total - positives)) / total
    np.testing.assert_allclose(mean, 1.0, rtol=1e-5)
    assert (weights.positive >= weights.negative).all()


@pytest.mark.parametrize("name", ["inverse-frequency", "effective-number", "effective-number:0.9999"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_side_never_seen_weighs_one(name: str, exclusive: bool) -> None:
    targets = np.zeros((10, 3), dtype=np.uint8)
    targets[:, 1] = 1  # output 0 has no positives, output 1 no negatives
    targets[:2, 2] = 1
    weights = create_weighting(name, targets, exclusive=exclusive)
    both = torch.stack([weights.negative, weights.positive])
    assert torch.isfinite(both).all()
    assert both[:, 0].tolist() == [1.0, 1.0]
    if not exclusive:
        assert both[:, 1].tolist() == [1.0, 1.0]
    assert weights.positive[2] > 1


def test_counts_go_through_chunks_of_a_memory_map(tmp_path) -> None:
    targets = (np.random.default_rng(1).random((131, 2, 3, 4, 5)) < 0.3).astype(np.uint8)
    np.save(tmp_path / "targets.npy", targets)
    positives, total = count_targets(np.load(tmp_path / "targets.npy", mmap_mode="r"))
    assert positives.tolist() == targets.sum(axis=(0, 2, 3, 4)).tolist()
    assert total == 131 * 3 * 4 * 5


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(UserError, match="unknown weighting 'papr'") as caught:
        create_weighting("papr")
    assert all(name in str(caught.value) for name in known_weightings())


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("0.5", SLICES),
        ("a,b", SLICES),
        ("1,2,3", SLICES),
        ("-1,2", SLICES),
        ("0,0", SLICES),
        ("nan,1", SLICES),
        ("effective-number:1", SLICES),
        ("effective-number:x", SLICES),
        ("none:3", SLICES),
        ("inverse-frequency", None),
        ("inverse-frequency", np.zeros((0, 2))),
        ("inverse-frequency", np.zeros(4)),
    ],
)
def test_what_is_no_weighting_is_refused_in_one_line(name: str, targets: np.ndarray | None) -> None:
    with pytest.raises(UserError) as caught:
        create_weighting(name, targets)
    assert "\n" not in str(caught.value)
