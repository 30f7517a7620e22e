"""Where a NIfTI or MGZ file's voxels lie: one affine in RAS+ millimetres of the two that a header may hold.

The qform has the voxel sizes of pixdim, which scanners' converters write; the sform is an affine of its own and may
lead into a template (codes 3 and 4), which is of another size than the patient. So directions are the sform's where it
is set, as everywhere, and millimetres are those that pixdim supports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.remarks import note

LEAST_MM, MOST_MM = 0.01, 100.0
# Sizes within a percent are the same: headers are float32, and tools round them.
_SAME_SIZE = 0.01
_TEMPLATE_CODES = (3, 4)
_MM_OF_UNIT = {1: ("metres", 1000.0), 3: ("micrometres", 0.001)}


@dataclass(frozen=True, eq=False)
class Geometry:
    """Affine (4, 4) from (i, j, k, 1) to RAS+ mm, lines about it, and whether its millimetres are the patient's."""

    affine: NDArray[np.float64]
    remarks: tuple[str, ...] = ()
    known: bool = True


def geometry_of(raw: Any, header: Any, path: Path) -> Geometry:
    """The geometry of a file; `header` is nibabel's and `raw` the same before nibabel mended it.

    The sform is used where it is set and its voxel sizes are pixdim's. Where they differ by more than 1%, the qform is,
    and where that is not set, the sform's directions with pixdim's sizes; a pixdim that holds nothing but defaults
    supports nothing. Sizes in metres or micrometres become mm. Raises UserError for sizes of 0 or that are no numbers
    where no sform gives them, and for an affine without inverse.
    """
    if isinstance(header, MGHHeader):
        return Geometry(_invertible(np.asarray(header.get_best_affine(), dtype=np.float64), path))
    axes = min(3, int(raw["dim"][0]))
    sizes = np.abs(np.asarray(raw["pixdim"][1 : axes + 1], dtype=np.float64))
    sform, qform = _sform(header), _qform(header)
    if sform is None:
        _check_sizes(raw, axes, path)
    chosen = _chosen(header, sform, qform, sizes, path)
    thickness = _thickness(raw, sform, axes)
    return _in_mm(Geometry(chosen.affine, (*chosen.remarks, *thickness), chosen.known and not thickness), raw)


def _sform(header: Any) -> NDArray[np.float64] | None:
    return np.asarray(header.get_sform(), dtype=np.float64) if int(header["sform_code"]) > 0 else None


def _qform(header: Any) -> NDArray[np.float64] | None:
    """The qform where it is set and makes sense: with an sform beside it, a broken one does no harm."""
    if int(header["qform_code"]) <= 0:
        return None
    try:
        qform = np.asarray(header.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError):
        return None
    return qform if _is_invertible(qform) else None


def _chosen(
    header: Any,
    sform: NDArray[np.float64] | None,
    qform: NDArray[np.float64] | None,
    sizes: NDArray[np.float64],
    path: Path,
) -> Geometry:
    if sform is None:
        unset = "neither sform nor qform is set; the patient's left and right are a guess"
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        return Geometry(_invertible(affine, path), () if int(header["qform_code"]) > 0 else (unset,))
    if not _is_invertible(sform) and qform is not None:
        return Geometry(qform, ("the sform has no inverse; the qform was used",))
    _invertible(sform, path)
    sides = () if qform is None or _same_sides(sform, qform) else (_sides_line("sform"),)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        lost = int(header["sform_code"]) in _TEMPLATE_CODES
        line = "pixdim holds no voxel sizes and the sform leads into a template; its millimetres are the template's"
        return Geometry(sform, (*sides, line) if lost else sides, known=not lost)
    if _agree(sform, sizes):
        return Geometry(sform, sides)
    return _resolved(header, sform, qform, sizes)


def _resolved(
    header: Any, sform: NDArray[np.float64], qform: NDArray[np.float64] | None, sizes: NDArray[np.float64]
) -> Geometry:
    """Of an sform and a pixdim that differ in voxel size."""
    apart = f"the sform has voxels of {_listed(_lengths(sform)[: len(sizes)])} mm, pixdim of {_listed(sizes)} mm"
    if qform is not None:
        sides = () if _same_sides(sform, qform) else (_sides_line("qform"),)
        return Geometry(qform, (f"{apart}; the qform was used, which has pixdim's sizes, the scanner's", *sides))
    if (sizes == 1).all():
        # What headers hold that nobody filled in.
        template = int(header["sform_code"]) in _TEMPLATE_CODES
        doubt = "leads into a template, so sizes are not the patient's" if template else "was used"
        return Geometry(sform, (f"{apart} as where nobody set it; the sform {doubt}",), known=not template)
    scaled = sform.copy()
    scaled[:3, : len(sizes)] *= sizes / _lengths(sform)[: len(sizes)]
    return Geometry(scaled, (f"{apart}; the sform's directions were used with pixdim's sizes, the scanner's",))


def _agree(affine: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Whether each axis has the size of pixdim, as its length or, on a sheared grid, as its height over the others."""
    lengths = _lengths(affine)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    same = [np.abs(one[: len(sizes)] / sizes - 1) <= _SAME_SIZE for one in (lengths, heights)]
    return bool((same[0] | same[1]).all())


def _same_sides(sform: NDArray[np.float64], qform: NDArray[np.float64]) -> bool:
    """Whether the axis that runs from side to side runs to the same side in both."""
    rights = [affine[0, :3] / _lengths(affine) for affine in (sform, qform)]
    main = int(np.argmax(np.abs(rights[0])))
    return bool(rights[0][main] * rights[1][main] >= 0)


def _sides_line(used: str) -> str:
    return f"sform and qform disagree on which side is the patient's left; the {used} was followed"


def _thickness(raw: Any, sform: NDArray[np.float64] | None, axes: int) -> tuple[str, ...]:
    """A line for a file of two axes that says nothing of a third."""
    bare = axes < 3 and sform is None and float(raw["pixdim"][3]) in (0.0, 1.0)
    return ("one slice, whose thickness the header does not say; no volume in mL can be given",) if bare else ()


def _in_mm(found: Geometry, raw: Any) -> Geometry:
    unit, factor = _MM_OF_UNIT.get(int(raw["xyzt_units"]) & 7, ("", 1.0))
    if factor == 1.0:
        return found
    affine = found.affine.copy()
    affine[:3] *= factor
    if not all(LEAST_MM < size < MOST_MM for size in _lengths(affine)):
        line = f"sizes of {_listed(_lengths(found.affine))} are said to be {unit}, which is absurd; taken as mm"
        return Geometry(found.affine, (*found.remarks, line), found.known)
    return Geometry(affine, (*found.remarks, note(f"sizes in {unit} were converted to mm")), found.known)


def _check_sizes(raw: Any, axes: int, path: Path) -> None:
    sizes = np.asarray(raw["pixdim"][1 : axes + 1], dtype=np.float64)
    if not np.isfinite(sizes).all() or (sizes == 0).any():
        raise UserError(f"{path} has voxels of {sizes.tolist()} mm; expected sizes above 0; correct the header")


def _is_invertible(affine: NDArray[np.float64]) -> bool:
    return bool(np.all(np.isfinite(affine)) and abs(np.linalg.det(affine[:3, :3])) > 0)


def _invertible(affine: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    if not _is_invertible(affine):
        raise UserError(f"{path} has an affine without inverse; expected sform or qform to be set; correct the header")
    return affine


def _lengths(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def _listed(sizes: Sequence[float] | NDArray[np.float64]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)
