from __future__ import annotations

import functools
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hemobench.case import Case, Dataset, DatasetInfo, Loaded
from hemobench.datasets.cache import Examples, build_examples, cache_home, examples_key
from hemobench.errors import UserError
from hemobench.views.slices import resize_to_square
from hemobench.views.view import ClassificationView, SegmentationView, view_from_mapping
from hemobench.views.windows import WINDOWS, apply_window
from hemobench.volume import Volume, display_affine

LOADER = """
import numpy as np, os, time
from hemobench.case import Loaded
from hemobench.volume import Volume, display_affine

def load(path, depth, wait_s=0.0):
    time.sleep(wait_s)
    with open(path, "a") as stream:
        stream.write(f"{depth} {os.getpid()}\\n")
    voxels = np.full((depth, 8, 8), float(depth), dtype=np.float32)
    return Loaded(Volume(voxels, display_affine(voxels.shape, (5.0, 1.0, 1.0))), None, np.zeros((depth, 5), np.uint8))
"""
BRAIN = ClassificationView(("brain",), 8)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))


def _dataset(*loads: functools.partial[Loaded], fingerprint: str = "f") -> Dataset:
    info = DatasetInfo("toy", "Toy", ("classification",), "", "", "", "", "", "toy", phantom=True)
    cases = tuple(Case(f"p{n}", f"s{n}", "toy", "toy", None, load) for n, load in enumerate(loads))
    return Dataset(info, cases, fingerprint, ())


def _give(loaded: Loaded) -> Loaded:
    return loaded


def _loaded(
    voxels: np.ndarray, spacing_mm: tuple[float, float, float], label_map: np.ndarray | None, modality: str = "CT"
) -> Loaded:
    volume = Volume(np.asarray(voxels, dtype=np.float32), display_affine(voxels.shape, spacing_mm), modality)
    return Loaded(volume, label_map, None)


def _one(loaded: Loaded, view: ClassificationView | SegmentationView) -> Examples:
    return build_examples(_dataset(functools.partial(_give, loaded)), view, jobs=1)


def test_each_case_is_loaded_once_in_processes_and_rows_keep_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toy_loader  # type: ignore[import-not-found]

    log = tmp_path / "loads.txt"
    dataset = _dataset(*(functools.partial(toy_loader.load, str(log), depth) for depth in (3, 1, 2)))
    seen: list[tuple[int, int]] = []
    examples = build_examples(dataset, BRAIN, jobs=2, progress=lambda done, total: seen.append((done, total)))
    again = build_examples(dataset, BRAIN, jobs=2)
    loads = [line.split() for line in log.read_text().splitlines()]
    assert sorted(depth for depth, _ in loads) == ["1", "2", "3"]
    assert str(os.getpid()) not in {process for _, process in loads}
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert examples.patient_ids.tolist() == ["p0", "p0", "p0", "p1", "p2", "p2"]
    assert examples.slice_indices.tolist() == [0, 1, 2, 0, 0, 1]
    # Brain window 40/80: HU 3, 1 and 2 of 0..80 as grey of 255.
    assert examples.images[:, 0, 4, 4].tolist() == [10, 10, 10, 3, 6, 6]
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(again.images, examples.images)
    assert examples.phantom
    assert [path.name for path in (cache_home() / "cache").iterdir()] == [examples.fingerprint]


