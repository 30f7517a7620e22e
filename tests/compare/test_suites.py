"""Every shipped suite parses; every mistake in a YAML file becomes one line that names the file and the key."""

from __future__ import annotations

import copy
import re

import pytest
import yaml

from hemobench.compare.suite_files import load_suite, shipped_suites
from hemobench.compare.suites import LEAKING_ROW
from hemobench.errors import UserError


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_shipped_suites_parse(name):
    suite = load_suite(name)
    assert suite.name == name
    for board in suite.boards:
        runs = [(board.config(entry, seed), entry.split_by) for entry in board.entries for seed in suite.seeds]
        assert len({(config.fingerprint, split_by) for config, split_by in runs}) == len(runs), "two train the same"
        assert {config.task for config, _ in runs} == {board.task}
        assert board.rank_by in board.metrics


def test_quick_holds_the_comparisons_of_the_main_job():
    classification, segmentation = load_suite("quick").boards
    assert load_suite("quick").seeds == (0, 1, 2)
    pairs = {(c.model, c.weighting) for c in (classification.config(entry, 0) for entry in classification.entries)}
    assert pairs == {("timm:test_resnet", weighting) for weighting in ("none", "inverse-frequency")}
    # What weighting changes is asked beside the ranking, on as many patients as tell it.
    assert classification.questions == ("sens_at_half_any", "ppv_at_half_any", "ece_any")
    assert segmentation.questions == ("sensitivity_ventricles", "precision_ventricles")
    tested = [round(board.options["patients"] * board.fractions[2]) for board in (classification, segmentation)]
    assert tested == [100, 40]
    pairs = {(c.model, c.weighting) for c in (segmentation.config(entry, 0) for entry in segmentation.entries)}
    assert pairs == {(model, weights) for model in ("unet2d", "unet3d") for weights in ("0.5,0.5", "0.2,0.8")}


def test_segmentation_boards_show_the_score_of_finding_nothing():
    boards = [board for name in shipped_suites() for board in load_suite(name).boards if board.task == "segmentation"]
    assert boards
    assert all({"voxel_accuracy", "voxel_accuracy_background"} <= set(board.metrics) for board in boards)


def test_more_seeds_follow_the_suites_own():
    assert load_suite("quick").with_seeds(4).seeds == (0, 1, 2, 3)
    assert load_suite("quick").with_seeds(1).seeds == (0,)
    with pytest.raises(UserError, match="at least 1"):
        load_suite("quick").with_seeds(0)


VALID = {
    "seeds": [3, 5],
    "boards": [
        {
            "task": "classification",
            "data": {"name": "phantom", "patients": 8},
            "view": {"size": 32},
            "rank_by": "auroc_any",
            "baseline": {"model": "paper_cnn"},
            "entries": [{"name": "a"}, {"name": "b", "weighting": "paper"}],
        }
    ],
}


