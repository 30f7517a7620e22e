"""The files of one answer: report.json, mask.nii.gz, overview.png, of CT whose ventricles were outlined
ventricles.nii.gz, and mask.dcm where a DICOM SEG was asked for."""

from __future__ import annotations

from pathlib import Path

from hemobench.errors import UserError
from hemobench.inference.overview import write_overview
from hemobench.inference.report import StudyReport
from hemobench.io.atomic import replacing
from hemobench.io.dicom_seg import write_dicom_seg
from hemobench.io.masks import write_mask

REPORT, MASK, OVERVIEW, SEGMENTATION = "report.json", "mask.nii.gz", "overview.png", "mask.dcm"
VENTRICLES = "ventricles.nii.gz"
OUTPUTS = (REPORT, MASK, VENTRICLES, OVERVIEW, SEGMENTATION)


def write_outputs(report: StudyReport, folder: Path, *, dicom_seg: bool = False) -> list[str]:
    """Write what was found in one scan into `folder`; gives remarks about what could not be written.

    Each file appears whole or not at all, report.json last; files of an earlier answer that this one has not are
    removed. The mask lies where the scan's own file has its voxels. Raises UserError where the folder cannot be written
    to, and for a report that was read back and has no scan.
    """
    if report.scan is None:
        raise UserError("report without its scan; expected one that analyse gave; analyse the scan again")
    (folder / REPORT).unlink(missing_ok=True)
    remarks = []
    for volume, name in ((report.label_map, MASK), (report.ventricle_map, VENTRICLES)):
        if volume is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_mask(volume, report.scan, folder / name)
    write_overview(report, folder / OVERVIEW)
    (folder / SEGMENTATION).unlink(missing_ok=True)
    if dicom_seg:
        remarks += _write_segmentation(report, folder / SEGMENTATION)
    with replacing(folder / REPORT) as temporary:
        temporary.write_text(report.to_json(), encoding="utf-8")
    return remarks


def _write_segmentation(report: StudyReport, path: Path) -> list[str]:
    assert report.scan is not None
    if report.label_map is None:
        return ["no DICOM SEG: no network outlined anything here"]
    if report.ventricles_alone:
        return ["no DICOM SEG: it is for haemorrhage, and these are ventricles"]
    algorithm = next((one.name for one in report.model if one.role == "haemorrhage"), "hemobench")
    try:
        write_dicom_seg(report.label_map, report.scan, path, algorithm=algorithm)
    except UserError as error:
        return [f"no DICOM SEG: {error}"]
    return []
