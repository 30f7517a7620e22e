"""DICOM series from a folder, a zip archive or a single file to a Scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.archive import Entry
from hemobench.io.dicom_geometry import Stack, plural, stack_slices, to_volume
from hemobench.io.dicom_headers import Instance, NoDicomError, read_instance
from hemobench.io.dicom_pixels import REPAIRS, read_pixels, stored_inverted
from hemobench.io.dicom_series import Candidate, choice_warnings, choose_series, group_series
from hemobench.io.scan import DicomSource, Scan, SourceSlice, check_size

# Above this a slice of CT has no air in it, which no slice of a head is without.
_NO_AIR_HU = -300


def read_dicom(path: Path, entries: Sequence[Entry], *, series: str | None = None) -> Scan:
    """The head series among the files of `entries`, which lie in `path`; `series` names another one to read.

    Raises UserError where no file is a DICOM image, where the series asked for is not there, and for pixels that cannot
    be decoded.
    """
    instances, warnings = _read_headers(path, entries)
    candidates = group_series(instances)
    if not candidates:
        raise UserError(f"{path} holds DICOM pictures in colour only; expected grey CT slices; export the CT series")
    chosen = choose_series(candidates, series)
    warnings += choice_warnings(chosen, candidates) if series is None else []
    stack = stack_slices(chosen.slices)
    if len(entries) == 1 and len(stack.slices) == 1:
        warnings.append("a single slice; give the folder of its series to read the whole scan")
    pixels, repairs = _read_stack(path, stack, chosen)
    volume, made = to_volume(stack, pixels, chosen.first.modality)
    slices = tuple(
        SourceSlice(
            file=instance.entry.name,
            frame=frame.index,
            matrix=tuple(tuple(row) for row in stack.slice_affine(place).tolist()),
            shape=(instance.rows, instance.columns),
        )
        for place, (instance, frame) in enumerate(stack.slices)
    )
    warnings += [*stack.warnings, *made, *repairs]
    return Scan(volume, "dicom", tuple(warnings), DicomSource(path, slices), stack.spacing_known)


def _read_headers(path: Path, entries: Sequence[Entry]) -> tuple[list[Instance], list[str]]:
    instances: list[Instance] = []
    errors: list[UserError] = []
    strays = archives = 0
    for entry in entries:
        try:
            instance = read_instance(entry)
        except NoDicomError as other:
            strays += 1
            archives += other.head[:4] == b"PK\x03\x04"
        except UserError as error:
            errors.append(error)
        else:
            instances += [] if instance is None else [instance]
    if not instances and errors:
        raise errors[0]
    if not instances:
        raise _nothing_found(path, len(entries), archives)
    warnings = []
    if errors:
        warnings.append(f"{plural(len(errors), 'damaged DICOM file')} left out")
    if strays:
        warnings.append(f"{plural(strays, 'file')} left out that are no DICOM")
    if archives:
        warnings.append(f"{plural(archives, 'archive')} inside not opened; unpack to read what is in it")
    return instances, warnings


def _nothing_found(path: Path, files: int, archives: int) -> UserError:
    if archives:
        return UserError(f"{path} holds archives inside and no DICOM image; expected the images; unpack it first")
    return UserError(f"{path} holds {plural(files, 'file')} and no DICOM image; expected a CT series; check the path")


def _read_stack(path: Path, stack: Stack, chosen: Candidate) -> tuple[NDArray[np.float32], list[str]]:
    """Slices (N, R, C) float32 in the order of the stack, each file decoded once, and the repairs in words."""
    first = chosen.first
    check_size(path, (len(stack.slices), first.rows, first.columns))
    places: dict[int, list[tuple[int, int]]] = {}
    by_id: dict[int, Instance] = {}
    for place, (instance, frame) in enumerate(stack.slices):
        places.setdefault(id(instance), []).append((place, frame.index))
        by_id[id(instance)] = instance
    middle = stack.slices[len(stack.slices) // 2][0]
    turned = middle.coding.monochrome1 and stored_inverted(middle)
    pixels = np.empty((len(stack.slices), first.rows, first.columns), dtype=np.float32)
    repaired: Counter[str] = Counter()
    for key, wanted in places.items():
        decoded = read_pixels(by_id[key], turned=turned)
        repaired.update(decoded.repairs)
        for place, frame_index in wanted:
            pixels[place] = decoded.hu[frame_index]
    warnings = [_repair_warning(name, count, len(places)) for name, count in sorted(repaired.items())]
    if first.modality == "CT" and pixels.min() > _NO_AIR_HU:
        warnings.append(f"no value is below {pixels.min():.0f}, so there is no air; these may be no Hounsfield units")
    return pixels, warnings


def _repair_warning(name: str, count: int, total: int) -> str:
    where = "" if count == total else f" ({count} of {total} files)"
    return f"{REPAIRS[name]}{where}"
