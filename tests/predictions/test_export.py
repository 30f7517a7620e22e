"""Our own answers, written as a folder of predictions and measured as any other tool's: the same numbers come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from few_heads import heads
from hand_made import blood_checkpoint, slice_checkpoint

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import BHSD
from hemobench.datasets.patient_hashes import People, person_hash
from hemobench.errors import UserError
from hemobench.evaluation.run import evaluate
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.io.nifti import read_label_map
from hemobench.labels import slice_labels_from_label_map
from hemobench.predictions.export import write_predictions
from hemobench.predictions.folder import open_predictions
from hemobench.predictions.measure import evaluate_predictions
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume, display_affine

SHAPE = (8, 64, 64)


def noisy_head(number: int) -> Loaded:
    """Brain of 32 HU with noise in air, most in even heads; odd ones bleed, the higher their number the fainter."""
    random = np.random.default_rng(number)
    voxels = np.full(SHAPE, -1000.0, dtype=np.float32)
    voxels[:, 8:56, 10:54] = random.normal(32, 9 + 4 * (number % 2 == 0), (8, 48, 44))
    labels = np.zeros(SHAPE, dtype=np.uint8)
    if number % 2:
        labels[3:6, 20:34, 20 + number : 34 + number] = 2
        voxels[labels > 0] += 46 - 8 * number
    return Loaded(Volume(voxels, display_affine(SHAPE, (5.0, 3.5, 3.5))), labels, slice_labels_from_label_map(labels))


class Load:
    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> Loaded:
        return noisy_head(self.number)


def noisy_heads() -> Dataset:
    cases = tuple(Case(f"p{n}", f"s/{n}", BHSD.name, BHSD.lineage, None, Load(n)) for n in range(6))
    return Dataset(BHSD, cases, "noisy", ())


def round_trip(checkpoint: Checkpoint, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Means of a checkpoint's scores, and of those of its own answers written to a folder and read again."""
    data = noisy_heads()
    direct = evaluate(checkpoint, data, folder / "direct", engine="torch")
    done = write_predictions(data, [checkpoint], folder / "made", engine="torch")
    assert (done.answered, done.left_out, done.seen) == (6, (), 0)
    read = evaluate_predictions(open_predictions(folder / "made", data), data, folder / "read")
    assert (direct.patients, direct.slices) == (read.patients, read.slices)
    return tuple({name: score["mean"] for name, score in one.metrics.items()} for one in (direct, read))


def test_a_classifier_goes_round(tmp_path: Path) -> None:
    levels = {"slice": {"any": 0.4, "intraparenchymal": 0.3}, "study": {"any": 0.45}}
    checkpoint = open_checkpoint(
        slice_checkpoint(
            tmp_path / "net",
            threshold_hu=55.0,
            gain=400.0,
            thresholds=levels,
            study_slices=2,
            context_mm=3.0,
            calibration={"slice": {"any": (0.8, 0.3)}, "study": {"any": (0.7, -0.2)}},
        )
    )
    direct, read = round_trip(checkpoint, tmp_path)
    assert direct.keys() == read.keys()
    assert 0.5 < direct["auroc_any"] < 1.0
    for name, value in direct.items():
        assert read[name] == pytest.approx(value, abs=2e-5, nan_ok=True), name


def test_a_segmenter_goes_round(tmp_path: Path) -> None:
    view = SegmentationView("subtypes", (5.0, 3.5, 3.5), (8, 64, 64), "brain")
    checkpoint = open_checkpoint(blood_checkpoint(tmp_path / "net", view=view, brighter=(85.0, "subdural")))
    direct, read = round_trip(checkpoint, tmp_path)
    assert direct.keys() == read.keys()
    assert 0.2 < direct["dice_filled_any"] < 1.0
    for name, value in direct.items():
        # A report's probabilities have six decimals, and the log loss looks at the last of them.
        rel = 5e-4 if name.startswith("logloss") else 1e-6
        assert read[name] == pytest.approx(value, abs=2e-5, rel=rel, nan_ok=True), name
    assert read_label_map(tmp_path / "made" / "masks" / "s_1.nii.gz").shape == SHAPE


def test_it_goes_on_where_it_was_stopped_and_refuses_other_folders(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(slice_checkpoint(tmp_path / "net", gain=800.0))

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(heads(), [checkpoint], tmp_path / "made", engine="torch", progress=stop)
    told: list[int] = []
    write_predictions(
        heads(), [checkpoint], tmp_path / "made", engine="torch", progress=lambda done, total: told.append(done)
    )
    assert told == [3, 4]
    with pytest.raises(UserError, match="holds other files, or answers of other networks or data"):
        write_predictions(heads(3), [checkpoint], tmp_path / "made", engine="torch")


def test_people_whom_the_networks_know_are_told_or_left_out(tmp_path: Path) -> None:
    people = People((person_hash("rsna", "p1"),), (), ("rsna",))
    checkpoint = replace(open_checkpoint(slice_checkpoint(tmp_path / "net", gain=800.0)), people=people)
    data = heads()
    assert write_predictions(data, [checkpoint], tmp_path / "all", engine="torch").seen == 1
    result = evaluate_predictions(open_predictions(tmp_path / "all", data), data, tmp_path / "out")
    assert any(note.startswith("SEEN: 1 of these people made the networks") for note in result.notes)
    left = write_predictions(data, [checkpoint], tmp_path / "some", engine="torch", strangers=True)
    assert (left.answered, left.seen) == (3, 0)
