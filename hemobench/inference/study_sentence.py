"""The answer to a scan in one sentence, the same on the terminal, on the page, in the overview and in report.json."""

from __future__ import annotations

from collections.abc import Mapping

from hemobench.inference.report import BORDERLINE, LIKELY, UNLIKE, UNLIKELY, StudyReport, Verdict
from hemobench.labels import SUBTYPES

LIKELY_FROM, UNLIKELY_BELOW = 0.7, 0.3
"""Calibrated probabilities of any blood, which an answer has to reach, or to stay below, not to be borderline."""


def verdict_of(report: StudyReport) -> Verdict:
    """What a report says, in one sentence."""
    if unlike := report.source.unlike:
        # Instead of the answer, not beside it: whoever reads one line reads this one.
        reason = f"{unlike[:1].upper()}{unlike[1:]}".replace(": ", ", ", 1)
        return Verdict(UNLIKE, f"{reason}; whatever stands below means nothing unless it is one")
    if report.ventricles is not None and not report.looked_for_blood:
        volume = report.ventricles.volume_ml
        outlined = "Ventricles outlined" if volume is None else f"Ventricles {volume:.1f} mL"
        scan = {"grey": "picture"}.get(report.source.modality, f"{report.source.modality} scan")
        return Verdict(None, f"{outlined}; haemorrhage was not looked for in this {scan}")
    grade, named = grade_of(report), named_types(report)
    if grade is None:
        found = f"Outlined: {_outlined(report)}" if report.lesions else "Nothing outlined"
        return Verdict(None, f"{found}; no network here makes a call for the study")
    part = "" if report.source.complete else "in the part that was read"
    likeliest = _likeliest(report, named)
    if grade == LIKELY:
        pieces = ["Likely haemorrhage", part, f"most likely {likeliest}" if likeliest else ""]
        pieces.append(_outlined(report) if report.lesions else "nothing outlined")
    elif grade == BORDERLINE:
        called = "called" if report.is_positive else "not called"
        pieces = ["Borderline for haemorrhage", part, called, f"if any {likeliest}" if likeliest else ""]
        pieces.append(_outlined(report) if report.lesions else "nothing outlined")
    else:
        pieces = ["Haemorrhage unlikely", part, f"though {_outlined(report)} outlined" if report.lesions else ""]
    return Verdict(grade, ", ".join(piece for piece in pieces if piece), named)


def worth_in_words(report: StudyReport) -> str:
    """What such an answer was worth on patients whom no network had seen, as a sentence; "" where it was not measured.

    Sensitivity and specificity are those of the call, each with its 95% interval.
    """
    worth = report.study.worth
    if worth is None or report.source.unlike:
        return ""
    kinds = (("sensitivity", worth.sensitivity), ("specificity", worth.specificity))
    numbers = " and ".join(f"{name} {mean:.2f} ({low:.2f} to {high:.2f})" for name, (mean, low, high) in kinds)
    return f"Such calls had {numbers} on {worth.patients} patients of {worth.data} whom no network had seen."


def grade_of(report: StudyReport) -> str | None:
    """The grade of the study's probability: LIKELY is called and UNLIKELY is not; None where none was made. UNLIKE for
    what is no head."""
    probability = report.study.probabilities.get("any")
    if report.source.unlike:
        return UNLIKE
    if probability is None or report.is_positive is None:
        return None
    if report.is_positive and probability >= LIKELY_FROM:
        return LIKELY
    if not report.is_positive and probability < UNLIKELY_BELOW:
        return UNLIKELY
    return BORDERLINE


def named_types(report: StudyReport) -> tuple[str, ...]:
    """The types that are worth naming, the likeliest first: those that are called, and the one most of which is
    outlined. None in a study that is unlikely to bleed."""
    if grade_of(report) in (None, UNLIKELY, UNLIKE):
        return ()
    chances = report.study.probabilities
    called = [name for name in SUBTYPES if (call := report.study.calls.get(name)) is not None and call.positive]
    outlined = _voxels(report)
    if outlined and (most := max(outlined, key=lambda name: outlined[name])) not in called:
        called.append(most)
    return tuple(sorted(called, key=lambda name: -chances.get(name, 0.0)))


def _likeliest(report: StudyReport, named: tuple[str, ...]) -> str:
    """Of the types to name the one that is said first: most of which is outlined, else the most probable; "" for
    none."""
    outlined = {name: voxels for name, voxels in _voxels(report).items() if name in named}
    if outlined:
        return max(outlined, key=lambda name: outlined[name])
    return named[0] if named else ""


def _voxels(report: StudyReport) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for lesion in report.lesions:
        found[lesion.subtype] = found.get(lesion.subtype, 0) + lesion.voxels
    return found


def _outlined(report: StudyReport) -> str:
    """How much is outlined, and where."""
    first = min(lesion.first_slice for lesion in report.lesions) + 1
    last = max(lesion.last_slice for lesion in report.lesions) + 1
    where = "" if report.source.shape[0] == 1 else f"slice {first}" if first == last else f"slices {first} to {last}"
    if report.volume_ml is not None:
        amount = f"{_millilitres(report.volume_ml['total'])} mL"
    else:
        amount = "1 lesion" if len(report.lesions) == 1 else f"{len(report.lesions)} lesions"
    return ", ".join(part for part in (amount, where) if part)


def _millilitres(volume: float) -> str:
    return f"{volume:.1f}" if volume >= 0.1 else f"{volume:.2f}"
