"""What a series of boards settles, and whether two of them contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

Load = Callable[[str], ModuleType]


def leaderboard(ranked: float, p: float, asked: float, p_asked: float) -> dict[str, Any]:
    """A board of entries a and b: a's lead in the ranking and in a question, with their p."""

    def gaps(lead: float, value: float) -> dict[str, Any]:
        return {
            one: {other: {"difference": sign * lead, "low": sign * lead - 0.1, "high": sign * lead + 0.1, "p": value}}
            for one, other, sign in (("a", "b", 1), ("b", "a", -1))
        }

    entries = [{"name": name, "to_others": others} for name, others in gaps(ranked, p).items()]
    # A reference beside them has no differences.
    entries.append({"name": "the slice's position", "to_others": {}})
    question = {"metric": "sens_at_half_any", "gaps": gaps(asked, p_asked)}
    return {"boards": [{"rank_by": "auroc_any", "entries": entries, "questions": [question]}]}


def test_settled_differences_are_told_once_with_the_larger_score_first(load: Load) -> None:
    found = load("quick_again").settled(leaderboard(0.02, 0.2, -0.3, 0.05))
    assert [one[:5] for one in found] == [(1, "sens_at_half_any", "b", "a", 0.3)]
    assert str(found[0]) == "sens_at_half_any: b - a = +0.300 [0.200, 0.400]"


def test_runs_contradict_each_other_only_where_both_settle_the_same_pair_and_metric(load: Load) -> None:
    again = load("quick_again")
    runs = [
        again.settled(leaderboard(*one))
        for one in (
            (0.2, 0.01, -0.3, 0.01),  # a is ranked first, b is more sensitive
            (-0.2, 0.30, -0.3, 0.01),  # b is ranked first, which is not settled
            (0.2, 0.01, 0.3, 0.01),  # a is more sensitive
        )
    ]
    told = again.contradictions(runs)
    assert [line.split(":")[0] for line in told] == ["runs 1 and 3", "runs 2 and 3"]
    assert all("sens_at_half_any" in line for line in told)


def test_variants_have_phantoms_splits_and_seeds_of_their_own(load: Load) -> None:
    suite = {"name": "s", "seeds": 2, "boards": [{"data": {"name": "phantom", "seed": 2021}, "split": {"seed": 0}}]}
    again = load("quick_again")
    assert again.variant(suite, 1) == suite
    third = again.variant(suite, 3)
    assert third["seeds"] == [200, 201]
    assert third["boards"][0] == {"data": {"name": "phantom", "seed": 4021}, "split": {"seed": 2}}
