"""Which boards another data set can serve, and how runs and folders are named."""

from __future__ import annotations

import pytest

from hemobench.compare.runner import slug, with_data
from hemobench.compare.suites import load_suite
from hemobench.errors import UserError


def test_another_data_set_replaces_the_boards_it_can_serve():
    suite, skipped = with_data(load_suite("quick"), "ct-ich:somewhere")
    assert [(board.task, board.dataset, dict(board.options)) for board in suite.boards] == [
        ("classification", "ct-ich:somewhere", {})
    ]
    assert len(skipped) == 1
    assert "'Where are the ventricles?' (segmentation): data set 'ct-ich' has no masks of ventricles" in skipped[0]


def test_the_same_data_set_from_another_path_keeps_its_options():
    own = load_suite("smoke").boards[0].options
    suite, skipped = with_data(load_suite("smoke"), "phantom:maps")
    assert skipped == ()
    assert [board.dataset for board in suite.boards] == ["phantom:maps", "phantom:maps"]
    assert suite.boards[0].options == own


def test_without_the_option_nothing_changes():
    suite = load_suite("smoke")
    assert with_data(suite, None) == (suite, ())


def test_ventricle_masks_do_not_serve_a_haemorrhage_board():
    with pytest.raises(UserError, match="serves no board of suite 'smoke'"):
        with_data(load_suite("smoke"), "phantom-t1")


@pytest.mark.parametrize(
    ("text", "folder"),
    [("paper_cnn, class-weighted", "paper-cnn-class-weighted"), ("../Up", "up"), ("[]", "unnamed"), ("β", "unnamed")],
)
def test_slugs_are_safe_folder_names(text, folder):
    assert slug(text) == folder
