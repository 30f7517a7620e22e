"""Label maps as DICOM Segmentation objects that refer to the slices they were drawn on.

Of the source's headers a SEG must carry who and which study it belongs to (the Type 1 and 2 fields of the Patient and
General Study modules), else an archive cannot file it. Those and nothing else are copied; the referring physician is
left empty.

Codes are those of DICOM's own dictionary (PS3.16): every segment is an intracranial haemorrhage, SCT 1386000, and the
place tells the subtype where the dictionary has one (ventricle, subarachnoid space, brain). It has none for the
epidural and subdural spaces; there the segment's label does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

import hemobench
from hemobench.errors import UserError
from hemobench.io.archive import Entry, file_entry, zip_entries
from hemobench.io.atomic import replacing
from hemobench.io.dicom_headers import BROKEN_DICOM, quiet, read_dataset
from hemobench.io.masks import mask_in_slices
from hemobench.io.scan import DicomSource, Scan
from hemobench.labels import SUBTYPES
from hemobench.volume import Volume

_PLACES: dict[str, Code] = {
    "epidural": codes.SCT.IntracranialStructure,
    "intraparenchymal": codes.SCT.Brain,
    "intraventricular": codes.SCT.BrainVentricle,
    "subarachnoid": codes.SCT.CranialSubarachnoidSpace,
    "subdural": codes.SCT.IntracranialStructure,
}
# Type 1 and 2 fields of the Patient and General Study modules, but for the referring physician.
_IDENTITY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)
# What places the frames and refers to the images.
_GEOMETRY = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ImageType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
)
_MAKER = "hemobench"
_SERIES_NUMBER = 900


def write_dicom_seg(mask: Volume, scan: Scan, path: Path, *, algorithm: str = _MAKER) -> None:
    """Write a label map (0 to 5, see SUBTYPES) as one binary DICOM SEG with five segments.

    Frames lie on the series' own slices, tilt and gaps included, so that a viewer shows them on the images. `algorithm`
    names the model. Raises UserError for a scan that is no DICOM, and where the series lies there no more.
    """
    if not isinstance(scan.source, DicomSource):
        raise UserError(f"a {scan.kind} scan; expected a DICOM series for a DICOM SEG; write NIfTI instead")
    planes = mask_in_slices(mask, scan.source)
    files, frames = _source_files(scan.source)
    try:
        with quiet():
            segmentation = _segmentation(files, _arranged(files, frames, planes), algorithm)
            with replacing(path) as temporary:
                segmentation.save_as(temporary)
    except UserError:
        raise
    except BROKEN_DICOM as error:
        # highdicom's message speaks of the library's arguments; the cause is what the source lacks.
        raise UserError(
            f"no DICOM SEG can be made for {scan.source.path} ({type(error).__name__}); expected a series with "
            "positions, orientation and UIDs; write NIfTI instead"
        ) from None


def _segmentation(files: list[Dataset], pixels: NDArray[np.uint8], algorithm: str) -> Any:
    import highdicom  # half a second, for those who write a SEG

    identification = highdicom.AlgorithmIdentificationSequence(
        name=algorithm, version=hemobench.__version__, family=codes.cid7162.ArtificialIntelligence
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"{name} haemorrhage",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.IntracranialHemorrhage,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=identification,
            anatomic_regions=[_PLACES[name]],
        )
        for number, name in enumerate(SUBTYPES, start=1)
    ]
    return highdicom.seg.Segmentation(
        source_images=files,
        pixel_array=pixels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_MAKER,
        software_versions=hemobench.__version__,
        device_serial_number="0",
        content_label="HAEMORRHAGE",
        content_description="Research use only, not for diagnosis",
        series_description="hemobench segmentation",
    )


def _source_files(source: DicomSource) -> tuple[list[Dataset], list[tuple[int, int]]]:
    """Headers of the files of a series, cut down to what a SEG needs, and (file, frame) of each slice."""
    entries = {entry.name: entry for entry in _entries(source)}
    places: dict[str, int] = {}
    files: list[Dataset] = []
    frames = []
    for one in source.slices:
        if one.file not in places:
            if one.file not in entries:
                raise UserError(f"{source.path} has no {one.file} any more; expected the scan as read; read it again")
            places[one.file] = len(files)
            files.append(_reduced(entries[one.file]))
        frames.append((places[one.file], one.frame))
    reference = files[0].get("FrameOfReferenceUID", None) or generate_uid()
    for file in files:
        file.FrameOfReferenceUID = reference
    return files, frames


def _entries(source: DicomSource) -> Sequence[Entry]:
    if source.path.is_dir():
        return [Entry(one.file, source.path) for one in source.slices if (source.path / one.file).is_file()]
    if any(one.file for one in source.slices):
        return zip_entries(source.path)
    return [file_entry(source.path)]


def _reduced(entry: Entry) -> Dataset:
    whole = read_dataset(entry)
    reduced = Dataset()
    with quiet():
        for keyword in _IDENTITY:
            setattr(reduced, keyword, whole.get(keyword, None) or "")
        for keyword in _GEOMETRY:
            if keyword in whole:
                reduced.add(whole[keyword])
        reduced.ReferringPhysicianName = ""
        if "SliceThickness" not in reduced:
            reduced.SliceThickness = ""
    return reduced


def _arranged(
    files: list[Dataset], frames: list[tuple[int, int]], planes: list[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Planes in the order highdicom expects: by file, or by frame of the only file, empty where one was left out."""
    if len(files) == 1:
        count = int(files[0].get("NumberOfFrames", None) or 1)
        pixels = np.zeros((count, *planes[0].shape), dtype=np.uint8)
        for (_, frame), plane in zip(frames, planes, strict=True):
            pixels[frame] = plane
        return pixels
    return np.stack(planes)
