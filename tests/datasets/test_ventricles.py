"""Ventricle volumes: pairs of npz and npy files, official layout and hand-made defects."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.datasets.check import check_dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.ventricles import SHAPE, open_ventricles
from hemobench.errors import UserError
from hemobench.volume import Volume, display_affine


def t1_study(seed: int) -> Loaded:
    """A T1 of official size with a block for ventricles, in S-P-L like every study in memory."""
    depth, height, width = SHAPE[2], SHAPE[1], SHAPE[0]
    voxels = np.zeros((depth, height, width), dtype=np.float32)
    voxels[20:150, 30:180, 25:150] = np.arange(130, dtype=np.float32)[:, None, None] + seed
    label_map = np.zeros(voxels.shape, dtype=np.uint8)
    label_map[70:90, 90:130, 70:100] = 1
    return Loaded(Volume(voxels, display_affine(voxels.shape, (1, 1, 1)), "MR"), label_map, None)


def save_pair(folder: Path, stem: str, shape: tuple[int, ...] = (6, 8, 6), key: str = "arr_0") -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    scan, mask = folder / f"{stem}.npz", folder / f"{stem}seg.npz"
    np.savez(scan, **{key: rng.integers(0, 200, shape)})
    np.savez(mask, **{key: (rng.random(shape) < 0.3).astype(np.float64)})
    return scan, mask


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    studies = [(f"made-{seed}", t1_study(seed)) for seed in range(2)]
    get_layout("ventricles").write(tmp_path, studies, 1, "clean")
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".npy"}
    dataset = open_dataset(f"ventricles:{tmp_path}")
    report = check_dataset(dataset)
    assert (report.cases, report.patients, report.label_maps) == (2, 2, 2)
    assert report.warnings == report.remarks == report.unreadable == ()
    assert [case.patient_id for case in dataset.cases] == [f"OAS1_{n:04d}" for n in (1, 2)]
    for case, (_, study) in zip(dataset.cases, studies, strict=True):
        loaded = case.load()
        np.testing.assert_array_equal(loaded.image.voxels, study.image.voxels)
        np.testing.assert_array_equal(loaded.label_map, study.label_map)
        assert (loaded.image.modality, loaded.image.orientation) == ("MR", "SPL")
        assert loaded.image.spacing_mm == pytest.approx((1, 1, 1))


def test_axes_and_the_papers_crop(tmp_path: Path) -> None:
    array = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    np.save(tmp_path / "OAS1_0082_MR.npy", array)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[50, 60, 70] = 1
    np.save(tmp_path / "OAS1_0082_MRseg.npy", mask)
    whole = open_ventricles(tmp_path).cases[0].load()
    assert whole.image.shape == (176, 208, 176)
    x, y, z = 50, 60, 70
    assert whole.image.voxels[z, 207 - y, 175 - x] == np.float32(array[x, y, z])
    np.testing.assert_array_equal(np.argwhere(whole.label_map), [[z, 207 - y, 175 - x]])
    # The identity: array index is the place in millimetres.
    np.testing.assert_allclose(whole.image.to_world((z, 207 - y, 175 - x)), (x, y, z))
    cut = open_ventricles(tmp_path, crop="paper").cases[0].load()
    expected = array[42:122, 41:161, 24:144].astype(np.float32)
    assert expected.shape == (80, 120, 120)
    np.testing.assert_array_equal(cut.image.reoriented("RAS").voxels, expected)
    # Cutting moves nothing: the marked voxel is where it was.
    np.testing.assert_allclose(cut.image.to_world(np.argwhere(cut.label_map)[0]), (x, y, z))


def test_defects_are_named(tmp_path: Path) -> None:
    for stem in ("OAS1_0001_MR", "OAS1_0002_MR", "OAS1_0003_MR1", "OAS1_0003_MR2"):
        save_pair(tmp_path, stem)
    (tmp_path / "OAS1_0002_MRseg.npz").unlink()
    (tmp_path / "more").mkdir()
    save_pair(tmp_path / "more", "OAS1_0004_MR")[0].unlink()
    save_pair(tmp_path / "more", "OAS1_0001_MR")
    (tmp_path / "notes.txt").write_text("x")
    dataset = open_ventricles(tmp_path)
    assert [(case.patient_id, case.study_id) for case in dataset.cases] == [
        ("OAS1_0001", "OAS1_0001_MR"),
        ("OAS1_0003", "OAS1_0003_MR1"),
        ("OAS1_0003", "OAS1_0003_MR2"),
    ]
    assert dataset.warnings == (
        "OAS1_0002_MR.npz: no OAS1_0002_MRseg; scan left out",
        "more/OAS1_0001_MR.npz: also there as OAS1_0001_MR.npz; left out",
        "more/OAS1_0001_MRseg.npz: also there as OAS1_0001_MRseg.npz; left out",
        "more/OAS1_0004_MRseg.npz: no OAS1_0004_MR; mask left out",
    )


def test_odd_pairs_are_read_with_a_remark_or_refused(tmp_path: Path) -> None:
    scan, mask = save_pair(tmp_path, "a", key="volume")
    np.savez(mask, np.arange(6 * 8 * 6).reshape(6, 8, 6))
    loaded = open_ventricles(tmp_path).cases[0].load()
    assert len(loaded.remarks) == 2
    assert "not (176, 208, 176)" in loaded.remarks[0]
    assert "more than two values in a mask" in loaded.remarks[1]
    with pytest.raises(UserError, match="for the paper's crop"):
        open_ventricles(tmp_path, crop="paper").cases[0].load()
    np.savez(mask, np.zeros((6, 8, 7)))
    with pytest.raises(UserError, match=r"has shape \(6, 8, 7\), the scan \(6, 8, 6\)"):
        open_ventricles(tmp_path).cases[0].load()
    np.savez(scan, first=np.zeros((6, 8, 7)), second=np.zeros(3))
    with pytest.raises(UserError, match="expected arr_0"):
        open_ventricles(tmp_path).cases[0].load()


def test_pickles_and_damage_are_refused(tmp_path: Path) -> None:
    scan, _ = save_pair(tmp_path, "a")
    (case,) = open_ventricles(tmp_path).cases
    np.savez(scan, np.array([{"x": 1}], dtype=object))
    with pytest.raises(UserError, match="pickle is never loaded"):
        case.load()
    np.savez(scan, np.full((6, 8, 6), np.nan))
    with pytest.raises(UserError, match="NaN"):
        case.load()
    whole = scan.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x93NUMPY\x01\x00"):
        scan.write_bytes(content)
        with pytest.raises(UserError) as caught:
            case.load()
        assert "\n" not in str(caught.value)
    # A header that declares far more than is there.
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000, 100000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(scan, "w") as archive:
        archive.writestr("arr_0.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match="1,000,000,000,000,000 voxels"):
        case.load()


def test_folders_without_pairs_and_unknown_crops(tmp_path: Path) -> None:
    for path, message in ((None, "without a path"), (tmp_path / "none", "no folder"), (tmp_path, "no pair")):
        with pytest.raises(UserError, match=message):
            open_ventricles(path)
    with pytest.raises(UserError, match="did you mean 'paper'"):
        open_ventricles(tmp_path, crop="papr")


def test_the_real_copy_lacks_a_mask(tmp_path: Path) -> None:
    get_layout("ventricles").write(tmp_path, [("a", t1_study(1)), ("b", t1_study(2))], 1, "real")
    dataset = open_dataset(f"ventricles:{tmp_path},crop=paper")
    assert dataset.warnings == ("OAS1_0001_MR.npz: no OAS1_0001_MRseg; scan left out",)
    assert dataset.cases[0].load().image.shape == (120, 120, 80)
