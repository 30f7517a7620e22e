"""Small checkpoints with a card and scores that the Hub may be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from small_checkpoints import small_config, small_model

from hemobench.datasets.patient_hashes import People
from hemobench.hub.metadata import front_matter
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from hemobench.models import create_model

BODY = "\n# Small\n\n## Intended use\n\nTests.\n\n## Limits\n\nAll.\n"
NAMES = {"slice-classifier": "auroc_any", "haemorrhage": "dice_any", "ventricles": "dice_ventricles"}
TRAINING = {"data": "phantom", "phantom": True}
# A classifier of a few weights: most of these tests are about files, and timm's smallest has five million.
TINY: dict[str, Any] = {"model": "paper_cnn", "model_options": {"depth": 1, "width": 1, "hidden": 4}}


def scores(role: str, mean: float = 0.8125) -> dict[str, Any]:
    """metrics.json: test patients of the phantom, and two other sets, one with a metric that is undefined."""
    name = NAMES[role]
    good = {"mean": mean, "ci": [0.7, 0.9], "sd_seeds": None, "n": 5, "undefined": 0}
    none = {"mean": None, "ci": [None, None], "sd_seeds": None, "n": 5, "undefined": 5}
    part = {"phantom": True, "patients": 5, "cases": 50, "metrics": {name: good}}
    others = [
        {**part, "data": "ct-ich", "phantom": False, "metrics": {name: good, "auroc_macro": none}},
        {**part, "data": "bhsd", "phantom": False},
    ]
    return {"schema": 1, **part, "data": "phantom", "others": others}


def shareable(folder: Path, role: str = "slice-classifier", *, body: str = BODY, **changes: Any) -> Checkpoint:
    """Write and open one; `metrics`, `people` and `attached` may be given, the others of `changes` go to its config."""
    metrics = changes.pop("metrics", scores(role))
    people, attached = changes.pop("people", People()), changes.pop("attached", None)
    tiny = TINY if role == "slice-classifier" and "model" not in changes else {}
    config = small_config(role, **{"training": TRAINING, **tiny, **changes})
    torch.manual_seed(0)
    model = (
        small_model(config)
        if not tiny
        else create_model(
            config.model,
            task=config.task,
            in_channels=config.in_channels,
            num_outputs=6,
            image_size=config.view.image_size,
            **config.model_options,
        )
    )
    write_checkpoint(
        folder,
        model,
        config,
        metrics,
        front_matter(config, metrics) + body,
        commit="c0ffee",
        command="python train",
        people=people,
        attached=attached,
    )
    return open_checkpoint(folder)
