"""What is in a copy of a data set and what is wrong with it: every case is decoded once."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.case import Case, Dataset
from hemobench.errors import UserError
from hemobench.labels import CLASSES, SUBTYPES, with_any


@dataclass(frozen=True)
class Report:
    """Counts over the cases that could be read, and lines about what is wrong.

    `slices_with` and `patients_with` count by CLASSES; both are None where the data set has no labels of that kind.
    `warnings` are about the files' list, `remarks` came up while decoding, `unreadable` names cases that failed.
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


@dataclass(frozen=True)
class _Finding:
    """What decoding one case gave; slice counts (6,) by CLASSES."""

    slices: int
    has_label_map: bool
    slice_counts: NDArray[np.int64] | None
    remarks: tuple[str, ...]
    error: str | None


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> Report:
    """Decode every case of `dataset` and count. `progress` is called with (cases done, cases in all)."""
    findings = []
    # Threads: decoders let go of the interpreter, and the voxels need not travel between processes.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            for finding in pool.map(_examine, dataset.cases):
                findings.append(finding)
                if progress is not None:
                    progress(len(findings), len(dataset.cases))
        except BaseException:
            # An interrupt should not wait for the cases that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counts = [finding.slice_counts for finding in findings if finding.slice_counts is not None]
    return Report(
        cases=len(dataset.cases),
        patients=len({case.patient_id for case in dataset.cases}),
        slices=sum(finding.slices for finding in findings),
        label_maps=sum(finding.has_label_map for finding in findings),
        slices_with=_named(np.sum(counts, axis=0)) if counts else None,
        patients_with=_patients_with(dataset.cases),
        warnings=dataset.warnings,
        remarks=tuple(remark for finding in findings for remark in finding.remarks),
        unreadable=tuple(finding.error for finding in findings if finding.error is not None),
    )


def _examine(case: Case) -> _Finding:
    try:
        loaded = case.load()
    except UserError as error:
        return _Finding(0, False, None, (), f"case {case.study_id}: {error}")
    counts = None if loaded.slice_labels is None else with_any(loaded.slice_labels).sum(axis=0, dtype=np.int64)
    if loaded.any_labels is not None:
        counts = np.zeros(len(CLASSES), dtype=np.int64) if counts is None else counts
        counts[-1] = max(int(counts[-1]), int(loaded.any_labels.sum()))
    return _Finding(loaded.image.shape[0], loaded.foreground is not None, counts, loaded.remarks, None)


def _patients_with(cases: tuple[Case, ...]) -> dict[str, int] | None:
    by_patient: dict[str, NDArray[np.int64]] = {}
    for case in cases:
        if case.study_labels is not None:
            empty = np.zeros(len(SUBTYPES), dtype=np.int64)
            by_patient[case.patient_id] = np.maximum(by_patient.get(case.patient_id, empty), case.study_labels)
    return _named(with_any(np.stack(list(by_patient.values()))).sum(axis=0)) if by_patient else None


def _named(counts: NDArray[np.integer]) -> dict[str, int]:
    return dict(zip(CLASSES, (int(count) for count in counts), strict=True))
