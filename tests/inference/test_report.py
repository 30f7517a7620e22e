from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.inference.report import (
    NOTICE,
    Call,
    Lesion,
    ModelUsed,
    SliceFinding,
    Source,
    StudyFinding,
    StudyReport,
    Ventricles,
    Verdict,
    Worth,
)
from hemobench.volume import LABEL_MAP, Volume


def a_report(**changes: Any) -> StudyReport:
    content: dict[str, Any] = {
        "source": Source("dicom", 2, "CT", (2, 8, 6), (5.0, 0.5, 0.5), ("the gantry was tilted",)),
        "model": (ModelUsed("haemorrhage", "bleed", None, "ab" * 32, "torch"),),
        "study": StudyFinding({"any": 0.75, "subdural": 0.5}, {"any": Call(True, 0.6)}),
        "slices": (
            SliceFinding(0, -2.5, {"any": 0.25, "subdural": 0.125}),
            SliceFinding(1, 2.5, {"any": 0.75, "subdural": 0.5}),
        ),
        "lesions": (Lesion(1, "subdural", 3.5, 4.0, (1.0, 2.0, 3.0), (0.5, 4.0, 3.0), 0, 1, 2800, 0.9),),
        "volume_ml": {"total": 3.5, "subdural": 3.5},
        "ventricles": None,
        "timing_s": {"reading": 0.1, "total": 0.5},
    }
    return StudyReport(**{**content, **changes})


def test_json_has_the_names_of_the_design() -> None:
    content = json.loads(a_report().to_json())
    assert list(content) == [
        "schema",
        "source",
        "model",
        "study",
        "slices",
        "lesions",
        "volume_ml",
        "ventricles",
        "timing_s",
        "notice",
    ]
    assert content["schema"] == 1
    assert content["source"] == {
        "kind": "dicom",
        "files": 2,
        "modality": "CT",
        "shape": [2, 8, 6],
        "spacing_mm": [5.0, 0.5, 0.5],
        "warnings": ["the gantry was tilted"],
        "doubts": 0,
        "complete": True,
        "pixel_mm": [0.5, 0.5],
        "unlike": "",
    }
    assert content["study"] == {
        "probabilities": {"any": 0.75, "subdural": 0.5},
        "calls": {"any": {"positive": True, "threshold": 0.6}},
        "verdict": None,
        "worth": None,
    }
    assert content["slices"][1] == {
        "index": 1,
        "z_mm": 2.5,
        "probabilities": {"any": 0.75, "subdural": 0.5},
        "number": 2,
    }
    assert content["lesions"][0]["centroid_mm"] == [1.0, 2.0, 3.0]
    assert content["notice"] == NOTICE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"volume_ml": None, "lesions": (), "ventricles": Ventricles(21.5, 21500)},
        {
            "study": StudyFinding(
                {},
                {},
                Verdict("likely", "Likely haemorrhage", ("subdural",)),
                Worth((0.8, 0.6, 0.9), (0.9, 0.8, 1.0), 63, "ct-ich"),
            )
        },
        {"lesions": (Lesion(1, "epidural", None, None, None, (0.0, 1.0, 2.0), 0, 0, 9, 1.0),), "volume_ml": None},
        {"source": Source("picture", 1, "grey", (1, 8, 8), None, ()), "slices": (SliceFinding(0, None, {}),)},
    ],
)
def test_report_comes_back_from_its_json(changes: dict[str, Any]) -> None:
    report = a_report(**changes)
    again = StudyReport.from_json(report.to_json())
    assert again == report
    assert type(again.source.shape) is tuple


def test_label_map_stays_beside_the_json_and_the_comparison() -> None:
    label_map = Volume(np.zeros((2, 8, 6), dtype=np.uint8), np.eye(4), LABEL_MAP)
    carried = a_report(label_map=label_map)
    assert carried.label_map is label_map
    assert carried == a_report()
    assert carried.to_json() == a_report().to_json()
    assert StudyReport.from_json(carried.to_json()).label_map is None


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        a_report(timing_s={"total": float("nan")}).to_json()


def test_positive_is_none_where_nobody_looked() -> None:
    assert a_report().is_positive is True
    assert a_report(study=StudyFinding({"any": 0.1}, {"any": Call(False, 0.6)})).is_positive is False
    assert a_report(study=StudyFinding({}, {})).is_positive is None


def test_keys_of_a_later_version_are_left_out() -> None:
    content = a_report().to_mapping()
    content["lesions"][0]["colour"] = "red"
    content["added"] = 1
    assert StudyReport.from_mapping(content) == a_report()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "schema 'list'"),
        ('{"schema": 2}', "schema 2; expected 1"),
        ('{"schema": 1}', "'study'"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        StudyReport.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "key"),
    [("source", "shape"), ("study", "calls")],
)
def test_a_missing_key_is_named(part: str, key: str) -> None:
    content = a_report().to_mapping()
    del content[part][key]
    with pytest.raises(UserError, match=key):
        StudyReport.from_mapping(content)
