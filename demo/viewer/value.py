"""What the viewer is given: a report as JSON-able numbers and words, and the file that its pictures travel in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demo.volume_stream import EncodedVolume, write_stream
from hemobench.inference.overview.panel import scan_lines
from hemobench.inference.overview.style import TYPE_COLOURS, VENTRICLE_COLOUR, millilitres
from hemobench.inference.report import Lesion, StudyReport, Ventricles
from hemobench.inference.study_sentence import verdict_of
from hemobench.inference.ventricle_measures import readings
from hemobench.labels import CLASSES, LABEL_IDS
from hemobench.views.windows import get_window
from hemobench.volume import Volume

PRESETS = ("brain", "subdural", "stroke", "bone")
# Finer than the eye sees in a bar, and short in JSON.
_DIGITS = 4
# The layer of the ventricles beside the types of blood: what is both is blood there.
VENTRICLE_ID = max(LABEL_IDS.values()) + 1


def viewer_value(
    report: StudyReport, encoded: EncodedVolume, folder: Path, name: str = "", truth: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the stream of `encoded` and the report's label map into `folder`; give all that the viewer shows.

    JSON-able. `volume` is the file, in the form that Gradio moves to its cache and serves; `stream` the header of
    `write_stream`; `title` says what is shown, beginning with `name`; positions (`first_at`, `lesions[].at`) are
    (slice, row, column) of the streamed voxels. `slices` holds one list of probabilities a class, `truth` what
    `demo.truth` gives for an example. Raises UserError where report and `encoded` are not of the same scan.
    """
    label_map = report.label_map
    if label_map is None or not label_map.voxels.any():
        label_map = report.ventricle_map or label_map
    first_slice = _first_slice(report, label_map, encoded.shape[0])
    path = folder / f"{uuid.uuid4().hex}.bin"
    header = write_stream(encoded, _layers(report), path, first_slice)
    return {
        "volume": {"path": str(path), "meta": {"_type": "gradio.FileData"}},
        "stream": header,
        "title": ": ".join(part for part in (name, "; ".join(scan_lines(report.source))) if part),
        "modality": report.source.modality,
        "kind": report.source.kind,
        "spacing_known": report.source.spacing_mm is not None,
        "pixels_known": report.source.pixel_mm is not None,
        "first_slice": first_slice,
        "first_at": _first_at(label_map, first_slice, header),
        "z_mm": [one.z_mm for one in report.slices],
        "slices": _by_class(report),
        "study": _study(report),
        "lesions": [_lesion(one, report.label_map, encoded.reduced) for one in report.lesions],
        "volume_ml": None if report.volume_ml is None else dict(report.volume_ml),
        "ventricles": None if report.ventricles is None else _ventricles(report, report.ventricles),
        "warnings": list(report.source.warnings),
        "doubts": report.source.doubts,
        "complete": report.source.complete,
        "models": [
            {"role": one.role, "name": one.name, "revision": one.revision, "sha256": one.sha256, "engine": one.engine}
            for one in report.model
        ],
        "seconds": report.timing_s.get("total"),
        "notice": report.notice,
        "truth": truth,
    }


def viewer_look() -> dict[str, Any]:
    """Colours, words and windows that do not change with the scan: the same that the overview picture uses."""
    return {
        "classes": list(CLASSES),
        "labels": dict(LABEL_IDS),
        "colours": {name: list(colour) for name, colour in TYPE_COLOURS.items()},
        "ventricle_colour": list(VENTRICLE_COLOUR),
        "ventricle_id": VENTRICLE_ID,
        "presets": [
            {"name": name, "center": get_window(name).center_hu, "width": get_window(name).width_hu} for name in PRESETS
        ],
    }


def _study(report: StudyReport) -> dict[str, Any]:
    calls = {
        name: {"positive": call.positive, "threshold": call.threshold} for name, call in report.study.calls.items()
    }
    return {
        "probabilities": dict(report.study.probabilities),
        "calls": calls,
        "positive": report.is_positive,
        "named": list(verdict_of(report).named),
    }


