"""Arrays of NumPy, npz and npy, as scans. Nothing pickled is ever loaded, and sizes are checked before reading."""

from __future__ import annotations

import math
import tokenize
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.archive import Entry, file_entry, zip_entries
from hemobench.io.scan import NO_AIR, GridSource, Scan, Space, check_size
from hemobench.io.values import as_hounsfield
from hemobench.volume import Volume, display_affine

IMAGE_KEYS = ("arr_0", "image", "voxels", "volume", "ct", "data", "scan", "hu")
AFFINE_KEY = "affine"
SPACING_KEYS = ("spacing_mm", "spacing")
NOMINAL_SPACING_MM = (1.0, 1.0, 1.0)
_MAX_HEADER_BYTES = 10_000


def read_array(path: Path) -> Scan:
    """A scan from .npy, or from the image key of .npz.

    Axes are taken as (slice, row, column) in S-P-L, or (row, column) of one slice, in Hounsfield units or what
    `as_hounsfield` brings to them. An npz may also hold `affine` (4, 4; index to RAS+ mm, then any axis order) or
    `spacing_mm` (3); without them 1 mm is nominal. Raises UserError for objects (pickles), other dimensions, and
    headers that do not fit the file.
    """
    members = {"arr_0": file_entry(path)} if not zipfile.is_zipfile(path) else _members(path)
    key = _image_key(path, sorted(members))
    voxels = load_member(members[key], path)
    if voxels.ndim == 2:
        voxels = voxels[None]
    if voxels.ndim != 3:
        raise UserError(
            f"{path} holds an array of shape {voxels.shape}; expected (slices, rows, columns) or (rows, columns); save "
            "one volume of it"
        )
    image = as_image(voxels, path)
    affine, known = _affine(members, path, image.shape)
    warnings = [] if known else ["an array carries no millimetres; voxels of 1 mm are nominal, and so are volumes"]
    space = Space(affine, (image.shape[0], image.shape[1], image.shape[2]))
    stored = Volume(image, affine).reoriented()
    hu, remarks = as_hounsfield(stored.voxels)
    warnings += remarks
    if not remarks and hu.min() >= 0:
        warnings.append(NO_AIR)
    return Scan(stored.with_voxels(hu), "npz", tuple(warnings), GridSource(path, space), known)


def load_member(entry: Entry, path: Path) -> NDArray[Any]:
    """One array of an npy file or npz member; UserError where it is pickled, damaged or beyond the limits."""
    with entry.open() as stream:
        shape, fortran, dtype = _header(stream, path)
        if dtype.hasobject:
            raise UserError(f"{path} holds Python objects; expected numbers; a pickle is never loaded, save an array")
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise UserError(f"{path} holds values of type {dtype}; expected integers or floats; convert them")
        expected = math.prod(shape) * dtype.itemsize
        check_size(path, shape or (1,), expected)
        content = stream.read(expected + 1)
    if len(content) != expected:
        raise UserError(
            f"{path} holds {len(content):,} bytes where its header says {expected:,}; expected all; copy it again"
        )
    array = np.frombuffer(content, dtype=dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def as_image(voxels: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Voxels as finite float32; UserError where some are not numbers."""
    with np.errstate(over="ignore"):
        image = np.asarray(voxels).astype(np.float32, copy=False)
    if voxels.dtype.kind == "f" and not np.isfinite(image).all():
        raise UserError(f"{path} has voxels that are NaN or infinite; expected numbers; replace them, with air say")
    return image


def _members(path: Path) -> dict[str, Entry]:
    members = {entry.name.removesuffix(".npy"): entry for entry in zip_entries(path) if entry.name.endswith(".npy")}
    if not members:
        raise UserError(f"{path} holds no array; expected an npz of numpy.savez; save it again")
    return members


def _image_key(path: Path, keys: list[str]) -> str:
    named = [key for key in IMAGE_KEYS if key in keys]
    others = [key for key in keys if key not in (AFFINE_KEY, *SPACING_KEYS)]
    if named:
        return named[0]
    if len(others) == 1:
        return others[0]
    raise UserError(f"{path} has the keys {', '.join(keys)[:200]}; expected one image; name it '{IMAGE_KEYS[1]}'")


def _affine(members: dict[str, Entry], path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], bool]:
    if AFFINE_KEY in members:
        affine = load_member(members[AFFINE_KEY], path).astype(np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise UserError(f"{path} has an affine of shape {affine.shape}; expected 4 x 4 numbers; correct it")
        return affine, True
    for key in SPACING_KEYS:
        if key in members:
            spacing = load_member(members[key], path).astype(np.float64).ravel()
            if spacing.shape != (3,) or not np.isfinite(spacing).all() or (spacing <= 0).any():
                raise UserError(f"{path} has {key} {spacing.tolist()[:4]}; expected three mm above 0; correct it")
            return display_affine(shape, spacing.tolist()), True
    return display_affine(shape, NOMINAL_SPACING_MM), False


def _header(stream: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        # The limit keeps a header that declares gigabytes of text from being parsed.
        head = BytesIO(stream.read(_MAX_HEADER_BYTES))
        version = npy_format.read_magic(head)
        reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        if version not in ((1, 0), (2, 0)):
            raise ValueError("version")
        shape, fortran, dtype = reader(head, max_header_size=_MAX_HEADER_BYTES)
        stream.seek(head.tell())
    except (ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise UserError(f"{path} is damaged or no NumPy array; expected .npy or .npz; save it again") from error
    if any(size < 0 for size in shape):
        raise UserError(f"{path} declares shape {shape}; expected sizes of at least 1; save it again")
    return shape, fortran, dtype
