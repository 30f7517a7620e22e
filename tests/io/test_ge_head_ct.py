"""A real GE head CT (tilt 18.5 degrees, uneven spacing, padding -1500) against SimpleITK and dicom2nifti."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from hemobench.io import DicomSource, Scan, read_scan
from hemobench.volume import Volume

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ge-head-ct"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the GE head CT lies beside the project, if at all")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return read_scan(FOLDER)


def itk_slices() -> list[SimpleITK.Image]:
    """Each file by itself: ITK's series reader would stack them at even steps without the tilt."""
    images = [SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat32) for path in sorted(FOLDER.glob("*.dcm"))]
    return sorted(images, key=lambda image: image.GetOrigin()[2])


def without_padding(image: SimpleITK.Image) -> SimpleITK.Image:
    return SimpleITK.Threshold(image, -1499, 1e6, -1000)


def test_tilt_and_uneven_steps_are_told(scan: Scan) -> None:
    first, second = scan.warnings
    assert "tilted by 18.5 degrees" in first
    assert "unevenly spaced, 1.08 to 7.00 mm" in second
    assert scan.spacing_known


def test_the_grid_is_rectangular_and_covers_the_scan(scan: Scan) -> None:
    volume = scan.volume
    matrix = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
    assert volume.orientation == "SPL"
    np.testing.assert_allclose(volume.spacing_mm, (4.0019, 0.4883, 0.4883), atol=1e-4)
    half_voxel = np.array([0.5, 0.5, 0.5])
    for image in itk_slices():
        for corner in ((0, 0, 0), (511, 0, 0), (0, 511, 0), (511, 511, 0)):
            place = np.array(image.TransformIndexToPhysicalPoint(corner)) * (-1, -1, 1)
            index = volume.to_index(place)
            assert (index >= -half_voxel).all()
            assert (index <= np.array(volume.shape) - 1 + half_voxel).all()


def itk_on_our_plane(image: SimpleITK.Image, volume: Volume, index: int) -> NDArray[np.float32]:
    """One of ITK's slices, linearly, at the voxels of one of our slices that lies in the same plane."""
    lps = np.diag([-1.0, -1.0, 1.0])
    axes = lps @ (volume.affine[:3, :3] / volume.spacing_mm)
    grid = SimpleITK.Image(volume.shape[2], volume.shape[1], 1, SimpleITK.sitkFloat32)
    grid.SetSpacing((volume.spacing_mm[2], volume.spacing_mm[1], 1.0))
    grid.SetDirection(np.stack((axes[:, 2], axes[:, 1], axes[:, 0]), axis=1).ravel().tolist())
    grid.SetOrigin((lps @ volume.to_world((index, 0, 0))).tolist())
    resampled = SimpleITK.Resample(without_padding(image), grid, SimpleITK.Transform(), SimpleITK.sitkLinear, -1000.0)
    return SimpleITK.GetArrayFromImage(resampled)[0]


def test_values_are_itks_within_one_hu_where_slices_coincide(scan: Scan) -> None:
    """The lower 14 slices are on the grid; above them the spacing changes."""
    for place, image in enumerate(itk_slices()[:14]):
        expected = itk_on_our_plane(image, scan.volume, place)
        inside = expected > -999
        assert inside.sum() > 150_000
        difference = np.abs(scan.volume.voxels[place] - expected)[inside]
        assert difference.max() < 1


def test_between_slices_values_are_the_straight_line_of_itks(scan: Scan) -> None:
    images = itk_slices()
    volume = scan.volume
    normal = volume.affine[:3, 0] / volume.spacing_mm[0]
    origins = np.array([image.GetOrigin() for image in images]) * (-1, -1, 1)
    heights = (origins - volume.to_world((0, 0, 0))) @ normal
    for index in (16, 20, 27, 33):
        height = index * volume.spacing_mm[0]
        above = int(np.searchsorted(heights, height))
        share = (height - heights[above - 1]) / (heights[above] - heights[above - 1])
        planes = []
        for place in (above - 1, above):
            shifted = SimpleITK.Image(images[place])  # moved along the normal, into our plane
            lift = (height - heights[place]) * normal * (-1, -1, 1)
            shifted.SetOrigin((np.array(shifted.GetOrigin()) + lift).tolist())
            planes.append(itk_on_our_plane(shifted, volume, index))
        expected = (1 - share) * planes[0] + share * planes[1]
        inside = (planes[0] > -999) & (planes[1] > -999)
        assert np.abs(volume.voxels[index] - expected)[inside].max() < 1


def test_anatomy_lies_where_dicom2nifti_puts_it(scan: Scan, tmp_path: Path) -> None:
    """Its tilt correction resamples to another grid; bone and skin edges must agree to half a voxel of ours."""
    dicom2nifti = pytest.importorskip("dicom2nifti")
    settings = dicom2nifti.settings
    for path in sorted(FOLDER.glob("*.dcm"))[:14]:  # those 4 mm apart, by name in order here
        shutil.copy(path, tmp_path / path.name)
    settings.disable_validate_orthogonal()
    settings.enable_resampling()
    settings.set_resample_spline_interpolation_order(1)
    settings.set_resample_padding(-1000)
    try:
        dicom2nifti.dicom_series_to_nifti(tmp_path, tmp_path / "a.nii.gz", reorient_nifti=False)
    finally:
        settings.enable_validate_orthogonal()
        settings.disable_resampling()
    other = nib.load(tmp_path / "a.nii.gz")
    theirs = np.maximum(np.asanyarray(other.dataobj).astype(np.float32), -1000)
    rng = np.random.default_rng(0)
    # Places inside the part that was scanned at 4 mm: there both only undo the tilt.
    indices = rng.uniform((1, 180, 100), (12, 420, 410), (4000, 3))
    ours = map_coordinates(scan.volume.voxels, indices.T, order=1)
    world = scan.volume.to_world(indices)
    shifts_mm = np.linspace(-2, 2, 17)
    row_axis = scan.volume.affine[:3, 1] / scan.volume.spacing_mm[1]
    errors = [np.mean(np.abs(ours - sampled(theirs, other.affine, world + shift * row_axis))) for shift in shifts_mm]
    best_mm = shifts_mm[int(np.argmin(errors))]
    assert abs(best_mm) <= 0.5 * scan.volume.spacing_mm[1] + 1e-9


def sampled(array: NDArray, affine: NDArray, world: NDArray) -> NDArray:
    index = nib.affines.apply_affine(np.linalg.inv(affine), world)
    return map_coordinates(array, index.T, order=1, mode="constant", cval=-1000)


def test_the_source_refers_to_the_slices_as_they_were(scan: Scan) -> None:
    assert isinstance(scan.source, DicomSource)
    images = itk_slices()
    assert len(scan.source.slices) == len(images) == 28
    for one, image in zip(scan.source.slices, images, strict=True):
        for row, column in ((0, 0), (511, 0), (0, 511)):
            expected = np.array(image.TransformIndexToPhysicalPoint((column, row, 0))) * (-1, -1, 1)
            np.testing.assert_allclose((one.affine @ (0, row, column, 1))[:3], expected, atol=1e-6)
