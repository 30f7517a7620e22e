"""What a reader gives: the volume, what was odd about the file, and what a writer needs to put a mask back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.volume import Volume

# 512 slices of 512 x 512: 0.5 GiB as float32, so that reading one (a copy or two on the way) stays under 2 GB.
MAX_VOXELS = 512 * 512 * 512
# Of one file's voxels as they are stored, which are in memory beside the float32: 320 such slices in double precision.
MAX_STORED_BYTES = 640 * 1024**2
# Warned of by readers of files that do not say what they hold; the pipeline takes it back where it takes them for MR.
NO_AIR = "no value is below 0, so there is no air; values were taken as Hounsfield units all the same"


@dataclass(frozen=True, eq=False)
class Space:
    """A grid in the patient: affine (4, 4) index -> RAS+ mm, and shape, in a file's own axis order."""

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class SourceSlice:
    """One slice of a DICOM series as it was acquired, before tilt and gaps were corrected.

    `file` is the path inside the folder or archive, `frame` counts from 0 inside the file, `matrix` holds the rows of
    the (4, 4) affine from (0, row, column, 1) to RAS+ mm; `shape` is (rows, columns).
    """

    file: str
    frame: int
    matrix: tuple[tuple[float, ...], ...]
    shape: tuple[int, int]

    @property
    def affine(self) -> NDArray[np.float64]:
        return np.array(self.matrix, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SeriesOffer:
    """One series of a study: `key` is what `read_scan` takes for it, `words` what it is, `chosen` whether it was read.

    `name` and `kernel` are the header's own, for the eyes of whoever gave the files: they go into no file and no log.
    `picture` decodes a slice (rows, columns) in HU from its middle, as long as the files are there.
    """

    key: str
    slices: int
    name: str
    kernel: str
    words: str
    chosen: bool
    picture: Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A DICOM series: the folder, file or archive it came from, its slices in the order of their positions, and all
    `series` that lie there."""

    path: Path
    slices: tuple[SourceSlice, ...]
    series: tuple[SeriesOffer, ...] = ()

    def __reduce__(self) -> tuple[type[DicomSource], tuple[object, ...]]:
        # Pictures of series hold open files: a copy in another process does without them.
        return DicomSource, (self.path, self.slices)


@dataclass(frozen=True, eq=False)
class GridSource:
    """A file whose voxels are one grid (NIfTI, MGZ, npz, npy, a picture as one slice): the grid in its own axes.

    `files` is how many hold it: pictures of slices are a file each.
    """

    path: Path
    space: Space
    files: int = 1


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan as it was read.

    `volume` is in orientation S-P-L; `kind` is "dicom", "nifti", "mgz", "picture" or "npz" (npy too). `warnings` are
    lines for the user and hold nothing of a patient header, nor does any other field. `spacing_known` is False where
    the millimetres are nominal, so that volumes in mL mean nothing; `plane_known` where all the same the pixels' own
    are not, as in a single slice without thickness. `burned_in` where the file says that text stands in its pictures.
    `coloured` is the share of a picture that is in colour and not grey.
    """

    volume: Volume
    kind: str
    warnings: tuple[str, ...]
    source: DicomSource | GridSource
    spacing_known: bool
    burned_in: bool = False
    plane_known: bool = False
    coloured: float = 0.0


def check_size(name: str | Path, shape: tuple[int, ...], stored_bytes: int = 0) -> None:
    """Raise UserError where a header declares more voxels or bytes than are read; call it before allocating."""
    voxels = 1
    for size in shape:
        voxels *= int(size)
    if min(shape, default=0) < 1:
        raise UserError(f"{name} declares shape {shape}; expected sizes of at least 1; export or copy it again")
    if voxels > MAX_VOXELS or stored_bytes > MAX_STORED_BYTES:
        raise UserError(
            f"{name} declares {voxels:,} voxels in {stored_bytes:,} bytes; expected at most {MAX_VOXELS:,} voxels "
            f"(512 slices of 512 x 512) and {MAX_STORED_BYTES:,} bytes; crop or resample it, or store it as int16"
        )
