"""Real DICOM files, written with pydicom from small arrays; values of the patient's are planted to be searched for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

PLANTED = {
    "PatientName": "Planted^Patricia",
    "PatientID": "PLANTED-4711",
    "PatientBirthDate": "19391207",
    "PatientSex": "F",
    "PatientComments": "Planted comment",
    "OtherPatientIDs": "PLANTED-OTHER",
    "PatientAddress": "Planted street",
    "StudyDate": "20190317",
    "AccessionNumber": "PLANTED-ACC",
    "ReferringPhysicianName": "Planted^Doctor",
    "InstitutionName": "Planted clinic",
    "StudyDescription": "PLANTED STUDY",
}
SEARCHED = ("planted", "patricia", "4711", "19391207", "20190317")
ROWS, COLUMNS = 40, 36
SPACING = (0.6, 0.5)


def head_hu(count: int = 6, seed: int = 0) -> NDArray[np.int16]:
    """Slices (N, 40, 36) of HU: air around an ellipse of tissue with a brighter mark that differs by slice."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    inside = ((rows - 19.5) / 15) ** 2 + ((columns - 17.5) / 13) ** 2 < 1
    noise = np.random.default_rng(seed).integers(-5, 6, (count, ROWS, COLUMNS))
    hu = np.where(inside, 40, -990)[None] + noise
    for number in range(count):
        hu[number, 14 + number % 6, 13:21] = 500 + 100 * number
    return hu.astype(np.int16)


@dataclass
class SeriesPlan:
    """How to write a series; `positions_mm` along the normal override even steps, `tilt_degrees` tilts about x."""

    step_mm: float = 5.0
    tilt_degrees: float = 0.0
    positions_mm: list[float] | None = None
    series_number: int = 2
    study_uid: str = field(default_factory=generate_uid)
    series_uid: str = field(default_factory=generate_uid)
    frame_of_reference: str = field(default_factory=generate_uid)
    fields: dict[str, Any] = field(default_factory=dict)


def orientation_of(plan: SeriesPlan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along a row and along a column, in L-P-S."""
    angle = np.radians(plan.tilt_degrees)
    return np.array([1.0, 0, 0]), np.array([0, np.cos(angle), -np.sin(angle)])


def position_of(plan: SeriesPlan, place: int) -> NDArray[np.float64]:
    """Of the slice's first pixel in L-P-S: the table moves along z, as it does on a scanner."""
    along = plan.step_mm * place if plan.positions_mm is None else plan.positions_mm[place]
    return np.array([-5.0, -7.2, 30.0 + along])


def slice_dataset(stored: NDArray[Any], plan: SeriesPlan, place: int, **fields: Any) -> Dataset:
    """One slice with `stored` pixels, intercept -1024 unless a field says otherwise."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.SOPClassUID = CTImageStorage
    for keyword, value in PLANTED.items():
        setattr(dataset, keyword, value)
    row, column = orientation_of(plan)
    values = {
        "StudyTime": "101112",
        "StudyID": "1",
        "StudyInstanceUID": plan.study_uid,
        "SeriesInstanceUID": plan.series_uid,
        "SeriesNumber": plan.series_number,
        "InstanceNumber": place + 1,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "FrameOfReferenceUID": plan.frame_of_reference,
        "PositionReferenceIndicator": "",
        "SliceThickness": plan.step_mm,
        "PixelSpacing": list(SPACING),
        "ImagePositionPatient": [round(float(number), 6) for number in position_of(plan, place)],
        "ImageOrientationPatient": [round(float(number), 9) for number in (*row, *column)],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[-2],
        "Columns": stored.shape[-1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        **plan.fields,
        **fields,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_jpeg_lossless(plain: Path, path: Path) -> Path:
    """A slice again as JPEG lossless, which no package but GDCM's writes."""
    image = SimpleITK.ReadImage(str(plain), SimpleITK.sitkInt16)
    for key, value in (("0028|1052", "-1024"), ("0028|1053", "1")):
        image.SetMetaData(key, value)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    writer.Execute(image)
    return path


def write_series(folder: Path, hu: NDArray[np.int16], plan: SeriesPlan | None = None, **fields: Any) -> list[Path]:
    """A series whose file names say nothing about the order."""
    plan = plan or SeriesPlan()
    names = np.random.default_rng(7).permutation(len(hu))
    stored = (hu.astype(np.int32) + 1024).astype(np.uint16)
    return [
        save(slice_dataset(stored[place], plan, place, **fields), folder / f"IM{plan.series_number}{names[place]:03}")
        for place in range(len(hu))
    ]


def enhanced_dataset(hu: NDArray[np.int16], plan: SeriesPlan) -> Dataset:
    """An enhanced CT: frames in shuffled order, geometry and rescale in functional groups, intercept by frame."""
    order = np.random.default_rng(3).permutation(len(hu))
    intercepts = -1000 - 10 * np.arange(len(hu))
    stored = np.stack([hu[place].astype(np.int32) - intercepts[place] for place in order]).astype(np.uint16)
    in_groups = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "SliceThickness",
    )
    dataset = slice_dataset(stored, plan, 0, **dict.fromkeys(in_groups))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = len(hu)
    row, column = orientation_of(plan)
    shared = item(
        PixelMeasuresSequence=item(PixelSpacing=list(SPACING), SliceThickness=plan.step_mm),
        PlaneOrientationSequence=item(ImageOrientationPatient=[float(number) for number in (*row, *column)]),
    )
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(
                PlanePositionSequence=item(ImagePositionPatient=[float(n) for n in position_of(plan, int(place))]),
                PixelValueTransformationSequence=item(
                    RescaleSlope=1, RescaleIntercept=float(intercepts[place]), RescaleType="HU"
                ),
            )
            for place in order
        ]
    )
    return dataset


def item(**fields: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in fields.items():
        setattr(dataset, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return dataset


def voxels_at(volume: Any, plan: SeriesPlan, place: int) -> NDArray[np.float32]:
    """The volume at the centres of the pixels of one written slice (R, C), linear between voxels."""
    from scipy.ndimage import map_coordinates

    row, column = orientation_of(plan)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    lps = position_of(plan, place) + rows[..., None] * SPACING[0] * column + columns[..., None] * SPACING[1] * row
    index = volume.to_index(lps * (-1, -1, 1))
    return map_coordinates(volume.voxels, np.moveaxis(index, -1, 0), order=1, mode="nearest")
