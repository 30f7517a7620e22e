"""What is truly in an example, beside what the networks said of it: the outline for the viewer, millilitres, Dice."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from demo.examples import Example
from demo.volume_stream import label_box
from hemobench.inference.overview.style import millilitres
from hemobench.inference.report import StudyReport
from hemobench.io.nifti import read_label_map
from hemobench.metrics.segmentation import voxel_counts
from hemobench.volume import LABEL_MAP


def truth_of(example: Example, report: StudyReport, reduced: int) -> dict[str, Any] | None:
    """What the viewer shows of an example's truth: its outline in the voxels that are streamed (`reduced` as there),
    and the sentence that holds the answer against it. JSON-able; None where the answer is about something else: where
    no network outlines blood, or the visitor says that a CT is an MR.
    """
    if report.label_map is None or report.ventricles_alone != example.is_mr:
        return None
    answer = np.asarray(report.label_map.voxels) > 0
    per_voxel_ml = report.label_map.voxel_volume_ml
    said = f"outlined {millilitres(np.count_nonzero(answer) * per_voxel_ml)} mL" if answer.any() else "nothing outlined"
    if example.truth is None:
        return {"box": None, "outline": "", "words": f"Truth: no blood; {said}"}
    truth = np.asarray(read_label_map(example.truth).voxels) > 0
    header, packed = label_box(report.label_map.with_voxels(truth.astype(np.uint8), LABEL_MAP), reduced)
    true_ml = millilitres(np.count_nonzero(truth) * per_voxel_ml)
    return {
        "box": header,
        # A few kilobytes, so they go with the report, and the stream of a scan stays what it is for every scan.
        "outline": base64.b64encode(packed).decode("ascii"),
        "words": f"Truth: {true_ml} mL; {said}; Dice {voxel_counts(answer, truth).dice:.2f}",
    }
