"""A board in sentences: its answer, what limits it, and how its figures are to be read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from hemobench.compare.leaderboard import Agreement, Board, Entry, Gap
from hemobench.metrics.definitions import higher_is_better
from hemobench.metrics.names import metric_words

FEW_PATIENTS = 50
# As many settled pairs as a sentence names; the report's table and the files hold all.
_NAMED = 6
_SETTLED = 0.05 + 1e-12
# The parts of a variance in words, and of which of them a study may have more.
PARTS: Mapping[str, str] = {
    "patient": "patients",
    "seed": "seeds",
    "fold": "folds",
    "interaction": "chance between patients and seeds",
}
MORE = ("patient", "seed", "fold")


def answer(metric: str, entries: Sequence[Entry], patients: int) -> str:
    """The result in a sentence: whether the best is better than which others, and by how much."""
    best, others = entries[0], entries[1:]
    score = best.metrics[metric]
    if math.isnan(score.mean):
        return f"{metric} is undefined for every entry."
    if not others:
        return f"{best.name} has {metric} {_interval(score.mean, *score.ci)}; nothing stands beside it."
    tied = [entry for entry in others if entry.tied_with_best]
    where = f"on these {patients} patients"
    if len(tied) == len(others):
        return f"No difference in {metric} is settled {where}: all {len(entries)} entries are tied."
    beaten = [entry for entry in others if not entry.tied_with_best]
    nearest = beaten[0]
    assert nearest.to_best is not None
    more = f" and {len(beaten) - 1} more by as much or more" if len(beaten) > 1 else ""
    sentence = f"{best.name} beats {nearest.name} by {_lead(nearest.to_best)} {metric}{more} {where}"
    return f"{sentence}; {_listed([entry.name for entry in tied])} tied with it." if tied else f"{sentence}."


def question(metric: str, gaps: Mapping[str, Mapping[str, Gap]], patients: int) -> str:
    """What is settled in a metric, in a sentence: which entry has the better score than which, and by how much.

    gaps: each entry's score minus each other's, in the order of the board.
    """
    sign = 1 if higher_is_better(metric) else -1
    pairs = [(one, other, gap) for one, row in gaps.items() for other, gap in row.items()]
    # Each pair once, the better first. An undefined p is not settled.
    settled = [(one, other, gap) for one, other, gap in pairs if gap.p <= _SETTLED and sign * gap.difference > 0]
    where = f"on these {patients} patients"
    if not settled:
        return f"No difference in {metric} is settled {where}."
    settled.sort(key=lambda pair: -abs(pair[2].difference))
    told = [f"{one} over {other} by {_lead(gap)}" for one, other, gap in settled[:_NAMED]]
    more = [f"{len(settled) - _NAMED} more"] if len(settled) > _NAMED else []
    better = "higher" if sign > 0 else "lower"
    open_pairs = len(pairs) // 2 - len(settled)
    rest = f"; not settled: {open_pairs} of {len(pairs) // 2} pairs" if open_pairs else ""
    return f"Settled in {metric} ({better} is better) {where}: {'; '.join([*told, *more])}{rest}."


def answer_in_words(board: Board) -> str:
    """A board's answer for people to read: the metric by its words, which the files keep by its name."""
    return in_words(board.answer, board.rank_by)


def in_words(sentence: str, metric: str) -> str:
    """A sentence about a metric with its words in place of its name."""
    return re.sub(rf"(?<![\w-]){re.escape(metric)}(?![\w-])", metric_words(metric), sentence)


def cautions(entries: Sequence[Entry], patients: int, score: str = "a score") -> tuple[str, ...]:
    """What a reader must allow for: few patients, one seed, seeds that make most of the spread of `score`."""
    found = []
    if patients < FEW_PATIENTS:
        found.append(
            f"Few patients: {patients} were tested, fewer than {FEW_PATIENTS}; intervals are rough, small differences "
            "cannot be seen."
        )
    single = [entry for entry in entries if len(entry.seeds) < 2]
    if single:
        which = "every entry" if len(single) == len(entries) else _listed([entry.name for entry in single])
        found.append(
            f"One seed for {which}: intervals and comparisons hold for these trained networks and leave out what "
            "training again would change."
        )
    elif any(len(entry.seeds) == 2 for entry in entries):
        found.append("Two seeds say little of what training again would change; intervals are wide because of it.")
    # One part alone says nothing: a single split with one seed knows only of patients.
    shares = [entry.variance_shares for entry in entries if len(entry.variance_shares) > 1]
    if shares:
        mean = {name: sum(share[name] for share in shares) / len(shares) for name in PARTS if name in shares[0]}
        parts = ", ".join(f"{100 * mean[name]:.0f}% {PARTS[name]}" for name in mean)
        helps = PARTS[max((name for name in MORE if name in mean), key=lambda name: mean[name])]
        found.append(f"Variance of {score}, mean over entries: {parts}; more {helps} would narrow the intervals most.")
    return tuple(found)


