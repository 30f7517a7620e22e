"""npz and npy: keys, axes, sizes, and pickles that are never loaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hemobench.errors import UserError
from hemobench.io import read_scan

HU = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 5)).astype(np.int16)


def warned(scan: object, words: str) -> bool:
    return any(words in line for line in scan.warnings)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("key", ["arr_0", "image", "anything"])
def test_npz_by_key(tmp_path: Path, save: object, key: str) -> None:
    save(tmp_path / "a.npz", **{key: HU})
    scan = read_scan(tmp_path / "a.npz")
    assert scan.kind == "npz"
    assert scan.volume.orientation == "SPL"
    np.testing.assert_array_equal(scan.volume.voxels, HU)
    assert not scan.spacing_known
    assert scan.volume.spacing_mm == (1, 1, 1)
    assert warned(scan, "millimetres")


def test_npy_of_one_slice_and_of_fortran_order(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", HU[1])
    np.testing.assert_array_equal(read_scan(tmp_path / "a.npy").volume.voxels, HU[1:2])
    np.save(tmp_path / "f.npy", np.asfortranarray(HU.astype(">f8")))
    np.testing.assert_array_equal(read_scan(tmp_path / "f.npy").volume.voxels, HU)


def test_affine_and_spacing_are_used(tmp_path: Path) -> None:
    affine = np.diag([-0.5, -0.6, 5.0, 1.0])  # L, P, S
    np.savez(tmp_path / "a.npz", image=HU, affine=affine)
    scan = read_scan(tmp_path / "a.npz")
    assert scan.spacing_known
    assert scan.volume.spacing_mm == (5.0, 0.6, 0.5)
    np.testing.assert_array_equal(scan.volume.voxels, HU.transpose(2, 1, 0))
    np.savez(tmp_path / "b.npz", image=HU, spacing_mm=(5, 0.5, 0.5))
    assert read_scan(tmp_path / "b.npz").volume.spacing_mm == (5, 0.5, 0.5)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    np.save(tmp_path / "object.npy", np.array([Bomb(harm)], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "object.npz", image=np.array([Bomb(harm)], dtype=object))
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb(harm)))
    for name in ("object.npy", "object.npz", "plain.npy"):
        with pytest.raises(UserError, match="expected"):
            read_scan(tmp_path / name)
    assert not harm.exists()


def header_only(path: Path, shape: tuple[int, ...], content: bytes = b"") -> Path:
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        stream.write(content)
    return path


@pytest.mark.parametrize(
    ("shape", "words"),
    [((10**6, 10**6, 10**6), "at most 134,217,728 voxels"), ((3, 4, 5), "its header says 240"), ((0, 4, 5), "shape")],
)
def test_lying_headers_are_refused_before_reading(tmp_path: Path, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_scan(header_only(tmp_path / "a.npy", shape, bytes(100)))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"one": HU, "two": HU}, "keys one, two"),
        ({"image": np.zeros((2, 2, 2, 2))}, "save one volume"),
        ({"image": np.full((2, 2, 2), np.nan)}, "NaN"),
        ({"image": np.zeros((2, 2, 2), complex)}, "complex"),
        ({"image": HU, "affine": np.full((4, 4), np.nan)}, "affine"),
        ({"image": HU, "affine": np.zeros((4, 4))}, "affine"),
        ({"image": HU, "spacing": [0, 1, 1]}, "three mm above 0"),
        ({"image": np.array("text")}, "values of type"),
    ],
)
def test_other_contents_are_refused_with_a_remedy(tmp_path: Path, arrays: dict, words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=words) as caught:
        read_scan(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
