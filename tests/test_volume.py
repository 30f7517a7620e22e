"""Geometry against nibabel, SimpleITK and scipy, on oblique anisotropic grids."""

from __future__ import annotations

import itertools
import pickle

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from nibabel.processing import resample_from_to
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from hemobench.errors import UserError
from hemobench.volume import LABEL_MAP, Volume, display_affine

ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("LR", "PA", "IS")) for letters in itertools.product(*axes)
]


def oblique_affine(seed: int = 0, spacing_mm: tuple[float, ...] = (5.0, 0.6, 0.9), degrees: float = 25) -> NDArray:
    generator = np.random.default_rng(seed)
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", generator.uniform(-degrees, degrees, 3), degrees=True).as_matrix()
    affine[:3, :3] = rotation @ display_affine((1, 1, 1), (1, 1, 1))[:3, :3] @ np.diag(spacing_mm)
    affine[:3, 3] = generator.uniform(-100, 100, 3)
    return affine


def smooth_volume(seed: int = 0, shape: tuple[int, int, int] = (9, 24, 17), **changes: object) -> Volume:
    """Low frequencies, so that interpolations by different code differ by their rules alone."""
    generator = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    waves = sum(np.sin(2 * np.pi * (generator.uniform(-1, 1, 3) @ np.stack(grid).reshape(3, -1))) for _ in range(4))
    return Volume(300 * np.reshape(waves, shape), oblique_affine(seed, **changes))


def to_sitk(volume: Volume) -> SimpleITK.Image:
    """The same voxels in SimpleITK, whose index order is reversed and whose world is LPS+."""
    image = SimpleITK.GetImageFromArray(np.asarray(volume.voxels))
    lps = np.diag([-1.0, -1.0, 1.0]) @ volume.affine[:3, [2, 1, 0, 3]]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    return image


def test_derived_geometry_of_an_oblique_grid() -> None:
    volume = Volume(np.zeros((2, 3, 4)), oblique_affine(3))
    np.testing.assert_allclose(volume.spacing_mm, (5.0, 0.6, 0.9))
    assert volume.voxel_volume_ml == pytest.approx(5.0 * 0.6 * 0.9 / 1000)
    assert volume.orientation == "SPL"
    assert volume.shape == (2, 3, 4)
    assert volume.voxels.dtype == np.float32


def test_voxel_volume_of_a_sheared_grid_is_the_determinant() -> None:
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    affine[1, 2] = 1.7  # gantry tilt: slices step sideways too
    volume = Volume(np.zeros((2, 2, 2)), affine)
    assert volume.voxel_volume_ml == pytest.approx(0.005)
    assert volume.spacing_mm[2] == pytest.approx(np.hypot(5.0, 1.7))


def test_world_and_index_are_inverse_and_follow_the_affine() -> None:
    volume = Volume(np.zeros((5, 6, 7)), oblique_affine(1))
    index = np.random.default_rng(0).uniform(-3, 9, (4, 2, 3))
    world = volume.to_world(index)
    assert world.shape == (4, 2, 3)
    np.testing.assert_allclose(world, nib.affines.apply_affine(volume.affine, index))
    np.testing.assert_allclose(volume.to_index(world), index, atol=1e-9)
    np.testing.assert_allclose(volume.to_world((0, 0, 0)), volume.affine[:3, 3])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_agrees_with_nibabel_and_moves_nothing(orientation: str) -> None:
    volume = smooth_volume(2, shape=(3, 4, 5))
    turned = volume.reoriented(orientation)
    image = nib.Nifti1Image(np.asarray(volume.voxels), volume.affine)
    change = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(volume.affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    expected = image.as_reoriented(change)
    assert turned.orientation == orientation == "".join(nib.aff2axcodes(turned.affine))
    np.testing.assert_array_equal(turned.voxels, expected.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-9)
    back = turned.reoriented("SPL")
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)


def test_display_orientation_shows_what_a_radiologist_expects() -> None:
    """Marks at known places of a RAS scan: voxels[d] has anterior at the top and the patient's right on the left."""
    scan = np.zeros((7, 9, 5), dtype=np.float32)  # right, anterior, superior
    scan[6, 4, 0] = 1  # far right, middle, lowest
    scan[3, 8, 4] = 2  # middle, far anterior, highest
    shown = Volume(scan, np.diag([1.0, 1.0, 5.0, 1.0])).reoriented("SPL").voxels
    assert shown.shape == (5, 9, 7)
    assert shown[0, 4, 0] == 1  # lowest slice, left edge
    assert shown[4, 0, 3] == 2  # highest slice, top edge


