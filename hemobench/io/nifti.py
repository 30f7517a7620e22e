"""NIfTI (and MGZ) files through nibabel: read to S-P-L, write into a given space.

Headers are checked before anything is allocated or inflated: a file that declares more than the limits of
`hemobench.io.scan`, or inflates beyond what its header declares, is refused.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.archive import MAX_RATIO, file_entry
from hemobench.io.arrays import as_image
from hemobench.io.atomic import replacing
from hemobench.io.scan import GridSource, Scan, Space, check_size
from hemobench.volume import DISPLAY_ORIENTATION, LABEL_MAP, Volume

_SUFFIXES = (".nii", ".nii.gz")
_BROKEN = (
    ImageFileError, HeaderDataError, MGHError, OSError, EOFError, zlib.error, ValueError, TypeError, LookupError,
    ArithmeticError, struct.error,
)  # fmt: skip
_MGH = b"\x00\x00\x00\x01"
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 1024
_RATIO_COUNTS_FROM_BYTES = 256 * 1024**2
# Extensions between header and voxels, and what may follow the voxels (MGH's tags).
_MOST_BESIDE_VOXELS = 16 * 1024**2
_LEAST_MM, _MOST_MM = 0.01, 100.0


def read_nifti_scan(path: Path) -> Scan:
    """A NIfTI or MGZ file as Scan: NIfTI is taken as CT in Hounsfield units, MGZ as MR.

    Raises UserError as `read_nifti` does.
    """
    image = _open(path)
    header = image.header
    is_mgz = isinstance(header, MGHHeader)
    shape, affine = _spatial_shape(header, path), _affine_of(header, path)
    volume = _as_volume(image, path, "MR" if is_mgz else "CT")
    warnings = []
    if not is_mgz and int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        warnings.append("neither sform nor qform is set; the patient's left and right are a guess")
    known = all(_LEAST_MM < size < _MOST_MM for size in volume.spacing_mm)
    if not known:
        listed = " x ".join(f"{size:.3g}" for size in volume.spacing_mm)
        warnings.append(f"voxels of {listed} mm are absurd; millimetres and volumes mean nothing")
    if not is_mgz and volume.voxels.min() >= 0:
        warnings.append("no value is below 0, so there is no air; values were taken as Hounsfield units all the same")
    source = GridSource(path, Space(affine, shape))
    return Scan(volume, "mgz" if is_mgz else "nifti", tuple(warnings), source, known)


def read_nifti(path: Path, modality: str = "CT") -> Volume:
    """An image as float32 Volume in orientation S-P-L; slope and intercept applied.

    The affine is the sform where its code is set, else the qform. Raises UserError for a file that is missing, broken,
    not three-dimensional, or has voxels that are no finite numbers.
    """
    return _as_volume(_open(path), path, modality)


def read_label_map(path: Path) -> Volume:
    """A label map as Volume of integers in S-P-L: uint8 where the ids fit, int32 otherwise."""
    image = _open(path)
    shape, affine = _spatial_shape(image.header, path), _affine_of(image.header, path)
    try:
        array = np.asanyarray(image.dataobj).reshape(shape)
    except _BROKEN as error:
        raise _damaged(path) from error
    ids = np.rint(array)
    if not np.array_equal(ids, array):
        raise UserError(f"{path} has fractional labels; expected whole numbers; resample it by nearest neighbour")
    fits = ids.min() >= 0 and ids.max() <= np.iinfo(np.uint8).max
    return Volume(ids.astype(np.uint8 if fits else np.int32), affine, LABEL_MAP).reoriented(DISPLAY_ORIENTATION)


def read_space(path: Path) -> Space:
    """The grid of a file, from its header alone."""
    with _stream(path) as stream:
        head = stream.read(_HEAD_BYTES)
    _, header = _header_of(path, _inflated_head(path, head) if head[:2] == _GZIP else head)
    return Space(_affine_of(header, path), _spatial_shape(header, path))


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


def _as_volume(image: Any, path: Path, modality: str) -> Volume:
    shape, affine = _spatial_shape(image.header, path), _affine_of(image.header, path)
    try:
        # At least float32: slope and intercept are applied in the precision that the stored type needs.
        array = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except _BROKEN as error:
        raise _damaged(path) from error
    return Volume(as_image(array, path), affine, modality).reoriented(DISPLAY_ORIENTATION)


def _stream(path: Path) -> BinaryIO:
    if not path.is_file():
        raise UserError(f"no file {path}; expected a NIfTI scan (.nii, .nii.gz); check the path")
    return file_entry(path).open()


def _open(path: Path) -> Any:
    """The nibabel image of a file, whole in memory, after its header was found to fit."""
    with _stream(path) as stream:
        content = stream.read()
    compressed = content[:2] == _GZIP
    image_class, header = _header_of(path, _inflated_head(path, content) if compressed else content[:_HEAD_BYTES])
    shape = _spatial_shape(header, path)
    _affine_of(header, path)  # here, because nibabel mends sizes of 0 to 1 when it opens the file
    stored = math.prod(shape) * header.get_data_dtype().itemsize
    check_size(path, shape, stored)
    expected = _data_offset(header, path) + stored
    if compressed:
        content = _inflated(path, content, expected)
    if len(content) < expected:
        raise _damaged(path)
    try:
        return image_class.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(content))})
    except _BROKEN as error:
        raise _not_nifti(path) from error


def _header_of(path: Path, head: bytes) -> tuple[Any, Any]:
    """nibabel's image class for a file that begins with `head`, and its header as it stands, not yet mended."""
    if head[344:348] == b"n+1\0":
        image_class: Any = nib.Nifti1Image
    elif head[4:8] == b"n+2\0":
        image_class = nib.Nifti2Image
    elif head[:4] == _MGH:
        image_class = nib.MGHImage
    elif head[344:348] == b"ni1\0":
        raise UserError(f"{path} is half of a NIfTI pair; expected one file; convert .hdr and .img to .nii")
    else:
        raise _not_nifti(path)
    try:
        header_class = image_class.header_class
        size = MGHHeader._hdrdtype.itemsize if header_class is MGHHeader else header_class.sizeof_hdr
        header = header_class(head[:size], check=False)
        kind = header.get_data_dtype()
    except _BROKEN as error:
        raise _not_nifti(path) from error
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise UserError(f"{path} holds voxels of type {kind}; expected integers or floats; convert it to grey values")
    return image_class, header


