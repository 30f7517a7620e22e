from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import average_precision_score, roc_auc_score

from hemobench.evaluation.scores import Rule, SliceTable, case_scores, slice_scores
from hemobench.labels import CLASSES

ANY = CLASSES.index("any")
PLAIN = Rule(dict.fromkeys(("slice", "study"), ((1.0, 0.0),) * 6), {"slice": (0.5,) * 6, "study": (0.8,) * 6})


def table(
    *, patients: int = 12, depth: int = 8, typed: bool = True, by_slice: bool = True, single: bool = False
) -> SliceTable:
    """Stacks in which blood is likelier higher up, and a network that is right more often than not."""
    random = np.random.default_rng(5)
    rows = patients * depth
    place = np.tile(np.arange(depth), patients)
    targets = np.zeros((rows, 6), dtype=np.uint8)
    targets[:, :5] = random.random((rows, 5)) < 0.04 * place[:, None] / depth * 4
    targets[:, ANY] = targets[:, :5].max(axis=1)
    logits = random.normal(0, 1, (rows, 6)) + 1.5 * targets - 1
    patient = np.repeat([f"p{number:02d}" for number in range(patients)], depth)
    study = np.asarray([f"{name}-{index}" for name, index in zip(patient, place, strict=True)]) if single else patient
    indices = np.zeros(rows, dtype=np.int64) if single else place
    flags = np.full(rows, True)
    return SliceTable(logits, targets, patient, study, indices, flags & typed, flags & by_slice)


def test_values_are_those_of_independent_code_and_lie_in_their_intervals() -> None:
    data = table()
    scores, _ = slice_scores(data, PLAIN)
    truth, score = data.targets[:, ANY], data.logits[:, ANY]
    assert scores["auroc_any"]["mean"] == pytest.approx(roc_auc_score(truth, score))
    assert scores["ap_any"]["mean"] == pytest.approx(average_precision_score(truth, score))
    assert scores["auroc_macro"]["mean"] == pytest.approx(
        np.mean([roc_auc_score(data.targets[:, k], data.logits[:, k]) for k in range(5)])
    )
    called = score >= 0  # probability one half
    assert scores["sensitivity_at_call_any"]["mean"] == pytest.approx(called[truth > 0].mean())
    assert scores["specificity_at_call_any"]["mean"] == pytest.approx((~called[truth == 0]).mean())
    assert scores["auroc_any"]["n"] == len(truth)
    defined = {name: one for name, one in scores.items() if np.isfinite(one["mean"])}
    assert len(defined) > 35
    for name, one in defined.items():
        assert one["ci"][0] <= one["mean"] <= one["ci"][1], name


def test_the_upper_three_quarters_are_those_above_the_lowest_quarter_of_each_stack() -> None:
    data = table(depth=9)  # relative heights 0, 1/8, ..., 1: the lowest two are below one quarter
    scores, _ = slice_scores(data, PLAIN)
    upper = data.slice_indices >= 2
    assert scores["auroc_any_upper75"]["n"] == upper.sum()
    assert scores["auroc_any_upper75"]["mean"] == pytest.approx(
        roc_auc_score(data.targets[upper, ANY], data.logits[upper, ANY])
    )


def test_studies_have_their_own_calibration_and_thresholds() -> None:
    data = table()
    rule = Rule({"slice": ((1.0, 0.0),) * 6, "study": ((2.0, -1.0),) * 6}, {"slice": (0.5,) * 6, "study": (0.8,) * 6})
    scores, _ = slice_scores(data, rule)
    highest = data.logits[:, ANY].reshape(12, -1).max(axis=1)
    truth = data.targets[:, ANY].reshape(12, -1).max(axis=1)
    called = 2 * highest - 1 >= logit(0.8)
    assert scores["sensitivity_at_call_any_study"]["mean"] == pytest.approx(called[truth > 0].mean())
    probability = 1 / (1 + np.exp(1 - 2 * highest))
    assert scores["brier_any_study"]["mean"] == pytest.approx(np.mean((probability - truth) ** 2))
    assert scores["brier_any_study"]["n"] == 12


def test_a_study_is_judged_by_as_many_slices_as_the_checkpoint_says() -> None:
    data = table()
    rule = dataclasses.replace(PLAIN, study_slices=2)
    scores, _ = slice_scores(data, rule)
    pairs = np.sort(data.logits[:, ANY].reshape(12, -1), axis=1)[:, -2:].mean(axis=1)
    truth = data.targets[:, ANY].reshape(12, -1).max(axis=1)
    assert scores["brier_any_study"]["mean"] == pytest.approx(np.mean((1 / (1 + np.exp(-pairs)) - truth) ** 2))


def test_position_alone_finds_what_height_tells_and_no_more() -> None:
    _, position = slice_scores(table(patients=40), PLAIN)
    assert set(position) == {"auroc_any", "auroc_any_upper75"}
    assert 0.55 < position["auroc_any_upper75"]["mean"] < position["auroc_any"]["mean"] < 0.85
    # Blood at random heights: nothing to learn.
    blind = table(patients=40)
    random = np.random.default_rng(1)
    blind.targets[:, ANY] = random.random(len(blind.targets)) < 0.3
    assert slice_scores(blind, PLAIN)[1]["auroc_any"]["mean"] == pytest.approx(0.53, abs=0.04)


def test_unknown_types_have_no_scores() -> None:
    scores, _ = slice_scores(table(typed=False), PLAIN)
    assert "auroc_any" in scores
    assert not [name for name in scores if "subdural" in name or "macro" in name or "logloss" in name]


def test_labels_of_studies_give_scores_of_studies_alone() -> None:
    scores, position = slice_scores(table(by_slice=False), PLAIN)
    assert position == {}
    assert scores
    assert all(name.endswith("_study") for name in scores)


def test_single_pictures_are_grouped_by_patient_and_have_no_position() -> None:
    scores, position = slice_scores(table(single=True), PLAIN)
    assert position == {}
    assert scores["auroc_any_patient"]["n"] == 12
    assert not [name for name in scores if name.endswith(("_study", "_upper75"))]


def test_one_patient_has_no_interval() -> None:
    scores = case_scores({"dice_any": np.array([0.5, np.nan])}, np.array(["a", "a"]))
    assert scores["dice_any"]["mean"] == 0.5
    assert scores["dice_any"]["undefined"] == 1
    assert np.isnan(scores["dice_any"]["ci"]).all()
