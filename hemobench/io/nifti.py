"""NIfTI (and MGZ) files through nibabel: read to S-P-L, write into a given space.

Headers are checked before anything is allocated or inflated: a file that declares more than the limits of
`hemobench.io.scan`, or inflates beyond what its header declares, is refused.
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.archive import MAX_RATIO, Entry, file_entry
from hemobench.io.arrays import as_image
from hemobench.io.atomic import replacing
from hemobench.io.nifti_geometry import LEAST_MM, MOST_MM, Geometry, geometry_of
from hemobench.io.remarks import note
from hemobench.io.scan import NO_AIR, GridSource, Scan, Space, check_size
from hemobench.io.values import as_hounsfield
from hemobench.volume import AIR_HU, DISPLAY_ORIENTATION, LABEL_MAP, Volume

_SUFFIXES = (".nii", ".nii.gz")
_BROKEN = (
    ImageFileError,
    HeaderDataError,
    MGHError,
    WrapStructError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
)
_MGH = b"\x00\x00\x00\x01"
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 1024
_MGH_HEADER_BYTES = 90  # what nibabel reads of the 284 before the voxels
_RATIO_COUNTS_FROM_BYTES = 256 * 1024**2
# Extensions between header and voxels, and what may follow the voxels (MGH's tags).
_MOST_BESIDE_VOXELS = 16 * 1024**2
# A mask that a float slope made 0.99998 is a mask; a half is a mask that was interpolated.
_WHOLE_WITHIN = 0.01
# FreeSurfer keeps MR, which has no such values; its mri_convert turns CT into the same files.
CT_IN_MGZ = note("values near -1000, as air has in Hounsfield units: this MGZ was read as CT, not as MR")
_AIR_WITHIN_HU, _LEAST_AIR, _LEAST_VOXELS = 60.0, 0.005, 8
_DISPLAY_AXES = axcodes2ornt(DISPLAY_ORIENTATION)


@dataclass(frozen=True, eq=False)
class _File:
    """One file: its header by nibabel, mended where it can be, its grid, and its voxels (X, Y, Z), not scaled.

    `turned` is a view of the voxels with axes in S-P-L, and `affine` goes with it. `surplus` bytes follow the voxels.
    """

    header: Any
    space: Space
    geometry: Geometry
    stored: NDArray[Any]
    turned: NDArray[Any]
    affine: NDArray[np.float64]
    surplus: int


def read_nifti_scan(path: Path, entry: Entry | None = None) -> Scan:
    """A NIfTI or MGZ file as Scan: NIfTI is taken as CT, its values brought to HU by `as_hounsfield`; MGZ as MR, unless
    it holds a CT's air.

    `entry` is where the file lies in an archive, `path` then that archive. Raises UserError as `read_nifti` does.
    """
    file = _open(path, entry)
    is_mgz = isinstance(file.header, MGHHeader)
    stored = _scaled(file, path)
    is_ct = not is_mgz or np.count_nonzero(np.abs(stored - AIR_HU) <= _AIR_WITHIN_HU) >= max(
        _LEAST_AIR * stored.size, _LEAST_VOXELS
    )
    voxels, remarks = as_hounsfield(stored) if is_ct else (stored, ())
    volume = Volume(voxels, file.affine, "CT" if is_ct else "MR")
    warnings = [*file.geometry.remarks, *remarks, *([CT_IN_MGZ] if is_mgz and is_ct else [])]
    if file.surplus and not is_mgz:  # MGH keeps tags there
        warnings.append(f"{file.surplus:,} bytes follow the voxels that the header declares; its sizes may be wrong")
    sane = all(LEAST_MM < size < MOST_MM for size in volume.spacing_mm)
    if not sane:
        listed = " x ".join(f"{size:.3g}" for size in volume.spacing_mm)
        warnings.append(f"voxels of {listed} mm are absurd; millimetres and volumes mean nothing")
    # Some voxels first: in a scan with air they suffice.
    if is_ct and not remarks and volume.voxels[::4, ::8, ::8].min() >= 0 and volume.voxels.min() >= 0:
        warnings.append(NO_AIR)
    known = sane and file.geometry.known
    return Scan(volume, "mgz" if is_mgz else "nifti", tuple(warnings), GridSource(path, file.space), known)


def read_nifti(path: Path, modality: str = "CT") -> Volume:
    """An image as float32 Volume in orientation S-P-L; slope and intercept applied.

    Values are as stored, slope and intercept apart. Sform or qform: see `hemobench.io.nifti_geometry`. Two axes are one
    slice. Raises UserError for a file that is missing, broken, of more than one volume, or has voxels that are no
    finite numbers.
    """
    return read_nifti_with_space(path, modality)[0]


def read_nifti_with_space(path: Path, modality: str = "CT") -> tuple[Volume, Space]:
    """What `read_nifti` gives, and the file's own grid, for the price of one."""
    file = _open(path)
    return Volume(_scaled(file, path), file.affine, modality), file.space


