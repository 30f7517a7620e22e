from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.viewer.value import VENTRICLE_ID, _layers, viewer_look, viewer_value
from demo.volume_stream import _reduced_labels, encode_volume
from hemobench.errors import UserError
from hemobench.inference.lesions import lesions_of
from hemobench.inference.report import Call, ModelUsed, SliceFinding, Source, StudyFinding, StudyReport, Ventricles
from hemobench.labels import CLASSES
from hemobench.views.windows import get_window
from hemobench.volume import LABEL_MAP, Volume, display_affine

SHAPE = (6, 20, 24)
SPACING = (5.0, 1.0, 1.0)
CHANCES = dict.fromkeys(CLASSES, 0.25)


def report(labels: Any, *, positive: bool = False, chances: bool = True, spacing_known: bool = True) -> StudyReport:
    """A report whose slice 4 is the likeliest, with the lesions of `labels`."""
    label_map = Volume(np.asarray(labels, dtype=np.uint8), display_affine(SHAPE, SPACING), LABEL_MAP)
    search = lesions_of(label_map, np.full(SHAPE, 0.9, dtype=np.float32), spacing_known=spacing_known)
    slices = tuple(
        SliceFinding(index, 5.0 * index, {**CHANCES, "any": 0.5 + 0.1 * (index == 4)} if chances else {})
        for index in range(SHAPE[0])
    )
    return StudyReport(
        source=Source("nifti", 1, "CT", SHAPE, SPACING if spacing_known else None, ("one line",)),
        model=(ModelUsed("haemorrhage", "bleed", None, "0" * 64, "torch"),),
        study=StudyFinding(CHANCES, dict.fromkeys(CLASSES, Call(positive, 0.5))) if chances else StudyFinding({}, {}),
        slices=slices,
        lesions=search.lesions,
        volume_ml=None,
        ventricles=None,
        timing_s={"total": 1.0},
        label_map=label_map,
    )


def value_of(made: StudyReport, folder: Path) -> dict[str, Any]:
    return viewer_value(made, encode_volume(Volume(np.zeros(SHAPE), display_affine(SHAPE, SPACING))), folder)


def test_the_value_is_json_and_its_file_is_as_long_as_its_header_says(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE)
    labels[2:4, 5:15, 5:15] = 5

    value = value_of(report(labels, positive=True), tmp_path)

    stream = json.loads(json.dumps(value, allow_nan=False))["stream"]
    assert value["volume"]["meta"] == {"_type": "gradio.FileData"}
    assert Path(value["volume"]["path"]).parent == tmp_path
    assert Path(value["volume"]["path"]).stat().st_size == stream["labels"]["bytes"] + sum(stream["lengths"])
    assert value["slices"]["any"] == [0.5, 0.5, 0.5, 0.5, 0.6, 0.5]
    assert value["study"]["positive"] is True
    assert value["warnings"] == ["one line"]


def test_two_scans_never_share_a_file(tmp_path: Path) -> None:
    made = report(np.zeros(SHAPE))

    assert value_of(made, tmp_path)["volume"]["path"] != value_of(made, tmp_path)["volume"]["path"]


def test_a_scan_opens_where_most_was_outlined_else_where_it_is_likeliest_else_in_the_middle(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE)
    labels[1, 5:15, 5:15], labels[2, 5:14, 5:18] = 2, 2

    value = value_of(report(labels), tmp_path)
    assert (value["first_slice"], value["first_at"]) == (2, [2, 9, 11])
    assert value_of(report(np.zeros(SHAPE), positive=True), tmp_path)["first_slice"] == 4
    assert value_of(report(np.zeros(SHAPE)), tmp_path)["first_slice"] == 3
    assert value_of(report(np.zeros(SHAPE), chances=False), tmp_path)["first_slice"] == 3


def test_a_lesion_is_gone_to_inside_it_though_its_centroid_is_not(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE)
    labels[2:5, 3:17, 3:17] = 5
    labels[2:5, 5:15, 5:15] = 0  # a frame: its centroid is in the hole

    [lesion] = value_of(report(labels), tmp_path)["lesions"]

    assert labels[tuple(lesion["at"])] == 5
    assert lesion["at"][0] == 3
    assert (lesion["first_slice"], lesion["last_slice"], lesion["subtype"]) == (2, 4, "subdural")


def test_without_probabilities_or_millimetres_none_are_claimed(tmp_path: Path) -> None:
    value = value_of(report(np.zeros(SHAPE), chances=False, spacing_known=False), tmp_path)

    assert (value["slices"], value["spacing_known"], value["volume_ml"]) == ({}, False, None)
    assert value["study"] == {"probabilities": {}, "calls": {}, "positive": None, "named": []}


def test_a_report_of_another_scan_is_refused(tmp_path: Path) -> None:
    other = encode_volume(Volume(np.zeros((6, 20, 25)), display_affine((6, 20, 25), SPACING)))

    with pytest.raises(UserError, match="resample it to the scan"):
        viewer_value(report(np.zeros(SHAPE)), other, tmp_path)


def test_windows_and_colours_are_those_of_the_package() -> None:
    look = viewer_look()

    assert [one["name"] for one in look["presets"]] == ["brain", "subdural", "stroke", "bone"]
    assert all(one["width"] == get_window(one["name"]).width_hu for one in look["presets"])
    assert set(look["colours"]) == set(look["labels"]) == set(CLASSES) - {"any"}


def with_ventricles(labels: Any) -> StudyReport:
    made = report(labels)
    outlined = np.zeros(SHAPE, dtype=np.uint8)
    outlined[1:4, 4:10, 4:10] = 1
    found = Ventricles(1.25, 108, blood_share=0.25, validated_on={"volume_ml": "phantoms", "blood_share": "phantoms"})
    beside = Volume(outlined, display_affine(SHAPE, SPACING), LABEL_MAP)
    return replace(made, ventricles=found, ventricle_map=beside)


def test_ventricles_are_a_layer_below_the_blood_in_them() -> None:
    labels = np.zeros(SHAPE)
    labels[2, 5:8, 5:8] = 3
    layers = _layers(with_ventricles(labels))
    assert layers is not None
    assert np.count_nonzero(layers.voxels == 3) == 9
    assert np.count_nonzero(layers.voxels == VENTRICLE_ID) == 108 - 9
    reduced = _reduced_labels(np.asarray(layers.voxels[2]), 2)
    # Rows and columns 4..9 in blocks of two; blood in 5..7 reaches into the blocks 4-5 and 6-7.
    assert np.count_nonzero(reduced == 3) == 4
    assert np.count_nonzero(reduced == VENTRICLE_ID) == 5


def test_measures_travel_as_words_and_blood_is_gone_to_first(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE)
    labels[4, 5:8, 5:8] = 3
    value = value_of(with_ventricles(labels), tmp_path)
    assert value["first_slice"] == 4
    assert value["ventricles"]["alone"] is False
    assert [(row["name"], row["value"], row["validated_on"]) for row in value["ventricles"]["rows"]] == [
        ("volume", "1.2 mL", "phantoms"),
        ("blood in them", "25%", "phantoms"),
    ]
    assert value_of(with_ventricles(np.zeros(SHAPE)), tmp_path)["first_slice"] == 1, "else where most ventricle is"
