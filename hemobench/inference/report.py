"""StudyReport: what the pipeline says of one scan. `predict` writes it as report.json, the demo and the API show it.

The JSON holds nothing of a patient header and no file name. The scan itself and the label map travel beside it, on the
object alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hemobench.errors import UserError
from hemobench.inference.config import VENTRICLE_ROLES
from hemobench.io.remarks import Grade, by_gravity, grade_of
from hemobench.io.scan import Scan
from hemobench.volume import Volume, slice_number

SCHEMA = 1
NOTICE = "Research use only. Not a medical device, never a diagnosis."


@dataclass(frozen=True)
class Source:
    """What was read. `files` is how many, `modality` "CT", "grey" (a picture) or "MR", `shape` (slices, rows, columns).

    `spacing_mm` along the same axes is None where the file does not give all of them; `pixel_mm`, (row, column), where
    it does not even give a pixel's size. `warnings` are the intake's and the
    pipeline's lines for the user, the gravest first: the first `doubts` of them may make the answer wrong. `complete`
    where no part of what was given is known to have been left unread. `unlike` says in what the scan is no head, ""
    where it looks like one.
    """

    kind: str
    files: int
    modality: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    warnings: tuple[str, ...]
    doubts: int = 0
    complete: bool = True
    pixel_mm: tuple[float, float] | None = None
    unlike: str = ""

    def __post_init__(self) -> None:
        if self.pixel_mm is None and self.spacing_mm is not None:
            object.__setattr__(self, "pixel_mm", self.spacing_mm[1:])

    def with_remarks(self, lines: Iterable[str]) -> Source:
        """The same with these lines for its warnings, in the order of their grades (`hemobench.io.remarks`)."""
        ordered = by_gravity(lines)
        grades = [grade_of(line) for line in ordered]
        return dataclasses.replace(
            self,
            warnings=ordered,
            doubts=sum(grade >= Grade.MENDED for grade in grades),
            complete=Grade.PART not in grades,
        )


@dataclass(frozen=True)
class ModelUsed:
    """One checkpoint that took part: its role, name, revision (of the Hub, else None), weights' sha256, and engine."""

    role: str
    name: str
    revision: str | None
    sha256: str
    engine: str


@dataclass(frozen=True)
class Call:
    """A yes or no: positive where the probability reaches the threshold."""

    positive: bool
    threshold: float


UNLIKELY, BORDERLINE, LIKELY, UNLIKE = "unlikely", "borderline", "likely", "unlike"


@dataclass(frozen=True)
class Verdict:
    """The answer in one sentence, see `inference.study_sentence`.

    grade: UNLIKELY, BORDERLINE or LIKELY, UNLIKE where the scan is no head, None where no network made a
    call. sentence: without a full stop, its slices counted from 1. named: the types worth naming, the likeliest first.
    """

    grade: str | None
    sentence: str
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worth:
    """What a study's call was worth on patients whom no network had seen: sensitivity and specificity of any blood,
    each with the ends of its 95% interval, how many patients, and of which data set."""

    sensitivity: tuple[float, float, float]
    specificity: tuple[float, float, float]
    patients: int
    data: str


@dataclass(frozen=True)
class StudyFinding:
    """Probability and call of each class over the whole study, keyed by `labels.CLASSES`; empty where none was made.
    verdict: both in a sentence. worth: of the call, where its networks were measured so."""

    probabilities: Mapping[str, float]
    calls: Mapping[str, Call]
    verdict: Verdict | None = None
    worth: Worth | None = None


@dataclass(frozen=True)
class SliceFinding:
    """One slice: its index in the S-P-L volume, how far up its centre lies (None without mm), and probabilities.

    A slice has no call of its own, only the study has (`study.calls`). Its probabilities come from `networks.classify`,
    smoothed over neighbours (`inference.context`) and joined with the outlines' (`inference.joint`).
    """

    index: int
    z_mm: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Lesion:
    """One lesion, a connected part of the label map of one type.

    `number` counts from 1, largest first. Lengths and volumes are None where the scan has no millimetres; `abc2_ml` is
    the bedside estimate beside the counted `volume_ml`. `centroid_mm` is in RAS+ mm, `centroid_index` in voxels of the
    S-P-L volume, `first_slice` and `last_slice` belong to the lesion.
    """

    number: int
    subtype: str
    volume_ml: float | None
    abc2_ml: float | None
    centroid_mm: tuple[float, float, float] | None
    centroid_index: tuple[float, float, float]
    first_slice: int
    last_slice: int
    voxels: int
    mean_probability: float


