"""The panel of an answer: its sentence leads, its grade is a class, and nothing in it is markup but ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.status import answered
from hemobench.inference.report import Call, ModelUsed, Source, StudyFinding, StudyReport, Ventricles, Worth
from hemobench.inference.study_sentence import verdict_of, worth_in_words
from hemobench.labels import CLASSES

WORTH = Worth((0.9, 0.8, 0.95), (0.85, 0.8, 0.9), 75, "ct-ich")


def a_report(chance: float, worth: Worth | None = None) -> StudyReport:
    chances = dict.fromkeys(CLASSES, 0.05) | {"any": chance}
    return StudyReport(
        source=Source("nifti", 1, "CT", (30, 512, 512), (5.0, 0.5, 0.5), ()),
        model=(ModelUsed("slice-classifier", "net", None, "ab" * 32, "torch"),),
        study=StudyFinding(chances, {name: Call(chances[name] >= 0.5, 0.5) for name in CLASSES}, worth=worth),
        slices=(),
        lesions=(),
        volume_ml=None,
        ventricles=None,
        timing_s={"total": 1.0},
    )


@pytest.mark.parametrize(("chance", "grade"), [(0.99, "likely"), (0.56, "borderline"), (0.02, "unlikely")])
def test_the_sentence_leads_in_the_colour_of_its_grade(chance: float, grade: str) -> None:
    report = a_report(chance)
    words = f'<p class="answer">{verdict_of(report).sentence}.</p>'
    assert answered(report) == f'<div class="status done {grade}" role="status">{words}</div>'


def test_what_such_an_answer_is_worth_stands_beneath_and_remarks_below() -> None:
    report = a_report(0.99, WORTH)
    panel = answered(report, ("<b>odd</b>",))
    said, worth, remark = (panel.index(part) for part in ('class="answer"', 'class="worth"', 'class="remark"'))
    assert said < worth < remark
    assert f'<p class="worth">{worth_in_words(report)}</p>' in panel
    assert "<b>" not in panel


def test_where_blood_was_not_looked_for_there_is_no_grade() -> None:
    made = a_report(0.99)
    report = replace(
        made,
        source=replace(made.source, modality="MR"),
        study=StudyFinding({}, {}),
        ventricles=Ventricles(136.0, 9),
    )
    panel = answered(report)
    assert panel.startswith('<div class="status done" role="status"><p class="answer">Ventricles 136.0 mL; ')
