"""The contact sheet: which cases are on it, what it says of them, and that it names nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_made import blood_checkpoint, slice_checkpoint
from PIL import Image

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.opening import dataset_info
from hemobench.datasets.patient_hashes import People, person_hash
from hemobench.errors import UserError
from hemobench.evaluation.contact_sheet import choose_cases, is_known, shown_name, truth_of, write_sheet
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.overview.sheet import Truth, sheet_panel, shown_slice, text_of
from hemobench.inference.overview.style import TYPE_COLOURS
from hemobench.inference.study import analyse
from hemobench.labels import LABEL_IDS
from hemobench.volume import Volume, display_affine

BLEED_SLICE = 3


def head(blood: bool) -> Loaded:
    """Six slices of tissue, a ball of blood in slices 1 to 5 with most of it in slice 3; its label map."""
    z, y, x = np.ogrid[:6, :80, :72]
    tissue = ((y - 39.5) / 36) ** 2 + ((x - 35.5) / 32) ** 2 + 0 * z < 1
    ball = (5 * (z - BLEED_SLICE)) ** 2 + (2 * (y - 30)) ** 2 + (2 * (x - 40)) ** 2 < 14**2 if blood else tissue & False
    hu = np.where(ball, 75, np.where(tissue, 35, -1000)).astype(np.float32)
    labels = np.where(ball, LABEL_IDS["subdural"], 0).astype(np.uint8)
    return Loaded(Volume(hu, display_affine((6, 80, 72), (5.0, 2.0, 2.0))), labels, None)


def case(number: int, labels: tuple[int, ...] | None, patient: str = "") -> Case:
    bleeds = labels is not None and any(labels)
    patient = patient or f"{number:03d}"
    return Case(patient, f"{patient}-{number}", "ct-ich", "ct-ich", labels, lambda: head(bleeds))


def dataset(cases: list[Case], name: str = "ct-ich") -> Dataset:
    return Dataset(dataset_info(name), tuple(cases), "f", ())


SUBDURAL, NONE = (0, 0, 0, 0, 1), (0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Checkpoint]:
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = slice_checkpoint(folder / "slices", gain=4000), blood_checkpoint(folder / "blood")
    return [open_checkpoint(path) for path in paths]


def test_half_of_the_chosen_cases_bleed_and_they_are_spread_evenly() -> None:
    cases = [case(number, SUBDURAL if number < 20 else NONE) for number in range(60)]
    chosen = [int(one.patient_id) for one in choose_cases(cases, 8)]
    assert chosen == [2, 7, 12, 17, 25, 35, 45, 55]
    assert [int(one.patient_id) for one in choose_cases(cases, 3)] == [5, 15, 40]


def test_too_few_of_a_kind_are_made_up_by_the_other() -> None:
    cases = [case(number, SUBDURAL if number == 4 else NONE) for number in range(10)]
    chosen = choose_cases(cases, 6)
    assert len(chosen) == 6
    assert sum(any(one.study_labels or ()) for one in chosen) == 1
    assert len(choose_cases(cases, 60)) == 10
    assert len(choose_cases([case(number, None) for number in range(10)], 4)) == 4


def test_a_patient_comes_twice_only_where_there_are_too_few() -> None:
    cases = [case(number, None, patient=f"{number // 3}") for number in range(12)]
    assert [one.patient_id for one in choose_cases(cases, 4)] == ["0", "1", "2", "3"]
    assert len(choose_cases(cases, 6)) == 6


def test_names_are_those_of_public_data_and_places_in_a_users_own() -> None:
    cases = [case(number, NONE, patient=name) for number, name in enumerate(("DOE^JANE", "ROE^RICHARD"))]
    assert shown_name(dataset(cases), cases[1]) == "ROE^RICHARD"
    assert shown_name(dataset(cases, "nifti-folder"), cases[1]) == "case 2"


def test_who_taught_a_network_is_known(checkpoints: list[Checkpoint]) -> None:
    teacher = person_hash("ct-ich", "004")
    taught = replace(checkpoints[0], people=People(taught=(teacher,), lineages=("ct-ich",)))
    assert is_known(case(4, NONE), [taught])
    assert not is_known(case(5, NONE), [taught])
    assert not is_known(case(4, NONE), checkpoints)


def test_the_page_shows_the_fullest_slice_and_what_labels_say(checkpoints: list[Checkpoint]) -> None:
    one = case(1, SUBDURAL)
    report = analyse(one.load().image, checkpoints, engine="torch")
    assert shown_slice(report) == BLEED_SLICE
    truth = truth_of(one.load(), one)
    assert truth.types == ("subdural",)
    assert truth.slices is not None
    assert truth.slices.tolist() == [False, True, True, True, True, True]
    blood = np.count_nonzero(one.load().label_map) * 0.02
    assert truth.volume_ml == pytest.approx(blood)
    panel = sheet_panel(report, truth, "001")
    (left, said), (right, _) = panel.pictures
    assert said == "slice 4, labels"
    assert np.all(left == TYPE_COLOURS["subdural"], axis=-1).sum() > 40, "outlined as labelled"
    assert np.all(right == TYPE_COLOURS["intraparenchymal"], axis=-1).sum() > 40, "outlined as the network says"
    words = [line for line, _ in panel.lines]
    assert words[0].startswith("no type named; likeliest intraparenchymal"), "a ball is no head"
    assert words[1].startswith("outlined: ")
    assert words[2] == f"labels: subdural, {blood:.1f} mL; 5 of 6 slices, this one too"
    assert panel.mark == ""
    assert sheet_panel(report, Truth(bleeds=False), "001").mark == "false alarm"


def test_long_lines_share_the_room_below_the_pictures_and_none_goes_without(checkpoints: list[Checkpoint]) -> None:
    panel = sheet_panel(analyse(case(1, SUBDURAL).load().image, checkpoints, engine="torch"), Truth(), "001")
    long, short = ("types named: " + ", ".join(["intraventricular 0.99"] * 9), (1, 1, 1)), ("labels: none", (2, 2, 2))
    lines = text_of(replace(panel, lines=(long, long, short)), 300)
    assert [colour for _, colour in lines] == [(1, 1, 1)] * 3 + [(2, 2, 2)]
    assert lines[2][0].endswith("..."), "what has no room is told to be there"
    assert [line for line, _ in text_of(replace(panel, lines=(short, long, short)), 300)][0::3] == ["labels: none"] * 2


def test_a_sheet_of_a_data_set(checkpoints: list[Checkpoint], tmp_path: Path) -> None:
    def broken() -> Loaded:
        raise UserError("a file is missing; expected it; copy it again")

    cases = [case(number, SUBDURAL if number % 2 else NONE) for number in range(4)]
    cases.append(replace(case(9, None), load=broken))
    seen: list[tuple[int, int]] = []
    done = write_sheet(
        dataset(cases),
        checkpoints,
        tmp_path / "sheet.png",
        cases=5,
        engine="torch",
        progress=lambda number, total: seen.append((number, total)),
    )
    assert done.shown == 4
    assert done.left_out == ("009: a file is missing; expected it; copy it again",)
    assert seen[-1] == (5, 5)
    with Image.open(tmp_path / "sheet.png") as page:
        page.load()
        assert page.info == {}, "no text chunk may hold a name"
        assert page.width == 1640
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    with pytest.raises(UserError, match="none of 1 cases"):
        write_sheet(dataset(cases[-1:]), checkpoints, tmp_path / "none.png", engine="torch")
    assert not (tmp_path / "none.png").exists()
