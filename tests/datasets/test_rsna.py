"""RSNA 2019 on a whole rehearsal copy and on hand-made tables and files for each quirk."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest

from hemobench.case import Dataset
from hemobench.datasets.check import check_dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient, rsna_study
from hemobench.datasets.rsna import index as rsna_index
from hemobench.datasets.rsna.dataset import open_rsna
from hemobench.datasets.rsna.headers import read_headers, walk
from hemobench.errors import UserError
from hemobench.labels import CLASSES

from .small_studies import small_studies, small_study

COUNT = 6


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def rehearse(root: Path, quirks: str = "clean", count: int = COUNT) -> Path:
    get_layout("rsna").write(root, small_studies(count, tilt_deg=15.0), 1, quirks)
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return rehearse(tmp_path / "rsna")


def edit(copy: Path, old: str, new: str) -> None:
    table = copy / "stage_2_train.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def patient(dataset: Dataset, number: int):
    return next(case for case in dataset.cases if case.patient_id == rsna_patient(f"made-{number}"))


def file_of(copy: Path, number: int, index: int) -> Path:
    return copy / "stage_2_train" / f"{rsna_images(f'made-{number}', 6)[index]}.dcm"


def test_what_went_into_the_layout_comes_out(copy: Path) -> None:
    dataset = open_dataset(f"rsna:{copy}")
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.slices) == (COUNT, COUNT, 6 * COUNT)
    assert report.warnings == report.remarks == report.unreadable == ()
    assert dataset.notes == ("stage_2_train.csv: 4 images listed twice alike; counted once",)
    offset = np.arange(40) - 19.5
    circle = offset[:, None] ** 2 + offset**2 <= 20**2
    for number, (name, study) in enumerate(small_studies(COUNT, tilt_deg=15.0)):
        case = patient(dataset, number)
        assert (case.study_id, case.lineage) == (rsna_study(name), "rsna")
        assert case.study_labels == tuple(study.slice_labels.max(axis=0))
        loaded = pickle.loads(pickle.dumps(case)).load()
        np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)
        np.testing.assert_allclose(loaded.image.affine, study.image.affine, atol=1e-5)
        # Three of the five ways to store pixels pad outside the circle; inside, every one gives the HU back.
        np.testing.assert_array_equal(loaded.image.voxels[:, circle], study.image.voxels[:, circle])
        outside = loaded.image.voxels[:, ~circle]
        padded = number % 5 in (1, 3, 4)
        expected = np.full_like(outside, -1000) if padded else study.image.voxels[:, ~circle]
        np.testing.assert_array_equal(outside, expected)


def test_headers_carry_ids_that_are_no_uids(copy: Path) -> None:
    header = pydicom.dcmread(file_of(copy, 2, 0))
    assert header.StudyInstanceUID == rsna_study("made-2")
    # The third patient's values lost their sign.
    assert (header.PixelRepresentation, header.BitsStored, int(header.RescaleIntercept)) == (0, 12, 0)


def test_values_beyond_the_scale_of_ct_are_clipped(copy: Path) -> None:
    path = file_of(copy, 0, 1)
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.copy()
    pixels[20, 20:23] = 32767, 4095, -32768
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)
    loaded = patient(open_rsna(copy), 0).load()
    assert loaded.image.voxels[1, 20, 20:23].tolist() == [3071, 3071, -1024]
    assert loaded.remarks == ()


def test_order_is_that_of_positions_and_labels_follow(copy: Path) -> None:
    # The lowest slice moves above all others; its label must move with it.
    path = file_of(copy, 1, 1)
    dataset = pydicom.dcmread(path)
    study = small_study(1, tilt_deg=15.0)
    step = study.image.affine[:3, 0] * (-1, -1, 1)
    moved = np.array(dataset.ImagePositionPatient, dtype=float) + 5 * step
    dataset.ImagePositionPatient = [f"{value:.6f}" for value in moved]
    dataset.save_as(path)
    loaded = patient(open_rsna(copy), 1).load()
    order = [0, 2, 3, 4, 5, 1]
    np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels[order])
    np.testing.assert_array_equal(loaded.image.voxels[:, 20, 20], study.image.voxels[order, 20, 20])
    (remark,) = loaded.remarks
    assert "steps between the study's slices" in remark


def test_orientations_that_differ_in_the_sixth_decimal_are_one_stack(copy: Path) -> None:
    study = small_study(0, tilt_deg=15.0)
    for index in range(6):
        path = file_of(copy, 0, index)
        dataset = pydicom.dcmread(path)
        # A spacing whose steps round to other hundredths from slice to slice, and a place that trembles.
        dataset.PixelSpacing = ["0.495", "0.495"]
        jitter = (-1) ** index * 5e-6
        dataset.ImageOrientationPatient = [1.0, jitter, 0.0, 0.0, 1.0 + 3 * jitter, jitter]
        place = np.array(dataset.ImagePositionPatient, dtype=float) + np.array([3e-4, -2e-4, 0.02]) * (-1) ** index
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in place]
        dataset.save_as(path)
    loaded = patient(open_rsna(copy), 0).load()
    assert loaded.remarks == ()
    np.testing.assert_array_equal(loaded.slice_labels, study.slice_labels)
    assert loaded.image.spacing_mm[1:] == pytest.approx((0.495, 0.495), rel=1e-4)


def test_a_slice_that_is_turned_by_degrees_is_left_out(copy: Path) -> None:
    path = file_of(copy, 0, 2)
    dataset = pydicom.dcmread(path)
    angle = np.radians(4)
    dataset.ImageOrientationPatient = [
        float(f"{x:.6f}") for x in (np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0)
    ]
    dataset.save_as(path)
    loaded = patient(open_rsna(copy), 0).load()
    assert loaded.image.shape[0] == 5
    assert f"{path.name}: size, spacing or direction" in "\n".join(loaded.remarks)


def test_damaged_repeated_and_odd_slices_are_left_out_by_name(copy: Path) -> None:
    file_of(copy, 0, 0).write_bytes(file_of(copy, 0, 0).read_bytes()[:-1000])
    twin = pydicom.dcmread(file_of(copy, 0, 3))
    twin.ImagePositionPatient = pydicom.dcmread(file_of(copy, 0, 2)).ImagePositionPatient
    twin.save_as(file_of(copy, 0, 3))
    wide = pydicom.dcmread(file_of(copy, 0, 5))
    wide.Rows, wide.PixelData = 20, wide.PixelData[: 20 * 40 * 2]
    wide.save_as(file_of(copy, 0, 5))
    loaded = patient(open_rsna(copy), 0).load()
    assert loaded.image.shape[0] == 3
    # Of two slices at one place the first by name stays.
    stays = min((2, 3), key=lambda index: file_of(copy, 0, index).name)
    np.testing.assert_array_equal(loaded.slice_labels, small_study(0).slice_labels[[1, stays, 4]])
    text = "\n".join(loaded.remarks)
    assert file_of(copy, 0, 0).name in text
    assert file_of(copy, 0, 2).name in text
    assert file_of(copy, 0, 3).name in text
    assert f"{file_of(copy, 0, 5).name}: size" in text


def test_missing_unlabelled_and_broken_files_are_named(copy: Path) -> None:
    missing, unlabelled, broken = file_of(copy, 0, 1), file_of(copy, 1, 2), file_of(copy, 2, 3)
    missing.unlink()
    for kind in CLASSES:
        for value in "01":
            text = (copy / "stage_2_train.csv").read_text()
            (copy / "stage_2_train.csv").write_text(text.replace(f"{unlabelled.stem}_{kind},{value}\n", ""))
    broken.write_bytes(b"no DICOM")
    (copy / "stage_2_train" / "._ID_1.dcm").write_bytes(b"")
    dataset = open_rsna(copy)
    assert set(dataset.warnings) == {
        f"stage_2_train/{missing.name}: in stage_2_train.csv but not on disk",
        f"stage_2_train/{unlabelled.name}: not in stage_2_train.csv; image left out",
        f"stage_2_train/{broken.name}: header cannot be read (InvalidDicomError); image left out",
    }
    assert [patient(dataset, number).load().image.shape[0] for number in range(4)] == [5, 5, 5, 6]


def test_header_without_ids_is_named(copy: Path) -> None:
    path = file_of(copy, 0, 1)
    dataset = pydicom.dcmread(path)
    dataset.PatientID = ""
    dataset.save_as(path)
    (line,) = open_rsna(copy).warnings
    assert line.startswith(f"stage_2_train/{path.name}: header lacks one of PatientID")


def test_labels_that_disagree_are_named_and_either_counts(copy: Path) -> None:
    image = rsna_images("made-0", 6)[0]
    with (copy / "stage_2_train.csv").open("a") as file:
        for kind in CLASSES:
            file.write(f"{image}_{kind},{int(kind in ('subdural', 'any'))}\n")
    other = rsna_images("made-1", 6)[0]
    edit(copy, f"{other}_any,0", f"{other}_any,1")
    third = rsna_images("made-2", 6)[0]
    edit(copy, f"{third}_epidural,0\n", "")
    dataset = open_rsna(copy)
    assert set(dataset.warnings) == {
        f"stage_2_train.csv: {image} is labelled twice, differently; either one's types count",
        f"stage_2_train.csv: {other}_any contradicts its types; the types are used",
        f"stage_2_train.csv: {third} lacks some of its 6 lines; image left out",
    }
    assert patient(dataset, 0).load().slice_labels[0].tolist() == [0, 0, 0, 0, 1]
    assert patient(dataset, 1).load().slice_labels[0].tolist() == [0, 0, 0, 0, 0]


def test_many_defects_of_a_kind_are_counted(copy: Path) -> None:
    for number in range(5):
        for index in range(5):
            file_of(copy, number, index).unlink()
    warnings = open_rsna(copy).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "and 5 more like the last line"


def test_several_series_of_a_study_are_cases_of_their_own(copy: Path) -> None:
    for index in (4, 5):
        dataset = pydicom.dcmread(file_of(copy, 0, index))
        dataset.SeriesInstanceUID = "ID_other"
        dataset.save_as(file_of(copy, 0, index))
    cases = [case for case in open_rsna(copy).cases if case.patient_id == rsna_patient("made-0")]
    assert len({case.study_id for case in cases}) == 2
    assert sorted(case.load().image.shape[0] for case in cases) == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Image,any\nID_1,0\n", r"begins with Image, any; expected the header ID,Label"),
        (b"", "begins with nothing"),
        (b"ID,Label\nID_1_epidural,0,7\n", "line 2 is 'ID_1_epidural,0,7'"),
        (b"ID,Label\nID_1_fracture,0\n", "line 2 is 'ID_1_fracture,0'"),
        (b"ID,Label\nID_1_any,2\n", "line 2 is 'ID_1_any,2'"),
        (b"ID,Label\nID_1_any,\x00\n", "stage_2_train.csv"),
        (b"ID,Label\n" + b"x" * 200_000 + b"_any,1\n", "no CSV in UTF-8"),
        ("ID,Label\nID_ä_any,0\n".encode("latin-1"), "no CSV in UTF-8"),
        ("ID,Label\nID_1_any,0\n".encode("utf-16"), "no CSV in UTF-8"),
        (b"ID,Label\nID_1_any,0\n", "no image with labels"),
    ],
)
def test_hostile_tables_are_refused_in_one_line(copy: Path, content: bytes, message: str) -> None:
    (copy / "stage_2_train.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_rsna(copy)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


def test_the_table_may_have_semicolons(copy: Path) -> None:
    cases = [(case.study_id, case.study_labels) for case in open_rsna(copy).cases]
    table = copy / "stage_2_train.csv"
    text = table.read_text(encoding="utf-8").replace(",0", ";0,0").replace(",1", ";1").replace(",", ";", 1)
    table.write_text("\ufeff" + text, encoding="utf-8")
    assert table.read_text(encoding="utf-8-sig").startswith("ID;Label\n")
    assert [(case.study_id, case.study_labels) for case in open_rsna(copy).cases] == cases


def test_index_is_built_once_and_again_when_the_content_changes(copy: Path, own_cache: Path) -> None:
    steps: list[tuple[int, int]] = []
    first = open_rsna(copy, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (36, 36)
    steps.clear()
    again = open_rsna(copy, progress=lambda done, total: steps.append((done, total)))
    assert steps == []
    assert again.fingerprint == first.fingerprint
    assert len(list((own_cache / "index").iterdir())) == 1
    # The same size, another time: read again, but the data count as the same.
    os.utime(file_of(copy, 0, 0), (1, 1))
    assert open_rsna(copy).fingerprint == first.fingerprint
    assert len(list((own_cache / "index").iterdir())) == 2
    file_of(copy, 0, 0).unlink()
    assert open_rsna(copy).fingerprint != first.fingerprint


def test_a_killed_build_is_not_taken_for_an_index(copy: Path, own_cache: Path) -> None:
    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_rsna(copy, progress=kill)
    assert list((own_cache / "index").iterdir()) == []
    leftover = own_cache / "index" / ".building-old"
    leftover.mkdir()
    os.utime(leftover, (1, 1))
    assert len(open_rsna(copy).cases) == COUNT
    assert not leftover.exists()


def test_two_builds_at_once_end_with_one_whole_index(copy: Path, own_cache: Path) -> None:
    barrier = threading.Barrier(2)
    counts: list[int] = []

    def build() -> None:
        barrier.wait()
        counts.append(len(open_rsna(copy).cases))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [COUNT, COUNT]
    (index,) = (own_cache / "index").iterdir()
    assert sum(row.last - row.first + 1 for row in rsna_index.series_rows(index)) == 6 * COUNT


def test_headers_read_in_processes_are_the_same(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone = [(case.patient_id, case.study_labels) for case in open_rsna(copy).cases]
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(rsna_index, "_PARALLEL_FROM", 1)
    monkeypatch.setattr(rsna_index, "_CHUNK", 5)
    assert [(case.patient_id, case.study_labels) for case in open_rsna(copy, jobs=2).cases] == alone


def test_a_lost_index_says_what_to_do(copy: Path, own_cache: Path) -> None:
    dataset = open_rsna(copy)
    (index,) = (own_cache / "index").iterdir()
    index.unlink()
    with pytest.raises(UserError, match="run again"):
        dataset.cases[0].load()
    index.write_bytes(b"no database, far from it")
    with pytest.raises(UserError, match="delete it"):
        open_rsna(copy)


def test_real_quirks_are_told(tmp_path: Path) -> None:
    report = check_dataset(open_rsna(rehearse(tmp_path / "real", "real")))
    assert report.warnings == ("stage_2_train/ID_000000000.dcm: in stage_2_train.csv but not on disk",)
    (remark,) = report.remarks
    assert "damaged" in remark
    assert report.slices == 6 * COUNT - 1
    assert report.unreadable == ()


def test_folders_of_another_layout_give_a_remedy(copy: Path, tmp_path: Path) -> None:
    (copy / "stage_2_train.csv").unlink()
    for path, message in ((None, "without a path"), (tmp_path / "none", "no folder"), (copy, r"no stage_2_train\.csv")):
        with pytest.raises(UserError, match=message) as caught:
            open_rsna(path)
        assert "kaggle" in str(caught.value)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_short_walk_and_pydicom_find_the_same_ids(copy: Path, syntax: str) -> None:
    path = file_of(copy, 0, 0)
    dataset = pydicom.dcmread(path)
    dataset.ReferencedStudySequence = [pydicom.Dataset()]
    dataset.ReferencedStudySequence[0].PatientID = "not this one"
    dataset.PatientComments = "x" * 300
    little = not syntax.endswith(".2.2")
    dataset.PixelData = dataset.PixelData if little else dataset.pixel_array.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.endswith("8.1.2"), little_endian=little)
    header = pydicom.dcmread(path)
    ids = (header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID)
    (row,) = read_headers(str(path.parent), [path.name])
    assert row == (path.stem, *ids, "")
    # Big endian is left to pydicom.
    assert walk(path.read_bytes()) == (ids if little else None)


def test_short_walk_gives_up_on_what_it_does_not_know(copy: Path) -> None:
    whole = file_of(copy, 0, 0).read_bytes()
    assert walk(whole) is not None
    series = whole.index(b"\x20\x00\x0e\x00UI")
    for cut in (0, 131, 140, 200, series + 4, series + 10):
        assert walk(whole[:cut]) is None
    undefined = whole[: series + 6] + b"\xff\xff" + whole[series + 8 :]
    assert walk(undefined) is None
