"""Answers from a folder of predictions, case by case, in the form in which a checkpoint's come."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, Loaded
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import Answer, SliceAnswer, StudyAnswer, slice_truth
from hemobench.evaluation.overlap import overlap_metrics
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES
from hemobench.machine import usable_cores
from hemobench.predictions.folder import EMPTY, Predictions
from hemobench.predictions.ids import UnknownIdError
from hemobench.predictions.masks import read_mask
from hemobench.predictions.slice_names import names_in_order

_ANY = CLASSES.index("any")
# The surest probability that has a logit; what is 0 or 1 in a table is as sure.
_SURE = 1e-12
# What is outlined is ranked by its amount: half of the way from called to certain at one millilitre.
_HALF_WAY_ML = 1.0
# Where millimetres are nominal, a voxel counts for so much.
_NOMINAL_ML = 1e-3
# From so many cases on, processes are worth their start; each holds the libraries and a case, so they are not too many.
_PARALLEL_FROM = 24
_MOST_PROCESSES = 6


def answer_all(
    sources: Sequence[Predictions], dataset: Dataset, waiting: Sequence[int], jobs: int | None = None
) -> Iterator[tuple[int, list[Answer]]]:
    """(place of a case, one answer a source) of the cases `waiting`, each read once, on all cores where many."""
    jobs = min(usable_cores(), _MOST_PROCESSES) if jobs is None else jobs
    parts = ([source.part(number) for source in sources] for number in waiting)
    cases = [dataset.cases[number] for number in waiting]
    if jobs <= 1 or len(waiting) < _PARALLEL_FROM:
        for number, case, own in zip(waiting, cases, parts, strict=True):
            yield number, _answers(number, case, own)
        return
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])  # imported once, not by each process
    with ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=context) as pool:
        try:
            found = pool.map(_answers, waiting, cases, parts)
            yield from zip(waiting, found, strict=True)
        except BrokenProcessPool as error:
            raise UserError(
                f"a process that was measuring cases died ({jobs} ran at once), probably of too little "
                "memory; expected all to finish; run the command again, it goes on"
            ) from error
        except BaseException:
            # An interrupt should not wait for the cases that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def lacking(source: Predictions, dataset: Dataset) -> dict[str, list[str]]:
    """By kind of answer, the studies that have none of it."""
    held: Mapping[str, Mapping[int, object]] = {
        "masks": source.masks,
        "slices": source.slices,
        "studies": source.studies,
    }
    return {
        kind: [case.study_id for number, case in enumerate(dataset.cases) if number not in held[kind]]
        for kind in sorted(source.kinds)
    }


def classes_of(source: Predictions) -> dict[str, tuple[str, ...]]:
    """By level ("slice", "study"), the classes that a source knows of; `any` follows from the types."""
    outlined = (*source.types, "any") if source.masks else ()
    known = {
        # Of pictures, a row a study is one of its only slice.
        "slice": source.slice_classes or source.study_classes or outlined,
        "study": source.study_classes or source.slice_classes or outlined,
    }
    return {
        level: tuple(name for name in CLASSES if name in names or (name == "any" and names))
        for level, names in known.items()
    }


def _answers(number: int, case: Case, sources: Sequence[Predictions]) -> list[Answer]:
    try:
        loaded = case.load()
        order = names_in_order(case) if any(_has_names(source, number) for source in sources) else None
    except UserError as error:
        return [Answer(number, error=str(error))] * len(sources)
    return [_answer(number, case, loaded, source, order) for source in sources]


def _has_names(source: Predictions, number: int) -> bool:
    return any(not name.isdecimal() for name in source.slices.get(number, ()))


def _answer(number: int, case: Case, loaded: Loaded, source: Predictions, order: Sequence[str] | None) -> Answer:
    """One source's answer to a case; an error where it has none, or none that can be compared with anything."""
    fill = source.kinds if source.missing == EMPTY else frozenset[str]()
    try:
        labels = _labels(number, loaded, source, "masks" in fill)
        # Of a case with both, masks are taken for blood.
        blood = loaded.image.modality != "MR" and loaded.foreground is not None
        suffix = "any" if blood or loaded.ventricle_mask is None else "ventricles"
        truth = slice_truth(loaded) if suffix == "any" else None
        slices = study = metrics = None
        if labels is not None:
            metrics = _overlap(case, loaded, labels, source, suffix)
        if truth is not None:
            targets, typed, by_slice = truth
            given = _slices(number, loaded, source, "slices" in fill, order)
            whole = _study(number, source, "studies" in fill)
            if labels is not None and source.outlines_alone:
                given, whole = _outlined(labels, loaded, case.spacing_known)
            elif given is None and whole is not None and len(targets) == 1:
                given, whole = whole[None], None  # a picture: what is said of it is said of its only slice
            if given is not None:
                slices = SliceAnswer(_logits(given), tuple(map(tuple, targets.tolist())), typed, by_slice)
            if whole is not None:
                study = StudyAnswer(_logits(whole[None])[0], tuple(targets.max(axis=0).tolist()), typed)
    except UnknownIdError:
        raise  # the other masks have it too: a map mends all of them
    except UserError as error:
        return Answer(number, error=str(error))
    if slices is None and study is None and metrics is None:
        held = number in source.masks or number in source.slices or number in source.studies
        why = "has neither a mask nor labels for these answers" if held or fill else "has no answer"
        return Answer(number, error=f"{case.study_id} {why}")
    return Answer(number, slices, metrics, study=study)


