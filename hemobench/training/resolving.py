"""From a few options to a whole config: the task follows the model and the data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hemobench.datasets.opening import dataset_info
from hemobench.datasets.support import default_target, default_task, unsupported
from hemobench.errors import UserError
from hemobench.training.config import TrainConfig
from hemobench.views.view import default_view, view_to_mapping


def resolve_config(options: Mapping[str, Any], dataset: str, size: int | None) -> TrainConfig:
    """Config of a command line: the task follows the model and the data set, the view what its masks mark.

    Raises: UserError for names and options that are unknown, and for a task that the data set `dataset` cannot serve.

    >>> resolve_config({"model": "unet3d"}, "phantom-t1", None).monitor
    'dice_ventricles'
    """
    options, info = dict(options), dataset_info(dataset)
    segments = str(options.get("model", "")).startswith(("unet", "monai:"))
    options.setdefault("task", "segmentation" if segments else default_task(info))
    view = options.get("view") or {}
    if not isinstance(view, Mapping):
        raise UserError(f"view is {view!r}; expected options such as {{size: 128}}; give a mapping")
    view = dict(view)
    if size is not None:
        view["size"] = size
    if options["task"] == "segmentation" and "target" not in view:
        view = view_to_mapping(default_view("segmentation", default_target(info))) | view
    config = TrainConfig.from_mapping({**options, "view": view or None}).resolved()
    assert config.view is not None
    reason = unsupported(info, config.task, config.view)
    if reason is not None:
        raise UserError(f"{reason}; expected a task and a target that it serves; choose another data set or task")
    return config