def _load(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return load_suite(str(path))


def test_a_users_file(tmp_path):
    suite = _load(tmp_path, VALID)
    board = suite.boards[0]
    assert (suite.name, suite.seeds) == ("mine", (3, 5))
    assert (board.dataset, board.options, board.view.size) == ("phantom", {"patients": 8}, 32)
    assert board.config(board.entries[1], 5).weighting == "paper"
    assert board.config(board.entries[0], 5).weighting == "none"
    assert board.fractions == (0.6, 0.15, 0.25)


def test_what_a_board_asks_beside_its_ranking_is_shown_too(tmp_path):
    board = _load(tmp_path, _changed(["boards", 0, "questions"], ["ap_any", "ece_any"])).boards[0]
    assert board.questions == ("ap_any", "ece_any")
    assert board.metrics == ("auroc_any", "ap_any", "ece_any")
    assert _load(tmp_path, VALID).boards[0].questions == ()


def _changed(path: list[str | int], value: object) -> dict:
    content = copy.deepcopy(VALID)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["colour"], 1, "unknown key 'colour'; known: boards, description, name, seeds, title"),
        (["seeds"], "two", "seeds is 'two'; expected a count"),
        (["seeds"], [1, 1], "seeds is [1, 1]"),
        (["boards"], [], "boards is []; expected a list with at least one item"),
        (["boards", 0], 3, "boards[0] is 3; expected a mapping"),
        (["boards", 0, "task"], "detection", "boards[0].task: unknown task 'detection'; known: classification"),
        (["boards", 0, "rank_by"], "auroc_al", "boards[0].rank_by: unknown classification metric 'auroc_al'"),
        (["boards", 0, "rank_by"], "dice_any", "boards[0].rank_by: unknown classification metric 'dice_any'"),
        (["boards", 0, "metrics"], ["f1"], "boards[0].metrics[0]: unknown classification metric 'f1'"),
        (["boards", 0, "questions"], ["dice_any"], "boards[0].questions[0]: unknown classification metric 'dice_any'"),
        (["boards", 0, "questions"], ["auroc_any"], "boards[0].questions is ['auroc_any']; expected different metrics"),
        (["boards", 0, "rankby"], 1, "boards[0]: unknown key 'rankby'"),
        (["boards", 0, "data"], "fantom", "unknown data set 'fantom'"),
        (["boards", 0, "data", "name"], "fantom", "did you mean 'phantom'?"),
        (["boards", 0, "view", "sise"], 32, "boards[0].view: unknown classification view option 'sise'"),
        (["boards", 0, "split"], {"fractions": [0.5, 0.5, 0.5]}, "boards[0].split.fractions is [0.5, 0.5, 0.5]"),
        (["boards", 0, "split"], {"sed": 1}, "boards[0].split: unknown key 'sed'"),
        (["boards", 0, "resamples"], 1.5, "boards[0].resamples is 1.5; expected a whole number"),
        (["boards", 0, "baseline", "model"], "paper_cmm", "unknown model 'paper_cmm'"),
        (["boards", 0, "baseline", "seed"], 3, "boards[0].baseline: seed is the board's"),
        (["boards", 0, "baseline", "epochs"], "many", "epochs is 'many'; expected a whole number"),
        (["boards", 0, "entries", 1, "weighting"], "papr", "boards[0].entries[1] 'b': unknown weighting 'papr'"),
        (["boards", 0, "entries", 1, "wheight"], 1, "unknown training option 'wheight'"),
        (["boards", 0, "entries", 1, "loss"], "bcee", "unknown loss 'bcee'"),
        (["boards", 0, "baseline", "stream_share"], 0.5, "steps_per_epoch None; expected 0 to 1, and steps"),
        (
            ["boards", 0, "entries", 1],
            {"name": "b", "stream_share": 0.5, "steps_per_epoch": 2},
            "boards[0].entries[1] 'b': stream_share is 0.5 without a stream",
        ),
        (["boards", 0, "stream"], {"patients": 0}, "boards[0].stream: stream patients is 0; expected 1 or more"),
        (["boards", 0, "stream"], {"patients": "few"}, "boards[0].stream: a stream of {'patients': 'few'}"),
        (["boards", 0, "stream"], ["phantom"], "boards[0].stream is ['phantom']; expected a mapping"),
        (["boards", 0, "entries", 1, "name"], "a", "boards[0].entries[1].name is 'a'; expected a name that no other"),
        (["boards", 0, "entries", 1, "model"], "unet3d", "model 'unet3d' for classification"),
    ],
)
def test_mistakes_become_one_line_naming_file_and_key(tmp_path, path, value, said):
    with pytest.raises(UserError) as caught:
        _load(tmp_path, _changed(path, value))
    message = str(caught.value)
    assert "mine.yaml" in message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("boards: [", "line 1: broken YAML"),
        ("name: a\nname: b\n", "line 2: broken YAML (the key 'name' stands twice)"),
        ("- 1\n", "the file is [1]; expected a mapping"),
        ("", "the file is empty"),
        ("a: !!python/object/apply:os.system ['true']", "broken YAML"),
    ],
)
def test_broken_yaml(tmp_path, text, said):
    with pytest.raises(UserError) as caught:
        _load(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_name_the_line(tmp_path):
    text = (
        "seeds: 1\nboards:\n  - task: classification\n    data: phantom\n    rank_by: auroc_al\n"
        "    baseline: {model: paper_cnn}\n    entries:\n      - {name: a}\n      - {name: b, loss: bcee}\n"
    )
    right = text.replace("auroc_al", "auroc_any").replace("bcee", "focal")
    for mistake, place in (
        (text, "mine.yaml, line 5: boards[0].rank_by: unknown"),
        (text.replace("auroc_al", "auroc_any"), "mine.yaml, line 9: boards[0].entries[1] 'b': unknown loss"),
        (text.replace("    rank_by: auroc_al\n", ""), "mine.yaml, line 3: boards[0].rank_by is missing"),
        (text.replace("data:", "daat:"), "mine.yaml, line 3: boards[0].data is missing"),
        (right.replace("seeds", "sedes"), "mine.yaml, line 1: unknown key 'sedes'"),
    ):
        with pytest.raises(UserError) as caught:
            _load(tmp_path, mistake)
        assert place in str(caught.value)


def test_splits_that_leak_are_asked_for_by_name(tmp_path):
    leaky = {"by": "image", "fractions": [0.8, 0, 0.2], "watch": "test"}
    board = _load(tmp_path, _changed(["boards", 0, "split"], leaky)).boards[0]
    assert (board.split_by, board.watch, board.fractions) == ("image", "test", (0.8, 0, 0.2))
    content = _changed(["boards", 0, "split"], {"by": "both"})
    content["boards"][0]["entries"] = [{"name": "a"}, {"name": "a", "split_by": "image", "weighting": "paper"}]
    with pytest.raises(UserError, match="a name that no other entry"):
        _load(tmp_path, _changed(["boards", 0, "entries"], [{"name": "a"}, {"name": "a"}]))
    entries = _load(tmp_path, content).boards[0].entries
    assert [(entry.name, entry.split_by) for entry in entries] == [("a", "patient"), ("a" + LEAKING_ROW, "image")]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"watch": "test"}, "boards[0].split.watch is 'test'; expected validation"),
        ({"by": "slice"}, "boards[0].split.by: unknown unit of a split 'slice'; known: both, image, patient"),
        ({"by": "image", "watch": "test"}, "boards[0].split.fractions is missing; expected no validation part"),
        ({"fractions": [0.8, 0.2, 0]}, "boards[0].split.fractions is [0.8, 0.2, 0]"),
        ({"folds": 1}, "boards[0].split.folds is 1; expected a whole number of at least 2"),
        ({"folds": 2.5}, "boards[0].split.folds is 2.5; expected a whole number of at least 2"),
        ({"folds": 5, "fractions": [0.6, 0.15, 0.25]}, "boards[0].split.folds is 5; expected it without fractions"),
        ({"folds": 5, "by": "image"}, "boards[0].split.folds is 5; expected it with a split by patient, not by image"),
        ({"folds": 5, "by": "both"}, "boards[0].split.folds is 5; expected it with a split by patient, not by both"),
    ],
)
def test_splits_that_make_no_sense_are_refused(tmp_path, split, said):
    with pytest.raises(UserError) as caught:
        _load(tmp_path, _changed(["boards", 0, "split"], split))
    assert said in str(caught.value)
    assert re.match(r"[^\n]*mine.yaml, line \d+: [^\n]*$", str(caught.value))


