"""RunResult: what a finished run leaves on disk; leaderboards are made of nothing else."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.json_files import read_json, write_json
from hemobench.training.config import TrainConfig

SCHEMA = 1
RESULT_FILE = "run.json"


@dataclass(frozen=True)
class SlicePredictions:
    """A classifier's answers. probabilities: (N, 6) float32, targets: (N, 6) uint8, both in the order labels.CLASSES;
    patient_ids, study_ids: (N,) str; slice_indices: (N,) int. With `exclusive` (loss cross-entropy) the six are
    labels.PAPER_CLASSES instead, exactly one of which holds."""

    probabilities: NDArray[np.float32]
    targets: NDArray[np.uint8]
    patient_ids: NDArray[np.str_]
    study_ids: NDArray[np.str_]
    slice_indices: NDArray[np.int64]
    exclusive: bool = False


@dataclass(frozen=True)
class CaseScores:
    """A segmenter's scores, one a study. values: metric name -> (N,) float64 with NaN where it is undefined;
    patient_ids, study_ids: (N,) str."""

    values: dict[str, NDArray[np.float64]]
    patient_ids: NDArray[np.str_]
    study_ids: NDArray[np.str_]


Predictions = SlicePredictions | CaseScores


@dataclass(frozen=True)
class Pictures:
    """A few test examples for the report, uint8. images: (n, H, W) grey; truth, prediction: (n, H, W) masks for
    segmentation, (n, 6) labels and probabilities * 255 for classification. titles: (n,) study and slice. roles: (n,)
    "" where a rule chose the example, the same for every run on these data; else what it is among this run's answers:
    best, median or worst case, missed or false alarm."""

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    titles: NDArray[np.str_]
    roles: NDArray[np.str_]

    def where(self, role: str) -> NDArray[np.int64]:
        """Places of the examples with this role."""
        return np.flatnonzero(self.roles == role)


@dataclass(frozen=True)
class RunResult:
    """One finished run: what was run, on what, and what came out.

    metrics, validation_metrics: of the best checkpoint on test and validation patients; NaN is undefined. undefined:
    cases without a value, per metric. baselines: what a trivial answer scores on the same test cases under the same
    name (`voxel_accuracy` of all background, `accuracy` of the commoner answer). history: one row an epoch. timings:
    train_seconds, infer_ms_per_case (a case is a study), ... hardware: what ran it and in which precision.
    """

    name: str
    config: TrainConfig
    dataset: str
    phantom: bool
    data_fingerprint: str
    split_fingerprint: str
    metrics: dict[str, float]
    validation_metrics: dict[str, float]
    undefined: dict[str, int]
    baselines: dict[str, float]
    history: tuple[dict[str, float], ...]
    timings: dict[str, float]
    parameters: int
    peak_memory_mb: float
    hardware: dict[str, Any]
    commit: str
    version: str
    best_epoch: int
    patients: dict[str, int]
    test: Predictions
    validation: Predictions
    pictures: Pictures
    directory: Path | None = field(default=None, compare=False)

    @property
    def seed(self) -> int:
        return self.config.seed

    def save(self, directory: Path) -> None:
        """Write run.json, predictions.npz and pictures.npz; run.json comes last, so a folder with it is whole."""
        directory.mkdir(parents=True, exist_ok=True)
        arrays = {f"test/{key}": value for key, value in _pack(self.test).items()}
        arrays |= {f"validation/{key}": value for key, value in _pack(self.validation).items()}
        _write_npz(directory / "predictions.npz", arrays)
        _write_npz(directory / "pictures.npz", {name: getattr(self.pictures, name) for name in _PICTURES})
        content: dict[str, Any] = {"schema": SCHEMA, "seed": self.seed, "config": self.config.to_mapping()}
        content |= {name: getattr(self, name) for name in _PLAIN}
        content["history"] = list(self.history)
        write_json(directory / RESULT_FILE, content)

    @classmethod
    def load(cls, directory: Path) -> RunResult:
        """Read what `save` wrote; nothing is unpickled. Raises: UserError when it is missing or of another schema."""
        content = read_json(directory / RESULT_FILE)
        if content.get("schema") != SCHEMA:
            raise UserError(f"run {directory} has schema {content.get('schema')!r}; expected {SCHEMA}; train it again")
        try:
            with np.load(directory / "predictions.npz", allow_pickle=False) as packed:
                arrays = {key: packed[key] for key in packed.files}
            with np.load(directory / "pictures.npz", allow_pickle=False) as packed:
                held = {name: packed[name] for name in packed.files}
                # Runs of before roles came hold examples by rule alone.
                held.setdefault("roles", np.zeros(len(held["titles"]), dtype="U1"))
                pictures = Pictures(**{name: held[name] for name in _PICTURES})
            plain = {name: content[name] for name in _PLAIN}
            for name in _NUMBERS:
                plain[name] = {key: _nan(value) for key, value in plain[name].items()}
            plain["peak_memory_mb"] = _nan(plain["peak_memory_mb"])
            return cls(
                config=TrainConfig.from_mapping(content["config"]),
                history=tuple({key: _nan(value) for key, value in row.items()} for row in content["history"]),
                test=_unpack(arrays, "test/"),
                validation=_unpack(arrays, "validation/"),
                pictures=pictures,
                directory=directory,
                **plain,
            )
        except UserError:
            raise
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"run {directory} is incomplete ({type(error).__name__}: {error}); expected the files of a "
                "finished run; train it again"
            ) from error


_PICTURES = ("images", "truth", "prediction", "titles", "roles")
_NUMBERS = ("metrics", "validation_metrics", "baselines", "timings")
_PLAIN = (
    "name",
    "dataset",
    "phantom",
    "data_fingerprint",
    "split_fingerprint",
    "metrics",
    "validation_metrics",
    "undefined",
    "baselines",
    "timings",
    "parameters",
    "peak_memory_mb",
    "hardware",
    "commit",
    "version",
    "best_epoch",
    "patients",
)
_SLICE_FIELDS = ("probabilities", "targets", "patient_ids", "study_ids", "slice_indices")


def _pack(predictions: Predictions) -> dict[str, NDArray[Any]]:
    if isinstance(predictions, SlicePredictions):
        packed = {name: getattr(predictions, name) for name in _SLICE_FIELDS}
        return packed | {"exclusive": np.asarray(predictions.exclusive)}
    packed = {f"values/{name}": column for name, column in predictions.values.items()}
    return packed | {"patient_ids": predictions.patient_ids, "study_ids": predictions.study_ids}


def _unpack(arrays: dict[str, NDArray[Any]], prefix: str) -> Predictions:
    own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    if "probabilities" in own:
        return SlicePredictions(**{name: own[name] for name in _SLICE_FIELDS}, exclusive=bool(own["exclusive"]))
    values = {key.removeprefix("values/"): value for key, value in own.items() if key.startswith("values/")}
    return CaseScores(values, own["patient_ids"], own["study_ids"])


def _nan(value: Any) -> Any:
    return math.nan if value is None else value


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    os.replace(temporary, path)
