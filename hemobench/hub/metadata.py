"""What the Hub reads of a checkpoint: the card's front matter with its model-index, and `.eval_results/*.yaml`.

Formats: https://huggingface.co/docs/hub/model-cards (model-index, the older of the two) and
https://huggingface.co/docs/hub/eval-results. Both are made of metrics.json alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hemobench.datasets.opening import dataset_info, known_datasets
from hemobench.errors import UserError
from hemobench.inference.config import VENTRICLE_ROLES, CheckpointConfig

EVAL_RESULTS = ".eval_results"
HUB_DATASETS = "https://huggingface.co/datasets/"
# The Hub's words for metrics; others go under their own names.
_HUB_METRICS = {"auroc": "roc_auc", "ap": "average_precision", "dice": "dice", "iou": "mean_iou"}
_HEADLINES = {
    "slice-classifier": ("auroc_any", "auroc_macro", "ap_any", "auroc_any_study", "auroc_macro_study"),
    "haemorrhage": ("dice_any", "dice_filled_any", "sensitivity_any", "precision_any", "lesion_f1_any"),
    "ventricles": ("dice_ventricles", "nsd_2mm_ventricles", "hd95_mm_ventricles"),
    "ventricles-ct": ("dice_ventricles", "nsd_2mm_ventricles", "hd95_mm_ventricles", "abs_volume_error_ml_ventricles"),
}
_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass(frozen=True)
class Headline:
    """One score that the Hub is told: a metric on a data set, its 95% interval, and from how many patients."""

    data: str
    phantom: bool
    patients: int
    metric: str
    value: float
    low: float
    high: float


def headlines(config: CheckpointConfig, metrics: Mapping[str, Any]) -> tuple[Headline, ...]:
    """The scores of metrics.json that a reader compares checkpoints by, data set by data set; those that are
    undefined or have no interval are not among them."""
    own = "out of fold" if config.training.get("folds") else "test part"
    found: list[Headline] = []
    names: list[str] = []
    for number, part in enumerate(_parts(metrics)):
        # The first is of what was trained on; another copy of the same name is another set of patients.
        earlier = names.count(part["data"]) if number else 0
        name = part["data"] + (f" ({own})" if number == 0 else f" ({earlier + 1})" if earlier else "")
        names += [part["data"]] if number else []
        for metric in _HEADLINES[config.role]:
            score = part["metrics"].get(metric)
            if score is not None and _finite(score.get("mean")) and _has_interval(score):
                low, high = score["ci"]
                found.append(Headline(name, part["phantom"], part["patients"], metric, score["mean"], low, high))
    return tuple(found)


def front_matter(config: CheckpointConfig, metrics: Mapping[str, Any]) -> str:
    """The YAML block on top of a card: licence, library, task, tags and model-index."""
    timm_like = config.model.startswith("timm:")
    tags = ["hemobench", "medical-imaging", "head-ct" if config.role != "ventricles" else "brain-mri"]
    tags += ["ventricles"] if config.role in VENTRICLE_ROLES else ["intracranial-hemorrhage"]
    tags += ["timm"] if timm_like else []
    content: dict[str, Any] = {
        "license": "apache-2.0",
        "library_name": "timm" if timm_like else "hemobench",
        "pipeline_tag": "image-classification" if config.task == "classification" else "image-segmentation",
        "tags": tags,
    }
    results = list(_model_index_results(config, metrics))
    if results:
        content["model-index"] = [{"name": config.name, "results": results}]
    return f"---\n{_yaml(content)}---\n"


def with_front_matter(card: str, config: CheckpointConfig, metrics: Mapping[str, Any]) -> str:
    """A card whose front matter is made anew; the text below it stays as it is."""
    return front_matter(config, metrics) + _FRONT.sub("", card, count=1)


def eval_result_files(config: CheckpointConfig, metrics: Mapping[str, Any], repository: str) -> dict[str, str]:
    """`.eval_results/*.yaml` of a repository `user/name`, text by path: a file for each data set that was measured.

    The Hub wants a data set's id there. One that lives elsewhere gets an id in the user's own namespace,
    `user/hemobench-<data set>`, where the user may put a benchmark of it: nobody else's name is taken.
    """
    files: dict[str, list[dict[str, Any]]] = {}
    for one in headlines(config, metrics):
        name = one.data.partition(" ")[0]
        kind = "generated phantoms" if one.phantom else "real patients"
        entry = {
            "dataset": {"id": hub_dataset_id(name, repository), "task_id": one.metric},
            "value": round(one.value, 4),
            "notes": f"{one.data}, {one.patients} {kind}; 95% interval by patient {one.low:.3f} to {one.high:.3f}",
        }
        stem = re.sub(r"[^a-z0-9]+", "-", one.data.lower()).strip("-")
        files.setdefault(f"{EVAL_RESULTS}/hemobench-{stem}.yaml", []).append(entry)
    return {path: _yaml(entries) for path, entries in files.items()}


def hub_dataset_id(name: str, repository: str) -> str:
    """Where a data set lives on the Hub, or an id for it in the namespace of `repository`.

    >>> hub_dataset_id("bhsd", "someone/net"), hub_dataset_id("ct-ich", "someone/net")
    ('WuBiao/BHSD', 'someone/hemobench-ct-ich')
    """
    where = dataset_info(name).where if name in known_datasets() else ""
    if where.startswith(HUB_DATASETS):
        return where.removeprefix(HUB_DATASETS).strip("/")
    return f"{repository.partition('/')[0]}/hemobench-{name}"


def check_shareable(card: str, config: CheckpointConfig, metrics: Mapping[str, Any]) -> None:
    """Raise UserError, one line, for a card or for metrics that nobody should be given: no word on intended use,
    no scores, scores without intervals, or front matter that says something else than the metrics."""
    body = _FRONT.sub("", card, count=1)
    section = re.search(r"^##+ +intended use *\n(.*?)(?=^#|\Z)", body, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        raise UserError(
            f"card of {config.name} does not say its intended use; expected a section 'Intended use' with "
            "text; add it to README.md and run `hemobench hub card FOLDER`"
        )
    lacking = sorted(
        {
            name
            for part in _parts(metrics)
            for name, score in part["metrics"].items()
            if _finite(score.get("mean")) and not _has_interval(score)
        }
    )
    scored = any(_finite(score.get("mean")) for part in _parts(metrics) for score in part["metrics"].values())
    if lacking or not scored:
        what = f"{', '.join(lacking[:5])} without interval" if lacking else "no scores at all"
        raise UserError(
            f"metrics of {config.name} have {what}; expected scores with 95% intervals from two or more "
            "patients; measure it and export it again"
        )
    if not card.startswith(front_matter(config, metrics)):
        raise UserError(
            f"card of {config.name} has other metadata than its metrics; expected the front matter that "
            "they make; run `hemobench hub card FOLDER`, which leaves the text as it is"
        )


def _model_index_results(config: CheckpointConfig, metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    by_data: dict[str, list[Headline]] = {}
    for one in headlines(config, metrics):
        by_data.setdefault(one.data, []).append(one)
    for data, scores in by_data.items():
        name = data.partition(" ")[0]
        kind = "generated phantoms" if scores[0].phantom else "real patients"
        task = "image-classification" if config.task == "classification" else "image-segmentation"
        yield {
            "task": {"type": task},
            "dataset": {"type": name, "name": f"{data}: {scores[0].patients} {kind}"},
            "metrics": [
                {
                    "type": _HUB_METRICS.get(one.metric.partition("_")[0], one.metric),
                    "name": one.metric,
                    "value": round(one.value, 4),
                    "args": {"ci95": [round(one.low, 4), round(one.high, 4)]},
                }
                for one in scores
            ],
        }


def _parts(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The test patients' scores, then those on other data."""
    if not isinstance(metrics.get("metrics"), Mapping) or "data" not in metrics:
        return []
    return [metrics, *metrics.get("others", ())]


def _has_interval(score: Mapping[str, Any]) -> bool:
    bounds = score.get("ci")
    return isinstance(bounds, list | tuple) and len(bounds) == 2 and all(_finite(bound) for bound in bounds)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _yaml(content: Any) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))
