"""ROC, precision-recall, reliability and volumes as the report draws them, against scikit-learn and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, roc_auc_score

from hemobench.compare.prediction_curves import (
    precision_recall_lines,
    prevalence,
    reliabilities,
    roc_lines,
    volumes,
)
from hemobench.compare.ranking import BoardFacts, build_board

RNG = np.random.default_rng(3)
TRUTH = (np.arange(400) % 4 == 0).astype(int)
GIVEN = [expit(RNG.normal(size=400) + 1.5 * TRUTH) for _ in range(2)]
PATIENTS = [f"p{number // 4}" for number in range(400)]


@pytest.fixture
def runs(classification_run):
    return {"cnn": [classification_run(given, TRUTH, PATIENTS, seed) for seed, given in enumerate(GIVEN)]}


def test_area_under_the_roc_line_is_the_mean_auroc_of_the_seeds(runs):
    (line,) = roc_lines(runs)
    expected = np.mean([roc_auc_score(TRUTH, given) for given in GIVEN])
    assert trapezoid(line.y, line.x) == pytest.approx(expected, abs=0.005)
    assert (line.low <= line.y).all()
    assert (line.y <= line.high).all()
    assert (line.low < line.high).any(), "two seeds with other answers have other curves"


def test_mean_precision_over_recall_is_the_average_precision(runs):
    (line,) = precision_recall_lines(runs)
    expected = np.mean([average_precision_score(TRUTH, given) for given in GIVEN])
    assert line.y.mean() == pytest.approx(expected, abs=0.01)
    assert line.y[-1] >= prevalence(runs) == 0.25


def test_precision_at_each_recall_by_hand(classification_run):
    # Falling: 0.9 hit (recall 1/2, precision 1), 0.8 alarm, 0.7 hit (recall 1, precision 2/3), 0.1 alarm.
    (line,) = precision_recall_lines({"a": [classification_run([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], list("abcd"))]})
    assert line.y[line.x <= 0.5] == pytest.approx(1.0)
    assert line.y[line.x > 0.501] == pytest.approx(2 / 3)


def test_nothing_is_drawn_of_one_class_or_of_exclusive_classes(runs, classification_run):
    assert roc_lines({"a": [classification_run([0.2, 0.3], [0, 0], ["p", "q"])]}) == ()
    exclusive = [replace(run, test=replace(run.test, exclusive=True)) for run in runs["cnn"]]
    assert roc_lines({"a": exclusive}) == ()
    assert np.isnan(prevalence({"a": exclusive}))


def test_calibration_by_validation_patients_moves_reliability_to_the_line(classification_run):
    # Answers whose logits are twice too large and one too high; validation patients tell.
    true_logits = RNG.normal(size=4000)
    truth = (RNG.random(4000) < expit(true_logits)).astype(int)
    patients = [f"p{number}" for number in range(4000)]
    run = classification_run(expit(2 * true_logits + 1), truth, patients)
    run = replace(run, validation=run.test)
    shown = ("auroc_any", "ece_any_calibrated")
    facts = BoardFacts("classification", "b", "phantom", "d", True, "auroc_any", shown, 20)
    (curve,) = reliabilities(build_board(facts, {"a": [run]}), {"a": [run]})
    assert len(curve.raw[0]) == len(curve.calibrated[0]) == 10
    assert np.abs(curve.calibrated[0] - curve.calibrated[1]).max() < 0.06
    assert np.abs(curve.raw[0] - curve.raw[1]).max() > 0.15
    assert logit(curve.raw[0][-1]) > logit(curve.calibrated[0][-1])


def test_volumes_are_the_first_seeds(segmentation_run):
    (cloud,) = volumes({"unet": [segmentation_run([0.5, 0.6]), segmentation_run([0.1, 0.2], 1)]})
    assert cloud.true_ml.tolist() == cloud.predicted_ml.tolist() == [10.0, 10.0]
