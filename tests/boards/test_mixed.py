"""Entries that exist beside trained ones, on heads whose scores one can compute by hand."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hand_made import blood_checkpoint, slice_checkpoint, ventricle_checkpoint
from mixed_suites import (
    SHAPE,
    STUDIES,
    asked_about,
    by_name,
    masks,
    slices,
    suite_of,
    train,
    truth,
    write_masks,
    write_scans,
    write_table,
)

from hemobench.boards.entries import NOTHING
from hemobench.boards.session import Terms
from hemobench.compare.evidence import board_evidence
from hemobench.compare.leaderboard import to_csv, to_json
from hemobench.compare.report import Costs, render_report
from hemobench.compare.runner import SuiteResult
from hemobench.datasets.catalogue import NIFTI_FOLDER
from hemobench.datasets.patient_hashes import People, person_hash
from hemobench.errors import UserError
from hemobench.evaluation.slice_position import SLICE_POSITION
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.views.view import SegmentationView

SEGMENTER, CLASSIFIER = "hand-made-haemorrhage", "hand-made-slice-classifier"
Run = Callable[..., SuiteResult]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Scans, two checkpoints and four folders of answers to them; a cache of their own."""
    folder = tmp_path_factory.mktemp("mixed")
    write_scans(folder / "scans")
    write_masks(folder / "right")
    write_masks(folder / "upper", upper=True)
    write_table(folder / "table")
    write_table(folder / "wrong", sign=-1)
    slice_checkpoint(folder / "net", gain=800.0)
    blood_checkpoint(folder / "segmenter", view=SegmentationView("subtypes", (5.0, 4.0, 4.0), SHAPE, "brain"))
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(folder / "home"))
        yield folder


def every(place: Path) -> list[str]:
    named = [f"{name}=predictions:{place / name}" for name in ("right", "upper", "table", "wrong")]
    return [str(place / "net"), str(place / "segmenter"), *named]


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """Trains both boards once; what a call adds is ranked beside the same networks."""

    def again(entries: list[str], *, terms: Terms | None = None, said: Path | None = None) -> SuiteResult:
        suite = suite_of(slices(place / "scans"), masks(place / "scans"))
        return train(suite, place / "out", entries, terms, said)

    return again


@pytest.fixture(scope="module")
def all_of_them(place: Path, run: Run) -> SuiteResult:
    return run(every(place))


def test_what_exists_is_ranked_beside_what_is_trained_by_slice(place: Path, all_of_them: SuiteResult) -> None:
    board = all_of_them.leaderboard.boards[0]
    rows = by_name(board)
    assert set(rows) == {"cnn", CLASSIFIER, SEGMENTER, "right", "upper", "table", "wrong", SLICE_POSITION}
    people = asked_about(place / "out", "1-classification")
    bleeding = sum(truth(study).any(axis=(1, 2)).sum() for study in people)
    assert len(people) == 4
    # Of half the masks' slices half are found; the other half ties with what does not bleed.
    expected = {CLASSIFIER: 1.0, SEGMENTER: 1.0, "right": 1.0, "upper": 0.75, "table": 1.0, "wrong": 0.0}
    assert {name: rows[name].metrics["auroc_any"].mean for name in expected} == pytest.approx(expected)
    assert rows["wrong"].rank == 7
    assert rows["wrong"].metrics["auroc_any"].n == rows["cnn"].metrics["auroc_any"].n == 4 * SHAPE[0]
    # 0.9 for what is there and 0.1 for what is not, turned round: each is off by 0.9.
    assert rows["wrong"].metrics["brier_any"].mean == pytest.approx(0.81)
    assert rows["wrong"].metrics["auroc_any_study"].mean == 0.5  # all studies have a slice at 0.9
    # A table of `any` says nothing of types, an outline nothing of calibration, and nobody was calibrated here.
    assert "logloss_rsna" in rows[CLASSIFIER].metrics
    for name, missing in (
        ("table", "auroc_subdural"),
        ("table", "logloss_rsna"),
        ("right", "ece_any"),
        (CLASSIFIER, "ece_any_calibrated"),
    ):
        assert missing not in rows[name].metrics, (name, missing)
    assert "ece_any_calibrated" in rows["cnn"].metrics
    (calls,) = board.breakdowns
    assert calls.cases == (bleeding, 16 - bleeding)
    assert [score.mean for score in calls.scores["upper"]] == pytest.approx([0.5, 1.0])
    assert [score.mean for score in calls.scores["wrong"]] == [0.0, 0.0]


