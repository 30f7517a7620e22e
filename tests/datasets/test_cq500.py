"""CQ500 on a whole rehearsal copy, the choice of series, votes of readers, and hostile tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from hemobench.datasets.check import check_dataset
from hemobench.datasets.cq500 import choose_series, open_cq500
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.errors import UserError

from .small_studies import small_studies

COUNT, DEPTH = 5, 9


def rehearse(root: Path, quirks: str = "clean") -> Path:
    get_layout("cq500").write(root, small_studies(COUNT, depth=DEPTH), 1, quirks)
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return rehearse(tmp_path / "cq500")


def study(copy: Path, number: int) -> Path:
    return copy / f"CQ500CT{number} CQ500CT{number}" / "Unknown Study"


def edit_headers(folder: Path, **values: object) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        for name, value in values.items():
            setattr(dataset, name, value)
        dataset.save_as(path)


def test_what_went_into_the_layout_comes_out(copy: Path) -> None:
    dataset = open_dataset(f"cq500:{copy}")
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.slices) == (COUNT, COUNT, COUNT * DEPTH)
    assert report.warnings == report.remarks == report.unreadable == ()
    for number, (_, made) in enumerate(small_studies(COUNT, depth=DEPTH)):
        case = dataset.cases[number]
        assert (case.patient_id, case.lineage) == (f"CQ500-CT-{number}", "cq500")
        assert case.study_labels == tuple(made.slice_labels.max(axis=0))
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, made.image.voxels)
        np.testing.assert_allclose(loaded.image.affine, made.image.affine, atol=1e-4)
        assert loaded.study_labels == case.study_labels
        assert loaded.slice_labels is loaded.label_map is None


def test_readers_disagree_in_the_rehearsal(copy: Path) -> None:
    rows = [line.split(",") for line in (copy / "reads.csv").read_text().splitlines()]
    readers = [[name for name in rows[0] if name.startswith(f"R{number}:")] for number in (1, 2, 3)]
    assert len(readers[0]) == 14
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    votes = [[tuple(row[name] for name in columns) for columns in readers] for row in table]
    assert any(len(set(vote)) > 1 for vote in votes)


def test_thin_series_on_demand(copy: Path) -> None:
    thin = open_dataset(f"cq500:{copy},series=thin")
    assert thin.fingerprint != open_cq500(copy).fingerprint
    loaded = thin.cases[0].load()
    assert loaded.image.shape[0] == 2 * DEPTH
    assert loaded.image.spacing_mm[0] == pytest.approx(2.5)
    with pytest.raises(UserError, match="series 'medium'; expected thick or thin"):
        open_cq500(copy, series="medium")


def test_series_with_contrast_bone_or_few_slices_come_last(copy: Path) -> None:
    plain = study(copy, 0) / "CT Plain"
    for name, values in (
        ("CT POST CONTRAST", {}),
        ("CT Bone", {}),
        ("CT 55mm", {"ContrastBolusAgent": "yes"}),
        ("CT Thins", {"ConvolutionKernel": "BONEPLUS"}),
    ):
        # Each is nearer to 5 mm than the plain one, which goes to 4.
        shutil.copytree(plain, plain.with_name(name))
        if values:
            edit_headers(plain.with_name(name), **values)
    edit_headers(plain, SliceThickness="4")
    assert choose_series(study(copy, 0).parent, "thick") == plain
    # "Pre contrast" is plain, and with the same thickness as the table's it is the nearest.
    shutil.copytree(plain, plain.with_name("CT PRE CONTRAST 5MM STD"))
    edit_headers(plain.with_name("CT PRE CONTRAST 5MM STD"), SliceThickness="5")
    assert choose_series(study(copy, 0).parent, "thick").name == "CT PRE CONTRAST 5MM STD"
    # Where only a series with contrast is left, it is read and the reader says so.
    for folder in list(study(copy, 1).iterdir()):
        if folder.name != "CT Plain":
            shutil.rmtree(folder)
    edit_headers(study(copy, 1) / "CT Plain", ContrastBolusAgent="yes")
    loaded = open_cq500(copy).cases[1].load()
    assert any("contrast" in remark for remark in loaded.remarks)


def test_two_of_three_readers_decide(copy: Path) -> None:
    header = (copy / "reads.csv").read_text().splitlines()[0]
    names = header.split(",")

    def row(number: int, **votes: str) -> str:
        values = dict.fromkeys(names, "0") | {"name": f"CQ500-CT-{number}", "Category": "B1"}
        for finding, readers in votes.items():
            values |= {f"R{reader}:{finding}": "1" for reader in readers}
        return ",".join(values[name] for name in names)

    lines = [
        row(0, ICH="12", SDH="12", EDH="3"),
        row(1, ICH="3", IPH="3"),
        row(2, ICH="123", SAH="1", IVH="2", IPH="3"),
        row(3, ICH="1", SAH="13"),
        row(4, ICH="123", EDH="123", IPH="13", IVH="23", SAH="12", SDH="123"),
    ]
    (copy / "reads.csv").write_text("\n".join([header, *lines]))
    dataset = open_cq500(copy)
    # Order of SUBTYPES: EDH, IPH, IVH, SAH, SDH.
    assert {case.study_id[-1]: case.study_labels for case in dataset.cases} == {
        "0": (0, 0, 0, 0, 1),
        "1": (0, 0, 0, 0, 0),
        "3": (0, 0, 0, 1, 0),
        "4": (1, 1, 1, 1, 1),
    }
    assert dataset.warnings == (
        "CQ500-CT-2: two readers saw blood, no two the same type; left out",
        "CQ500-CT-3: two readers saw a type, but no two saw blood; the type is used",
    )


def test_missing_and_surplus_folders_are_named(tmp_path: Path) -> None:
    copy = rehearse(tmp_path / "real", "real")
    shutil.copytree(copy / "CQ500CT0 CQ500CT0", copy / "CQ500CT77 CQ500CT77")
    (copy / "CQ500CT88").mkdir()
    dataset = open_cq500(copy)
    assert dataset.warnings == (
        f"CQ500-CT-{COUNT}: in reads.csv but no folder 'CQ500CT{COUNT} CQ500CT{COUNT}'; left out",
        "CQ500CT77 CQ500CT77: not in reads.csv; left out",
        "CQ500CT88: not in reads.csv; left out",
    )
    assert len(dataset.cases) == COUNT
    shutil.rmtree(study(copy, 2))
    with pytest.raises(UserError, match="CQ500CT2 has no DICOM series"):
        open_cq500(copy).cases[2].load()


def test_studies_may_lie_one_level_down(copy: Path) -> None:
    (copy / "studies").mkdir()
    for folder in list(copy.glob("CQ500CT* *")):
        folder.rename(copy / "studies" / folder.name)
    assert len(open_cq500(copy).cases) == COUNT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("R2:IVH", "R2:ivh"), "no column R2:IVH"),
        (lambda text: text.replace("CQ500-CT-1,", "Patient 1,"), "line 3 names 'Patient 1'"),
        (lambda text: text.replace("CQ500-CT-1,", "CQ500-CT-0,"), "line 3 has CQ500-CT-0 again"),
        (lambda text: text.replace("CQ500-CT-1,B2,1", "CQ500-CT-1,B2,yes"), "line 3 has R1:ICH 'yes'"),
        (lambda text: text.replace("CQ500-CT-1,B2,1", "CQ500-CT-1,B2,\x00"), "reads.csv"),
        (lambda text: text + "CQ500-CT-9,B1\n", "line 7 has 2 fields"),
        (lambda text: "", "no column name"),
        (lambda text: text.splitlines()[0], "no study with labels"),
        (lambda text: "\udcff\udcfe" + text, "no CSV in UTF-8"),
    ],
)
def test_hostile_tables_are_refused_in_one_line(copy: Path, change, message: str) -> None:
    text = change((copy / "reads.csv").read_text())
    (copy / "reads.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=message) as caught:
        open_cq500(copy)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


def test_other_layouts_give_a_remedy(tmp_path: Path) -> None:
    for path, message in ((None, "without a path"), (tmp_path / "none", "no folder"), (tmp_path, r"no reads\.csv")):
        with pytest.raises(UserError, match=message):
            open_cq500(path)
