"""The stream against a decoder of its own, written from the format's description."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.volume_stream import MAX_VOXELS, encode_volume, write_stream
from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.errors import UserError
from hemobench.io import read_scan
from hemobench.volume import GREY, LABEL_MAP, Volume, display_affine

GE_HEAD_CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ge-head-ct"
SPACING = (4.0, 0.5, 0.75)


def scan(voxels: Any, modality: str = "CT") -> Volume:
    array = np.asarray(voxels, dtype=np.float32)
    return Volume(array, display_affine(array.shape, SPACING), modality)


def label_map(like: Volume, voxels: Any) -> Volume:
    return Volume(np.asarray(voxels, dtype=np.uint8), like.affine, LABEL_MAP)


def values_of(header: dict[str, Any]) -> np.ndarray:
    return np.concatenate([first + step * np.arange(count) for count, first, step in header["stretches"]])


def decoded(header: dict[str, Any], content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Values and labels (D, H, W), one voxel after the other as JPEG-LS's predictor is described."""
    depth, rows, columns = header["shape"]
    labels = np.zeros((depth, rows, columns), dtype=np.uint8)
    at = 0
    if header["labels"]:
        box, start = header["labels"]["shape"], header["labels"]["start"]
        at = header["labels"]["bytes"]
        part = np.frombuffer(zlib.decompress(content[:at]), dtype=np.uint8).reshape(box)
        labels[tuple(slice(low, low + size) for low, size in zip(start, box, strict=True))] = part
    codes = np.zeros((depth, rows, columns), dtype=int)
    for index, length in zip(header["order"], header["lengths"], strict=True):
        planes = zlib.decompress(content[at : at + length])
        at += length
        assert len(planes) == 2 * rows * columns
        for row in range(rows):
            for column in range(columns):
                left = codes[index, row, column - 1] if column else 0
                above = codes[index, row - 1, column] if row else 0
                corner = codes[index, row - 1, column - 1] if row and column else 0
                if corner >= max(left, above):
                    guess = min(left, above)
                elif corner <= min(left, above):
                    guess = max(left, above)
                else:
                    guess = left + above - corner
                place = row * columns + column
                folded = planes[place] + 256 * planes[rows * columns + place]
                difference = -(folded + 1) // 2 if folded % 2 else folded // 2
                codes[index, row, column] = guess + difference
    assert at == len(content)
    return values_of(header)[codes], labels


def sent(volume: Volume, labels: Volume | None, folder: Path, first: int = 0) -> tuple[dict[str, Any], np.ndarray, Any]:
    path = folder / "scan.bin"
    header = write_stream(encode_volume(volume), labels, path, first)
    values, found = decoded(header, path.read_bytes())
    return header, values, found


def test_hu_come_back_to_half_a_step_of_their_stretch(tmp_path: Path) -> None:
    hu = np.arange(-1100, 3300).reshape(11, 20, 20)
    rng = np.random.default_rng(0)
    hu = rng.permutation(hu.ravel()).reshape(hu.shape)

    _, values, _ = sent(scan(hu), None, tmp_path, 5)

    error = np.abs(values - hu)
    soft, firm = (hu >= -200) & (hu < 200), (hu >= 200) & (hu < 1000)
    assert error[soft].max() == 0
    assert error[firm].max() <= 2
    assert error[((hu >= -900) & (hu < -200)) | ((hu >= 1000) & (hu < 3100))].max() <= 5
    assert set(values[hu < -900]) == {-1000.0}
    assert set(values[hu >= 3100]) == {3100.0}


def test_fractions_are_rounded_to_the_nearest_hu(tmp_path: Path) -> None:
    _, values, _ = sent(scan([[[39.6, 40.4, -0.6], [-199.7, 199.4, 0.2]]]), None, tmp_path)

    assert values.tolist() == [[[40, 40, -1], [-200, 199, 0]]]


def test_what_is_no_number_is_air(tmp_path: Path) -> None:
    _, values, _ = sent(scan([[[np.nan, 10.0, -np.inf, np.inf]]]), None, tmp_path)

    assert values.tolist() == [[[-1000, 10, -1000, 3100]]]


def test_grey_pictures_keep_all_of_their_256_levels(tmp_path: Path) -> None:
    levels = np.arange(256).reshape(1, 16, 16)

    header, values, _ = sent(scan(levels / 255, GREY), None, tmp_path)

    assert np.array_equal(values, levels)
    assert header["shown"] == [0.0, 255.0]
    assert header["modality"] == GREY


def test_mr_goes_over_its_own_range_and_a_few_bright_voxels_do_not_set_what_is_shown(tmp_path: Path) -> None:
    signal = np.linspace(20, 420, 3 * 20 * 20).reshape(3, 20, 20)
    signal[0, 0, 0] = 4000

    header, values, _ = sent(scan(signal, "MR"), None, tmp_path)

    step = (4000 - 20) / 2047
    assert np.abs(values - signal).max() <= step / 2 + 1e-3
    assert header["shown"][0] == pytest.approx(20, abs=1)
    assert 400 < header["shown"][1] < 430


