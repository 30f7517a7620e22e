"""A view that keeps the scan's own slices: none is mixed with another, thinner ones are averaged in whole numbers."""

import numpy as np
import pytest

from hemobench.case import Loaded
from hemobench.datasets.cache import build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.errors import UserError
from hemobench.views.head_box import network_grid
from hemobench.views.render import render
from hemobench.views.scan_grid import network_input, to_source
from hemobench.views.view import SegmentationView, view_from_mapping, view_to_mapping
from hemobench.volume import Volume

OWN = SegmentationView("ventricles", (4.0, 1.0, 1.0), (12, 32, 32), "brain", own_slices=True)


def scan(slices: int, step_mm: float) -> Volume:
    """Slice k has k HU everywhere, 1 mm pixels."""
    voxels = np.broadcast_to(np.arange(slices, dtype=np.float32)[:, None, None], (slices, 32, 32)).copy()
    return Volume(voxels, np.diag([step_mm, 1.0, 1.0, 1.0]), "CT")


@pytest.mark.parametrize("slices", [6, 7, 13])
@pytest.mark.parametrize("step_mm", [2.5, 4.0, 4.7, 10.0])
def test_slices_as_thick_or_thicker_are_taken_as_they_are(slices: int, step_mm: float) -> None:
    volume = scan(slices, step_mm)
    grid = network_grid(volume, OWN, OWN.shape)
    assert grid.ratio[0] == pytest.approx(1)
    assert grid.offset[0] == int(grid.offset[0])
    made = network_input(volume, OWN)
    assert made.array.shape[1] == slices
    assert made.grid.offset[0] == 0
    np.testing.assert_allclose(made.array[0, :, 16, 16] * 80, np.arange(slices), atol=1e-4)


@pytest.mark.parametrize(("step_mm", "several"), [(1.0, 4), (1.25, 3), (0.625, 6), (2.0, 2), (2.1, 1)])
def test_thin_slices_are_averaged_a_whole_number_at_a_time(step_mm: float, several: int) -> None:
    made = network_input(scan(24, step_mm), OWN)
    assert made.grid.ratio[0] == pytest.approx(several)
    assert made.array.shape[1] == -(-24 // several)
    middles = made.grid.offset[0] + several * np.arange(made.array.shape[1])
    assert (middles == np.arange(made.array.shape[1]) * several + (several - 1) / 2).all()


def test_a_mask_comes_back_as_it_was() -> None:
    """Slices of 4.7 mm through a grid of 4 mm would lose thin ones."""
    volume = scan(7, 4.7)
    mask = np.zeros(volume.shape, dtype=np.uint8)
    mask[3, 10:20, 10:14] = 1
    _, target = render(Loaded(volume, None, None, ventricles=mask > 0), OWN, "here")
    grid = network_grid(volume, OWN, OWN.shape)
    back = to_source(target[0].astype(np.float32), grid, volume)[0] >= 0.5
    np.testing.assert_array_equal(back, mask > 0)


@pytest.mark.slow
def test_examples_tell_each_scan_its_own_distance(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path))
    data = open_dataset("phantom", patients=2, slices=8, matrix=64)
    examples = build_examples(data, OWN)
    expected = [case.load().image.spacing_mm[0] for case in data.cases]
    np.testing.assert_allclose(examples.spacing_mm[:, 0], expected)
    np.testing.assert_allclose(examples.spacing_mm[:, 1:], 1)


def test_it_is_written_down_only_where_it_is_asked_for() -> None:
    assert view_from_mapping("segmentation", view_to_mapping(OWN)) == OWN
    assert "own_slices" not in view_to_mapping(SegmentationView())
    with pytest.raises(UserError, match="own_slices"):
        view_from_mapping("segmentation", {"own_slices": "yes"})