def read_label_map(path: Path) -> Volume:
    """A label map as Volume of integers in S-P-L: uint8 where the ids fit, int32 otherwise.

    Ids within 0.01 of whole numbers are rounded; `read_label_map_with_remarks` says so. Raises UserError as
    `read_nifti` does, and for ids that are no whole numbers or beyond 32 bits.
    """
    return read_label_map_with_remarks(path)[0]


def read_label_map_with_remarks(path: Path) -> tuple[Volume, tuple[str, ...]]:
    """What `read_label_map` gives, and a line where ids were rounded."""
    file = _open(path)
    remarks: tuple[str, ...] = ()
    if np.issubdtype(file.stored.dtype, np.integer) and _slope_intercept(file.header, path) == (1.0, 0.0):
        low, high = (0, 0) if file.stored.dtype == np.uint8 else (file.stored.min(), file.stored.max())
        ids = file.turned
    else:
        array = _scaled(file, path)
        ids = np.rint(array)
        if not np.array_equal(ids, array):
            if float(np.abs(ids - array).max()) > _WHOLE_WITHIN:
                raise UserError(
                    f"{path} has fractional labels; expected whole numbers; resample it by nearest neighbour"
                )
            remarks = (note("labels were a hair beside whole numbers, as a slope leaves them; they were rounded"),)
        low, high = ids.min(), ids.max()
    widest = np.iinfo(np.int32)
    if low < widest.min or high > widest.max:
        raise UserError(f"{path} has labels {low:.0f} to {high:.0f}; expected at most 32 bits; map the ids first")
    fits = low >= 0 and high <= np.iinfo(np.uint8).max
    return Volume(_in_order(ids, np.dtype(np.uint8 if fits else np.int32)), file.affine, LABEL_MAP), remarks


def read_space(path: Path) -> Space:
    """The grid of a file, from its header alone."""
    with _stream(path) as stream:
        head = stream.read(_HEAD_BYTES)
    raw, header = _header_of(path, _inflated_head(path, head) if head[:2] == _GZIP else head)
    shape = _spatial_shape(header, path)
    return Space(_geometry(raw, header, path).affine, shape)


def write_nifti(volume: Volume, path: str | Path, space: Space | None = None) -> None:
    """Write a Volume as .nii or .nii.gz; the file appears whole or not at all.

    With `space` (say `read_space` of the source scan) the voxels are put on that grid: reordered when the volume is the
    same grid in another orientation, resampled otherwise (label maps by nearest neighbour). Without it the volume's own
    axes are written.
    """
    path = Path(path)
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


def _scaled(file: _File, path: Path) -> NDArray[np.float32]:
    """Voxels (D, H, W) in S-P-L as finite float32, slope and intercept applied."""
    slope, intercept = _slope_intercept(file.header, path)
    single, kind = np.dtype(np.float32), file.stored.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        if (slope, intercept) == (1.0, 0.0):
            voxels = _in_order(file.turned, single)
            # What comes from integers is finite.
            return as_image(voxels, path) if kind.kind == "f" else voxels
        # Up to 16 bits float32 is exact enough; wider integers are scaled in double precision.
        precision = single if kind.itemsize <= 2 else np.dtype(np.float64)
        voxels = _in_order(file.turned, precision)
        voxels *= precision.type(slope)
        voxels += precision.type(intercept)
        return as_image(voxels, path)


