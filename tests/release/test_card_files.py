"""What lies beside a card: the curve, and failures among phantoms and never among patients."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_checkpoints import small_config

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.cache import Examples
from hemobench.datasets.opening import dataset_info
from hemobench.inference.overview.style import TYPE_COLOURS, VENTRICLE_COLOUR
from hemobench.labels import LABEL_IDS
from hemobench.release.card_files import card_files
from hemobench.release.curves import draw_training, even_ticks
from hemobench.release.failures import (
    EACH,
    MOST_BYTES,
    classifier_failures,
    draw_failures,
    segmenter_failures,
)
from hemobench.training.result import CaseScores, SlicePredictions
from hemobench.views.view import SegmentationView
from hemobench.volume import Volume, display_affine

SLICES = 5


def head(bleeds: bool, noise: int = 0) -> Loaded:
    """Tissue with, in slices 1 to 3, a square of subdural blood that is largest in slice 2."""
    y, x = np.ogrid[:96, :96]
    disc = ((y - 48) / 44) ** 2 + ((x - 48) / 38) ** 2 < 1
    hu = np.where(disc, 35.0, -1000.0)[None].repeat(SLICES, axis=0).astype(np.float32)
    hu += np.random.default_rng(noise).normal(0, 8, hu.shape).astype(np.float32)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for index, side in ((1, 6), (2, 20), (3, 6)) if bleeds else ():
        labels[index, 30 : 30 + side, 30 : 30 + side] = LABEL_IDS["subdural"]
    return Loaded(Volume(hu, display_affine(hu.shape, (5.0, 2.0, 2.0))), labels, None)


def phantoms(count: int, name: str = "phantom") -> Dataset:
    """Every second one bleeds."""

    def case(number: int) -> Case:
        return Case(f"p{number}", f"p{number}", name, "phantom", None, lambda: head(bool(number % 2), number))

    return Dataset(dataset_info(name), tuple(case(number) for number in range(count)), "f", ())


def predictions(count: int) -> SlicePredictions:
    """The likeliest slice of patient n has probability n / 20, at slice n % 5."""
    probabilities = np.zeros((count, SLICES, 6), dtype=np.float32)
    targets = np.zeros((count, SLICES, 6), dtype=np.uint8)
    for number in range(count):
        probabilities[number, number % SLICES] = number / 20
        targets[number, 1:4, -1] = number % 2
    studies = np.repeat([f"p{number}" for number in range(count)], SLICES)
    return SlicePredictions(
        probabilities.reshape(-1, 6), targets.reshape(-1, 6), studies, studies, np.tile(np.arange(SLICES), count)
    )


def test_a_classifiers_worst_come_first_and_say_what_they_are() -> None:
    found = classifier_failures(predictions(12), phantoms(12), threshold=0.2)
    assert len(found.misses) == len(found.false_alarms) == EACH
    first = found.misses[0]
    assert first.pictures[0][1] == "slice 3", "where most of its blood is"
    assert first.lines == ("subdural, 9.4 mL, 3 slices", "missed: here 0.00, at most 0.05")
    outline = np.all(first.pictures[1][0] == TYPE_COLOURS["subdural"], axis=-1).sum()
    assert outline > 20
    assert found.misses[2].lines[1].startswith("called: ")  # patient 5 with 0.25
    alarm = found.false_alarms[0]
    assert alarm.pictures[0][1] == "slice 1"  # patient 10, whose likeliest slice is 10 % 5
    assert alarm.lines[1] == "false alarm: here 0.50"
    assert found.rule == "a slice is called from 0.20 on"


def volumes(view: SegmentationView) -> tuple[CaseScores, Examples, dict[int, Any]]:
    """Four cases, three with a box of 4 mL: found, half found, missed, and one without where something is outlined."""
    shape = (6, 40, 40)
    truth, answer = np.zeros((2, 4, 1, *shape), dtype=np.uint8)
    label = 1 if view.target == "ventricles" else LABEL_IDS["epidural"]
    truth[:3, 0, 2:4, 10:20, 10:20] = label
    answer[0, 0, 2:4, 10:20, 10:20] = answer[1, 0, 2, 10:20, 10:20] = answer[3, 0, 4, 5:15, 5:15] = 1
    true_ml = np.asarray([4.0, 4.0, 4.0, 0.0])
    values = {
        "volume_ml_true": true_ml,
        "volume_ml_pred": np.asarray([4.0, 2.0, 0.0, 2.0]),
        "sensitivity": np.asarray([1.0, 0.5, 0.0, math.nan]),
    }
    names = np.asarray([f"p{number}" for number in range(4)])
    examples = Examples(
        "segmentation",
        np.full((4, 1, *shape), 90, dtype=np.uint8),
        truth,
        names,
        names,
        np.full(4, -1),
        np.tile([5.0, 2.0, 2.0], (4, 1)),
        "phantom",
        True,
        "f",
        view,
    )
    scores = CaseScores({f"{name}_{view.suffix}": column for name, column in values.items()}, names, names)
    return scores, examples, {row: np.packbits(answer[row, 0].astype(bool)) for row in range(4)}


@pytest.mark.parametrize(
    ("target", "colour"), [("subtypes", TYPE_COLOURS["epidural"]), ("ventricles", VENTRICLE_COLOUR)]
)
def test_a_segmenters_worst_are_by_share_missed_and_by_volume_too_much(target: str, colour: tuple[int, ...]) -> None:
    scores, examples, masks = volumes(SegmentationView(target, (5.0, 2.0, 2.0), (6, 40, 40)))
    asked: list[int] = []

    def answers(_: Examples, rows: Any) -> dict[int, Any]:
        asked.extend(rows.tolist())
        return {row: masks[row] for row in rows.tolist()}

    found = segmenter_failures(scores, examples, answers)
    assert [one.lines[0] for one in found.misses] == ["4.0 mL of 4.0 mL missed", "2.0 mL of 4.0 mL missed"]
    assert [one.lines for one in found.false_alarms] == [("2.0 mL outlined where none is", "truth: none")]
    assert found.misses[1].pictures[0][1] == "slice 4, truth", "the slice that was not found"
    truth = found.misses[0].pictures[0][0]
    assert np.all(truth == colour, axis=-1).sum() > 20
    assert np.mean(truth.max(axis=-1) == truth.min(axis=-1)) > 0.8, "what is no structure stays grey"
    assert sorted(asked) == [1, 2, 3], "no more than is drawn"


def test_the_page_is_small_and_keeps_its_colours() -> None:
    found = classifier_failures(predictions(12), phantoms(12), threshold=0.2)
    content = draw_failures(found, "net", "phantom", "slice-classifier")
    assert len(content) <= MOST_BYTES
    with Image.open(io.BytesIO(content)) as page:
        pixels = np.asarray(page.convert("RGB"))
    assert np.all(pixels == TYPE_COLOURS["subdural"], axis=-1).sum() > 100


HISTORY = tuple(
    {"epoch": epoch, "train_loss": 1 / epoch, "validation_loss": math.nan, "validation_auroc_any": 0.5 + epoch / 50}
    for epoch in range(1, 11)
)


def finished(folder: Path, history: tuple[dict[str, float], ...] = HISTORY) -> Any:
    """As much of a run as the card's files need."""
    (folder / "history.csv").write_text("epoch,train_loss\n1,1.0\n")
    return SimpleNamespace(history=history, config=SimpleNamespace(monitor="auroc_any"), best_epoch=10)


