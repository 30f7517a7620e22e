"""Model cards: what a checkpoint is, what it was measured to do, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hemobench.hub.metadata import front_matter
from hemobench.inference.config import CheckpointConfig
from hemobench.views.view import ClassificationView, SegmentationView

_PURPOSE = {
    "slice-classifier": "names the types of intracranial haemorrhage that an axial head CT slice shows",
    "haemorrhage": "outlines intracranial haemorrhage on head CT and names its type",
    "ventricles": "outlines the ventricles on T1-weighted MRI",
    "ventricles-ct": "outlines the ventricles on head CT, with the blood in them",
}
_LIMITS = {
    "slice-classifier": (
        "A few slices speak for a study: one that bleeds in a single slice is easily missed.",
        "Types are told apart worse than blood from no blood.",
        "Contrast media and metal were not in the training data, children and operated heads hardly.",
    ),
    "haemorrhage": (
        "Small bleeds are missed, and heads without blood get false spots: see sensitivity and precision above.",
        "Types are told apart badly: see the Dice of each.",
        "Volumes inherit the network's grid ({grid} mm): thin layers are measured coarsely.",
        "Contrast media and metal were not in the training data, children and operated heads hardly.",
    ),
    "ventricles": (
        "Only T1-like contrast; ventricles that are shifted or filled with blood were not in the data.",
        "On a grid of {grid} mm thin horns are lost, and volumes come out too large or too small.",
    ),
    "ventricles-ct": (
        "Taught by phantoms: cysts, tumours, shunts, malformations and children were not in the data.",
        "A ventricle that is pressed shut may be lost, and a wide cistern or an old infarct beside one taken for it.",
        "On a grid of {grid} mm thin horns are lost, and volumes come out too large or too small.",
    ),
}


@dataclass(frozen=True)
class Measured:
    """Scores on one set of patients who were not trained on. metrics: name -> {mean, ci, sd_seeds, n, undefined};
    position: `auroc_any` of a model that sees no image but knows where in its stack a slice lies, for classifiers."""

    data: str
    phantom: bool
    patients: int
    cases: int
    metrics: Mapping[str, Mapping[str, Any]]
    position: Mapping[str, Any] | None = None

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "data": self.data,
            "phantom": self.phantom,
            "patients": self.patients,
            "cases": self.cases,
            "metrics": {name: dict(score) for name, score in self.metrics.items()},
            "auroc_any_of_slice_position": None if self.position is None else dict(self.position),
        }


def metrics_mapping(measured: Sequence[Measured]) -> dict[str, Any]:
    """What metrics.json holds: scores on the test patients, and on `others`."""
    return {"schema": 1, **measured[0].to_mapping(), "others": [each.to_mapping() for each in measured[1:]]}


def write_card(
    config: CheckpointConfig,
    description: str,
    parameters: int,
    measured: Sequence[Measured],
    sections: Sequence[str] = (),
) -> str:
    """The README.md of a checkpoint, with the Hub's metadata on top. `measured`: the test patients, then others.
    `sections` are further ones, in Markdown."""
    training = config.training
    metrics = metrics_mapping(measured)
    parts = [
        f"{front_matter(config, metrics)}\n# {config.name}",
        f"{description} It {_PURPOSE[config.role]}. {parameters:,} parameters ({config.model}).",
        "> **Research use only.** No medical device, no diagnosis, no reason to look at a scan less carefully.",
        "## Intended use",
        "Research and teaching: rehearsing a pipeline, a starting point for training on patients, a baseline to beat. "
        "It runs by `python -m hemobench.predict SCAN --checkpoint FOLDER`.",
        "## Input and output",
        _input_words(config),
        "## Training data",
        f"{_data_words(training)} Trained with seed {training['seed']} for {training['seconds']:.0f} s on "
        f"{training['hardware'].get('device_name', 'an unnamed device')} "
        f"({training['hardware'].get('threads', '?')} threads, {training['hardware'].get('precision', '?')}), commit "
        f"`{_short(str(training['commit']))}`:",
        f"```sh\n{training['command']}\n```",
        "## Measured",
        *[_table(each, _role(training, number)) for number, each in enumerate(measured)],
        "Intervals are 95%, from resampled patients. One seed: the spread over seeds is not known.",
        *sections,
        "## Calls",
        f"Rule: {config.threshold_rule}. The numbers are in `config.json`. They are fitted to the share of bleeding "
        "patients in the training data, which is not that of any hospital."
        f"{_smoothing_words(config)}",
        "## Limits",
        "\n".join(f"- {line.format(grid=_grid(config))}" for line in _LIMITS[config.role]),
    ]
    return "\n\n".join(parts) + "\n"


def _grid(config: CheckpointConfig) -> str:
    spacing = config.view.spacing_mm if isinstance(config.view, SegmentationView) else ()
    return " x ".join(f"{length:g}" for length in spacing)


def _smoothing_words(config: CheckpointConfig) -> str:
    """How slices speak for each other and for their study, where they do."""
    words = ""
    if config.context_mm:
        words += (
            f" Before that a slice's logits are averaged with its neighbours', by Gaussian weights of "
            f"{config.context_mm:g} mm standard deviation."
        )
    if config.study_slices > 1:
        words += f" A study is judged by the mean logit of its {config.study_slices} highest slices."
    return words


def _short(commit: str) -> str:
    """A commit's first twelve digits, and the mark that the tree differed from it."""
    number, plus, mark = commit.partition("+")
    return f"{number[:12]}{plus}{mark}"


