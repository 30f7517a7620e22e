"""Rehearsal copies as a user makes them: `data build phantom --layout NAME`, then `data check NAME:DIR`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.cli.data import app
from hemobench.cli.run import run_app
from hemobench.datasets.check import check_dataset
from hemobench.datasets.opening import known_datasets, open_dataset
from hemobench.datasets.phantom import PhantomSpec, generate_patients, plan_patient
from hemobench.datasets.rehearsal import LAYOUTS, get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.errors import UserError

SPEC = PhantomSpec(patients=2, slices=4, matrix=96, seed=11, healthy=0.0)
PICTURE_LAYOUTS = ("zeta", "ct-ich", "ct-ich-nifti", "image-folder")


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[str, Loaded]]:
    return [(plan_patient(SPEC, index).patient_id, loaded) for index, loaded in generate_patients(SPEC, jobs=1)]


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="hemobench data", args=args)
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def test_layouts_name_data_sets_and_modules_that_exist() -> None:
    for name, layout in LAYOUTS.items():
        assert layout.name == name
        assert layout.data_set in known_datasets()
        assert layout.product in ("ct", "t1")
    with pytest.raises(UserError, match="did you mean 'zeta'"):
        get_layout("zetta")
    with pytest.raises(UserError, match="unknown quirks 'odd'"):
        get_layout("zeta").write(Path("nowhere"), [], 1, "odd")


@pytest.mark.parametrize("name", PICTURE_LAYOUTS)
def test_phantoms_go_through_a_layout_without_defects(
    name: str, phantoms: list[tuple[str, Loaded]], tmp_path: Path
) -> None:
    layout = get_layout(name)
    layout.write(tmp_path, phantoms, SPEC.seed, "clean")
    dataset = open_dataset(f"{layout.data_set}:{tmp_path}")
    report = check_dataset(dataset)
    assert report.warnings == report.remarks == report.unreadable == ()
    assert (report.patients, report.slices) == (2, 8)
    expected = np.sum([loaded.slice_labels.sum(axis=0) for _, loaded in phantoms], axis=0)  # type: ignore[union-attr]
    assert report.slices_with is not None
    assert list(report.slices_with.values())[:5] == expected.tolist()
    assert report.label_maps == report.cases


def test_the_commands_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "copy"
    sizes = ("--patients", "1", "--slices", "2", "--matrix", "48", "--jobs", "1")
    code, out, _ = call(capsys, "build", "phantom", "--layout", "zeta", "--output", str(root), *sizes)
    assert code == 0
    assert f"zeta:{root}" in out
    made = json.loads((root / "phantom.json").read_text())
    assert (made["layout"], made["quirks"], made["patients"]) == ("zeta", "clean", 1)
    code, out, _ = call(capsys, "check", f"zeta:{root}")
    assert code == 0
    assert "(phantom)" in out.splitlines()[0]
    assert "2 cases, 1 patients, 2 slices, 2 masks" in out
    assert "by the data set's own rules" in out
    assert "left out or inconsistent" not in out
    assert open_dataset(f"zeta:{root}").info.phantom
    # A second build does not touch what is there, and nothing half-written lies beside it.
    code, _, err = call(capsys, "build", "phantom", "--layout", "zeta", "--output", str(root), *sizes)
    assert code == 2
    assert "holds something else" in err
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("phantom", "--layout", "zetta"), "unknown layout 'zetta'"),
        (("phantom", "--layout", "zeta", "--quirks", "odd"), "unknown quirks 'odd'"),
        (("phantom", "--layout", "ventricles"), "build 'phantom-t1'"),
        (("phantom-t1", "--layout", "zeta"), "build 'phantom'"),
    ],
)
def test_mistakes_are_one_line(
    args: tuple[str, ...], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "build", *args, "--output", str(tmp_path / "new"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise UserError("no space; expected some; make some")

    monkeypatch.setattr("hemobench.datasets.rehearsal.zeta._write_renders", fail)
    with pytest.raises(UserError, match="no space"):
        build_layout(tmp_path / "new", get_layout("zeta"), PhantomSpec(patients=1, slices=1, matrix=32), jobs=1)
    assert list(tmp_path.iterdir()) == []
