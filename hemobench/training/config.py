"""TrainConfig: everything that decides a run, in one frozen value that goes to YAML or JSON and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from hemobench.errors import UserError, unknown_name
from hemobench.models.names import ANSWER_OPTIONS, context_of
from hemobench.views.view import (
    ClassificationView,
    SegmentationView,
    View,
    default_view,
    view_from_mapping,
    view_to_mapping,
)

TASKS = ("classification", "segmentation")
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine", "onecycle")
SAMPLINGS = ("shuffled", "balanced", "by-size", "slices")
PRECISIONS = ("auto", "fp32", "bf16")
_COUNTS = ("epochs", "max_steps", "batch_size", "early_stopping", "validation_limit", "steps_per_epoch")
_FORMER_LOSSES = {"bce+where": "bce+localisation"}  # as runs and configs of before 0.1 spell it
LOSS_MONITOR = "validation_loss"  # a monitor that is no metric: lower is better
EPOCH_MONITOR = "epoch"  # another one: the last epoch stands, for schedules that end at a rate of nothing


def monitor_column(monitor: str) -> str:
    """Column of a run's history that a monitor watches.

    >>> monitor_column("auroc_any"), monitor_column("epoch")
    ('validation_auroc_any', 'epoch')
    """
    return monitor if monitor in (LOSS_MONITOR, EPOCH_MONITOR) else f"validation_{monitor}"


@dataclass(frozen=True)
class TrainConfig:
    """One training run; None means the task's default, which `resolved()` fills in.

    epochs: passes over the training examples; 0 takes the weights that a run starts with as they are. max_steps: stop
    there even if epochs remain. batch_size: slices or volumes a step. learning_rate: 2e-4 is the paper's.
    gradient_clip: largest gradient norm. sampling: `balanced` draws with replacement (see training/sampling.py);
    `slices` draws single slices of volumes, with the neighbours that the network looks at (training/slices.py). patch:
    (D, H, W) random crops of the volumes a step. early_stopping: epochs without a better `monitor` before it stops.
    monitor: what the best epoch is chosen by, a metric of the validation patients, their loss, or `epoch`, the last.
    prior: the last layer's bias starts at the training set's frequencies. validation_limit: examples that the
    validation of an epoch looks at. steps_per_epoch: steps between two validations instead of one pass; examples come
    again as often as that takes. stream_share: of each batch, how much comes from the run's phantom stream
    (training/stream.py) instead of its training patients. average: what a step leaves of a running mean of the weights,
    which is then what is validated and kept (Polyak and Juditsky 1992); 0 keeps the last step's.
    """

    task: str = "classification"
    model: str = ""
    model_options: Mapping[str, Any] = field(default_factory=dict)
    view: View | None = None
    loss: str = "bce"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    weighting: str = "none"
    epochs: int = 10
    max_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-4
    optimizer: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "constant"
    gradient_clip: float | None = None
    sampling: str = "shuffled"
    augment: str = "none"
    patch: tuple[int, int, int] | None = None
    early_stopping: int | None = None
    monitor: str | None = None
    precision: str = "auto"
    prior: bool = True
    validation_limit: int | None = None
    steps_per_epoch: int | None = None
    stream_share: float = 0.0
    average: float = 0.0
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", _FORMER_LOSSES.get(self.loss, self.loss))
        for name, known in _choices().items():
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), known)
        for name in _COUNTS:
            value = getattr(self, name)
            if name == "epochs" and value == 0:
                continue  # another run's weights as they are, see run_experiment
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; expected a whole number of at least 1; give one")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}; expected a number above 0; give e.g. 0.0002")
        if self.weight_decay < 0 or (self.gradient_clip is not None and not self.gradient_clip > 0):
            raise UserError(
                f"weight_decay is {self.weight_decay} and gradient_clip {self.gradient_clip}; expected at "
                "least 0 and above 0; give such numbers"
            )
        if not 0 <= self.stream_share <= 1 or (self.stream_share and self.steps_per_epoch is None):
            raise UserError(
                f"stream_share is {self.stream_share} and steps_per_epoch {self.steps_per_epoch}; expected "
                "0 to 1, and steps where it is above 0: a stream has no end; correct them"
            )
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed is {self.seed}; expected a whole number from 0 to 2147483647; give one")
        if not 0 <= self.average < 1:
            raise UserError(f"average is {self.average}; expected at least 0 and below 1, such as 0.99; correct it")
        if self.sampling in ("by-size", "slices") and self.task == "classification":
            raise UserError(
                f"sampling {self.sampling} for classification; it is for masks of volumes; use shuffled or balanced"
            )
        expected = ClassificationView if self.task == "classification" else SegmentationView
        if self.view is not None and not isinstance(self.view, expected):
            raise UserError(
                f"view is a {type(self.view).__name__}; task '{self.task}' expects a {expected.__name__}; give that one"
            )
        if self.patch is not None and self.task == "classification":
            raise UserError("patch is given for classification; only volumes are cropped; leave patch out")
        if self.augment in _transplanting() and self.sampling != "slices":
            raise UserError(
                f"augment {self.augment} with sampling {self.sampling}; clots are set into single slices "
                "of volumes with masks; use sampling slices, or another preset"
            )
        if self.sampling == "slices" and (self.patch is not None or self.context is None):
            raise UserError(
                f"sampling slices with model '{self.model}' and patch {self.patch}; expected a slice-wise "
                "network (unet2d, unet2.5d, timm-unet:<backbone>) and whole slices; change one of them"
            )

    @property
    def context(self) -> int | None:
        """Slices on each side that the network looks at; None for one that is not slice-wise."""
        return context_of(self.model, self.model_options)

    @property
    def locates(self) -> bool:
        """Whether a classifier learns from label maps of its slices too."""
        from hemobench.losses import LOCATING_LOSSES

        return self.loss in LOCATING_LOSSES

    def resolved(self) -> TrainConfig:
        """The same run with every task-dependent default written out."""
        view = self.view if self.view is not None else default_view(self.task)
        segmentation = isinstance(view, SegmentationView)
        monitor = "accuracy_exclusive" if self.loss == "cross-entropy" else "auroc_any"
        if isinstance(view, SegmentationView):
            monitor = f"dice_{view.suffix}"
        return dataclasses.replace(
            self,
            view=view,
            model=self.model or ("unet3d" if segmentation else "paper_cnn"),
            batch_size=self.batch_size or (2 if segmentation else 32),
            monitor=self.monitor or monitor,
        )

    @property
    def as_trained(self) -> TrainConfig:
        """The same run without what is done with a network that is trained: runs that differ in that train alike."""
        options = {name: value for name, value in self.model_options.items() if name not in ANSWER_OPTIONS}
        return dataclasses.replace(self, model_options=options)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form of every field; `from_mapping` reads it back to an equal config."""
        mapping: dict[str, Any] = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        mapping["model_options"], mapping["loss_options"] = dict(self.model_options), dict(self.loss_options)
        mapping["view"] = None if self.view is None else view_to_mapping(self.view)
        mapping["patch"] = None if self.patch is None else list(self.patch)
        return mapping

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> TrainConfig:
        """Config from YAML or JSON; absent keys keep their defaults.

        Raises: UserError on an unknown key (lists the known ones) or a value of the wrong type.

        >>> TrainConfig.from_mapping({"learning_rate": "2e-4", "view": {"size": 64}}).view.size
        64
        """
        known = [item.name for item in dataclasses.fields(cls)]
        for key in mapping:
            if key not in known:
                raise unknown_name("training option", str(key), known)
        values = {key: _coerced(key, value) for key, value in mapping.items() if key != "view"}
        view = mapping.get("view")
        if view is not None and not isinstance(view, (ClassificationView, SegmentationView)):
            if not isinstance(view, Mapping):
                raise UserError(f"view is {view!r}; expected options such as {{size: 128}}; give a mapping")
            task = values.get("task", cls.task)
            if task not in TASKS:
                raise unknown_name("task", str(task), TASKS)
            view = view_from_mapping(task, view)
        return cls(**values, view=view)

    @classmethod
    def from_yaml(cls, path: Path) -> TrainConfig:
        """Config from a YAML file. Raises: UserError when it cannot be read."""
        return cls.from_mapping(read_options(path))

    @property
    def fingerprint(self) -> str:
        """Short hash of the resolved run; two runs with one fingerprint do the same."""
        # Through the mapping and back, so that a weight_decay of 0 and of 0.0 are one run.
        plain = TrainConfig.from_mapping(self.to_mapping()).resolved().to_mapping()
        text = json.dumps(plain, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_options(path: Path) -> dict[str, Any]:
    """The `key: value` lines of a YAML file, not yet checked. Raises: UserError when it holds no such lines."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"config {path} cannot be read ({type(error).__name__}); expected a YAML file; check its path"
        ) from error
    except yaml.YAMLError as error:
        place = " ".join(str(error).split())
        raise UserError(f"config {path} is no YAML ({place}); expected `key: value` lines; correct it") from error
    if not isinstance(content, Mapping):
        raise UserError(f"config {path} holds a {type(content).__name__}; expected `key: value` lines; correct it")
    return {str(key): value for key, value in content.items()}


@lru_cache(maxsize=1)
def _choices() -> dict[str, tuple[str, ...]]:
    # Here, since it loads torch: who only reads a result should not wait for that.
    from hemobench.augment import PRESETS

    return {
        "task": TASKS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "sampling": SAMPLINGS,
        "precision": PRECISIONS,
        "augment": tuple(PRESETS),
    }


@lru_cache(maxsize=1)
def _transplanting() -> tuple[str, ...]:
    from hemobench.augment import PRESETS

    return tuple(name for name, preset in PRESETS.items() if preset.transplant)


_KINDS: dict[str, str] = {item.name: str(item.type) for item in dataclasses.fields(TrainConfig)}


def _coerced(key: str, value: Any) -> Any:
    """`value` as the field's type. YAML reads 2e-4 as text, so numbers in text are taken for numbers."""
    kind = _KINDS[key].removesuffix(" | None")
    if value is None and _KINDS[key] != kind:
        return None
    try:
        return _COERCE[kind](value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key} is {value!r}; expected {_EXPECTED[kind]}; correct it") from error


def _whole(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError("not a whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("not a number")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not a truth value")
    return value


def _text(value: Any) -> str:
    # A weighting such as 0.2,0.8 is text, and YAML may hand over a list of the two.
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    if isinstance(value, (Mapping, bool)) or value is None:
        raise TypeError("not text")
    return str(value)


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not a mapping")
    return {str(name): option for name, option in value.items()}


def _three(value: Any) -> tuple[int, ...]:
    sizes = tuple(_whole(size) for size in value)
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError("not three sizes")
    return sizes


_COERCE = {
    "int": _whole,
    "float": _number,
    "bool": _truth,
    "str": _text,
    "Mapping[str, Any]": _options,
    "tuple[int, int, int]": _three,
}
_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "Mapping[str, Any]": "options as a mapping",
    "tuple[int, int, int]": "three sizes (slices, rows, columns)",
}