def test_a_constant_scan_has_a_range_to_show(tmp_path: Path) -> None:
    header, values, _ = sent(scan(np.full((2, 4, 4), 7.0), "MR"), None, tmp_path)

    assert set(values.ravel()) == {7.0}
    assert all(np.isfinite(header["shown"]))


def test_slices_follow_by_their_distance_from_the_first_and_each_is_found_by_its_length(tmp_path: Path) -> None:
    volume = scan(np.arange(7)[:, None, None] * np.ones((7, 3, 4)) * 10)

    header, values, _ = sent(volume, None, tmp_path, 2)

    assert header["order"] == [2, 1, 3, 0, 4, 5, 6]
    assert values[:, 0, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert header["labels"] is None


def test_labels_travel_as_the_box_that_holds_them(tmp_path: Path) -> None:
    volume = scan(np.zeros((6, 9, 8)))
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[2, 3, 4], labels[4, 7, 1] = 5, 1

    header, _, found = sent(volume, label_map(volume, labels), tmp_path)

    assert (header["labels"]["start"], header["labels"]["shape"]) == ([2, 3, 1], [3, 5, 4])
    assert np.array_equal(found, labels)


def test_an_empty_label_map_takes_no_bytes(tmp_path: Path) -> None:
    volume = scan(np.zeros((2, 4, 4)))

    header, _, _ = sent(volume, label_map(volume, np.zeros(volume.shape)), tmp_path)

    assert header["labels"] is None


def test_a_series_too_large_is_averaged_in_the_plane_and_keeps_its_slices_and_its_place(tmp_path: Path) -> None:
    rows = np.arange(511, dtype=np.float32)[:, None] / 4 + np.arange(512, dtype=np.float32)[None] / 8
    # One slice that stands for all: as many voxels as a large series, and no memory.
    volume = Volume(np.broadcast_to(rows, (190, 511, 512)), display_affine((190, 511, 512), SPACING))
    assert volume.voxels.size > MAX_VOXELS
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[100, 201, 300] = 3

    encoded = encode_volume(volume)
    header = write_stream(encoded, label_map(volume, labels), tmp_path / "scan.bin", 100)

    assert (header["reduced"], header["shape"], header["full_shape"]) == (2, [190, 256, 256], [190, 511, 512])
    assert header["spacing_mm"] == pytest.approx([4.0, 1.0, 1.5])
    middle_of_four = volume.to_world([[7, 10, 20], [7, 11, 21]]).mean(axis=0)
    assert np.asarray(header["affine"]) @ [7, 5, 10, 1] == pytest.approx([*middle_of_four, 1])
    assert (header["labels"]["start"], header["labels"]["shape"]) == ([100, 100, 150], [1, 1, 1])
    first = {**header, "shape": [1, 256, 256], "order": [0], "lengths": header["lengths"][:1], "labels": None}
    start = header["labels"]["bytes"]
    content = (tmp_path / "scan.bin").read_bytes()[start : start + header["lengths"][0]]
    values, _ = decoded(first, content)
    expected = np.pad(rows, ((0, 1), (0, 0)), mode="edge").reshape(256, 2, 256, 2).mean(axis=(1, 3))
    assert np.abs(values[0] - expected).max() <= 0.5


def test_the_body_is_where_more_than_air_and_wires_is() -> None:
    hu = np.full((3, 50, 60), -1000.0)
    hu[1, 10:40, 15:45] = 30.0
    hu[2, 5, 5] = 3000.0

    encoded = encode_volume(scan(hu))

    assert encoded.body == ((10, 40), (15, 45))
    assert encode_volume(scan(np.full((2, 8, 9), -1000.0))).body == ((0, 8), (0, 9))


def test_40_slices_of_a_phantom_are_at_most_6_megabytes() -> None:
    spec = PhantomSpec(patients=1, slices=6, matrix=512, healthy=0.0, seed=5)
    image = generate_patient(spec, 0).image

    # The middle slices, which hold most: no easier than the whole head.
    size = sum(len(block) for block in encode_volume(image).blocks[1:5])

    assert size / 4 * 40 < 6e6


@pytest.mark.skipif(not GE_HEAD_CT.is_dir(), reason="the GE series is not beside this repository")
def test_40_slices_of_a_real_scan_are_at_most_6_megabytes() -> None:
    volume = read_scan(GE_HEAD_CT).volume

    size = sum(len(block) for block in encode_volume(volume).blocks)

    assert size / volume.voxels.size * 40 * 512 * 512 < 6e6


def test_a_slice_or_label_map_of_another_scan_is_refused(tmp_path: Path) -> None:
    volume = scan(np.zeros((3, 4, 5)))
    encoded = encode_volume(volume)
    other = scan(np.zeros((3, 4, 6)))

    with pytest.raises(UserError, match=r"first slice 3; expected 0 to 2"):
        write_stream(encoded, None, tmp_path / "scan.bin", 3)
    with pytest.raises(UserError, match=r"label map of shape \(3, 4, 6\)"):
        write_stream(encoded, label_map(other, np.zeros(other.shape)), tmp_path / "scan.bin", 0)
    assert not list(tmp_path.iterdir())
