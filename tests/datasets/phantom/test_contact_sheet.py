"""The contact sheet: its rows, its outlines, real slices beside phantoms, and the command that draws it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.case import Case, Dataset, Loaded
from hemobench.cli.data import app
from hemobench.cli.run import run_app
from hemobench.datasets.catalogue import CT_ICH, PHANTOM_T1
from hemobench.datasets.phantom import PhantomSpec, open_phantom
from hemobench.datasets.phantom.contact_sheet import (
    CAPTION,
    CELL,
    COLOURS,
    MARGIN,
    SheetRow,
    _outlined,
    _plans_with,
    _with_real,
    write_sheet,
)
from hemobench.datasets.phantom.plan import LOOKALIKES
from hemobench.errors import UserError
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.volume import Volume, display_affine


def test_the_sheet_has_a_row_for_each_type_and_all_lookalikes(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", patients=1, spec=PhantomSpec(patients=80, slices=8, matrix=48, seed=2), jobs=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    rows = len(SUBTYPES) + 1 + len(LOOKALIKES)
    assert pixels.shape == (MARGIN + rows * (2 * CAPTION + CELL + MARGIN), MARGIN + 2 * (CELL + MARGIN), 3)
    # In its row, each type's outline is drawn in its colour beside the plain slice, which is grey.
    for number, subtype in enumerate(SUBTYPES):
        top = MARGIN + number * (2 * CAPTION + CELL + MARGIN) + CAPTION
        plain, outlined = (pixels[top : top + CELL, MARGIN + k * (CELL + MARGIN) :][:, :CELL] for k in (0, 1))
        assert (plain.max(axis=-1) == plain.min(axis=-1)).all()
        assert (np.abs(outlined - COLOURS[subtype]).max(axis=-1) < 60).any(), subtype


def test_outlines_follow_the_masks_border() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[2:8, 3:7] = LABEL_IDS["subdural"]
    drawn = _outlined(np.full((10, 10), 50, np.uint8), labels)
    coloured = (drawn == COLOURS["subdural"]).all(axis=-1)
    assert coloured.sum() == 2 * (12 + 8) - 4  # the border of a 12 x 8 rectangle
    assert coloured[4, 6]
    assert not coloured[6, 8]
    assert (drawn[~coloured] == 50).all()


def test_a_row_shows_different_places_first() -> None:
    plans = _plans_with(PhantomSpec(patients=200), "intraparenchymal", 6)
    shown = [(b.place, b.age) for plan in plans for b in plan.bleeds if b.subtype == "intraparenchymal"]
    assert len(set(shown)) == 6


def _real_case(number: int, labels: tuple[int, ...]) -> Case:
    voxels = np.full((4, 20, 20), float(number), np.float32)
    slice_labels = np.tile(np.array(labels, np.uint8), (4, 1))
    loaded = Loaded(Volume(voxels, display_affine(voxels.shape, (5.0, 1.0, 1.0))), None, slice_labels)
    return Case(f"{number:03d}", f"{number:03d}", "ct-ich", "ct-ich", labels, lambda: loaded)


def test_real_slices_stand_beside_phantoms_of_their_type() -> None:
    cases = (_real_case(10, (1, 0, 0, 0, 0)), _real_case(20, (0, 0, 0, 0, 1)), _real_case(30, (0, 0, 0, 0, 0)))
    dataset = Dataset(CT_ICH, cases, "f", ())
    for heading, patient in (("epidural", "010"), ("subdural", "020"), ("no bleed", "030")):
        row = _with_real(SheetRow(heading, ()), dataset, 3)
        assert [tile.caption for tile in row.tiles] == [f"ct-ich {patient}"]
        hu = int(patient)
        assert row.tiles[0].picture[0, 0] == round((hu + 20) / 120 * 255)
    assert _with_real(SheetRow("subarachnoid", ()), dataset, 3).tiles == ()
    assert _with_real(SheetRow("look-alikes", ()), dataset, 3).tiles == ()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name ending in"):
        write_sheet(tmp_path / "sheet.jpg")
    with pytest.raises(UserError, match=PHANTOM_T1.name):
        write_sheet(tmp_path / "sheet.png", beside=open_phantom(None, product="t1", patients=1))


def test_the_command_refuses_a_wrong_name_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="hemobench data", args=("sheet", "--output", "sheet.bmp"))
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