def _by_class(report: StudyReport) -> dict[str, list[float]]:
    """Per-slice probabilities of each class, (slices,) each; empty where no network gave any."""
    if not report.slices or not report.slices[0].probabilities:
        return {}
    return {name: [round(one.probabilities[name], _DIGITS) for one in report.slices] for name in CLASSES}


def _layers(report: StudyReport) -> Volume | None:
    """All that was outlined as one label map: blood by type and, where there is none, ventricles beside it."""
    beside = report.ventricle_map
    if beside is None:
        return report.label_map
    ventricles = np.where(beside.voxels > 0, VENTRICLE_ID, 0).astype(np.uint8)
    if report.label_map is None:
        return beside.with_voxels(ventricles)
    return beside.with_voxels(np.where(report.label_map.voxels > 0, report.label_map.voxels, ventricles))


def _ventricles(report: StudyReport, found: Ventricles) -> dict[str, Any]:
    """Their measures; `alone` where nobody looked for blood."""
    rows = [row._asdict() for row in readings(found, millilitres)] if report.ventricle_map is not None else []
    return {"volume_ml": found.volume_ml, "rows": rows, "alone": not report.looked_for_blood}


def _first_slice(report: StudyReport, label_map: Volume | None, depth: int) -> int:
    """Where most was outlined; else the likeliest slice of a study that was called; else the middle."""
    if label_map is not None and label_map.voxels.any():
        return int(np.count_nonzero(label_map.voxels, axis=(1, 2)).argmax())
    by_class = _by_class(report)
    if by_class and report.is_positive:
        return int(np.argmax(by_class["any"]))
    return depth // 2


def _first_at(label_map: Volume | None, first_slice: int, header: Mapping[str, Any]) -> list[int]:
    """Where the crosshair stands at first: in what is outlined in the slice, else in the middle of the body."""
    outlined = np.argwhere(label_map.voxels[first_slice]) if label_map is not None else np.empty((0, 2))
    if not outlined.size:
        return [first_slice, *(sum(stretch) // 2 for stretch in header["body"])]
    away = np.linalg.norm(outlined - outlined.mean(axis=0), axis=1)
    row, column = outlined[int(away.argmin())].tolist()
    return _streamed((first_slice, row, column), header["reduced"])


def _streamed(place: tuple[float, float, float], reduced: int) -> list[int]:
    """The streamed voxel (slice, row, column) that holds a position of the scan's."""
    depth, row, column = place
    return [round(depth), int((row + 0.5) // reduced), int((column + 0.5) // reduced)]


def _lesion(lesion: Lesion, label_map: Volume | None, reduced: int) -> dict[str, Any]:
    place = lesion.centroid_index if label_map is None else _inside(lesion, label_map)
    return {
        "number": lesion.number,
        "subtype": lesion.subtype,
        "volume_ml": lesion.volume_ml,
        "abc2_ml": lesion.abc2_ml,
        "first_slice": lesion.first_slice,
        "last_slice": lesion.last_slice,
        "voxels": lesion.voxels,
        "mean_probability": lesion.mean_probability,
        "at": _streamed(place, reduced),
    }


def _inside(lesion: Lesion, label_map: Volume) -> tuple[float, float, float]:
    """The voxel of the lesion's type nearest to its centroid: a crescent's own centroid lies outside of it."""
    part = label_map.voxels[lesion.first_slice : lesion.last_slice + 1]
    voxels = np.argwhere(part == LABEL_IDS[lesion.subtype])
    voxels[:, 0] += lesion.first_slice
    if not voxels.size:
        return lesion.centroid_index
    away_mm = np.linalg.norm((voxels - np.asarray(lesion.centroid_index)) * label_map.spacing_mm, axis=1)
    depth, row, column = voxels[int(away_mm.argmin())].tolist()
    return depth, row, column