def _input_words(config: CheckpointConfig) -> str:
    view = config.view
    if isinstance(view, ClassificationView):
        shape = (
            f"Axial slices as {view.size} x {view.size} pixels, one channel for each of the windows "
            f"{', '.join(view.windows)}; a picture without Hounsfield units fills all of them."
        )
    else:
        spacing = " x ".join(f"{length:g}" for length in view.spacing_mm)
        window = f"through the window {view.window}" if view.window else "between its percentiles 0.5 and 99.5"
        own = ", the scan's own slices or thinner ones averaged to at most that" if view.own_slices else ""
        shape = f"Volumes at {spacing} mm (slice, row, column){own}, {window}, cut in the plane to the head."
    return (
        f"{shape} Values from 0 (black) to 1 (white), without further normalisation. Outputs, in this order: "
        f"{', '.join(config.outputs)}."
    )


def _data_words(training: Any) -> str:
    patients = training["patients"]
    beside = "".join(f" {words}." for words in training.get("beside", ()))
    if "folds" in training:
        return (
            f"{training['data']}: {patients['train']} patients, all of whom taught this network.{beside} Measured "
            f"below are {training['folds']} networks of the same recipe, each on the patients that it did not see."
        )
    counts = f"{patients['train']} to train, {patients['validation']} to validate, {patients['test']} to test"
    if training.get("generated", training["phantom"]):
        shared = (
            ""
            if training.get("split_by_anatomy")
            else ("; the three groups share anatomies, so the test says little about other heads")
        )
        alone = ", no patient data at all" if training["phantom"] else ""
        known = "" if training["phantom"] else f" In all it learned from {training['taught_by']}."
        return f"{training['data']}: generated phantoms{alone} ({counts}{shared}).{beside}{known}"
    return f"{training['data']}: patients ({counts}), split by patient.{beside}"


def _role(training: Any, number: int) -> str:
    if number:
        return "never trained on"
    return "out of fold" if "folds" in training else "test"


def _table(measured: Measured, role: str) -> str:
    kind = "PHANTOM patients" if measured.phantom else "real patients"
    masks = any(name.startswith("dice_") for name in measured.metrics)
    cases = "scans" if masks or "auroc_any" not in measured.metrics else "slices"
    lines = [
        f"{measured.patients} {kind} of {measured.data} ({role}), {measured.cases} {cases}:",
        "",
        "| metric | value | 95% interval |",
        "|---|---|---|",
    ]
    scores = dict(measured.metrics)
    if measured.position is not None:
        scores["auroc_any of slice position, no image"] = measured.position
    for name, score in scores.items():
        low, high = score["ci"]
        lines.append(f"| {name} | {_number(score['mean'])} | {_number(low)} to {_number(high)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{value:.3f}"