@pytest.mark.parametrize("order", [0, 1])
def test_resampling_to_another_oblique_grid_agrees_with_simpleitk_everywhere(order: int) -> None:
    volume = smooth_volume(4)
    target = smooth_volume(5, shape=(14, 20, 22), spacing_mm=(2.0, 1.1, 1.3), degrees=40)
    # Half-way over each other, so that both sides of the border occur.
    affine = target.affine.copy()
    affine[:3, 3] += volume.to_world((4, 8, 12)) - target.to_world((7, 10, 11))
    result = volume.resampled_to(affine, target.shape, order=order, fill=-777.0)
    method = SimpleITK.sitkLinear if order else SimpleITK.sitkNearestNeighbor
    reference = to_sitk(Volume(np.zeros(target.shape), affine))
    resampled = SimpleITK.Resample(to_sitk(volume), reference, SimpleITK.Transform(), method, -777.0)
    expected = SimpleITK.GetArrayFromImage(resampled)
    outside = expected == -777.0
    assert 0.2 < outside.mean() < 0.9
    np.testing.assert_array_equal(result.voxels == -777.0, outside)
    np.testing.assert_allclose(result.voxels, expected, atol=0.05)
    np.testing.assert_array_equal(result.affine, affine)


@pytest.mark.parametrize("order", [1, 3])
def test_resampling_agrees_with_nibabel_inside(order: int) -> None:
    volume = smooth_volume(6)
    target = Volume(np.zeros((10, 12, 13)), oblique_affine(7, spacing_mm=(2.2, 0.8, 0.8), degrees=10))
    affine = target.affine.copy()
    affine[:3, 3] += volume.to_world((4, 11, 8)) - target.to_world((5, 6, 6))
    result = volume.resampled_to(affine, target.shape, order=order)
    image = nib.Nifti1Image(np.asarray(volume.voxels), volume.affine)
    expected = resample_from_to(image, (target.shape, affine), order=order, mode="nearest").get_fdata()
    index = volume.to_index(Volume(target.voxels, affine).to_world(np.stack(np.indices(target.shape), axis=-1)))
    inside = np.all((index >= 0) & (index <= np.array(volume.shape) - 1), axis=-1)
    assert inside.mean() > 0.3
    np.testing.assert_allclose(result.voxels[inside], expected[inside], atol=0.02)


def test_resampling_is_interpolation_at_the_same_places_in_space() -> None:
    """Linear in space stays linear, whatever the grids: the value is the place itself."""
    grid = oblique_affine(8, spacing_mm=(4.0, 0.7, 0.5))
    shape = (8, 20, 25)
    direction = np.array([0.3, -2.0, 1.1])
    world = nib.affines.apply_affine(grid, np.stack(np.indices(shape), axis=-1))
    volume = Volume(world @ direction, grid)
    for spacing_mm in ((1.0, 1.0, 1.0), (5.5, 0.35, 2.0)):
        result = volume.resampled(spacing_mm)
        np.testing.assert_allclose(result.spacing_mm, spacing_mm)
        places = result.to_world(np.stack(np.indices(result.shape), axis=-1))
        index = volume.to_index(places)
        inside = np.all((index >= 0) & (index <= np.array(shape) - 1), axis=-1)
        assert inside.any()
        np.testing.assert_allclose(result.voxels[inside], (places @ direction)[inside], atol=2e-3)


def test_resampling_keeps_field_of_view_and_centre() -> None:
    volume = smooth_volume(9, shape=(10, 30, 20))
    result = volume.resampled((2.5, 1.2, 1.8))
    assert result.shape == (20, 15, 10)
    np.testing.assert_allclose(result.to_world((9.5, 7, 4.5)), volume.to_world((4.5, 14.5, 9.5)), atol=1e-9)
    # The outer corners of both grids are one place, and nothing of the field of view is filled.
    np.testing.assert_allclose(result.to_world((-0.5, -0.5, -0.5)), volume.to_world((-0.5, -0.5, -0.5)), atol=1e-9)
    assert result.voxels.min() >= volume.voxels.min() - 1e-3


def test_upsampled_border_is_clamped_as_scipy_nearest_mode() -> None:
    volume = smooth_volume(10, shape=(4, 6, 5), spacing_mm=(2.0, 2.0, 2.0))
    result = volume.resampled((1.0, 1.0, 1.0))
    index = np.stack(np.meshgrid(*((np.arange(2 * n) - 0.5) / 2 for n in volume.shape), indexing="ij"))
    expected = map_coordinates(np.asarray(volume.voxels), index, order=1, mode="nearest")
    np.testing.assert_allclose(result.voxels, expected, atol=1e-3)


def test_resampling_to_the_own_grid_changes_nothing() -> None:
    volume = smooth_volume(11)
    for order in (0, 1):
        np.testing.assert_allclose(volume.resampled(volume.spacing_mm, order=order).voxels, volume.voxels, atol=1e-3)


def test_label_maps_stay_integers_and_gain_no_ids() -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice([0, 1, 5], size=(6, 12, 12)).astype(np.uint8)
    label_map = Volume(labels, oblique_affine(12), LABEL_MAP)
    result = label_map.resampled((1.7, 1.1, 1.1), order=3)
    assert result.voxels.dtype == np.uint8
    assert set(np.unique(result.voxels)) == {0, 1, 5}
    assert result.modality == LABEL_MAP
    far = label_map.affine.copy()
    far[:3, 3] += 1000
    assert not label_map.resampled_to(far, (2, 2, 2)).voxels.any()


