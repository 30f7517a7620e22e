"""CheckpointConfig: all that a checkpoint's weights need to be used, in one value that goes to JSON and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hemobench.errors import UserError, unknown_name
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.models.names import context_of
from hemobench.views.view import ClassificationView, View, view_from_mapping, view_to_mapping

SCHEMA = 1
# What a checkpoint does in the study pipeline: its task and its outputs in their order.
ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "slice-classifier": ("classification", CLASSES),
    "haemorrhage": ("segmentation", ("any", *SUBTYPES)),
    "ventricles": ("segmentation", ("ventricles",)),
    "ventricles-ct": ("segmentation", ("ventricles",)),
}
# Of MR, and of CT and pictures of it.
VENTRICLE_ROLES = ("ventricles", "ventricles-ct")
JOINT_SLICE, JOINT_STUDY = "joint-slice", "joint-study"
LEVELS = ("slice", "study", "voxel", "lesion", JOINT_SLICE, JOINT_STUDY)
# timm takes these and reads other files by them, pickles among them.
_FOREIGN_WEIGHTS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")

Calibration = Mapping[str, Mapping[str, tuple[float, float]]]
Thresholds = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class CheckpointConfig:
    """Model, view and decision rule of a checkpoint.

    role: one of ROLES. outputs: class names of the network's channels, in order. calibration: by level (of LEVELS) and
    class, (a, b) of probability = sigmoid(a * logit + b); what is absent is (1, 0). thresholds: by level and class,
    the probability from which on it is called (a lesion by its likeliest voxel); threshold_rule says in words how they
    were chosen. training: where the weights come from (data, phantom, seed, commit, command, versions, seconds).
    context_mm: how far a classifier's slices speak for their neighbours before anything is calibrated
    (`inference.context.in_context`). study_slices: the mean of so many of a study's highest slices speaks for the study
    (`study_logits`). joint_with: of a segmenter, the name of the slice classifier with which it judges slices and
    studies together, "" for none. classifier_share: what the classifier's calibrated logits count in the joint ones,
    from 0 to 1, which the levels "joint-slice" and "joint-study" calibrate and call.

    Raises: UserError where names, sizes or numbers contradict each other.
    """

    name: str
    role: str
    task: str
    model: str
    model_options: Mapping[str, Any]
    in_channels: int
    outputs: tuple[str, ...]
    view: View
    calibration: Calibration = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=dict)
    threshold_rule: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    context_mm: float = 0.0
    study_slices: int = 1
    joint_with: str = ""
    classifier_share: float = 0.0

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise unknown_name("role", self.role, ROLES)
        task, outputs = ROLES[self.role]
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if (self.task, self.outputs) != (task, outputs):
            raise UserError(
                f"checkpoint {self.name} does {self.task} of {', '.join(self.outputs)}; expected {task} of "
                f"{', '.join(outputs)} from a {self.role}; correct task or outputs"
            )
        if isinstance(self.view, ClassificationView) != (task == "classification"):
            raise UserError(
                f"checkpoint {self.name} has a {type(self.view).__name__}; expected one for {task}; correct view"
            )
        if self.in_channels != self.view.channels:
            raise UserError(
                f"checkpoint {self.name} has in_channels {self.in_channels}; expected its view's "
                f"{self.view.channels}; correct one of them"
            )
        for option in self.model_options:
            if option in _FOREIGN_WEIGHTS and self.model_options[option]:
                raise UserError(
                    f"model option '{option}' of checkpoint {self.name}; expected options without other "
                    "weights, the checkpoint has its own; leave it out"
                )
        if not (isinstance(self.context_mm, (int, float)) and 0 <= self.context_mm <= 100):
            raise UserError(
                f"context_mm of checkpoint {self.name} is {self.context_mm!r}; expected 0 to 100 mm; export it again"
            )
        if isinstance(self.study_slices, bool) or not (isinstance(self.study_slices, int) and self.study_slices >= 1):
            raise UserError(
                f"study_slices of checkpoint {self.name} is {self.study_slices!r}; expected a whole number "
                "from 1; export it again"
            )
        share = self.classifier_share
        if isinstance(share, bool) or not (isinstance(share, (int, float)) and 0 <= share <= 1):
            raise UserError(
                f"classifier_share of checkpoint {self.name} is {share!r}; expected 0 to 1; export it again"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        """The pairs and thresholds as plain floats, each under a known level and class."""
        calibration = {
            level: {name: _pair(self.name, value) for name, value in by_class.items()}
            for level, by_class in self._by_level("calibration").items()
        }
        thresholds = {
            level: {name: _probability(self.name, value) for name, value in by_class.items()}
            for level, by_class in self._by_level("thresholds").items()
        }
        object.__setattr__(self, "calibration", calibration)
        object.__setattr__(self, "thresholds", thresholds)

    def _by_level(self, attribute: str) -> dict[str, dict[str, Any]]:
        levels = getattr(self, attribute)
        if not isinstance(levels, Mapping) or not all(isinstance(part, Mapping) for part in levels.values()):
            raise UserError(
                f"{attribute} of checkpoint {self.name} is {levels!r}; expected numbers by level and "
                "class; export it again"
            )
        for level, by_class in levels.items():
            if level not in LEVELS:
                raise unknown_name(f"level of {attribute}", str(level), LEVELS)
            for name in by_class:
                if name not in self.outputs:
                    raise unknown_name(f"class of {attribute}", str(name), self.outputs)
        return {level: dict(by_class) for level, by_class in levels.items()}

    @property
    def context(self) -> int | None:
        """Slices on each side that a slice-wise network looks at; None for a network that is none."""
        return context_of(self.model, self.model_options)

    def calibrated(self, level: str, name: str) -> tuple[float, float]:
        """(a, b) of a class at a level; (1, 0), which changes nothing, where none was fitted."""
        return self.calibration.get(level, {}).get(name, (1.0, 0.0))

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form; `from_mapping` reads it back to an equal config."""
        mapping: dict[str, Any] = {"schema": SCHEMA}
        mapping |= {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        mapping |= {name: dict(mapping[name]) for name in ("model_options", "thresholds", "training")}
        mapping["outputs"], mapping["view"] = list(self.outputs), view_to_mapping(self.view)
        mapping["calibration"] = {
            level: {name: list(pair) for name, pair in by_class.items()} for level, by_class in self.calibration.items()
        }
        return mapping

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> CheckpointConfig:
        """Config from JSON. Raises: UserError on unknown or missing keys, another schema, or values that do not fit."""
        if mapping.get("schema") != SCHEMA:
            raise UserError(
                f"checkpoint config has schema {mapping.get('schema')!r}; expected {SCHEMA}; use the "
                "hemobench that wrote it"
            )
        values = {key: value for key, value in mapping.items() if key != "schema"}
        known = [item.name for item in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise unknown_name("checkpoint option", str(key), known)
        # Folders of before these were known do without.
        values.setdefault("context_mm", 0.0)
        values.setdefault("study_slices", 1)
        values.setdefault("joint_with", "")
        values.setdefault("classifier_share", 0.0)
        missing = [name for name in known if name not in values]
        if missing:
            raise UserError(f"checkpoint config lacks {', '.join(missing)}; expected {', '.join(known)}; add them")
        for name, (kind, words) in _KINDS.items():
            if not isinstance(values[name], kind) or isinstance(values[name], bool):
                raise UserError(f"checkpoint config has {name} {values[name]!r}; expected {words}; export it again")
        values["view"] = view_from_mapping(values["task"], values["view"])
        return cls(**values)


_TEXT, _OPTIONS = (str, "text"), (Mapping, "a mapping")
_KINDS: dict[str, tuple[type, str]] = {
    "name": _TEXT,
    "joint_with": _TEXT,
    "role": _TEXT,
    "task": _TEXT,
    "model": _TEXT,
    "threshold_rule": _TEXT,
    "model_options": _OPTIONS,
    "view": _OPTIONS,
    "training": _OPTIONS,
    "calibration": _OPTIONS,
    "thresholds": _OPTIONS,
    "in_channels": (int, "a whole number"),
    "outputs": (list, "a list of class names"),
}


def _pair(name: str, value: Any) -> tuple[float, float]:
    try:
        slope, offset = (float(number) for number in value)
    except (TypeError, ValueError):
        slope = offset = math.nan
    if not (math.isfinite(slope) and math.isfinite(offset)):
        raise UserError(f"calibration {value!r} of checkpoint {name}; expected two finite numbers; export it again")
    return slope, offset


def _probability(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UserError(f"threshold {value!r} of checkpoint {name}; expected one from 0 to 1; export it again")
    return float(value)
