"""What is in a copy of a data set and what is wrong with it: every case is decoded once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, DatasetInfo
from hemobench.datasets.alike import Prints, Twins, find_twins, prints_of
from hemobench.datasets.contradictions import UNKNOWN_LABEL, contradictions, known_labels
from hemobench.datasets.nifti_pairs import printable
from hemobench.datasets.odd_masks import oddity_of
from hemobench.errors import UserError
from hemobench.labels import CLASSES, SUBTYPES, with_any

_NAMED = 3


@dataclass(frozen=True)
class Report:
    """Counts over the cases that could be read, and lines about what is wrong.

    `slices_with` and `patients_with` count by CLASSES; both are None where the data set has no labels of that kind.
    `warnings` are about the files' list, `remarks` came up while decoding, `unreadable` names cases that failed.
    `twins` say how many pictures stand under several patients, `contradictions` how many labels exclude each other,
    `odd_masks` how many masks cannot be of blood: a line a kind, with some of the names.
    """

    cases: int
    patients: int
    slices: int
    label_maps: int
    slices_with: dict[str, int] | None
    patients_with: dict[str, int] | None
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    unreadable: tuple[str, ...]
    twins: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    odd_masks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Finding:
    """What decoding one case gave; slice counts (6,) by CLASSES, labels (D, 6) as far as they are known."""

    slices: int
    has_label_map: bool
    slice_counts: NDArray[np.int64] | None
    remarks: tuple[str, ...]
    error: str | None
    prints: Prints | None = None
    labels: NDArray[np.int8] | None = None
    contradictions: tuple[tuple[str, int | None], ...] = ()
    odd_mask: str | None = None
    study_any: int | None = None


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> Report:
    """Decode every case of `dataset` and count. `progress` is called with (cases done, cases in all)."""
    findings = []
    # Threads: decoders let go of the interpreter, and the voxels need not travel between processes.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            for finding in pool.map(partial(_examine, info=dataset.info), dataset.cases):
                findings.append(finding)
                if progress is not None:
                    progress(len(findings), len(dataset.cases))
        except BaseException:
            # An interrupt should not wait for the cases that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counts = [finding.slice_counts for finding in findings if finding.slice_counts is not None]
    twins, contrary = _twin_lines(dataset, findings)
    return Report(
        cases=len(dataset.cases),
        patients=len({case.patient_id for case in dataset.cases}),
        slices=sum(finding.slices for finding in findings),
        label_maps=sum(finding.has_label_map for finding in findings),
        slices_with=_named(np.sum(counts, axis=0)) if counts else None,
        patients_with=_patients_with(dataset.cases, findings),
        warnings=dataset.warnings,
        remarks=tuple(remark for finding in findings for remark in finding.remarks),
        unreadable=tuple(finding.error for finding in findings if finding.error is not None),
        twins=tuple(twins),
        contradictions=(*_contradiction_lines(dataset.cases, findings), *contrary),
        odd_masks=tuple(_mask_lines(dataset.cases, findings)),
    )


def _examine(case: Case, info: DatasetInfo) -> _Finding:
    try:
        loaded = case.load()
    except UserError as error:
        return _Finding(0, False, None, (), f"case {case.study_id}: {error}")
    counts = None if loaded.slice_labels is None else with_any(loaded.slice_labels).sum(axis=0, dtype=np.int64)
    if loaded.any_labels is not None:
        counts = np.zeros(len(CLASSES), dtype=np.int64) if counts is None else counts
        counts[-1] = max(int(counts[-1]), int(loaded.any_labels.sum()))
    return _Finding(
        loaded.image.shape[0],
        loaded.foreground is not None,
        counts,
        loaded.remarks,
        None,
        prints_of(loaded.image),
        known_labels(loaded),
        tuple(contradictions(case, loaded, info)),
        oddity_of(loaded, info),
        loaded.study_any,
    )


def _twin_lines(dataset: Dataset, findings: Sequence[_Finding]) -> tuple[list[str], list[str]]:
    """Lines about pictures that stand under several patients, and about such with other labels each time."""
    read = [number for number, finding in enumerate(findings) if finding.prints is not None]
    cases = [dataset.cases[number] for number in read]
    found = [findings[number] for number in read]
    twins = find_twins(cases, [one.prints for one in found if one.prints is not None], patients_known=not dataset.leaky)
    where = "under two names" if dataset.leaky else "under two patients"
    kinds = (
        (f"have the same voxels {where}", [one for one in twins if one.identical and one.apart]),
        (f"look the same {where} (saved again, or at another size)", [one for one in twins if not one.identical]),
    )
    contrary = [one for one in twins if _differ(cases, found, one)]
    lines = [line for words, some in kinds for line in _pairs(words, some, cases, found)]
    return lines, _pairs("are there twice, with different labels", contrary, cases, found)


def _differ(cases: Sequence[Case], found: Sequence[_Finding], twins: Twins) -> bool:
    """Whether what is known of both pictures differs; of studies without labels of slices, what the studies say."""
    (one, first), (other, second) = twins.one, twins.other
    left, right = found[one].labels, found[other].labels
    assert left is not None
    assert right is not None
    known = (left[first] != UNKNOWN_LABEL) & (right[second] != UNKNOWN_LABEL)
    if known.any():
        return bool((left[first] != right[second])[known].any())
    studies = cases[one].study_labels, cases[other].study_labels
    return None not in studies and studies[0] != studies[1]


def _pairs(words: str, twins: Sequence[Twins], cases: Sequence[Case], found: Sequence[_Finding]) -> list[str]:
    """One line with the number of pictures and some pairs of cases, or none."""
    if not twins:
        return []
    by_cases = Counter((one.one[0], one.other[0]) for one in twins)
    single = {(one.one[0], one.other[0]): one for one in twins}
    shown = []
    for pair, count in by_cases.most_common(_NAMED):
        slices = (single[pair].one[1], single[pair].other[1]) if count == 1 else (None, None)
        names = [_name(cases[number], index, found[number]) for number, index in zip(pair, slices, strict=True)]
        shown.append(f"{' and '.join(names)}{f' ({count} slices)' if count > 1 else ''}")
    more = len(by_cases) - len(shown)
    return [f"{len(twins)} {words}: {'; '.join(shown)}{f'; and {more} more pairs' if more else ''}"]


def _contradiction_lines(cases: Sequence[Case], findings: Sequence[_Finding]) -> list[str]:
    """One line a kind."""
    by_kind: dict[tuple[str, bool], list[str]] = {}
    for case, finding in zip(cases, findings, strict=True):
        for kind, index in finding.contradictions:
            by_kind.setdefault((kind, index is None), []).append(_name(case, index, finding))
    lines = []
    for (kind, of_study), names in by_kind.items():
        more = len(names) - _NAMED
        unit = ("study", "studies") if of_study else ("slice", "slices")
        lines.append(
            f"{len(names)} {unit[len(names) != 1]} {kind}: {', '.join(names[:_NAMED])}"
            f"{f' and {more} more' if more > 0 else ''}"
        )
    return lines


def _mask_lines(cases: Sequence[Case], findings: Sequence[_Finding]) -> list[str]:
    """One line a kind."""
    by_kind: dict[str, list[str]] = {}
    for case, finding in zip(cases, findings, strict=True):
        if finding.odd_mask is not None:
            by_kind.setdefault(finding.odd_mask, []).append(printable(case.study_id))
    lines = []
    for kind, names in by_kind.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(f"{len(names)} {'mask' if len(names) == 1 else 'masks'} {kind}: {', '.join(names[:_NAMED])}{more}")
    return lines


def _name(case: Case, index: int | None, finding: _Finding) -> str:
    """A case, with the slice where it has several."""
    return printable(case.study_id) + (f" slice {index}" if index is not None and finding.slices > 1 else "")


def _patients_with(cases: Sequence[Case], findings: Sequence[_Finding]) -> dict[str, int] | None:
    by_patient: dict[str, NDArray[np.int64]] = {}
    for case, finding in zip(cases, findings, strict=True):
        labels = [case.study_labels, None if finding.study_any is None else (*(0,) * len(SUBTYPES), finding.study_any)]
        for known in labels:
            if known is not None:
                counted = np.asarray(known) if len(known) == len(CLASSES) else with_any(np.asarray(known))
                by_patient[case.patient_id] = np.maximum(by_patient.get(case.patient_id, 0), counted)
    return _named(np.sum(list(by_patient.values()), axis=0)) if by_patient else None


def _named(counts: NDArray[np.integer]) -> dict[str, int]:
    return dict(zip(CLASSES, (int(count) for count in counts), strict=True))