def test_folds_take_the_place_of_fractions(tmp_path):
    suite = _load(tmp_path, _changed(["boards", 0, "split"], {"folds": 5, "seed": 3}))
    board = suite.boards[0]
    assert (board.folds, board.split_seed, board.split_by) == (5, 3, "patient")
    assert board.fractions == pytest.approx((0.68, 0.12, 0.2))
    assert suite.runs == 2 * 2 * 5
    assert _load(tmp_path, VALID).boards[0].folds == 1


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        load_suite(str(tmp_path / "absent.yaml"))
    with pytest.raises(UserError, match=r"unknown suite 'quik'; known: .*smoke.*did you mean 'quick'"):
        load_suite("quik")
    binary = tmp_path / "picture.yaml"
    binary.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match="not UTF-8 text"):
        load_suite(str(binary))


def test_numbers_without_a_dot_are_numbers(tmp_path):
    text = yaml.safe_dump(VALID).replace("model: paper_cnn", "model: paper_cnn\n    learning_rate: 2e-4")
    board = _load(tmp_path, text).boards[0]
    assert board.baseline["learning_rate"] == 2e-4


def test_folds_of_a_command_are_those_of_a_file(tmp_path):
    asked = _load(tmp_path, VALID).with_folds(5)
    written = _load(tmp_path, _changed(["boards", 0, "split"], {"folds": 5}))
    assert asked.boards == written.boards
    assert asked.runs == 5 * _load(tmp_path, VALID).runs


@pytest.mark.parametrize(
    ("suite", "count", "said"),
    [
        ("quick", 1, "--folds 1; expected 2 or more"),
        ("leakage", 5, "--folds 5 with board 'The same test slices.*which is not split by patient"),
    ],
)
def test_folds_that_cannot_be(suite, count, said):
    with pytest.raises(UserError, match=said):
        load_suite(suite).with_folds(count)
