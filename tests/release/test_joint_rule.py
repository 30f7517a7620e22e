"""Two networks' answers weighed on patients whom neither had seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from hemobench.errors import UserError
from hemobench.inference.config import JOINT_SLICE, JOINT_STUDY
from hemobench.inference.joint import pooled
from hemobench.labels import CLASSES, SUBTYPES
from hemobench.release.joint_rule import SHARES, BothAnswers, classifier_answers, fit_joint, joint_by_others
from hemobench.release.measured import call_metrics
from hemobench.training.result import SlicePredictions

STUDIES, SLICES = 60, 6


def _answers(noise: float, seed: int) -> SlicePredictions:
    """Logits of 2 where a slice bleeds and -2 elsewhere, with noise of this standard deviation."""
    draws = np.random.default_rng(seed)
    targets = np.zeros((STUDIES, SLICES, 6), dtype=np.uint8)
    targets[::2, 2:4, [0, 5]] = 1
    logits = np.where(targets.reshape(-1, 6) > 0, 2.0, -2.0) + noise * draws.standard_normal((STUDIES * SLICES, 6))
    ids = np.repeat(np.asarray([f"{number:02d}" for number in range(STUDIES)]), SLICES)
    return SlicePredictions(
        expit(logits).astype(np.float32), targets.reshape(-1, 6), ids, ids, np.tile(np.arange(SLICES), STUDIES)
    )


def _both(classifier: float, segmenter: float) -> BothAnswers:
    return BothAnswers(_answers(classifier, 1), _answers(segmenter, 2), np.full(STUDIES * SLICES, 5.0))


def test_the_pool_is_the_weighed_mean_of_logits() -> None:
    first, second = np.array([0.2, 0.7]), np.array([0.9, 0.7])
    np.testing.assert_allclose(pooled(first, second, 0.25), 0.25 * logit(first) + 0.75 * logit(second))
    assert np.isfinite(pooled(np.array([0.0]), np.array([1.0]), 0.5)).all()


@pytest.mark.parametrize(("classifier", "segmenter"), [(0.5, 12.0), (12.0, 0.5), (3.0, 3.0)])
def test_together_they_are_no_worse_than_the_better_one(classifier: float, segmenter: float) -> None:
    answers = _both(classifier, segmenter)
    rule = fit_joint(answers)
    each = (answers.classifier, answers.segmenter)
    alone = [roc_auc_score(one.targets[:, -1], one.probabilities[:, -1]) for one in each]
    both = joint_by_others(answers, np.repeat(np.arange(STUDIES) // 2 % 2, SLICES)).order
    assert roc_auc_score(both.targets[:, -1], both.probabilities[:, -1]) > max(alone) - 0.01
    assert rule.share == 0.5 or classifier != segmenter  # of equals each counts half


def test_the_rule_has_both_levels_for_every_class() -> None:
    rule = fit_joint(_both(3.0, 3.0))
    assert rule.share in SHARES
    assert set(rule.calibration) == set(rule.thresholds) == {JOINT_SLICE, JOINT_STUDY}
    assert all(set(rule.calibration[level]) == set(CLASSES) for level in rule.calibration)
    assert all(0 <= value <= 1 for value in rule.thresholds[JOINT_STUDY].values())


def test_two_hear_more_than_one_and_no_patient_weighs_for_itself() -> None:
    answers = _both(3.0, 3.0)
    folds = np.repeat(np.arange(STUDIES) // 2 % 3, SLICES)
    both = joint_by_others(answers, folds)
    together = both.slices
    assert together.probabilities.shape == both.order.probabilities.shape == (STUDIES * SLICES, 6)
    assert both.logits.shape == both.probabilities.shape == both.called.shape == both.targets.shape == (STUDIES, 6)
    assert both.targets[:, -1].tolist() == [1, 0] * (STUDIES // 2)
    # Nine in ten of the healthy ones are left uncalled by the others' rule, or nearly so.
    healthy, bleeding = both.called[1::2, -1].mean(), both.called[::2, -1].mean()
    assert healthy <= 0.2
    assert bleeding > healthy + 0.3
    # Where the answers to one fold change, the others' weights do, and that fold's own rule does not.
    changed = np.array(answers.segmenter.probabilities)
    changed[folds == 0] = 1 - changed[folds == 0]
    others = dataclasses.replace(answers, segmenter=dataclasses.replace(answers.segmenter, probabilities=changed))
    again = joint_by_others(others, folds).slices
    assert not np.allclose(again.probabilities[folds == 1], together.probabilities[folds == 1])


def test_types_are_named_where_most_are_right() -> None:
    rule = fit_joint(_both(3.0, 3.0))
    for level in (JOINT_SLICE, JOINT_STUDY):
        least = {rule.thresholds[level][name] for name in SUBTYPES}
        assert len(least) == 1  # one for all, of whom some are too rare to have one of their own
    # In slices that bleed half of the time or less by their looks, a specificity of 90% would name more than it should.
    both = joint_by_others(_both(3.0, 3.0), np.repeat(np.arange(STUDIES) // 2 % 3, SLICES))
    named = both.called[:, : len(SUBTYPES)]
    assert both.targets[:, : len(SUBTYPES)][named].mean() >= 0.6
    assert named.any()


def test_what_calls_are_worth_by_hand() -> None:
    called = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]], dtype=bool)
    targets = np.array([[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    worth = call_metrics(called, targets, np.array(["a", "b", "c", "d"]))
    assert worth["sensitivity_called_any_study"]["mean"] == 0.5
    assert worth["specificity_called_any_study"]["mean"] == 0.5
    assert worth["precision_named_types_study"]["mean"] == pytest.approx(1 / 3)


def test_a_run_without_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folds of a slice classifier"):
        classifier_answers(tmp_path, _answers(1.0, 0))
