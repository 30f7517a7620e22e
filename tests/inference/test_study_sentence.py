"""The answer in one sentence: by hand for each kind of report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from hemobench.inference.report import (
    Call,
    Lesion,
    ModelUsed,
    SliceFinding,
    Source,
    StudyFinding,
    StudyReport,
    Ventricles,
)
from hemobench.inference.study_sentence import verdict_of, worth_in_words
from hemobench.io.remarks import part
from hemobench.labels import CLASSES, SUBTYPES


def a_report(
    chance: float,
    *,
    called_from: float = 0.53,
    types: Mapping[str, float] | None = None,
    lesions: Sequence[tuple[str, int, int, float | None]] = (),
    slices: int = 30,
) -> StudyReport:
    """A report with this probability of any blood. types: probabilities, named from 0.6 on. lesions: type, first and
    last slice from 0, mL or None."""
    chances = dict.fromkeys(CLASSES, 0.05) | dict(types or {}) | {"any": chance}
    least = dict.fromkeys(SUBTYPES, 0.6) | {"any": called_from}
    found = tuple(
        Lesion(number, name, ml, ml, None, (0.0, 0.0, 0.0), first, last, round(1000 * (ml or 1)), 0.9)
        for number, (name, first, last, ml) in enumerate(lesions, start=1)
    )
    known = all(ml is not None for *_, ml in lesions)
    return StudyReport(
        source=Source("dicom", slices, "CT", (slices, 512, 512), (5.0, 0.5, 0.5) if known else None, ()),
        model=(ModelUsed("haemorrhage", "bleed", None, "ab" * 32, "torch"),),
        study=StudyFinding(chances, {name: Call(chances[name] >= least[name], least[name]) for name in CLASSES}),
        slices=tuple(SliceFinding(index, None, chances) for index in range(slices)),
        lesions=found,
        volume_ml={"total": sum(ml or 0.0 for *_, ml in lesions)} if known else None,
        ventricles=None,
        timing_s={"total": 1.0},
    )


def test_a_bleed() -> None:
    found = verdict_of(a_report(0.97, types={"epidural": 0.8}, lesions=[("epidural", 10, 18, 14.66)]))
    assert (found.grade, found.named) == ("likely", ("epidural",))
    assert found.sentence == "Likely haemorrhage, most likely epidural, 14.7 mL, slices 11 to 19"


@pytest.mark.parametrize(
    ("chance", "grade", "begins"),
    [
        (0.99, "likely", "Likely haemorrhage, nothing outlined"),
        (0.70, "likely", "Likely haemorrhage"),
        (0.69, "borderline", "Borderline for haemorrhage, called"),
        (0.56, "borderline", "Borderline for haemorrhage, called"),
        (0.52, "borderline", "Borderline for haemorrhage, not called"),
        (0.30, "borderline", "Borderline for haemorrhage, not called"),
        (0.29, "unlikely", "Haemorrhage unlikely"),
    ],
)
def test_three_grades(chance: float, grade: str, begins: str) -> None:
    found = verdict_of(a_report(chance))
    assert found.grade == grade
    assert found.sentence.startswith(begins)


def test_no_grade_speaks_against_the_call() -> None:
    # Thresholds far from the middle: what is called is never unlikely, what is not is never likely.
    assert verdict_of(a_report(0.2, called_from=0.1)).grade == "borderline"
    assert verdict_of(a_report(0.9, called_from=0.95)).grade == "borderline"


def test_types_that_are_named() -> None:
    chances = {"epidural": 0.65, "subdural": 0.9, "subarachnoid": 0.55}
    both = a_report(0.95, types=chances, lesions=[("epidural", 3, 3, 2.0), ("subarachnoid", 5, 6, 0.5)])
    # By their probabilities epidural and subdural; subarachnoid has less outlined than another and 0.55 alone.
    assert verdict_of(both).named == ("subdural", "epidural")
    assert "most likely epidural, 2.5 mL, slices 4 to 7" in verdict_of(both).sentence
    # What most of the blood is outlined as is named, whatever its probability.
    assert verdict_of(a_report(0.95, lesions=[("subarachnoid", 5, 5, 0.05)])).named == ("subarachnoid",)
    assert verdict_of(a_report(0.95, lesions=[("subarachnoid", 5, 5, 0.05)])).sentence.endswith("0.05 mL, slice 6")
    assert verdict_of(a_report(0.2, types=chances)).named == ()


def test_outlines_against_the_call_without_millimetres_and_in_a_part() -> None:
    one = a_report(0.1, lesions=[("subdural", 3, 4, None)])
    assert verdict_of(one).sentence == "Haemorrhage unlikely, though 1 lesion, slices 4 to 5 outlined"
    missing = replace(a_report(0.1), source=a_report(0.1).source.with_remarks([part("3 slices missing")]))
    assert verdict_of(missing).sentence == "Haemorrhage unlikely, in the part that was read"
    picture = a_report(0.9, lesions=[("subdural", 0, 0, None)], slices=1)
    assert verdict_of(picture).sentence == "Likely haemorrhage, most likely subdural, 1 lesion"


def test_without_a_call() -> None:
    silent = replace(a_report(0.9), study=StudyFinding({}, {}))
    assert verdict_of(silent).grade is None
    assert verdict_of(silent).sentence == "Nothing outlined; no network here makes a call for the study"
    magnetic = replace(silent, source=replace(silent.source, modality="MR"), ventricles=Ventricles(21.53, 21530))
    assert verdict_of(magnetic).sentence == "Ventricles 21.5 mL; haemorrhage was not looked for in this MR scan"
    assert worth_in_words(silent) == ""
