"""Intervals, paired differences and ranks by resampling patients, never slices, and seeds beside them.

Slices of one patient resemble each other, so resampling slices would give intervals that are too narrow. Here whole
patients are drawn with replacement (the cluster bootstrap: Efron and Tibshirani 1993, ch. 8; Field and Welsh, JRSS B
2007) and every entry of a comparison is scored on the same draws, so that differences are paired. What retraining
would change is drawn beside it from the spread over seeds (`seeds`), so a board's interval says where the score would
lie with other patients and other seeds; of a single network's score (`patient_bootstrap`) it says what other patients
would do. Which differences are called real is settled for all comparisons of a board together (`comparisons`).
"""

from __future__ import annotations

from hemobench.stats.board import EntrySummary, Question, rank_intervals, summarise_entries, summarise_questions
from hemobench.stats.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Difference,
    Interval,
    bootstrap_scores,
    p_better,
    paired_patient_bootstrap,
    patient_bootstrap,
    patient_draws,
    percentile_interval,
)
from hemobench.stats.comparisons import Comparisons, Scores, compare_all
from hemobench.stats.components import VarianceComponents, variance_components
from hemobench.stats.seeds import moderated_variances
from hemobench.stats.statistics import (
    FloatArray,
    IndexArray,
    RowStatistic,
    WeightedStatistic,
    case_mean,
    classification_statistic,
    mean_over_seeds,
    share,
)

STATISTICS = 1
"""Version of what the statistics of a board say: raised when the same answers would give other intervals, ranks or
ties. A shipped leaderboard of another version is stale."""

__all__ = [
    "CONFIDENCE",
    "RESAMPLES",
    "STATISTICS",
    "Comparisons",
    "Difference",
    "EntrySummary",
    "FloatArray",
    "IndexArray",
    "Interval",
    "Question",
    "RowStatistic",
    "Scores",
    "VarianceComponents",
    "WeightedStatistic",
    "bootstrap_scores",
    "case_mean",
    "classification_statistic",
    "compare_all",
    "mean_over_seeds",
    "moderated_variances",
    "p_better",
    "paired_patient_bootstrap",
    "patient_bootstrap",
    "patient_draws",
    "percentile_interval",
    "rank_intervals",
    "share",
    "summarise_entries",
    "summarise_questions",
    "variance_components",
]