def method(entries: int, folds: int = 1, questions: int = 0) -> str:
    """How P(better than next), ties and intervals are defined, with the number of comparisons; with several folds also
    whose answers are scored. questions: metrics beside that of the ranking in which all pairs are tested too."""
    pairs = entries * (entries - 1) // 2
    together = f"all {pairs} pairs of this board tested together" if pairs > 1 else "one pair, so nothing to correct"
    if questions and pairs:
        together = (
            f"all {pairs * (questions + 1)} comparisons of this board tested together, {pairs} "
            f"pair{'s' if pairs > 1 else ''} in each of {questions + 1} metrics"
        )
    return (
        "Intervals (95%) are over draws of test patients, the same for every entry, and over seeds. 'Better than the "
        "next' is the share of draws in which an entry is the better of the two, that pair taken alone; it is called "
        f"settled only if the difference stands at 5% with {together} (step-down max-t over the draws, family-wise). "
        "That takes more than 97.5%, and more yet with more pairs: 97% beside 'not settled' means likely, not shown. "
        "An entry is tied with another whose difference is not settled, by the same rule; limits of a difference to "
        "the best lie on one side of 0 exactly where it is settled."
        + (_CROSS_VALIDATED.format(folds=folds) if folds > 1 else "")
    )


_CROSS_VALIDATED = (
    " Cross-validated: each entry and seed trained {folds} networks, and every patient was answered by the one that "
    "neither learnt from nor was chosen or calibrated on that patient. A metric is that of all these answers pooled, "
    "not a mean over folds; an AUROC so compares scores of different networks too. Training time is that of all "
    "{folds}. Their training patients overlap, which no interval sees: it is somewhat narrow for one new network."
)


def agreement_lines(board: Board) -> tuple[str, ...]:
    """Bland-Altman in words: each entry's volumes, then ABC/2's."""
    rows = [(entry.name, entry.volume_agreement) for entry in board.entries]
    rows.append(("ABC/2 of the true lesions", board.abc2_agreement))
    return tuple(f"{name}: {_agreement(found)}" for name, found in rows if found is not None)


def better_than_next(entry: Entry) -> str:
    """The cell of 'better than the next': the share and whether it is settled.

    >>> from dataclasses import replace
    >>> row = Entry("a", 1, (1, 1), {}, 0.97, (), None, None, None)
    >>> better_than_next(row), better_than_next(replace(row, p_better_than_next=1.0, settled_from_next=True))
    ('97%, not settled', '>99%, settled')
    """
    if entry.p_better_than_next is None:
        return ""
    percent = 100 * entry.p_better_than_next
    shown = ">99%" if percent > 99.5 else "<1%" if percent < 0.5 else f"{percent:.0f}%"
    return f"{shown}, {'settled' if entry.settled_from_next else 'not settled'}"


def gap_to_best(entry: Entry) -> str:
    """The cell of 'to the best': the difference with its limits; nothing for the best and for references."""
    gap = entry.to_best
    if gap is None or (gap.difference == 0 and gap.low == 0 == gap.high) or not math.isfinite(gap.difference):
        return ""
    return _interval(gap.difference, gap.low, gap.high)


def _agreement(found: Agreement) -> str:
    limits = f"95% limits of agreement {found.low_ml:+.1f} to {found.high_ml:+.1f} mL"
    if not math.isfinite(found.sd_ml):
        limits = "too few cases for limits of agreement"
    return f"{found.bias_ml:+.1f} mL on average, {limits} ({found.n} case{'s' if found.n != 1 else ''})"


def _lead(gap: Gap) -> str:
    """A settled difference as the better one's lead, which has no sign: where lower is better, too."""
    return _interval(abs(gap.difference), *sorted((abs(gap.low), abs(gap.high))))


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c", "d", "e"])
    ('a is', 'a and b are', 'a, b and 3 more are')
    """
    if len(names) > 3:
        return f"{names[0]}, {names[1]} and {len(names) - 2} more are"
    return f"{' and '.join([', '.join(names[:-1]), names[-1]])} are" if len(names) > 1 else f"{names[0]} is"
