"""NIfTI (and MGZ) files through nibabel: read to S-P-L, write into a given space."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.volume import DISPLAY_ORIENTATION, LABEL_MAP, Volume

_SUFFIXES = (".nii", ".nii.gz")
_BROKEN = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True, eq=False)
class Space:
    """A grid in the patient: affine (4, 4) index -> RAS+ mm, and shape, in a file's own axis order."""

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


def read_nifti(path: Path, modality: str = "CT") -> Volume:
    """An image as float32 Volume in orientation S-P-L; slope and intercept applied.

    The affine is the sform where its code is set, else the qform. Raises UserError for a file that is missing, broken,
    not three-dimensional, or has voxels that are no finite numbers.
    """
    array, affine = _read(path)
    voxels = array.astype(np.float32, copy=False)
    if not np.isfinite(voxels).all():
        raise UserError(f"{path} has voxels that are NaN or infinite; expected numbers; replace them, with air say")
    return Volume(voxels, affine, modality).reoriented(DISPLAY_ORIENTATION)


def read_label_map(path: Path) -> Volume:
    """A label map as Volume of integers in S-P-L: uint8 where the ids fit, int32 otherwise."""
    array, affine = _read(path)
    ids = np.rint(array)
    if not np.array_equal(ids, array):
        raise UserError(f"{path} has fractional labels; expected whole numbers; resample it by nearest neighbour")
    fits = ids.min() >= 0 and ids.max() <= np.iinfo(np.uint8).max
    return Volume(ids.astype(np.uint8 if fits else np.int32), affine, LABEL_MAP).reoriented(DISPLAY_ORIENTATION)


def read_space(path: Path) -> Space:
    """The grid of a file, from its header alone."""
    image = _open(path)
    return Space(_affine_of(image, path), _spatial_shape(image, path))


def write_nifti(volume: Volume, path: Path, space: Space | None = None) -> None:
    """Write a Volume as .nii or .nii.gz; the file appears whole or not at all.

    With `space` (say `read_space` of the source scan) the voxels are put on that grid: reordered when the volume is the
    same grid in another orientation, resampled otherwise (label maps by nearest neighbour). Without it the volume's own
    axes are written.
    """
    if not path.name.endswith(_SUFFIXES):
        raise UserError(f"output {path}; expected a name ending in {' or '.join(_SUFFIXES)}; rename it")
    placed = volume if space is None else _in_space(volume, space)
    image = nib.Nifti1Image(np.asarray(placed.voxels), placed.affine)
    # Code 1, "scanner anatomical", for both: tools differ in which of the two they read.
    image.set_sform(placed.affine, code=1)
    image.set_qform(placed.affine, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)


def _in_space(volume: Volume, space: Space) -> Volume:
    target = Volume(np.zeros(space.shape, dtype=np.uint8), space.affine, LABEL_MAP)
    turned = volume.reoriented(target.orientation)
    same = turned.shape == target.shape and np.allclose(turned.affine, target.affine, atol=1e-4)
    return turned if same else volume.resampled_to(space.affine, space.shape)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    image = _open(path)
    shape = _spatial_shape(image, path)
    try:
        if path.suffix in (".gz", ".mgz"):
            # nibabel stops at the last voxel and never sees the checksum: damage would pass as image.
            content = io.BytesIO(gzip.decompress(path.read_bytes()))
            image = type(image).from_file_map(type(image).make_file_map({"image": content}))
        array = np.asanyarray(image.dataobj)
    except _BROKEN as error:
        raise UserError(f"{path} ends early or is damaged; expected a whole NIfTI file; copy it again") from error
    return array.reshape(shape), _affine_of(image, path)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"no file {path}; expected a NIfTI scan (.nii, .nii.gz); check the path")
    try:
        return nib.load(path)
    except _BROKEN as error:
        raise UserError(f"{path} is no NIfTI file; expected .nii, .nii.gz or .mgz; convert or copy it again") from error


def _spatial_shape(image: Any, path: Path) -> tuple[int, int, int]:
    shape: Sequence[int] = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or 0 in shape:
        raise UserError(f"{path} has shape {tuple(shape)}; expected one volume of three axes; take a volume out of it")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _affine_of(image: Any, path: Path) -> NDArray[np.float64]:
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) == 0:
        raise UserError(f"{path} has an affine without inverse; expected sform or qform to be set; correct the header")
    return affine
