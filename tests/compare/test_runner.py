"""Which boards another data set can serve, and how runs and folders are named."""

from __future__ import annotations

import pytest

from hemobench.compare.runner import slug, with_data
from hemobench.compare.suite_files import load_suite
from hemobench.datasets.opening import dataset_info, known_datasets
from hemobench.datasets.support import unsupported
from hemobench.errors import UserError


def test_another_data_set_replaces_the_boards_it_can_serve():
    suite, skipped = with_data(load_suite("quick"), "ct-ich:somewhere")
    assert [(board.task, board.dataset, dict(board.options)) for board in suite.boards] == [
        ("classification", "ct-ich:somewhere", {})
    ]
    assert len(skipped) == 1
    expected = "'Where are the ventricles?' (segmentation): data set 'ct-ich' has masks of haemorrhage and subtypes, "
    assert f"{expected}not of ventricles" in skipped[0]


def test_the_same_data_set_from_another_path_keeps_its_options():
    own = load_suite("smoke").boards[0].options
    suite, skipped = with_data(load_suite("smoke"), "phantom:maps")
    assert [board.dataset for board in suite.boards] == ["phantom:maps"] * 3
    assert suite.boards[0].options == own
    assert not skipped


def test_table_3_of_the_paper_goes_to_ct_phantoms_of_the_same_number():
    table = load_suite("paper").boards[2]
    suite, skipped = with_data(load_suite("paper"), "phantom")
    assert not skipped
    assert (suite.boards[2].title, suite.boards[2].dataset) == (table.title, "phantom")
    assert suite.boards[2].options == {"patients": 87, "seed": 2021} == table.options


def test_without_the_option_nothing_changes():
    suite = load_suite("smoke")
    assert with_data(suite, None) == (suite, ())


@pytest.mark.parametrize("name", known_datasets())
def test_smoke_has_a_board_for_every_data_set(name):
    """A path that does not exist: only what the catalogue says is asked here."""
    boards = load_suite("smoke").boards
    served = [board for board in boards if unsupported(dataset_info(name), board.task, board.view) is None]
    assert served
    blood = not name.startswith(("ventricles", "phantom-t1", "freesurfer"))
    assert [getattr(board.view, "target", "slices") for board in served if board.task == "segmentation"] == (
        []
        if name in ("rsna", "cq500")
        else ["haemorrhage", "ventricles"]
        if name in ("phantom", "nifti-folder")
        else ["haemorrhage"]
        if blood
        else ["ventricles"]
    )


def test_ventricle_pairs_take_the_ventricle_board_alone():
    suite, skipped = with_data(load_suite("smoke"), "phantom-t1")
    assert [(board.task, board.rank_by) for board in suite.boards] == [("segmentation", "dice_ventricles")]
    assert len(skipped) == 2


def test_a_data_set_that_serves_no_board_is_refused():
    with pytest.raises(UserError, match="data set 'instance22' serves no board of suite 'quick'"):
        with_data(load_suite("quick"), "instance22")


@pytest.mark.parametrize(
    ("text", "folder"),
    [("paper_cnn, class-weighted", "paper-cnn-class-weighted"), ("../Up", "up"), ("[]", "unnamed"), ("β", "unnamed")],
)
def test_slugs_are_safe_folder_names(text, folder):
    assert slug(text) == folder