def _turned(stored: NDArray[Any], affine: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A view of voxels with their axes in S-P-L, and its affine."""
    turn = ornt_transform(io_orientation(affine), _DISPLAY_AXES)
    return apply_orientation(stored, turn), affine @ inv_ornt_aff(turn, stored.shape)


def _in_order(view: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """A copy of the voxels (D, H, W) of `kind` in C order.

    Mirrored slices are the usual case, and reading one backwards from memory takes longer than all the rest: each is
    copied forwards first, into memory that the processor has at hand.
    """
    slices, rows, columns = (abs(stride) for stride in view.strides)
    mirrored = view.strides[1] < 0 or view.strides[2] < 0
    if not mirrored or not slices >= rows >= columns:
        return view.astype(kind, order="C")
    flips = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in view.strides[1:])
    # NumPy rounds backwards faster than it copies backwards, and whole numbers stay what they are.
    whole = view.dtype.kind in "iu" and kind == np.float32 and max(view.strides[1:]) < 0
    voxels = np.empty(view.shape, dtype=kind)
    forwards = np.empty(view.shape[1:], dtype=kind if whole else view.dtype)
    for number, plane in enumerate(view):
        forwards[...] = plane[flips]
        if whole:
            np.rint(forwards[flips], out=voxels[number])
        else:
            voxels[number] = forwards[flips]
    return voxels


def _slope_intercept(header: Any, path: Path) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except _BROKEN as error:
        raise UserError(f"{path} has a slope or intercept that is no number; expected both; write it again") from error
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept or 0.0))


def _stream(path: Path) -> BinaryIO:
    if not path.is_file():
        raise UserError(f"no file {path}; expected a NIfTI scan (.nii, .nii.gz); check the path")
    return file_entry(path).open()


def _open(path: Path, entry: Entry | None = None) -> _File:
    """Header and stored voxels of a file, after the header was found to fit."""
    with _stream(path) if entry is None else entry.open() as stream:
        head = stream.read(_HEAD_BYTES)
        compressed = head[:2] == _GZIP
        content: Any = head + stream.read() if compressed else b""
        raw, header = _header_of(path, _inflated_head(path, content) if compressed else head)
        geometry = _geometry(raw, header, path)
        space = Space(geometry.affine, _spatial_shape(header, path))
        kind = header.get_data_dtype()
        stored = math.prod(space.shape) * kind.itemsize
        check_size(path, space.shape, stored)
        offset = _data_offset(header, path)
        if compressed:
            content = _inflated(path, content, offset + stored)
        elif entry is not None and entry.archive is not None:
            content = head + stream.read()
        else:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if len(content) < offset + stored:
        raise _damaged(path)
    voxels = np.frombuffer(content, dtype=kind, count=math.prod(space.shape), offset=offset)
    stored = voxels.reshape(space.shape, order="F")
    surplus = len(content) - offset - stored.nbytes
    return _File(header, space, geometry, stored, *_turned(stored, space.affine), surplus)


def _header_of(path: Path, head: bytes) -> tuple[Any, Any]:
    """nibabel's header of a file that begins with `head`, as it is, and mended where nibabel can."""
    if head[344:348] == b"n+1\0":
        header_class: Any = nib.Nifti1Header
    elif head[4:8] == b"n+2\0":
        header_class = nib.Nifti2Header
    elif head[:4] == _MGH:
        header_class = MGHHeader
    elif head[344:348] == b"ni1\0":
        raise UserError(f"{path} is half of a NIfTI pair; expected one file; convert .hdr and .img to .nii")
    else:
        raise _not_nifti(path)
    try:
        size = _MGH_HEADER_BYTES if header_class is MGHHeader else header_class.sizeof_hdr
        raw, header = header_class(head[:size], check=False), header_class(head[:size])
        kind = header.get_data_dtype()
    except _BROKEN as error:
        raise _not_nifti(path) from error
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise UserError(f"{path} holds voxels of type {kind}; expected integers or floats; convert it to grey values")
    return raw, header


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
    if len(shape) < 2 or any(size != 1 for size in shape[3:]) or min(shape) < 1:
        shown = tuple(int(size) for size in shape)
        remedy = "take one out of it, with nibabel: image.slicer[..., 0]" if len(shape) > 3 else "convert it"
        raise UserError(f"{path} has shape {shown}; expected one volume of three axes; {remedy}")
    columns, rows, *slices = (int(size) for size in shape[:3])
    return columns, rows, slices[0] if slices else 1


def _geometry(raw: Any, header: Any, path: Path) -> Geometry:
    try:
        return geometry_of(raw, header, path)
    except UserError:
        raise  # sizes or an affine that mean nothing
    except _BROKEN as error:
        raise _not_nifti(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} ends early or is damaged; expected a whole NIfTI file; copy it again")


def _not_nifti(path: Path) -> UserError:
    return UserError(f"{path} is no NIfTI file; expected .nii, .nii.gz or .mgz; convert or copy it again")