def test_processes_are_started_where_the_cases_that_are_left_take_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("hemobench.datasets.cache.usable_cores", lambda: 2)
    import toy_loader

    here, found = str(os.getpid()), {}
    for name, wait_s in (("quick", 0.0), ("slow", 1.5)):  # of which 3 are left after the first: 4.5 s
        loads = (functools.partial(toy_loader.load, str(tmp_path / name), depth, wait_s) for depth in (3, 1, 2, 1))
        found[name] = build_examples(_dataset(*loads, fingerprint=name), BRAIN)
    processes = {name: [line.split()[1] for line in (tmp_path / name).read_text().splitlines()] for name in found}
    assert processes["quick"] == [here] * 4
    assert processes["slow"][0] == here
    assert here not in processes["slow"][1:]
    assert np.array_equal(found["quick"].images, found["slow"].images)
    assert found["slow"].patient_ids.tolist() == ["p0", "p0", "p0", "p1", "p2", "p2", "p3"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    good = _loaded(np.zeros((1, 8, 8)), (5, 1, 1), np.zeros((1, 8, 8), np.uint8))
    bad = _loaded(np.zeros((1, 8, 8)), (5, 1, 1), None)
    with pytest.raises(UserError, match=r"case s1 of toy has no slice labels"):
        build_examples(_dataset(functools.partial(_give, good), functools.partial(_give, bad)), BRAIN, jobs=1)
    assert list((cache_home() / "cache").iterdir()) == []


def test_what_a_killed_build_left_is_no_cache_and_goes_after_a_day() -> None:
    folder = cache_home() / "cache"
    old, young = folder / ".building-old", folder / ".building-young"
    for leftover in (old, young):
        leftover.mkdir(parents=True)
        (leftover / "images.npy").write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    examples = _one(_loaded(np.zeros((2, 8, 8)), (5, 1, 1), np.zeros((2, 8, 8), np.uint8)), BRAIN)
    assert len(examples) == 2
    assert not old.exists()
    assert young.exists()


def test_two_builders_at_once_end_in_one_whole_cache() -> None:
    barrier = threading.Barrier(2)

    def slow(loaded: Loaded) -> Loaded:
        barrier.wait(timeout=20)
        return loaded

    loaded = _loaded(np.full((2, 8, 8), 40.0), (5, 1, 1), np.zeros((2, 8, 8), np.uint8))
    dataset = _dataset(functools.partial(slow, loaded))
    found: list[Examples] = []
    threads = [threading.Thread(target=lambda: found.append(build_examples(dataset, BRAIN, jobs=1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [examples.images[:, 0, 0, 0].tolist() for examples in found] == [[128, 128], [128, 128]]
    assert len(list((cache_home() / "cache").iterdir())) == 1


def test_the_key_changes_with_data_and_view() -> None:
    one, other = _dataset(fingerprint="a"), _dataset(fingerprint="b")
    keys = {
        examples_key(one, BRAIN),
        examples_key(other, BRAIN),
        examples_key(one, ClassificationView(("bone",), 8)),
        examples_key(one, ClassificationView(("brain",), 16)),
        examples_key(one, SegmentationView()),
        examples_key(one, SegmentationView(target="ventricles")),
    }
    assert len(keys) == 6
    assert examples_key(one, ClassificationView(("brain",), 8)) in keys


def test_slices_are_averaged_down_and_keep_their_shape_in_mm() -> None:
    grey = np.zeros((1, 8, 8), dtype=np.float32)
    grey[0, :, :4] = 1
    # Pixels of 1 x 2 mm: 8 mm high, 16 mm wide, so the picture fills the middle half of the square.
    square = resize_to_square(grey, (1.0, 2.0), 8)
    assert square[0, :2].max() == 0
    assert square[0, 6:].max() == 0
    assert square[0, 2:6, :3].min() == 255
    checkers = np.indices((1, 64, 64)).sum(axis=0).astype(np.float32) % 2
    small = resize_to_square(checkers, (1.0, 1.0), 16)
    # Without anti-aliasing a checkerboard would come out black or white.
    assert np.abs(small[0, 2:-2, 2:-2].astype(int) - 128).max() <= 4


def test_targets_of_slices_follow_the_label_map() -> None:
    label_map = np.zeros((3, 8, 8), dtype=np.uint8)
    label_map[1, 2, 2], label_map[1, 5, 5] = 5, 2
    examples = _one(_loaded(np.zeros((3, 8, 8)), (5, 0.5, 0.5), label_map), BRAIN)
    assert examples.targets.tolist() == [[0] * 6, [0, 1, 0, 0, 1, 1], [0] * 6]
    assert examples.spacing_mm[0].tolist() == [5.0, 0.5, 0.5]


def test_windows_become_channels() -> None:
    voxels = np.linspace(-100, 300, 64, dtype=np.float32).reshape(1, 8, 8)
    examples = _one(_loaded(voxels, (5, 1, 1), np.zeros((1, 8, 8), np.uint8)), ClassificationView(("brain", "bone"), 8))
    for channel, name in enumerate(("brain", "bone")):
        expected = np.rint(apply_window(voxels[0], WINDOWS[name]) * 255)
        assert np.array_equal(examples.images[0, channel], expected)


def test_volumes_come_to_the_grid_with_their_volume_in_ml() -> None:
    label_map = np.zeros((10, 40, 40), dtype=np.uint8)
    label_map[2:8, 10:30, 12:28] = 3
    voxels = np.where(label_map > 0, 80.0, 0.0)
    view = SegmentationView("haemorrhage", (4.0, 2.0, 2.0), (8, 24, 20), "brain")
    examples = _one(_loaded(voxels, (4.0, 1.0, 1.0), label_map), view)
    assert examples.images.shape == examples.targets.shape == (1, 1, 8, 24, 20)
    assert examples.slice_indices.tolist() == [-1]
    # 6 slices of 20 x 16 mm at 4 mm are 7.68 mL; on the coarser grid the rim may take or lose half a voxel.
    volume_ml = examples.targets.sum() * 4 * 2 * 2 / 1000
    assert volume_ml == pytest.approx(7.68, rel=0.06)
    inside = examples.targets[0, 0] > 0
    assert inside.sum(axis=(1, 2)).astype(bool).tolist() == [False] + [True] * 6 + [False]
    assert examples.images[0, 0][inside].min() > 120
    # Centred: as much room on either side.
    columns = np.flatnonzero(inside.any(axis=(0, 1)))
    assert columns[0] == 20 - 1 - columns[-1]


def test_a_sheared_volume_keeps_its_millilitres_on_the_grid() -> None:
    label_map = np.zeros((10, 40, 40), dtype=np.uint8)
    label_map[2:8, 10:30, 12:28] = 3
    loaded = _loaded(np.where(label_map > 0, 80.0, 0.0), (4.0, 1.0, 1.0), label_map)
    affine = loaded.image.affine.copy()
    affine[1, 0] = 3.0  # slices stay 4 mm apart and slide by 3 mm each: 5 mm from voxel to voxel
    sheared = Loaded(Volume(loaded.image.voxels, affine), label_map, None)
    examples = _one(sheared, SegmentationView("haemorrhage", (5.0, 1.0, 1.0), (10, 40, 40), "brain"))
    steps = examples.steps_mm(0)
    assert np.linalg.norm(steps, axis=0) == pytest.approx((5.0, 1.0, 1.0))
    # 6 slices of 20 x 16 mm, 4 mm apart.
    assert examples.targets.sum() * abs(np.linalg.det(steps)) / 1000 == pytest.approx(7.68)


def test_mr_is_scaled_by_its_percentiles() -> None:
    voxels = np.arange(1000, dtype=np.float32).reshape(10, 10, 10) * 3 + 500
    voxels[0, 0, 0] = 1e6
    label_map = np.zeros((10, 10, 10), np.uint8)
    view = SegmentationView("ventricles", (1.0, 1.0, 1.0), (10, 10, 10), None)
    images = _one(_loaded(voxels, (1, 1, 1), label_map, "MR"), view).images[0, 0]
    # One outlier does not darken the rest: the middle of the ramp is middle grey.
    assert images[0, 0, 0] == 255
    assert int(images[5, 0, 0]) == pytest.approx(128, abs=2)
    with pytest.raises(UserError, match="set view"):
        _one(_loaded(voxels, (1, 1, 1), label_map, "MR"), SegmentationView(spacing_mm=(1, 1, 1), shape=(10, 10, 10)))


@pytest.mark.parametrize(
    ("task", "mapping", "words"),
    [
        ("classification", {"sise": 64}, "unknown classification view option 'sise'.*did you mean 'size'"),
        ("classification", {"size": "big"}, "view"),
        ("classification", {"size": 4}, "8 to 2048"),
        ("classification", {"windows": ["brian"]}, "did you mean 'brain'"),
        ("segmentation", {"spacing_mm": [1, 2]}, "three lengths"),
        ("segmentation", {"spacing_mm": [0, 2, 2]}, "above 0"),
        ("segmentation", {"shape": 5}, "cannot be read"),
        ("segmentation", {"target": "tumour"}, "haemorrhage, subtypes, ventricles"),
    ],
)
def test_wrong_views_are_one_line(task: str, mapping: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        view_from_mapping(task, mapping)
    assert "\n" not in str(caught.value)


def test_empty_data_and_unwritable_homes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no cases"):
        build_examples(_dataset(), BRAIN)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set HEMOBENCH_HOME"):
        _one(_loaded(np.zeros((1, 8, 8)), (5, 1, 1), np.zeros((1, 8, 8), np.uint8)), BRAIN)
