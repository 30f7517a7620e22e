"""DICOM slices of a phantom, one file each, with the headers that public data sets carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from hemobench.datasets.slice_stack import HU_RANGE
from hemobench.io.atomic import replacing
from hemobench.io.dicom_headers import quiet
from hemobench.volume import Volume

_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Names:
    """Ids of one slice, as texts (RSNA's are no valid UIDs)."""

    patient: str
    study: str
    series: str
    image: str


@dataclass(frozen=True)
class Coding:
    """How HU are stored. bits: of BitsStored. `wrapped` loses the sign: stored unsigned, without intercept.

    `padding` is the stored value outside the field of view, with its tag when `declared`.
    """

    bits: int = 16
    signed: bool = True
    intercept: int = -1024
    wrapped: bool = False
    padding: int | None = None
    declared: bool = True


def write_slice(path: Path, volume: Volume, index: int, names: Names, coding: Coding, description: str = "") -> None:
    """Write slice `index` of an S-P-L volume: uncompressed, patient position by the affine, tilt and all."""
    hu = np.rint(np.clip(volume.voxels[index], *HU_RANGE)).astype(np.int32)
    # Quiet: pydicom remarks on every id that is no UID.
    with quiet(), replacing(path) as temporary:
        dataset = FileDataset(str(path), Dataset(), file_meta=_file_meta(names), preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, UID(names.image)
        dataset.Modality = "CT"
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
            names.patient,
            names.study,
            names.series,
        )
        dataset.SeriesDescription = description
        dataset.InstanceNumber = str(index + 1)
        # Slices touch, which is how thickness and the distance of centres come to be one number.
        dataset.SliceThickness = f"{volume.spacing_mm[0]:.6g}"
        _place(dataset, volume, index)
        _store(dataset, _stored(hu, coding), coding)
        dataset.save_as(temporary, enforce_file_format=True)


def _file_meta(names: Names) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(names.image)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _place(dataset: Dataset, volume: Volume, index: int) -> None:
    _, down_mm, across_mm = volume.spacing_mm
    position = volume.to_world([index, 0, 0]) * _TO_LPS
    across, down = (volume.affine[:3, axis] / length * _TO_LPS for axis, length in ((2, across_mm), (1, down_mm)))
    dataset.ImagePositionPatient = [_decimal(value) for value in position]
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*across, *down)]
    dataset.PixelSpacing = [_decimal(down_mm), _decimal(across_mm)]


def _decimal(value: float) -> str:
    """A DICOM decimal string: 16 characters at most."""
    return f"{float(value) + 0.0:.9g}"[:16]


def _stored(hu: NDArray[np.int32], coding: Coding) -> NDArray[np.int32]:
    span = 1 << coding.bits
    stored = hu % span if coding.wrapped else hu - coding.intercept
    if coding.padding is not None:
        rows, columns = np.ogrid[: hu.shape[0], : hu.shape[1]]
        radius = min(hu.shape) / 2
        outside = (rows - hu.shape[0] / 2 + 0.5) ** 2 + (columns - hu.shape[1] / 2 + 0.5) ** 2 > radius**2
        stored[outside] = coding.padding
    return stored


def _store(dataset: Dataset, stored: NDArray[np.int32], coding: Coding) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, coding.bits, coding.bits - 1
    dataset.PixelRepresentation = int(coding.signed)
    kind = np.dtype("<i2" if coding.signed else "<u2")
    if coding.padding is not None and coding.declared:
        dataset.add_new("PixelPaddingValue", "SS" if coding.signed else "US", coding.padding)
    dataset.RescaleIntercept, dataset.RescaleSlope = str(0 if coding.wrapped else coding.intercept), "1"
    dataset.WindowCenter, dataset.WindowWidth = "40", "80"
    dataset.add_new("PixelData", "OW", stored.astype(kind).tobytes())
