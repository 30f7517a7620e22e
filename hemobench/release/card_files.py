"""What lies beside a card: the loss curve as numbers and as a picture, and where the network fails."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples
from hemobench.inference.checkpoint import FAILURES_PICTURE, HISTORY_TABLE, TRAINING_PICTURE
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.networks import threshold_of
from hemobench.release.curves import draw_training
from hemobench.release.failures import Masks, classifier_failures, draw_failures, segmenter_failures
from hemobench.training.loop import HISTORY
from hemobench.training.result import Predictions, RunResult, SlicePredictions

_NO_PHANTOMS = (
    "No pictures: it was measured on patients alone, and no picture of a patient travels with a checkpoint. "
    "`python -m hemobench.sheet NAME:PATH --output sheet.png` draws them where the data is."
)


@dataclass(frozen=True)
class CardFiles:
    """Files by name, and the sections of the card that show them."""

    files: Mapping[str, bytes]
    sections: tuple[str, ...]


def card_files(
    run: Path,
    result: RunResult,
    config: CheckpointConfig,
    asked: Sequence[tuple[Predictions, Examples]],
    datasets: Sequence[Dataset],
    masks: Masks,
) -> CardFiles:
    """History and curve of a run, and the failures among the first phantoms that its network was asked about.

    asked: predictions with the examples they are about, from `datasets` in the same order. masks: a segmenter's answers
    to rows of examples.
    """
    files: dict[str, bytes] = {}
    sections = ["## Failures\n\n" + _failures(files, config, asked, datasets, masks)]
    if (run / HISTORY).is_file():
        files[HISTORY_TABLE] = (run / HISTORY).read_bytes()
    page = draw_training(result.history, str(result.config.monitor), result.best_epoch)
    if page is not None:
        buffer = io.BytesIO()
        page.quantize(64).save(buffer, format="PNG", optimize=True)
        files[TRAINING_PICTURE] = buffer.getvalue()
        numbers = f" The numbers are in [{HISTORY_TABLE}]({HISTORY_TABLE})." if HISTORY_TABLE in files else ""
        sections.append(
            f"## Loss curve\n\n![Loss and {result.config.monitor} over {len(result.history)} epochs]"
            f"({TRAINING_PICTURE})\n\nOf the network that ships, epoch {result.best_epoch} of "
            f"{len(result.history)} was kept.{numbers}"
        )
    return CardFiles(files, tuple(sections))


def _failures(
    files: dict[str, bytes],
    config: CheckpointConfig,
    asked: Sequence[tuple[Predictions, Examples]],
    datasets: Sequence[Dataset],
    masks: Masks,
) -> str:
    """Words on the failures; their picture goes into `files`."""
    for (predictions, examples), dataset in zip(asked, datasets, strict=True):
        if not (examples.phantom and dataset.info.phantom):
            continue
        if isinstance(predictions, SlicePredictions):
            threshold = threshold_of(config, "slice", "any")
            found = classifier_failures(predictions, dataset, threshold)
            how = (
                "Left the slice, right the truth, or the bone window where there is no blood. Misses are bleeding "
                "patients whose likeliest slice is the least likely, at the slice with most of their blood"
            )
        else:
            found = segmenter_failures(predictions, examples, masks)
            how = (
                "Left the truth, right the answer, on the network's grid, at the slice with most that is wrong. "
                "Misses are the cases of which the least share was found"
            )
        files[FAILURES_PICTURE] = draw_failures(found, config.name, dataset.info.name, config.role)
        return (
            f"![The worst misses and the worst false alarms]({FAILURES_PICTURE})\n\nThe worst among the phantoms "
            f"that were measured ({dataset.info.name}), none of them a patient. {how}; false alarms are the "
            "patients in whom it saw most where there is none."
        )
    return _NO_PHANTOMS
