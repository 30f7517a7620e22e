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
    `blood_mask` (D, H, W) bool marks blood of unknown type, for data sets whose masks are binary. `study_labels` are
    five 0/1 of the study as a whole, for data sets that say no more: a picture of the study may show none of them.
    `any_labels` (D,) uint8 say whether each slice bleeds, where only that is known: not the types. `study_any` (0 or 1)
    says so of the study as a whole. `ventricles` (D, H, W) bool marks the ventricles, blood in them included, where the
    label map is of something else.
    """

    image: Volume
    label_map: NDArray[np.uint8] | None
    slice_labels: NDArray[np.uint8] | None
    remarks: tuple[str, ...] = ()
    blood_mask: NDArray[np.bool_] | None = None
    study_labels: tuple[int, ...] | None = None
    any_labels: NDArray[np.uint8] | None = None
    study_any: int | None = None
    ventricles: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.label_map is not None and self.label_map.shape != shape:
            raise UserError(f"label map of shape {self.label_map.shape}; expected the image's {shape}; resample it")
        if self.blood_mask is not None and self.blood_mask.shape != shape:
            raise UserError(f"mask of shape {self.blood_mask.shape}; expected the image's {shape}; resample it")
        if self.ventricles is not None and self.ventricles.shape != shape:
            raise UserError(f"ventricles of shape {self.ventricles.shape}; expected the image's {shape}; resample them")
        expected = (shape[0], len(SUBTYPES))
        if self.slice_labels is not None and self.slice_labels.shape != expected:
            raise UserError(f"slice labels of shape {self.slice_labels.shape}; expected {expected}; correct them")
        if self.any_labels is not None and self.any_labels.shape != shape[:1]:
            raise UserError(f"any labels of shape {self.any_labels.shape}; expected {shape[:1]}; correct them")

    @property
    def foreground(self) -> NDArray[np.bool_] | None:
        """Voxels (D, H, W) that a mask marks: the label map's above 0, or blood of unknown type; None without masks."""
        return self.blood_mask if self.label_map is None else np.asarray(self.label_map > 0)

    @property
    def ventricle_mask(self) -> NDArray[np.bool_] | None:
        """Voxels (D, H, W) of the ventricles; None where nobody marked them. A label map of MRI is of nothing else."""
        if self.ventricles is None and self.image.modality == "MR":
            return self.foreground
        return self.ventricles


@dataclass(frozen=True)
class Case:
    """One study of one patient, not decoded before `load()` is called.

    `lineage` names the collection the scan first came from: data sets that repackage the same scans share it, so
    (lineage, patient_id) is one person everywhere. `study_labels` are five 0/1 in the order of SUBTYPES, for
    stratifying. `load` can be pickled. `spacing_known` is False where millimetres are nominal. `group` names what
    patients have in common that a network could know again (the anatomy of phantoms): a split keeps each group on one
    side; "" is none. `signature` is a short digest of what the data set's own tables say of the patient: where two
    people have one number in two copies of a layout, theirs differ; "" where there is none.
    """

    patient_id: str
    study_id: str
    dataset: str
    lineage: str
    study_labels: tuple[int, ...] | None
    load: Callable[[], Loaded]
    spacing_known: bool = True
    group: str = ""
    signature: str = ""


YOUR_OWN = "your own"
"""The licence of data sets that are any folder of the right form."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without opening it. `phantom` is True for generated patients.

    `masks` are what its label maps or blood masks can mark, in the words of `SegmentationView.target`: haemorrhage (of
    any type), subtypes, ventricles; a copy, or a case, may come without. `labels` says in prose what there is.
    """

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
    masks: tuple[str, ...] = ()

    @property
    def yours(self) -> bool:
        """Whether it is whatever somebody put into a folder, whose names may be patients'."""
        return self.licence == YOUR_OWN


@dataclass(frozen=True)
class Dataset:
    """Opened data: its cases, a fingerprint that changes with the files, and what was odd about this copy.

    `leaky` is True where patients are unknown, so that pictures of one person fall on both sides of any split.
    `notes` tell what the reader did by the data set's own rules (duplicates, flagged pictures); nothing is wrong there.
    `official_split` are the patients of train, validation and test where the authors fixed them; see
    `splits.official_split`.
    """

    info: DatasetInfo
    cases: tuple[Case, ...]
    fingerprint: str
    warnings: tuple[str, ...]
    leaky: bool = False
    notes: tuple[str, ...] = ()
    official_split: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None = None
