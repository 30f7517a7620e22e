"""How much of the spread of per-case scores is patient, seed, fold, and chance: variance components of a design."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError
from hemobench.stats.statistics import FloatArray


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of one case's score: between patients, between seeds of one fold, between folds, and what is left
    (chance between a patient and a seed). NaN where the design cannot tell: `fold` with one fold, `seed` and the
    split of patient and residual with one seed."""

    patient: float
    seed: float
    fold: float
    residual: float

    def error(self, patients: int, seeds: int, folds: int = 1) -> float:
        """Standard error of the mean over so many patients in all, seeds a fold and folds: what more of each buys.

        >>> round(VarianceComponents(0.04, 0.001, 0.0, 0.01).error(patients=40, seeds=5), 4)
        0.0354
        """
        return float(np.sqrt(np.nansum(astuple(self.of_mean(patients, seeds, folds)))))

    def of_mean(self, patients: int, seeds: int, folds: int = 1) -> VarianceComponents:
        """What each contributes to the variance of that mean; NaN stays NaN."""
        return VarianceComponents(
            self.patient / patients, self.seed / (seeds * folds), self.fold / folds, self.residual / (patients * seeds)
        )


def variance_components(
    values: ArrayLike, patients: ArrayLike, seeds: ArrayLike, folds: ArrayLike | None = None
) -> VarianceComponents:
    """Variance components of scores (N,) by the patient, seed and fold (N,) of each: analysis of variance.

    Each patient is in one fold and is scored once by each seed of it; patients with a value that is NaN are left out,
    negative estimates are 0. Raises UserError for a table that is not so. Source: Searle, Casella and McCulloch,
    Variance Components, 1992, ch. 4 (the method of moments; folds of unequal size by their harmonic mean).
    """
    tables = _tables(values, patients, seeds, folds)
    count = tables[0].shape[0]
    residual, of_seed, of_patient = _pooled(tables)
    sizes = np.array([table.shape[1] for table in tables])
    seed = float("nan")
    if count > 1:
        freedom = len(tables) * (count - 1)
        # Expected: the residual, and the number of patients times the seeds' variance.
        seed = max(0.0, (of_seed - freedom * residual) / ((count - 1) * float(sizes.sum())))
        patient = max(0.0, (of_patient - residual) / count)
    else:
        patient = of_patient
    fold = float("nan")
    if len(tables) > 1:
        between = float(np.var([table.mean() for table in tables], ddof=1))
        size = len(sizes) / float((1 / sizes).sum())
        chance = (patient + np.nan_to_num(residual) / count) / size + np.nan_to_num(seed) / count
        fold = max(0.0, between - float(chance))
    return VarianceComponents(patient, seed, fold, residual)


def _pooled(tables: list[FloatArray]) -> tuple[float, float, float]:
    """Residual mean square, sum of squares of seeds, mean square of patients, over folds of (seeds, patients)."""
    left, of_seed, of_patient, freedom, patients = 0.0, 0.0, 0.0, 0, 0
    count = tables[0].shape[0]
    for table in tables:
        mean, by_seed, by_patient = table.mean(), table.mean(axis=1), table.mean(axis=0)
        left += float(((table - by_seed[:, None] - by_patient[None, :] + mean) ** 2).sum())
        of_seed += float(((by_seed - mean) ** 2).sum()) * table.shape[1]
        of_patient += float(((by_patient - mean) ** 2).sum()) * count
        patients += table.shape[1] - 1
        freedom += (count - 1) * (table.shape[1] - 1)
    residual = left / freedom if freedom else float("nan")
    return residual, of_seed, of_patient / patients if patients else float("nan")


def _tables(values: ArrayLike, patients: ArrayLike, seeds: ArrayLike, folds: ArrayLike | None) -> list[FloatArray]:
    """One table (seeds, patients) a fold."""
    scores, people, runs = np.asarray(values, dtype=np.float64), np.asarray(patients), np.asarray(seeds)
    fold_of = np.zeros(scores.shape, dtype=np.intp) if folds is None else np.asarray(folds)
    if scores.ndim != 1 or not scores.size or any(item.shape != scores.shape for item in (people, runs, fold_of)):
        raise UserError(
            f"scores of shape {scores.shape} with patients, seeds and folds of shapes {people.shape}, {runs.shape} and "
            f"{fold_of.shape}; expected equally long vectors; give one of each a score"
        )
    found = [_table(scores[rows], people[rows], runs[rows]) for rows in (fold_of == one for one in np.unique(fold_of))]
    if len({len(table) for table in found}) > 1 or min(table.shape[1] for table in found) < 2:
        raise UserError(
            f"folds of (seeds, patients) {[table.shape for table in found]}; expected two patients or more in each and "
            "as many seeds; train the seeds that are missing"
        )
    return found


def _table(scores: FloatArray, people: NDArray[np.generic], runs: NDArray[np.generic]) -> FloatArray:
    names, person = np.unique(people, return_inverse=True)
    numbers, run = np.unique(runs, return_inverse=True)
    if scores.size != names.size * numbers.size or np.unique(run * names.size + person).size != scores.size:
        raise UserError(
            f"{scores.size} scores of {names.size} patients and {numbers.size} seeds in one fold; "
            "expected each patient once a seed; average several scans of a patient first"
        )
    table = np.empty((numbers.size, names.size))
    table[run, person] = scores
    return table[:, np.isfinite(table).all(axis=0)]