def _data_offset(header: Any, path: Path) -> int:
    try:
        offset = int(header.get_data_offset())
    except _BROKEN as error:
        raise _not_nifti(path) from error
    if not 0 <= offset <= _MOST_BESIDE_VOXELS:
        raise UserError(f"{path} has its voxels at byte {offset:,}; expected them after the header; write it again")
    return offset


def _inflated_head(path: Path, content: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(content, _HEAD_BYTES)
    except zlib.error as error:
        raise _damaged(path) from error


def _inflated(path: Path, content: bytes, expected: int) -> bytes:
    """A gzip file's content, checksum tested; UserError where it grows beyond what the header declares."""
    if expected > _RATIO_COUNTS_FROM_BYTES and expected > MAX_RATIO * len(content):
        raise UserError(
            f"{path} inflates to {expected // len(content):,} times its size; expected at most {MAX_RATIO} beyond "
            f"{_RATIO_COUNTS_FROM_BYTES:,} bytes; it looks like a bomb, so unpack it yourself if you trust it"
        )
    limit = expected + _MOST_BESIDE_VOXELS
    parts, size = [], 0
    while content and size <= limit:
        # A gzip file may be several members in a row.
        inflater = zlib.decompressobj(31)
        try:
            parts.append(inflater.decompress(content, limit - size + 1))
        except zlib.error as error:
            raise _damaged(path) from error
        size += len(parts[-1])
        if size <= limit and not inflater.eof:
            raise _damaged(path)
        content = inflater.unused_data if inflater.unused_data[:2] == _GZIP else b""
    if size > limit:
        raise UserError(
            f"{path} inflates beyond the {expected:,} bytes that its header declares; expected the same; write it again"
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _spatial_shape(header: Any, path: Path) -> tuple[int, int, int]:
    try:
        shape: Sequence[int] = header.get_data_shape()
    except _BROKEN as error:
        raise _not_nifti(path) from error
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or min(shape) < 1:
        shown = tuple(int(size) for size in shape)
        remedy = "take one out of it, with nibabel: image.slicer[..., 0]" if len(shape) > 3 else "convert it"
        raise UserError(f"{path} has shape {shown}; expected one volume of three axes; {remedy}")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _affine_of(header: Any, path: Path) -> NDArray[np.float64]:
    try:
        if not isinstance(header, MGHHeader) and int(header["sform_code"]) == 0:
            sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
            if not np.isfinite(sizes).all() or (sizes == 0).any():
                raise UserError(f"{path} has voxels of {sizes.tolist()} mm; expected sizes above 0; correct the header")
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except _BROKEN as error:
        raise _not_nifti(path) from error
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) == 0:
        raise UserError(f"{path} has an affine without inverse; expected sform or qform to be set; correct the header")
    return affine


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} ends early or is damaged; expected a whole NIfTI file; copy it again")


def _not_nifti(path: Path) -> UserError:
    return UserError(f"{path} is no NIfTI file; expected .nii, .nii.gz or .mgz; convert or copy it again")
