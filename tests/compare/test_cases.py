"""An entry's own cases and failures in the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hemobench.compare.cases import entry_cases
from hemobench.training.result import Pictures


def _with_roles(run, roles, titles):
    masks = np.zeros((len(roles), 48, 48), dtype=np.uint8)
    masks[:, 10:20, 10:20] = 1
    grey = np.full(masks.shape, 90, dtype=np.uint8)
    return replace(run, pictures=Pictures(grey, masks, masks, np.asarray(titles), np.asarray(roles)))


def test_best_median_and_worst_show_truth_above_prediction_and_the_dice_of_the_case(segmentation_run):
    run = _with_roles(
        segmentation_run([0.8, 0.3, 0.5]),
        ["", "best", "median", "worst"],
        ["p0, slice 3", "p0, slice 3", "p2, slice 1", "p1, slice 9"],
    )
    (own,) = entry_cases({"unet": [run]}, pictures=True)
    assert [case.role for case in own.cases] == ["best", "median", "worst"]
    assert [case.caption for case in own.cases] == [
        "p0, slice 3: Dice 0.80 of the case",
        "p2, slice 1: Dice 0.50 of the case",
        "p1, slice 9: Dice 0.30 of the case",
    ]
    assert [alt for _, alt in own.cases[0].pictures] == ["p0, slice 3, true mask", "p0, slice 3, predicted mask"]
    assert own.failures == ("p1: Dice 0.30, 10.0 mL there, 10.0 mL found",)


def test_undefined_cases_are_no_failures(segmentation_run):
    (own,) = entry_cases({"unet": [segmentation_run([np.nan, 0.9, 0.1, 0.2, 0.8])]}, pictures=True)
    assert [line.partition(":")[0] for line in own.failures] == ["p2", "p3"]


def test_missed_slices_come_lowest_first_and_false_alarms_highest_first(classification_run):
    run = classification_run([0.3, 0.1, 0.9, 0.6, 0.2], [1, 1, 0, 0, 0], list("abcde"))
    (own,) = entry_cases({"cnn": [run]}, pictures=True)
    assert own.failures == (
        "missed b, slice 1: subdural, any 10%",
        "missed a, slice 0: subdural, any 30%",
        "false alarm c, slice 2: no haemorrhage, any 90%",
        "false alarm d, slice 3: no haemorrhage, any 60%",
        "false alarm e, slice 4: no haemorrhage, any 20%",
    )


def test_without_pictures_none_is_left(segmentation_run):
    run = _with_roles(segmentation_run([0.8, 0.3]), ["best"], ["p0, slice 3"])
    (own,) = entry_cases({"unet": [run]}, pictures=False)
    assert own.cases == ()
    assert own.failures
