"""What a checkpoint says of each case of a data set, beside what is known of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Loaded
from hemobench.errors import UserError
from hemobench.evaluation.overlap import overlap_metrics
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.config import VENTRICLE_ROLES
from hemobench.inference.context import in_context
from hemobench.inference.engine import Engine
from hemobench.inference.lesions import lesions_of
from hemobench.inference.networks import find_blood, find_ventricles
from hemobench.io.nifti import write_nifti
from hemobench.labels import CLASSES, SUBTYPES, slice_labels_from_label_map, with_any
from hemobench.machine import usable_cores
from hemobench.views.head_box import assumed_scale
from hemobench.views.slices import slice_images
from hemobench.views.sliding import predict_slices
from hemobench.views.view import ClassificationView
from hemobench.volume import LABEL_MAP, Volume

Read = TypeVar("Read")
_BATCH = 32  # slices a call of the network; of several cases where they are pictures
_AHEAD = 2  # cases read in advance for each thread: volumes are tens of megabytes


@dataclass(frozen=True)
class SliceAnswer:
    """Logits and targets of a case's slices, (D, 6) in the order of labels.CLASSES.

    typed: whether the targets know types, not only whether there is blood. by_slice: whether they are of each slice,
    not of the study as a whole.
    """

    logits: tuple[tuple[float, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    typed: bool
    by_slice: bool


@dataclass(frozen=True)
class StudyAnswer:
    """Logits and targets (6,) of a case as a whole, where they do not follow from its slices'.

    typed: see SliceAnswer.
    """

    logits: tuple[float, ...]
    targets: tuple[int, ...]
    typed: bool


@dataclass(frozen=True)
class Answer:
    """One case: its place in `Dataset.cases`, and its slices, its segmentation metrics, what was said of it as a whole,
    or why there are none."""

    number: int
    slices: SliceAnswer | None = None
    metrics: dict[str, float] | None = None
    error: str | None = None
    study: StudyAnswer | None = None


def answer_cases(
    checkpoint: Checkpoint, engine: Engine, cases: Sequence[tuple[int, Case]], *, masks: Path | None = None
) -> Iterator[Answer]:
    """Answers in the order of `cases` (with their numbers), as they are found. masks: folder for label maps.

    A case that cannot be read, or has nothing to compare with, is an answer with an error.
    """
    if checkpoint.config.task == "classification":
        return _classified(checkpoint, engine, cases)
    return _outlined(checkpoint, engine, cases, masks)


def mask_path(folder: Path, case: Case) -> Path:
    """The file in a folder of masks that is a case's."""
    return folder / f"{case.study_id.replace('/', '_')}.nii.gz"


def slice_truth(loaded: Loaded) -> tuple[NDArray[np.uint8], bool, bool] | None:
    """Targets (D, 6), typed, by_slice (see SliceAnswer); None where a case has no labels for blood."""
    depth = loaded.image.shape[0]
    types, by_slice = np.zeros((depth, len(SUBTYPES)), dtype=np.uint8), True
    typed = True
    if loaded.slice_labels is not None:
        types = loaded.slice_labels
    elif loaded.label_map is not None:
        types = slice_labels_from_label_map(loaded.label_map)
    elif loaded.study_labels is not None:
        types, by_slice = np.tile(np.asarray(loaded.study_labels, dtype=np.uint8), (depth, 1)), False
    else:
        typed = False
    targets = np.asarray(with_any(types), dtype=np.uint8)
    if loaded.any_labels is not None:
        targets[:, -1] = np.maximum(targets[:, -1], loaded.any_labels)
    elif not typed and loaded.blood_mask is not None:
        targets[:, -1] = loaded.blood_mask.any(axis=(1, 2))
    elif not typed and loaded.study_any is not None:
        targets[:, -1], by_slice = loaded.study_any, False
    elif not typed:
        return None
    return targets, typed, by_slice


def _classified(checkpoint: Checkpoint, engine: Engine, cases: Sequence[tuple[int, Case]]) -> Iterator[Answer]:
    view = checkpoint.config.view
    assert isinstance(view, ClassificationView)

    def read(case: Case) -> tuple[NDArray[np.uint8], tuple[NDArray[np.uint8], bool, bool], float]:
        loaded = case.load()
        truth = slice_truth(loaded)
        if truth is None:
            raise UserError(f"{case.study_id} has no labels for blood; expected some; choose another data set")
        return slice_images(loaded.image, view, f"case {case.study_id}"), truth, loaded.image.spacing_mm[0]

    waiting: list[tuple[int, Any]] = []
    for number, result in read_ahead(cases, read):
        waiting.append((number, result))
        if sum(len(one[0]) for _, one in waiting if not isinstance(one, UserError)) >= _BATCH:
            yield from _slice_answers(engine, waiting, checkpoint.config.context_mm)
            waiting = []
    yield from _slice_answers(engine, waiting, checkpoint.config.context_mm)


