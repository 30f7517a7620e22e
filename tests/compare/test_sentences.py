"""A board in sentences: the answer, its limits, and that the words agree with the verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hemobench.compare.leaderboard import Agreement
from hemobench.compare.ranking import BoardFacts, build_board
from hemobench.compare.sentences import agreement_lines, answer_in_words, better_than_next, gap_to_best, in_words

FACTS = BoardFacts("segmentation", "t", "phantom", "d", True, "dice_any", ("dice_any",), 400)


def _board(segmentation_run, levels: dict[str, float], seeds: int = 3, patients: int = 60):
    rng = np.random.default_rng(1)
    hard = rng.uniform(-0.1, 0.1, patients)
    return build_board(
        FACTS,
        {
            name: [segmentation_run(level + hard + rng.normal(0, 0.02, patients), seed) for seed in range(seeds)]
            for name, level in levels.items()
        },
    )


def test_a_winner_is_named_with_its_lead_and_the_rest_said_to_be_tied(segmentation_run):
    board = _board(segmentation_run, {"worse": 0.4, "best": 0.8, "as good": 0.8})
    first, second, third = board.entries
    assert (third.name, third.tied_with_best, second.tied_with_best) == ("worse", False, True)
    assert board.answer.startswith(f"{first.name} beats worse by 0.4")
    assert board.answer.endswith(f"dice_any on these 60 patients; {second.name} is tied with it.")
    assert (better_than_next(second), gap_to_best(first)) == (">99%, settled", "")
    assert better_than_next(first).endswith("%, not settled")
    assert gap_to_best(third).startswith("-0.4")
    assert "all 3 pairs of this board tested together" in board.method


def test_a_board_that_settles_nothing_says_so(segmentation_run):
    board = _board(segmentation_run, {"a": 0.6, "b": 0.6})
    assert board.answer == "No difference in dice_any is settled on these 60 patients: all 2 entries are tied."
    assert "one pair, so nothing to correct" in board.method
    # In the report a reader sees the metric's words; a name that only contains the metric's is nobody's metric.
    said = answer_in_words(board)
    assert said == "No difference in Dice is settled on these 60 patients: all 2 entries are tied."
    odd = replace(board, answer="my-dice_any beats dice_any-2 by 0.1 dice_any on these 60 patients.")
    assert answer_in_words(odd) == "my-dice_any beats dice_any-2 by 0.1 Dice on these 60 patients."


def test_what_is_settled_in_each_question_is_said_and_all_is_one_family(segmentation_run):
    # The same lead with every patient: 0.2 of Dice, which the fixture makes 2 mm, and 0.04 of voxel accuracy.
    hard = np.random.default_rng(4).uniform(0.3, 0.5, 60)
    runs = {
        "worse": [segmentation_run(hard)],
        "better": [segmentation_run(hard + 0.2)],
        "as good": [segmentation_run(hard + 0.2)],
    }
    facts = replace(FACTS, questions=("hd95_mm_any", "voxel_accuracy"))
    board = build_board(facts, runs)
    assert "all 9 comparisons of this board tested together, 3 pairs in each of 3 metrics" in board.method
    millimetres, accuracy = board.questions
    assert millimetres.answer == (
        "Settled in hd95_mm_any (lower is better) on these 60 patients: better over worse by 2 [2, 2]; as good over "
        "worse by 2 [2, 2]; not settled: 1 of 3 pairs."
    )
    assert accuracy.answer.startswith("Settled in voxel_accuracy (higher is better) on these 60 patients: ")
    assert millimetres.gaps["worse"]["better"].difference == pytest.approx(2)
    assert in_words(millimetres.answer, "hd95_mm_any").startswith("Settled in 95% Hausdorff distance, mm (lower is")
    # With chance in it, questions beside it make a claim dearer, and nothing else of the board changes.
    noise = np.random.default_rng(5)
    level = noise.uniform(0.4, 0.6, 60)
    shaky = {
        name: [segmentation_run(level + gap + noise.normal(0, 0.05, 60), seed) for seed in range(2)]
        for name, gap in (("a", 0.0), ("b", 0.02))
    }
    alone, beside = build_board(FACTS, shaky), build_board(facts, shaky)
    for before, after in zip(alone.entries, beside.entries, strict=True):
        other = next(iter(before.to_others))
        assert after.metrics["dice_any"] == before.metrics["dice_any"]
        assert after.to_others[other].difference == before.to_others[other].difference
        assert after.to_others[other].p >= before.to_others[other].p
    assert beside.questions[0].gaps["a"]["b"].p >= alone.entries[0].to_others[alone.entries[1].name].p
    assert build_board(facts, {name: runs[name] for name in ("better", "as good")}).questions[0].answer == (
        "No difference in hd95_mm_any is settled on these 60 patients."
    )


def test_few_patients_and_one_seed_are_said(segmentation_run):
    few = _board(segmentation_run, {"a": 0.6, "b": 0.7}, seeds=1, patients=49)
    assert few.cautions[0].startswith("Few patients: 49 were tested")
    assert few.cautions[1].startswith("One seed for every entry")
    assert few.patients == 49
    enough = _board(segmentation_run, {"a": 0.6, "b": 0.7}, patients=50)
    assert [line for line in enough.cautions if line.startswith(("Few", "One seed", "Two seeds"))] == []
    assert _board(segmentation_run, {"a": 0.6}, seeds=2).cautions[0].startswith("Two seeds")


def test_shares_of_the_variance_sum_to_one_and_name_the_larger_cause(segmentation_run):
    rng = np.random.default_rng(2)
    shaky = [segmentation_run(rng.normal(0, 0.2) + 0.5 + rng.normal(0, 0.01, 60), seed) for seed in range(5)]
    board = build_board(FACTS, {"shaky": shaky})
    shares = board.entries[0].variance_shares
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["seed"] > 0.95
    assert "more seeds would narrow the intervals most" in board.cautions[-1]
    calm = _board(segmentation_run, {"calm": 0.5}, seeds=5)
    assert calm.entries[0].variance_shares["patient"] > 0.8
    assert "more patients would narrow" in calm.cautions[-1]


def test_volumes_agree_as_bland_and_altman_say(segmentation_run):
    run = segmentation_run([0.5, 0.6, 0.7])
    values = dict(run.test.values)
    values["volume_ml_pred_any"] = np.array([11.0, 12.0, 13.0])
    values["abc2_ml_true_any"] = np.array([8.0, 8.0, 11.0])
    board = build_board(FACTS, {"a": [replace(run, test=replace(run.test, values=values))]})
    # Differences 1, 2, 3: bias 2, standard deviation 1. ABC/2: -2, -2, 1: bias -1, sd sqrt(3).
    assert board.entries[0].volume_agreement == Agreement(2.0, 1.0, pytest.approx(0.04), pytest.approx(3.96), 3)
    assert board.abc2_agreement == Agreement(
        -1.0, pytest.approx(3**0.5), pytest.approx(-1 - 1.96 * 3**0.5), pytest.approx(-1 + 1.96 * 3**0.5), 3
    )
    first, second = agreement_lines(board)
    assert first == "a: +2.0 mL on average, 95% limits of agreement +0.0 to +4.0 mL (3 cases)"
    assert second.startswith("ABC/2 of the true lesions: -1.0 mL")


def test_misses_and_false_alarms_have_columns_of_their_own(segmentation_run):
    run = segmentation_run([0.5, 0.0, 0.7, np.nan])
    missed, alarms = np.array([0, 1, 0, np.nan]), np.array([np.nan, np.nan, np.nan, 1])
    values = {**run.test.values, "missed_any": missed, "false_alarm_any": alarms}
    board = build_board(FACTS, {"a": [replace(run, test=replace(run.test, values=values))]})
    assert board.also == ("missed_any", "false_alarm_any")
    scores = board.entries[0].metrics
    assert (scores["missed_any"].mean, scores["missed_any"].undefined) == (pytest.approx(1 / 3), 1)
    assert (scores["false_alarm_any"].mean, scores["false_alarm_any"].undefined) == (1.0, 3)
    low, high = scores["missed_any"].ci
    assert 0 <= low < 1 / 3 < high <= 1