def test_what_exists_is_ranked_beside_what_is_trained_by_mask(place: Path, all_of_them: SuiteResult) -> None:
    board = all_of_them.leaderboard.boards[1]
    rows = by_name(board)
    assert set(rows) == {"unet", SEGMENTER, "right", "upper", NOTHING}
    dice = {name: rows[name].metrics["dice_any"].mean for name in (SEGMENTER, "right", "upper", NOTHING)}
    assert dice == pytest.approx({SEGMENTER: 1.0, "right": 1.0, "upper": 2 / 3, NOTHING: 0.0})
    assert rows["upper"].metrics["volume_error_ml_any"].mean == pytest.approx(
        -np.mean([np.count_nonzero(truth(study)) / 2 * 0.08 for study in asked_about(place / "out", "2-segmentation")])
    )
    assert board.breakdowns[0].title == "Dice by size of what is there"
    assert all(score.mean == pytest.approx(2 / 3) for score in board.breakdowns[0].scores["upper"] if score)
    assert board.cautions[0].startswith(f"Not trained for this board, with one answer beside every seed: {SEGMENTER}, ")
    assert "brought onto the board's grid as the true ones were" in board.cautions[0]
    apart = all_of_them.disagreements[1]
    assert apart is not None
    assert set(apart.entries) == {"unet", SEGMENTER, "right", "upper"}
    assert apart.cases[0].answers[apart.entries.index("upper")].startswith("Dice 0.67, ")


def test_one_answer_has_no_spread_over_seeds_and_no_costs_of_training(all_of_them: SuiteResult) -> None:
    for board, trained in zip(all_of_them.leaderboard.boards, ("cnn", "unet"), strict=True):
        rows = by_name(board)
        assert rows[trained].seeds == (0, 1)
        assert math.isfinite(rows[trained].metrics[board.rank_by].sd_seeds)
        assert rows[trained].parameters
        for name in set(rows) - {trained, NOTHING, SLICE_POSITION}:
            row = rows[name]
            assert all(math.isnan(score.sd_seeds) for score in row.metrics.values())
            assert (row.seeds, row.parameters, row.train_seconds, row.calibration) == ((), None, None, ())
            assert row.config["kind"] == ("checkpoint" if name.startswith("hand-made") else "predictions")
        assert any("who taught it is unknown" in line for line in board.cautions)
        # What is said of seeds is said of those who have some.
        assert any(line.startswith("Two seeds say little") for line in board.cautions)
    content = json.loads(to_json(all_of_them.leaderboard))
    right = next(row for row in content["boards"][1]["entries"] if row["name"] == "right")
    assert right["metrics"]["dice_any"]["sd_seeds"] is None
    table = list(csv.DictReader(to_csv(all_of_them.leaderboard).splitlines()))
    assert {(row["sd_seeds"], row["train_seconds"]) for row in table if row["entry"] == "right"} == {("", "")}


def test_the_report_shows_what_exists_with_everything_that_trained_entries_have(all_of_them: SuiteResult) -> None:
    evidence = [
        board_evidence(board, runs, disagreements=apart)
        for board, runs, apart in zip(
            all_of_them.leaderboard.boards, all_of_them.runs, all_of_them.disagreements, strict=True
        )
    ]
    of_slices, of_masks = evidence
    assert {curve.entry for curve in of_slices.curves} == {"cnn"}
    assert of_masks.validation_metric == "dice_any"
    assert "table" not in {item.entry for item in of_slices.confusions}  # it says nothing of types
    assert "right" not in {item.entry for item in of_slices.reliabilities}  # nor masks of calibration
    assert {line.entry for line in of_slices.roc} == set(by_name(of_slices.board)) - {SLICE_POSITION}
    assert of_masks.examples[0].name == "truth"
    assert {row.name for row in of_masks.examples[1:]} == {"unet", SEGMENTER, "right", "upper"}
    assert all(cell.picture for row in of_masks.examples for cell in row.cells)
    assert any(line.startswith("upper: name upper") for line in of_masks.made_with)
    page = render_report(all_of_them.leaderboard, evidence, Costs(), "command")
    assert page.count("Where entries disagree most") == 2
    assert "Dice by size of what is there" in page


