"""What every data set gives: cases that know their patient and load themselves, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.labels import SUBTYPES
from hemobench.volume import Volume


@dataclass(frozen=True, eq=False)
class Loaded:
    """One study in memory: image (D, H, W), label map (D, H, W) uint8 and slice labels (D, 5) uint8, where known.

    `remarks` are lines about what the reader noticed while decoding; `hemobench data check` prints them.
    """

    image: Volume
    label_map: NDArray[np.uint8] | None
    slice_labels: NDArray[np.uint8] | None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.label_map is not None and self.label_map.shape != shape:
            raise UserError(f"label map of shape {self.label_map.shape}; expected the image's {shape}; resample it")
        expected = (shape[0], len(SUBTYPES))
        if self.slice_labels is not None and self.slice_labels.shape != expected:
            raise UserError(f"slice labels of shape {self.slice_labels.shape}; expected {expected}; correct them")


@dataclass(frozen=True)
class Case:
    """One study of one patient, not decoded before `load()` is called.

    `lineage` names the collection the scan first came from: data sets that repackage the same scans share it, so
    (lineage, patient_id) is one person everywhere. `study_labels` are five 0/1 in the order of SUBTYPES, for
    stratifying. `load` can be pickled. `spacing_known` is False where millimetres are nominal.
    """

    patient_id: str
    study_id: str
    dataset: str
    lineage: str
    study_labels: tuple[int, ...] | None
    load: Callable[[], Loaded]
    spacing_known: bool = True


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without opening it. `phantom` is True for generated patients."""

    name: str
    title: str
    tasks: tuple[str, ...]
    labels: str
    licence: str
    size: str
    citation: str
    where: str
    lineage: str
    phantom: bool


@dataclass(frozen=True)
class Dataset:
    """Opened data: its cases, a fingerprint that changes with the files, and what was odd about this copy."""

    info: DatasetInfo
    cases: tuple[Case, ...]
    fingerprint: str
    warnings: tuple[str, ...]
