from __future__ import annotations

import numpy as np
import pytest

from hemobench.training.sampling import balanced_shares, epoch_batches


def test_every_row_comes_once_but_for_the_remainder() -> None:
    rows = np.arange(100, 110)
    batches = epoch_batches(rows, None, seed=1, epoch=1, batch_size=4)
    assert [len(batch) for batch in batches] == [4, 4]
    drawn = np.concatenate(batches)
    assert len(set(drawn.tolist())) == 8
    assert set(drawn.tolist()) <= set(rows.tolist())
    left = {
        tuple(sorted(set(rows) - set(np.concatenate(epoch_batches(rows, None, seed=1, epoch=e, batch_size=4)))))
        for e in range(10)
    }
    assert len(left) > 1


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(np.arange(50), None, seed=seed, epoch=epoch, batch_size=5)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(batch) for batch in epoch_batches(np.arange(3), None, seed=0, epoch=0, batch_size=8)] == [3]


def test_half_of_the_draws_bleed_and_rare_types_come_as_often_as_frequent_ones() -> None:
    targets = np.zeros((100, 6), dtype=np.uint8)
    targets[:9, 4] = targets[:9, 5] = 1
    targets[9, 0] = targets[9, 5] = 1
    shares = balanced_shares(targets)
    assert shares.sum() == pytest.approx(1)
    assert shares[:9].sum() == pytest.approx(0.25)
    assert shares[9] == pytest.approx(0.25)
    assert shares[10:] == pytest.approx(np.full(90, 0.5 / 90))
    drawn = np.concatenate(epoch_batches(np.arange(100), shares, seed=3, epoch=1, batch_size=10))
    assert 30 < (drawn < 10).sum() < 70


def test_volumes_are_balanced_by_foreground() -> None:
    targets = np.zeros((4, 1, 2, 3, 3), dtype=np.uint8)
    targets[2, 0, 1, 1, 1] = 1
    assert balanced_shares(targets) == pytest.approx([1 / 6, 1 / 6, 1 / 2, 1 / 6])


@pytest.mark.parametrize("value", [0, 1])
def test_one_sided_data_is_drawn_evenly(value: int) -> None:
    targets = np.full((5, 1, 2, 2, 2), value, dtype=np.uint8)
    assert balanced_shares(targets) == pytest.approx(np.full(5, 0.2))


def test_bleeding_of_unknown_type_is_drawn_too() -> None:
    targets = np.array([[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1], [0] * 6], dtype=np.uint8)
    shares = balanced_shares(targets)
    assert shares[0] > 0
    assert shares[:2].sum() == pytest.approx(0.5)