def test_a_second_run_asks_nothing_again(
    place: Path, run: Run, all_of_them: SuiteResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def asked(*arguments: object, **more: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("hemobench.evaluation.run.collect", asked)
    monkeypatch.setattr("hemobench.predictions.case_predictions._answers", asked)
    monkeypatch.setattr("hemobench.boards.placed.outlined", asked)
    second = run(every(place), said=tmp_path / "said")
    # Six entries on two boards, of which four serve both.
    assert (tmp_path / "said").read_text().count("all kept from before") == 9
    for one, other in zip(all_of_them.leaderboard.boards, second.leaderboard.boards, strict=True):
        assert str(one) == str(other)


def test_cases_that_one_lacks_are_left_out_for_all_or_count_as_nothing_found(place: Path, run: Run) -> None:
    lost, *others = [study for study in asked_about(place / "out", "2-segmentation") if truth(study).any()]
    write_masks(place / "some", studies=[study for study in STUDIES if study != lost])
    entry = f"some=predictions:{place / 'some'}"
    board = run([entry]).leaderboard.boards[1]
    assert f"MISSING: some has no masks for 1 of 4 cases, which are left out for every entry: {lost}." in board.cautions
    assert (board.patients, board.split["test_patients"], board.split["cases"]) == (3, 3, 3)
    rows = by_name(board)
    assert {row.metrics["nsd_2mm_any"].n for row in rows.values()} == {3}
    assert rows["some"].metrics["dice_any"].mean == 1.0
    empty = by_name(run([entry], terms=Terms("empty", engine="torch")).leaderboard.boards[1])
    assert {row.metrics["nsd_2mm_any"].n for row in empty.values()} == {4}
    # A miss beside `others` that are right; where nothing is, nothing is defined.
    assert empty["some"].metrics["dice_any"].mean == pytest.approx(len(others) / (len(others) + 1))


@pytest.fixture
def taught(place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The classifier knows one of the test patients, who bleeds, and one of the training patients."""
    people = asked_about(place / "out", "1-classification")
    known = next(study for study in people if truth(study).any())
    other = next(study for study in STUDIES if study not in people)
    hashes = tuple(person_hash(NIFTI_FOLDER.lineage, study) for study in (known, other))

    def opened(where: str) -> Checkpoint:
        return replace(open_checkpoint(where), people=People(hashes, (), (NIFTI_FOLDER.lineage,)))

    monkeypatch.setattr("hemobench.boards.serving.open_checkpoint", opened)
    return known


def test_test_people_whom_a_checkpoint_knows_are_refused_left_out_or_marked(
    place: Path, run: Run, all_of_them: SuiteResult, taught: str
) -> None:
    entries = [str(place / "net"), f"wrong=predictions:{place / 'wrong'}"]
    with pytest.raises(UserError, match="1 people of 'nifti-folder' taught checkpoint hand-made-slice-classifier"):
        run(entries)
    marked = run(entries, terms=Terms(allow_seen=True, engine="torch")).leaderboard.boards[0]
    assert f"{CLASSIFIER} [SEEN: knows 1 of these people]" in by_name(marked)
    result = run(entries, terms=Terms(leave_out_seen=True, engine="torch"))
    board = result.leaderboard.boards[0]
    assert board.patients == 3
    assert {row.metrics["auroc_any"].n for row in board.entries} == {3 * SHAPE[0]}
    assert "1 of 4 cases are of people whom a checkpoint knows and are left out for every entry." in board.cautions
    for group in result.runs[0].values():
        for one in group:
            assert taught not in one.test.study_ids
            assert not any(title.startswith(f"{taught},") for title in one.pictures.titles)
    assert by_name(board)["wrong"].metrics["auroc_any"].mean == 0.0


def test_with_folds_everybody_is_asked_about(place: Path, tmp_path: Path) -> None:
    folds = {"folds": 2, "seed": 0}
    existing = {"name": "wrong", "predictions": str(place / "wrong")}
    suite = suite_of(slices(place / "scans", existing, split=folds), masks(place / "scans", split=folds), seeds=1)
    result = train(suite, tmp_path / "out", [f"upper=predictions:{place / 'upper'}"])
    of_slices, of_masks = (by_name(board) for board in result.leaderboard.boards)
    assert of_slices["wrong"].metrics["auroc_any"].n == len(STUDIES) * SHAPE[0]
    assert of_slices["wrong"].metrics["auroc_any"].mean == 0.0
    assert of_slices["upper"].metrics["auroc_any"].mean == 0.75
    assert of_masks["upper"].metrics["dice_any"].mean == pytest.approx(2 / 3)
    assert math.isnan(of_masks["upper"].metrics["dice_any"].sd_seeds)
    assert of_masks["upper"].variance_shares == {}
    assert "wrong" not in of_masks  # it stands on the board that names it
    evidence = board_evidence(result.leaderboard.boards[1], result.runs[1], disagreements=result.disagreements[1])
    assert {curve.entry for curve in evidence.curves} == {"unet"}


def test_types_are_compared_where_masks_tell_them(place: Path, tmp_path: Path) -> None:
    untyped = tmp_path / "untyped"
    write_masks(untyped)
    (untyped / "ids.yaml").write_text("2: blood\n5: blood\n")
    view = {"target": "subtypes", "spacing_mm": [5, 4, 4], "shape": list(SHAPE), "window": "brain"}
    board = masks(
        place / "scans",
        {"name": "right", "predictions": str(place / "right")},
        {"name": "untyped", "predictions": str(untyped)},
        view=view,
        metrics=["dice_any", "dice_subdural"],
    )
    board["baseline"] = {**board["baseline"], "loss": "blood+type"}  # type: ignore[dict-item]
    result = train(suite_of(board, seeds=1), tmp_path / "out", [str(place / "segmenter")])
    rows = by_name(result.leaderboard.boards[0])
    assert rows["right"].metrics["dice_subdural"].mean == rows["untyped"].metrics["dice_any"].mean == 1.0
    assert "dice_subdural" not in rows["untyped"].metrics
    assert rows[SEGMENTER].metrics["dice_subdural"].mean == 0.0  # it calls all blood intraparenchymal
    by_type = result.leaderboard.boards[0].breakdowns[1]
    assert by_type.groups == ("intraparenchymal", "subdural")
    assert [score.mean for score in by_type.scores[SEGMENTER]] == [1.0, 0.0]
    assert by_type.scores["untyped"] == (None, None)


def test_boards_elsewhere_stay_with_trained_entries(place: Path, tmp_path: Path) -> None:
    suite = suite_of(slices(place / "scans"), seeds=1)
    elsewhere = f"nifti-folder:{write_scans(tmp_path / 'others', ['b1', 'b4', 'b7'])},mask_ids=types"
    result = train(suite, tmp_path / "out", [f"table=predictions:{place / 'table'}"], tests=(elsewhere,))
    home, there = result.leaderboard.boards
    assert "table" in by_name(home)
    assert set(by_name(there)) == {"cnn", SLICE_POSITION}
    assert result.disagreements[1] is None
    line = "boards of --test rank trained entries alone: entries that exist are not asked there"
    assert line in (tmp_path / "out.txt").read_text()


def test_what_cannot_stand_on_a_board_is_one_line_before_anything_is_decoded(place: Path, tmp_path: Path) -> None:
    ventricle_checkpoint(tmp_path / "ventricles")
    write_masks(tmp_path / "stranger", studies=["a0"]).joinpath("a0.nii.gz").rename(tmp_path / "stranger" / "x.nii.gz")
    table, both = f"predictions:{place / 'table'}", (slices(place / "scans"), masks(place / "scans"))
    for board, entries, words in (
        (both, [str(tmp_path / "ventricles")], "serves no board of this suite ('Slices': it outlines ventricles"),
        (both[1:], [table], "('Masks': it holds no masks); expected answers by slice for classification, masks for"),
        (both[1:], [str(place / "net")], "it is a checkpoint for slice-classifier, not for masks of haemorrhage"),
        (both, ["predictions:nowhere"], "no folder nowhere"),
        (both, [f"predictions:{tmp_path / 'stranger'}"], "fits a case of 'nifti-folder'"),
        (both, [f"cnn={table}"], "two entries 'cnn' on board 'Slices'"),
        (both, ["board:somebody/board"], "board:somebody/board"),
        ([slices(place / "scans", rank_by="logloss_rsna")], [table], "no answers that logloss_rsna, by which"),
        ([slices(place / "scans", rank_by="ece_any")], [f"predictions:{place / 'right'}"], "no answers that ece_any"),
        (
            [masks(place / "scans", {"name": "t", "predictions": str(place / "table")})],
            [],
            "entry 't' of board 'Masks' holds no masks; expected",
        ),
    ):
        with pytest.raises(UserError) as caught:
            train(suite_of(*board), tmp_path / "out", entries)
        assert words in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_answers_about_nobody_who_is_tested_are_one_line_before_anything_trains(
    place: Path, all_of_them: SuiteResult, tmp_path: Path
) -> None:
    people = asked_about(place / "out", "1-classification")
    write_table(tmp_path / "table", studies=[study for study in STUDIES if study not in people])
    with pytest.raises(UserError, match="entry 'table' has no answer about anybody who is tested"):
        train(suite_of(slices(place / "scans")), tmp_path / "out", [f"predictions:{tmp_path / 'table'}"])
    assert not any((tmp_path / "out" / "runs").iterdir())


def test_one_test_patient_is_enough_where_nobody_lacks_that_one(place: Path, tmp_path: Path) -> None:
    split = {"fractions": [0.5, 0.375, 0.125], "seed": 0}
    suite = suite_of(masks(place / "scans", split=split), seeds=1)
    board = train(suite, tmp_path / "out", [f"right=predictions:{place / 'right'}"]).leaderboard.boards[0]
    assert board.patients == 1
    assert by_name(board)["right"].metrics["dice_any"].n == 1
