"""Classification metrics against scikit-learn and against a table small enough to count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from hemobench.errors import UserError
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.metrics.classification import (
    BASE_METRICS,
    class_accuracies,
    classification_metrics,
    confusion_matrix,
    exact_accuracy,
    exclusive_accuracy,
    log_loss,
    logloss_rsna,
    study_maximum,
    undefined_subtypes,
    weighted_classification_metric,
)


def _slices(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.zeros((rows, 6), dtype=np.uint8)
    targets[:, :5] = rng.random((rows, 5)) < 0.12
    targets[:, 5] = targets[:, :5].max(axis=1)
    logits = rng.normal(size=(rows, 6)) + 1.5 * targets - 1
    return 1 / (1 + np.exp(-logits)), targets


def test_every_slice_metric_agrees_with_scikit_learn() -> None:
    probabilities, targets = _slices(0)
    measured = classification_metrics(probabilities, targets)
    areas = [sk.roc_auc_score(targets[:, k], probabilities[:, k]) for k in range(6)]
    losses = [sk.log_loss(targets[:, k], probabilities[:, k], labels=[0, 1]) for k in range(6)]
    expected = {f"auroc_{name}": area for name, area in zip(CLASSES, areas, strict=True)} | {
        "auroc_macro": np.mean(areas[:5]),
        "ap_any": sk.average_precision_score(targets[:, 5], probabilities[:, 5]),
        "logloss_rsna": (sum(losses[:5]) + 2 * losses[5]) / 7,
        "brier_any": sk.brier_score_loss(targets[:, 5], probabilities[:, 5]),
        "sens_at_half_any": sk.recall_score(targets[:, 5], probabilities[:, 5] >= 0.5),
        "ppv_at_half_any": sk.precision_score(targets[:, 5], probabilities[:, 5] >= 0.5),
        "accuracy": sk.accuracy_score(targets[:, 5], probabilities[:, 5] >= 0.5),
        "accuracy_exact": sk.accuracy_score(targets, probabilities >= 0.5),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(measured) == set(BASE_METRICS) == {*expected, "ece_any", "sens_at_spec90_any", "spec_at_sens90_any"}


def test_rsna_log_loss_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.25]])
    targets = np.array([[0, 0, 1, 0, 0, 1]])
    assert logloss_rsna(probabilities, targets) == pytest.approx((5 * math.log(2) + 2 * math.log(4)) / 7)
    assert log_loss(probabilities, targets) == pytest.approx((5 * math.log(2) + math.log(4)) / 6)


def test_a_certain_and_wrong_probability_costs_much_but_not_infinitely() -> None:
    assert log_loss([[1.0]], [[0]]) == pytest.approx(-math.log(1e-15), rel=1e-2)
    assert log_loss([[1.0]], [[1]]) == pytest.approx(0.0, abs=1e-12)


def test_accuracies_by_hand() -> None:
    probabilities = [[0.9, 0.1], [0.5, 0.6], [0.2, 0.2], [0.4, 0.9]]
    targets = [[1, 0], [1, 0], [0, 0], [1, 1]]
    assert exact_accuracy(probabilities, targets) == 0.5
    np.testing.assert_array_equal(class_accuracies(probabilities, targets), [0.75, 0.75])


def test_exclusive_accuracy_and_confusion_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 6, size=200)
    scores = rng.normal(size=(200, 6)) + 2 * np.eye(6)[classes]
    assert exclusive_accuracy(scores, classes) == sk.accuracy_score(classes, scores.argmax(axis=1))
    np.testing.assert_array_equal(
        confusion_matrix(scores, classes), sk.confusion_matrix(classes, scores.argmax(axis=1), labels=range(6))
    )


def test_a_subtype_without_positives_is_nan_left_out_of_the_macro_mean_and_named() -> None:
    probabilities, targets = _slices(3)
    targets[:, 1] = 0
    targets[:, 4] = 1
    measured = classification_metrics(probabilities, targets)
    assert undefined_subtypes(targets) == ("intraparenchymal", "subdural")
    assert np.isnan([measured["auroc_intraparenchymal"], measured["auroc_subdural"]]).all()
    kept = [measured[f"auroc_{name}"] for name in ("epidural", "intraventricular", "subarachnoid")]
    assert measured["auroc_macro"] == pytest.approx(np.mean(kept))


def test_no_haemorrhage_at_all_leaves_every_auroc_undefined_but_not_the_losses() -> None:
    probabilities, targets = _slices(4)
    measured = classification_metrics(probabilities, np.zeros_like(targets))
    undefined = {name for name, value in measured.items() if np.isnan(value)}
    ranked = {f"auroc_{name}" for name in (*SUBTYPES, "any", "macro")}
    assert undefined == ranked | {"ap_any", "sens_at_spec90_any", "spec_at_sens90_any", "sens_at_half_any"}
    # Nothing is called: no call is right or wrong.
    assert math.isnan(classification_metrics(np.zeros_like(probabilities), targets)["ppv_at_half_any"])


def test_study_metrics_are_slice_metrics_of_the_maxima() -> None:
    probabilities, targets = _slices(5, rows=120)
    # Interleaved, unsorted, of unequal length.
    studies = np.array([f"study-{k}" for k in np.random.default_rng(6).integers(0, 17, size=120)])
    names = sorted(set(studies))
    tops = np.array([probabilities[studies == name].max(axis=0) for name in names])
    truths = np.array([targets[studies == name].max(axis=0) for name in names])
    measured = classification_metrics(probabilities, targets, studies)
    expected = classification_metrics(tops, truths)
    of_studies = {name: measured[f"{name}_study"] for name in BASE_METRICS}
    assert of_studies == pytest.approx(expected, nan_ok=True)
    assert measured["auroc_any"] == pytest.approx(sk.roc_auc_score(targets[:, 5], probabilities[:, 5]))


def test_study_maximum_points_at_the_first_slice_of_each_study() -> None:
    probabilities, targets = _slices(7, rows=5)
    _, _, first = study_maximum(probabilities, targets, ["b", "a", "b", "c", "a"])
    np.testing.assert_array_equal(first, [1, 0, 3])


@pytest.mark.parametrize("name", BASE_METRICS)
def test_weight_k_is_the_row_repeated_k_times_for_every_metric(name: str) -> None:
    probabilities, targets = _slices(8, rows=150)
    weights = np.random.default_rng(9).integers(0, 3, size=150)
    rows = np.repeat(np.arange(150), weights)
    measured = weighted_classification_metric(name, probabilities, targets)(weights[None, :].astype(float))
    assert measured[0] == pytest.approx(classification_metrics(probabilities[rows], targets[rows])[name], abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        (np.full((3, 6), 1.5), np.zeros((3, 6)), "apply the sigmoid"),
        (np.full((3, 6), np.nan), np.zeros((3, 6)), "18 of 18 scores are NaN"),
        (np.full((3, 5), 0.5), np.zeros((3, 5)), r"expected both \(N, 6\)"),
        (np.full((3, 6), 0.5), np.full((3, 6), 3), "expected 0 or 1"),
        (np.zeros((0, 6)), np.zeros((0, 6)), "N >= 1"),
    ],
)
def test_bad_input_is_named(probabilities: np.ndarray, targets: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        classification_metrics(probabilities, targets)


def test_other_bad_input_is_named() -> None:
    probabilities, targets = _slices(0, rows=4)
    with pytest.raises(UserError, match="study ids for 4 rows"):
        classification_metrics(probabilities, targets, ["a", "b"])
    with pytest.raises(UserError, match="unknown classification metric 'auroc_al'"):
        weighted_classification_metric("auroc_al", probabilities, targets)
    with pytest.raises(UserError, match="expected integers 0 to 5"):
        exclusive_accuracy(probabilities, [0, 1, -1, 2])
    with pytest.raises(UserError, match="one a class"):
        log_loss(probabilities, targets, class_weights=[1.0, 2.0])
