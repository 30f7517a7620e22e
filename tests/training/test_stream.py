"""Phantoms made while a network learns: new people every time, the same ones for the same seed, gone afterwards."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_cases import make_split
from safetensors.torch import load_file

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples, build_examples, cache_home
from hemobench.errors import UserError
from hemobench.progress import Silent
from hemobench.training import stream as stream_module
from hemobench.training.config import TrainConfig
from hemobench.training.experiment import run_experiment
from hemobench.training.loop import BEST, LAST
from hemobench.training.stream import ExampleStream, StreamSpec

SPEC = StreamSpec("phantom", patients=2, options={"slices": 4, "matrix": 32}, passes=2)
CONFIG = TrainConfig.from_mapping(
    {
        "model": "paper_cnn",
        "model_options": {"width": 4, "hidden": 16},
        "view": {"windows": ["brain"], "size": 24},
        "epochs": 3,
        "batch_size": 8,
        "steps_per_epoch": 3,
        "stream_share": 0.5,
        "learning_rate": 1e-3,
    }
)


def kept() -> list[str]:
    return sorted(path.name for path in (cache_home() / "cache").glob("phantom-*"))


def test_every_shard_has_other_people_and_goes_when_it_was_used() -> None:
    before = kept()
    with ExampleStream(SPEC, CONFIG.view, jobs=1) as stream:
        shards = [stream.at(epoch) for epoch in (1, 2, 3)]
        assert shards[0].fingerprint == shards[1].fingerprint != shards[2].fingerprint
        people = [set(shard.patient_ids.tolist()) for shard in shards]
        assert len(people[0]) == 2
        assert not people[0] & people[2]
        assert not np.array_equal(shards[0].images, shards[2].images)
        assert shards[0].fingerprint not in kept()
    assert kept() == before


def test_a_shard_that_somebody_made_before_is_used_and_left() -> None:
    assert CONFIG.view is not None
    kept_by_others = build_examples(SPEC.shard(0), CONFIG.view, jobs=1)
    with ExampleStream(SPEC, CONFIG.view, jobs=1) as stream:
        assert stream.at(1).fingerprint == kept_by_others.fingerprint
    assert kept_by_others.fingerprint in kept()
    shutil.rmtree(cache_home() / "cache" / kept_by_others.fingerprint)


def test_two_streams_of_one_seed_make_the_same_and_another_seed_does_not() -> None:
    assert CONFIG.view is not None
    images = []
    for spec in (SPEC, SPEC, dataclasses.replace(SPEC, seed=1)):
        with ExampleStream(spec, CONFIG.view, jobs=1) as stream:
            images.append(np.array(stream.at(1).images))
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert SPEC.fingerprint != dataclasses.replace(SPEC, seed=1).fingerprint


def test_only_the_anatomies_that_may_be_seen_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SPEC.shard(0)
    grouped = tuple(dataclasses.replace(case, group=f"anatomy {n}") for n, case in enumerate(made.cases))

    def opened(*_: object, **__: object) -> Dataset:
        return dataclasses.replace(made, cases=grouped)

    monkeypatch.setattr(stream_module, "open_dataset", opened)
    chosen = dataclasses.replace(SPEC, groups=("anatomy 1",)).shard(0)
    assert [case.group for case in chosen.cases] == ["anatomy 1"]
    assert chosen.fingerprint != made.fingerprint

    rest = dataclasses.replace(SPEC, without=("anatomy 1",)).shard(0)
    assert [case.group for case in rest.cases] == ["anatomy 0"]
    assert len({made.fingerprint, chosen.fingerprint, rest.fingerprint}) == 3


def test_no_shard_is_made_that_no_epoch_asks_for() -> None:
    before = kept()
    with ExampleStream(SPEC, CONFIG.view, jobs=1) as stream:
        stream.at(1, 3)
        stream.at(3, 3)
        assert len(stream._made) == 1
    assert kept() == before


class _Stops(Silent):
    def say(self, text: str) -> None:
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt


def test_a_run_with_a_stream_goes_on_to_the_same_bits(slices: Examples, tmp_path: Path) -> None:
    whole = run_experiment(CONFIG, slices, make_split(), tmp_path / "whole", stream=SPEC)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(CONFIG, slices, make_split(), tmp_path / "cut", stream=SPEC, progress=_Stops())
    again = run_experiment(CONFIG, slices, make_split(), tmp_path / "cut", stream=SPEC)
    left, right = (load_file(tmp_path / run / LAST) for run in ("whole", "cut"))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert again.metrics == pytest.approx(whole.metrics, nan_ok=True)
    other = run_experiment(CONFIG, slices, make_split(), tmp_path / "cut", stream=dataclasses.replace(SPEC, seed=2))
    assert other.data_fingerprint != whole.data_fingerprint


def test_a_run_begins_with_the_weights_of_another(slices: Examples, tmp_path: Path) -> None:
    plain = dataclasses.replace(CONFIG, stream_share=0.0, epochs=1, steps_per_epoch=1)
    first = run_experiment(plain, slices, make_split(), tmp_path / "first")
    frozen = dataclasses.replace(plain, learning_rate=1e-12)
    second = run_experiment(frozen, slices, make_split(), tmp_path / "second", start=tmp_path / "first")
    np.testing.assert_allclose(second.test.probabilities, first.test.probabilities, atol=1e-5)  # type: ignore[union-attr]
    cold = run_experiment(frozen, slices, make_split(), tmp_path / "cold")
    assert not np.allclose(cold.test.probabilities, first.test.probabilities, atol=1e-5)  # type: ignore[union-attr]
    assert (tmp_path / "second" / BEST).is_file()
    assert torch.get_num_threads() == 1


def test_a_share_without_a_stream_and_the_reverse_are_refused(slices: Examples, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without a stream"):
        run_experiment(CONFIG, slices, make_split(), tmp_path)
    with pytest.raises(UserError, match="with a stream"):
        run_experiment(dataclasses.replace(CONFIG, stream_share=0.0), slices, make_split(), tmp_path, stream=SPEC)
    with pytest.raises(UserError, match="steps_per_epoch"):
        dataclasses.replace(CONFIG, steps_per_epoch=None)
    with pytest.raises(UserError, match="expected phantoms"):
        StreamSpec("ct-ich:/nowhere").shard(0)