def _slice_answers(engine: Engine, waiting: Sequence[tuple[int, Any]], context_mm: float) -> Iterator[Answer]:
    images = [result[0] for _, result in waiting if not isinstance(result, UserError)]
    whole = np.concatenate(images).astype(np.float32) / np.float32(255) if images else None
    logits = np.zeros((0, len(CLASSES))) if whole is None else predict_slices(engine, whole, batch=_BATCH)
    start = 0
    for number, result in waiting:
        if isinstance(result, UserError):
            yield Answer(number, error=str(result))
            continue
        own = logits[start : start + len(result[0])]
        start += len(own)
        yield Answer(number, slices=_slice_answer(in_context(own, result[2], context_mm), *result[1]))


def _slice_answer(logits: NDArray[np.floating], targets: NDArray[np.uint8], typed: bool, by_slice: bool) -> SliceAnswer:
    rounded = np.round(logits.astype(np.float64), 6)
    return SliceAnswer(tuple(map(tuple, rounded.tolist())), tuple(map(tuple, targets.tolist())), typed, by_slice)


def _outlined(
    checkpoint: Checkpoint, engine: Engine, cases: Sequence[tuple[int, Case]], masks: Path | None
) -> Iterator[Answer]:
    ventricles = checkpoint.config.role in VENTRICLE_ROLES
    case_of = dict(cases)
    for number, loaded in read_ahead(cases, lambda case: case.load()):
        case = case_of[number]
        if isinstance(loaded, UserError):
            yield Answer(number, error=str(loaded))
            continue
        try:
            found, slices = _outline(checkpoint, engine, loaded, case, ventricles)
        except UserError as error:
            yield Answer(number, error=str(error))
            continue
        if masks is not None:
            write_nifti(loaded.image.with_voxels(found, LABEL_MAP), mask_path(masks, case))
        suffix = "ventricles" if ventricles else "any"
        metrics = overlap_metrics(loaded, found, suffix, spacing_known=case.spacing_known)
        if metrics is None and slices is None:
            yield Answer(number, error=f"{case.study_id} has neither a mask nor labels for this network")
        else:
            yield Answer(number, slices=slices, metrics=metrics)


def _outline(
    checkpoint: Checkpoint, engine: Engine, loaded: Loaded, case: Case, ventricles: bool
) -> tuple[NDArray[np.uint8], SliceAnswer | None]:
    """Label map (D, H, W) as `predict` gives it, and what a haemorrhage network's voxels say of the slices."""
    volume = loaded.image if case.spacing_known else assumed_scale(loaded.image)
    if ventricles:
        return find_ventricles(volume, checkpoint.config, engine, _no_clock).labels, None
    found = find_blood(volume, checkpoint.config, engine, _no_clock)
    search = lesions_of(_label_map(volume, found.labels), found.probability, spacing_known=case.spacing_known)
    truth = slice_truth(loaded)
    slices = None
    if truth is not None and found.summary is not None:
        slices = _slice_answer(found.summary.logits, *truth)
    return np.asarray(search.label_map.voxels, dtype=np.uint8), slices


def _label_map(volume: Volume, labels: NDArray[np.uint8]) -> Volume:
    return volume.with_voxels(labels, LABEL_MAP)


def _no_clock(name: str) -> nullcontext[None]:
    return nullcontext()


def read_ahead(
    cases: Sequence[tuple[int, Case]], read: Callable[[Case], Read]
) -> Iterator[tuple[int, Read | UserError]]:
    """(number, what `read` gives or the UserError it raises) in order, read by threads while others compute."""
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[tuple[int, Future[Read]]] = deque()
        try:
            for number, case in cases:
                pending.append((number, pool.submit(read, case)))
                if len(pending) > _AHEAD * threads:
                    number, future = pending.popleft()
                    yield number, _result(future)
            while pending:
                number, future = pending.popleft()
                yield number, _result(future)
        except BaseException:
            # An interrupt should not wait for the cases that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except UserError as error:
        return error