def _labels(number: int, loaded: Loaded, source: Predictions, empty: bool) -> NDArray[np.uint8] | None:
    if number in source.masks:
        file = source.masks[number]
        return read_mask(file.path, file.ids, loaded.image)
    return np.zeros(loaded.image.shape, dtype=np.uint8) if empty else None


def _overlap(
    case: Case, loaded: Loaded, labels: NDArray[np.uint8], source: Predictions, suffix: str
) -> dict[str, float] | None:
    """Metrics of a mask, without those of types that these masks do not tell."""
    metrics = overlap_metrics(loaded, labels, suffix, spacing_known=case.spacing_known)
    if metrics is None:
        return None
    untold = {f"dice_{name}" for name in SUBTYPES if name not in source.types}
    return {name: value for name, value in metrics.items() if name not in untold}


def _slices(
    number: int, loaded: Loaded, source: Predictions, empty: bool, order: Sequence[str] | None
) -> NDArray[np.float64] | None:
    """Probabilities (D, 6) of a case's slices, from the lowest up; `empty`: a case without any has zeros.

    Raises UserError where some have none and others do: that is no missing answer but a table cut short.
    """
    depth = loaded.image.shape[0]
    rows = source.slices.get(number)
    if rows is None:
        return np.zeros((depth, len(CLASSES))) if empty else None
    names = list(order) if order is not None else [str(index) for index in range(depth)]
    if order is None and sorted(rows, key=int) == [str(index) for index in range(1, depth + 1)]:
        names = [str(index) for index in range(1, depth + 1)]
    lost = [name for name in names if name not in rows]
    if lost:
        raise UserError(
            f"{len(lost)} of {depth} slices have no answer (first: {lost[0]}); expected each, 0 the "
            "lowest; complete the table"
        )
    beyond = [name for name in rows if name not in names]
    if beyond and order is None:
        raise UserError(
            f"answers for slice {beyond[0]} of {depth} slices; expected 0, the lowest, to {depth - 1}; "
            "correct the table"
        )
    return np.stack([_in_classes(rows[name], source.slice_classes) for name in names])


def _study(number: int, source: Predictions, empty: bool) -> NDArray[np.float64] | None:
    if number in source.studies:
        return _in_classes(source.studies[number], source.study_classes)
    return np.zeros(len(CLASSES)) if empty else None


def _in_classes(values: Sequence[float], classes: Sequence[str]) -> NDArray[np.float64]:
    """Values by class (K,) in the order of CLASSES (6,); `any` is the likeliest type where it is not given."""
    found = np.zeros(len(CLASSES))
    for name, value in zip(classes, values, strict=True):
        found[CLASSES.index(name)] = value
    if "any" not in classes:
        found[_ANY] = found[:_ANY].max()
    return found


def _outlined(
    labels: NDArray[np.uint8], loaded: Loaded, spacing_known: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a mask says of its slices (D, 6) and of the study (6,): 0 where nothing is outlined, else from a half on the
    higher the more it is, so that what is outlined is called, and more of it ranks before less."""
    counts = np.stack(
        [(labels == label).sum(axis=(1, 2)) for label in LABEL_IDS.values()] + [(labels > 0).sum(axis=(1, 2))], axis=1
    )
    amounts = counts * (loaded.image.voxel_volume_ml if spacing_known else _NOMINAL_ML)

    def score(millilitres: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(millilitres > 0, 0.5 + 0.5 * millilitres / (millilitres + _HALF_WAY_ML), 0.0)

    return score(amounts), score(amounts.sum(axis=0))


def _logits(probabilities: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    sure = np.clip(probabilities, _SURE, 1 - _SURE)
    return tuple(map(tuple, np.round(np.log(sure / (1 - sure)), 6).tolist()))