def test_outside_is_air_on_ct_and_zero_elsewhere() -> None:
    far = np.eye(4)
    far[:3, 3] = 1000
    for modality, expected in (("CT", -1000), ("MR", 0)):
        assert (Volume(np.ones((2, 2, 2)), np.eye(4), modality).resampled_to(far, (1, 1, 2)).voxels == expected).all()


def test_cropping_and_padding_keep_every_voxel_in_its_place() -> None:
    volume = smooth_volume(13)
    cropped = volume.cropped((1, 5, 2), (7, 20, 15))
    assert cropped.shape == (6, 15, 13)
    np.testing.assert_array_equal(cropped.voxels, volume.voxels[1:7, 5:20, 2:15])
    np.testing.assert_allclose(cropped.to_world((0, 0, 0)), volume.to_world((1, 5, 2)))
    padded = cropped.padded((1, 5, 2), (2, 4, 2), fill=7)
    assert padded.shape == volume.shape
    np.testing.assert_allclose(padded.affine, volume.affine, atol=1e-9)
    np.testing.assert_array_equal(padded.voxels[1:7, 5:20, 2:15], cropped.voxels)
    assert padded.voxels[0, 0, 0] == padded.voxels[-1, -1, -1] == 7


def test_crop_or_pad_is_centred_and_keeps_places() -> None:
    volume = smooth_volume(14, shape=(5, 8, 6))
    result = volume.crop_or_pad((8, 5, 6), fill=-5)
    assert result.shape == (8, 5, 6)
    # Three slices more: one before, two after. Three rows fewer: one before, two after.
    np.testing.assert_array_equal(result.voxels[1:6], volume.voxels[:, 1:6])
    assert (result.voxels[[0, 6, 7]] == -5).all()
    np.testing.assert_allclose(result.to_world((1, 0, 0)), volume.to_world((0, 1, 0)))
    same = volume.crop_or_pad(volume.shape)
    np.testing.assert_array_equal(same.voxels, volume.voxels)


def test_volume_is_frozen_and_travels_between_processes() -> None:
    volume = smooth_volume(15)
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 0] = 1
    copy = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(copy.voxels, volume.voxels)
    np.testing.assert_array_equal(copy.affine, volume.affine)
    assert not copy.voxels.flags.writeable


def test_callers_affine_is_not_shared() -> None:
    affine = np.eye(4)
    volume = Volume(np.zeros((1, 1, 1)), affine)
    affine[0, 3] = 9
    assert volume.affine[0, 3] == 0


def test_display_affine_is_centred_and_in_display_orientation() -> None:
    volume = Volume(np.zeros((3, 4, 6)), display_affine((3, 4, 6), (5.0, 0.5, 0.4)))
    assert volume.orientation == "SPL"
    np.testing.assert_allclose(volume.spacing_mm, (5.0, 0.5, 0.4))
    np.testing.assert_allclose(volume.to_world((1, 1.5, 2.5)), 0, atol=1e-12)


@pytest.mark.parametrize(
    "affine",
    [np.eye(3), np.zeros((4, 4)), np.diag([1, 0, 1, 1]), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 1.0, 2.0])],
)
def test_bad_affines_are_refused(affine: NDArray) -> None:
    with pytest.raises(UserError, match="affine"):
        Volume(np.zeros((1, 1, 1)), affine)


def test_tiny_voxels_are_no_singular_affine() -> None:
    assert Volume(np.zeros((1, 1, 1)), np.diag([1e-3, 1e-3, 1e-3, 1])).voxel_volume_ml == pytest.approx(1e-12)


def test_bad_requests_are_refused_in_one_line() -> None:
    volume = smooth_volume(16)
    requests = [
        lambda: Volume(np.zeros((2, 2)), np.eye(4)),
        lambda: Volume(np.zeros((0, 2, 2)), np.eye(4)),
        lambda: Volume(np.zeros((2, 2, 2)), np.eye(4), LABEL_MAP),
        lambda: Volume(np.zeros((2, 2, 2), dtype=complex), np.eye(4)),
        lambda: volume.reoriented("SPP"),
        lambda: volume.reoriented("XYZ"),
        lambda: volume.resampled((1, 0, 1)),
        lambda: volume.resampled((1, 1)),
        lambda: volume.resampled_to(np.eye(4), (1, 1, 1), order=2),
        lambda: volume.resampled_to(np.eye(4), (1, 0, 1)),
        lambda: volume.cropped((0, 0, 0), (1, 1, 99)),
        lambda: volume.cropped((2, 0, 0), (2, 1, 1)),
        lambda: volume.cropped((0.5, 0, 0), (2, 1, 1)),
        lambda: volume.padded((-1, 0, 0), (0, 0, 0)),
        lambda: volume.with_voxels(np.zeros((1, 1, 1))),
        lambda: volume.to_world((1, 2)),
    ]
    for request in requests:
        with pytest.raises(UserError) as caught:
            request()
        assert "\n" not in str(caught.value)
        assert str(caught.value).count(";") >= 2