def test_no_patient_is_drawn_and_the_card_says_why(tmp_path: Path) -> None:
    config = small_config("slice-classifier")
    real = Dataset(dataset_info("ct-ich"), phantoms(12).cases, "f", ())
    of_patients, of_phantoms = SimpleNamespace(phantom=False), SimpleNamespace(phantom=True)
    asked: Any = [(predictions(12), of_patients)]
    none = card_files(tmp_path, finished(tmp_path), config, asked, [real], masks=lambda *_: {})
    assert set(none.files) == {"history.csv", "training.png"}
    assert "measured on patients alone" in none.sections[0]
    asked.append((predictions(12), of_phantoms))
    found = card_files(tmp_path, finished(tmp_path), config, asked, [real, phantoms(12)], masks=lambda *_: {})
    assert set(found.files) == {"history.csv", "training.png", "failures.png"}
    assert "](failures.png)" in found.sections[0]
    assert "none of them a patient" in found.sections[0]
    assert "](training.png)" in found.sections[1]
    assert "[history.csv](history.csv)" in found.sections[1]
    assert found.files["history.csv"].startswith(b"epoch,train_loss")
    assert len(found.files["training.png"]) < 60_000


def test_a_curve_needs_a_loss_and_takes_one_epoch() -> None:
    assert draw_training((), "auroc_any", 0) is None
    assert draw_training(HISTORY[:1], "auroc_any", 1) is not None
    page = np.asarray(draw_training(HISTORY, "auroc_any", 10))
    both = np.asarray(draw_training([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}], "loss", 2))
    right = page[:, 500:]
    assert np.all(right == TYPE_COLOURS["subarachnoid"], axis=-1).sum() > 200, "the monitor has a chart of its own"
    assert np.all(both == TYPE_COLOURS["epidural"], axis=-1).sum() > 200
    assert even_ticks(0.0, 1.0, 5) == [0.0, 0.5, 1.0]