@dataclass(frozen=True)
class Ventricles:
    """The ventricles of a scan, with the blood in them; what the scan does not allow is None.

    `volume_ml` needs millimetres; what follows is of CT. `left_ml` and `right_ml` lie on the patient's two sides of the
    midsagittal plane. `blood_ml` is what the haemorrhage network outlined inside the ventricles, `blood_share` its part
    of them, from 0 to 1. `evans_index` was measured on the slice `evans_slice`. `midline_shift_mm` is that of the
    septum, positive towards the patient's left. `validated_on` says of each measure that is there what it was held
    against.
    """

    volume_ml: float | None
    voxels: int
    left_ml: float | None = None
    right_ml: float | None = None
    blood_ml: float | None = None
    blood_share: float | None = None
    evans_index: float | None = None
    evans_slice: int | None = None
    midline_shift_mm: float | None = None
    validated_on: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyReport:
    """All that was found in one scan.

    `lesions` and `volume_ml` (the keys "total" and the five types, in mL) come from the haemorrhage network: without
    one, or without millimetres, `volume_ml` is None. `ventricles` is None where no network looked for them. `timing_s`
    has one entry a stage and "total". `scan`, `label_map` (uint8, on the scan's S-P-L grid: ids 1 to 5, or 1 for
    ventricles in MR) and `ventricle_map` (1 for ventricles beside blood, in CT) stand beside the report: they are
    neither compared nor written, and None in a report that was read back.
    """

    source: Source
    model: tuple[ModelUsed, ...]
    study: StudyFinding
    slices: tuple[SliceFinding, ...]
    lesions: tuple[Lesion, ...]
    volume_ml: Mapping[str, float] | None
    ventricles: Ventricles | None
    timing_s: Mapping[str, float]
    notice: str = NOTICE
    scan: Scan | None = field(default=None, compare=False, repr=False)
    label_map: Volume | None = field(default=None, compare=False, repr=False)
    ventricle_map: Volume | None = field(default=None, compare=False, repr=False)

    @property
    def looked_for_blood(self) -> bool:
        """Whether a network looked for haemorrhage at all."""
        return not self.ventricles_alone and any(one.role not in VENTRICLE_ROLES for one in self.model)

    @property
    def ventricles_alone(self) -> bool:
        """Whether the label map is of ventricles, as in MR, and not of blood."""
        return self.ventricles is not None and self.source.modality == "MR"

    @property
    def is_positive(self) -> bool | None:
        """Whether blood was called in the study; None where no network looked for it."""
        call = self.study.calls.get("any")
        return None if call is None else call.positive

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form, without scan and label map, and with slices' numbers from 1 beside their indices from 0."""
        plain: dict[str, Any] = {"schema": SCHEMA}
        for each in dataclasses.fields(self):
            if each.name not in _BESIDE:
                plain[each.name] = _plain(getattr(self, each.name))
        # Indices are for programs; these are the numbers that page and overview show.
        for one in plain["slices"]:
            one["number"] = slice_number(one["index"])
        for one in plain["lesions"]:
            one["slice_numbers"] = [slice_number(one["first_slice"]), slice_number(one["last_slice"])]
        if plain["ventricles"] is not None and plain["ventricles"]["evans_slice"] is not None:
            plain["ventricles"]["evans_slice_number"] = slice_number(plain["ventricles"]["evans_slice"])
        return plain

    def to_json(self) -> str:
        """The text of report.json."""
        return json.dumps(self.to_mapping(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any]) -> StudyReport:
        """The inverse of `to_mapping`. Raises UserError for another schema, and for keys or values that are missing."""
        if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
            found = content.get("schema") if isinstance(content, Mapping) else type(content).__name__
            raise UserError(f"report of schema {found!r}; expected {SCHEMA}; write it again with hemobench.predict")
        try:
            return _report_from(content)
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"report without a usable {error}; expected what hemobench.predict writes; write it again"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> StudyReport:
        """A report from the text of report.json; UserError where it is none."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(
                f"report that is no JSON (line {error.lineno}); expected report.json; write it again"
            ) from error
        return cls.from_mapping(content)


_BESIDE = ("scan", "label_map", "ventricle_map")


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as dicts and lists, all the way down."""
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _report_from(content: Mapping[str, Any]) -> StudyReport:
    study, ventricles, volume_ml = content["study"], content["ventricles"], content["volume_ml"]
    calls = {name: _built(Call, call) for name, call in study["calls"].items()}
    return StudyReport(
        source=_built(Source, content["source"]),
        model=tuple(_built(ModelUsed, one) for one in content["model"]),
        study=StudyFinding(
            _numbers(study["probabilities"]),
            calls,
            _built_if(Verdict, study.get("verdict")),
            _built_if(Worth, study.get("worth")),
        ),
        slices=tuple(_built(SliceFinding, one) for one in content["slices"]),
        lesions=tuple(_built(Lesion, one) for one in content["lesions"]),
        volume_ml=None if volume_ml is None else _numbers(volume_ml),
        ventricles=_built_if(Ventricles, ventricles),
        timing_s=_numbers(content["timing_s"]),
        notice=str(content["notice"]),
    )


def _built(kind: type[Any], mapping: Mapping[str, Any]) -> Any:
    """A dataclass of `kind` from its fields; keys that a later version may add are left out."""
    values = {
        each.name: mapping[each.name]
        for each in dataclasses.fields(kind)
        if each.name in mapping or each.default is dataclasses.MISSING  # an earlier version's may lack the others
    }
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _built_if(kind: type[Any], mapping: Any) -> Any:
    return None if mapping is None else _built(kind, mapping)


def _numbers(mapping: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in mapping.items()}
