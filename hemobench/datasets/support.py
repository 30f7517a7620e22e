"""What a data set can be used for, told before anything is read, and the first lines about a copy that was opened."""

from __future__ import annotations

import shlex

from hemobench.case import Dataset, DatasetInfo
from hemobench.views.view import SegmentationView, View

SHOWN_LINES = 3


def unsupported(info: DatasetInfo, task: str, view: View) -> str | None:
    """Why a data set cannot serve this task and view, None when it can.

    >>> from hemobench.datasets.opening import dataset_info
    >>> from hemobench.views.view import default_view
    >>> unsupported(dataset_info("phantom-t1"), "classification", default_view("classification"))
    "data set 'phantom-t1' is for segmentation, not for classification"
    """
    if task not in info.tasks:
        return f"data set '{info.name}' is for {', '.join(info.tasks)}, not for {task}"
    if isinstance(view, SegmentationView) and view.target not in info.masks:
        held = " and ".join(info.masks) or "nothing"
        return f"data set '{info.name}' has masks of {held}, not of {view.target}"
    return None


def default_task(info: DatasetInfo) -> str:
    """The task that a run without one has: slices where they have labels, else voxels."""
    return "classification" if "classification" in info.tasks else "segmentation"


def default_target(info: DatasetInfo) -> str:
    """The structure that a segmentation without a named target is of: the first that the masks mark.

    >>> from hemobench.datasets.opening import dataset_info
    >>> default_target(dataset_info("phantom-t1")), default_target(dataset_info("rsna"))
    ('ventricles', 'haemorrhage')
    """
    return info.masks[0] if info.masks else "haemorrhage"


def first_lines(dataset: Dataset, spec: str, shown: int = SHOWN_LINES) -> list[str]:
    """The first warnings and notes about a copy opened as `spec`, and where the others are.

    Warnings come first, because a split that leaks is one of them and must not be cut off.
    """
    lines = [*dataset.warnings, *dataset.notes]
    more = len(lines) - shown
    if more <= 0:
        return lines
    return [*lines[:shown], f"and {more} more; `hemobench data check {shlex.quote(spec)}` lists all"]
