"""Scans of which every voxel is known, and the page that the viewer is tried on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo.viewer.component import Viewer
from demo.viewer.value import viewer_value
from demo.volume_stream import encode_volume
from hemobench.inference.lesions import lesions_of
from hemobench.inference.report import (
    Call,
    ModelUsed,
    SliceFinding,
    Source,
    StudyFinding,
    StudyReport,
    Ventricles,
)
from hemobench.labels import CLASSES, LABEL_IDS
from hemobench.volume import GREY, LABEL_MAP, Volume, display_affine

SHAPE = (12, 64, 64)
SPACING = (5.0, 2.0, 2.0)
# Two lesions: intraparenchymal (2) and larger, and subdural (5), in other slices.
LESIONS = {2: (slice(3, 6), slice(20, 32), slice(36, 48)), 5: (slice(8, 10), slice(28, 36), slice(10, 15))}
BRIGHT_HU = 60.0
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> is a note"


def voxels() -> np.ndarray:
    """Air about tissue whose HU says where it is: 10 + slice, and 20 more in the left half (from column 32 on)."""
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    hu[:, 8:56, 8:56] = 10 + np.arange(SHAPE[0])[:, None, None]
    hu[:, 8:56, 32:56] += 20
    return hu


def labels() -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    for label, box in LESIONS.items():
        found[box] = label
    return found


def ct_report(*, spacing_known: bool = True, warnings: tuple[str, ...] = (HOSTILE,)) -> tuple[StudyReport, Volume]:
    hu, found = voxels(), labels()
    hu[found > 0] = BRIGHT_HU
    volume = Volume(hu, display_affine(SHAPE, SPACING))
    label_map = volume.with_voxels(found, LABEL_MAP)
    search = lesions_of(label_map, np.full(SHAPE, 0.9, dtype=np.float32), spacing_known=spacing_known)
    chances = dict.fromkeys(CLASSES, 0.1) | {"any": 0.93, "intraparenchymal": 0.8}
    in_millilitres = {
        name: sum(one.volume_ml or 0 for one in search.lesions if one.subtype == name) for name in LABEL_IDS
    }
    made = StudyReport(
        source=Source("nifti", 1, "CT", SHAPE, SPACING if spacing_known else None, warnings),
        model=(
            ModelUsed("slice-classifier", "small-net", None, "0" * 64, "torch"),
            ModelUsed("haemorrhage", "bleed-net", "abcdef0123456789", "0" * 64, "torch"),
        ),
        study=StudyFinding(chances, {name: Call(value >= 0.5, 0.5) for name, value in chances.items()}),
        slices=tuple(
            SliceFinding(d, 5.0 * d if spacing_known else None, {**chances, "any": (d + 1) / 20})
            for d in range(SHAPE[0])
        ),
        lesions=search.lesions,
        volume_ml={"total": sum(in_millilitres.values()), **in_millilitres} if spacing_known else None,
        ventricles=None,
        timing_s={"total": 1.0},
        label_map=label_map,
    )
    return made, volume


def mr_report() -> tuple[StudyReport, Volume]:
    made, volume = ct_report(warnings=())
    found = (labels() == 2).astype(np.uint8)
    return dataclasses.replace(
        made,
        source=dataclasses.replace(made.source, modality="MR"),
        study=StudyFinding({}, {}),
        slices=tuple(dataclasses.replace(one, probabilities={}) for one in made.slices),
        lesions=(),
        volume_ml=None,
        ventricles=Ventricles(24.46, 100),
        label_map=volume.with_voxels(found, LABEL_MAP),
    ), volume.with_voxels(np.where(volume.voxels > 0, volume.voxels * 4, 0), "MR")


def ventricles_report() -> tuple[StudyReport, Volume]:
    """The CT with ventricles beside its blood."""
    made, volume = ct_report(warnings=())
    outlined = np.zeros(SHAPE, dtype=np.uint8)
    outlined[3:7, 40:52, 4:16] = 1
    found = Ventricles(24.46, int(outlined.sum()), 12.0, 12.46, 0.0, 0.0, 0.31, 4, -6.2, {"evans_index": "phantoms"})
    return dataclasses.replace(made, ventricles=found, ventricle_map=volume.with_voxels(outlined, LABEL_MAP)), volume


def picture_report() -> tuple[StudyReport, Volume]:
    made, volume = ct_report(spacing_known=False, warnings=())
    grey = Volume(np.clip(volume.voxels[4:5] / 80, 0, 1), display_affine((1, 64, 64), (1, 1, 1)), GREY)
    return dataclasses.replace(
        made,
        source=Source("picture", 1, GREY, (1, 64, 64), None, ()),
        slices=made.slices[4:5],
        lesions=(),
        label_map=grey.with_voxels(labels()[4:5], LABEL_MAP),
    ), grey


def viewer_page(folder: Path) -> gr.Blocks:
    """The viewer with a button a scan."""

    def value(made: StudyReport, volume: Volume) -> dict[str, Any]:
        return viewer_value(made, encode_volume(volume), folder)

    def cut() -> dict[str, Any]:
        """A scan whose file ends half way."""
        made = value(*ct_report())
        path = Path(made["volume"]["path"])
        path.write_bytes(path.read_bytes()[:200])
        return made

    scans = {
        "ct": lambda: value(*ct_report()),
        "unknown": lambda: value(*ct_report(spacing_known=False)),
        "mr": lambda: value(*mr_report()),
        "ventricles": lambda: value(*ventricles_report()),
        "picture": lambda: value(*picture_report()),
        "cut": cut,
        "none": lambda: None,
    }
    with gr.Blocks(analytics_enabled=False) as blocks:
        viewer = Viewer(elem_id="viewer")
        # In one row, so that the page need not be scrolled to reach one.
        with gr.Row():
            for name, made in scans.items():
                button = gr.Button(name, elem_id=f"show-{name}", size="sm", min_width=60)
                button.click(made, None, viewer, api_visibility="private")
    return blocks
