"""DICOM series from a folder, a zip archive or a single file to a Scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError
from hemobench.io.annotation import TEXT_OUTSIDE, burned_in_text
from hemobench.io.archive import Entry
from hemobench.io.dicom_geometry import Slice, Stack, plane_of, plural, stack_slices, to_volume
from hemobench.io.dicom_headers import Frame, Instance, NoDicomError, read_instance
from hemobench.io.dicom_pixels import REPAIRS, read_pixels, stored_inverted
from hemobench.io.dicom_series import Candidate, choice_warnings, group_series, pass_warnings, ranked
from hemobench.io.remarks import mended, note, part
from hemobench.io.scan import DicomSource, Scan, SourceSlice, check_size
from hemobench.io.slice_order import exchanged
from hemobench.io.values import as_hounsfield
from hemobench.views.windows import to_grey_uint8
from hemobench.volume import Volume, slice_number

# Above this a slice of CT has no air in it, which no slice of a head is without.
_NO_AIR_HU = -300
_MENDED = ("sign", "padding")
# Where a slice has its air: of some of its pixels this percentile, which differs by less between slices of one scan.
_AIR_EVERY, _AIR_PERCENT, _AIR_APART_HU, _AIR_STEADY_HU = 4, 2.0, 15.0, 5.0
BURNED_IN = (
    "the file says that text is burned into its pictures (BurnedInAnnotation); see that it names nobody before they "
    "are passed on; the overview shows the head alone"
)


def read_dicom(path: Path, entries: Sequence[Entry], *, series: str | None = None) -> Scan:
    """The head series among the files of `entries`, which lie in `path`; `series` names another one to read.

    What cannot be read of it, or of the study, is left out and told, as long as most of a head series can be. Raises
    UserError where no file is a DICOM image, where the series asked for is not there, and where none can be read.
    """
    instances, warnings = _read_headers(path, entries)
    candidates = group_series(instances)
    if not candidates:
        raise UserError(f"{path} holds DICOM pictures in colour only; expected grey CT slices; export the CT series")
    failed: list[tuple[Candidate, UserError]] = []
    for chosen in ranked(candidates, series):
        try:
            read = _read_series(path, chosen)
        except UserError as error:
            failed.append((chosen, error))
            continue
        warnings += [part(f"{one.described()} could not be read, and another one was") for one, _ in failed]
        warnings += choice_warnings(chosen, candidates) if series is None else []
        warnings += [*pass_warnings(chosen), *read.warnings]
        if len(entries) == 1 and len(read.stack.slices) == 1:
            warnings.append("a single slice; give the folder of its series to read the whole scan")
        source = DicomSource(path, _source_slices(read.stack), tuple(one.offered(chosen) for one in candidates))
        burned_in = any(instance.burned_in for instance, _ in read.stack.slices)
        warnings += [BURNED_IN] if burned_in else [TEXT_OUTSIDE] if read.has_text else []
        return Scan(
            read.volume,
            "dicom",
            tuple(warnings),
            source,
            read.stack.spacing_known,
            burned_in or read.has_text,
            read.stack.plane_known,
        )
    raise failed[0][1]


@dataclass(frozen=True, eq=False)
class _Series:
    """What could be read of one series, and what is to be said about it."""

    stack: Stack
    volume: Volume
    warnings: tuple[str, ...]
    has_text: bool


def _read_series(path: Path, chosen: Candidate) -> _Series:
    slices, copies = _without_copies(chosen.slices)
    stack = stack_slices(slices)
    pixels, broken, repairs = _read_stack(path, stack, chosen)
    warnings = _double_warnings(stack, pixels, copies)
    if broken:
        count = plural(len(broken), "slice")
        warnings.append(part(f"{count} of {len(stack.slices)} could not be decoded; a bleed may be unseen there"))
        good = [place for place in range(len(stack.slices)) if place not in broken]
        stack, pixels = stack_slices([stack.slices[place] for place in good]), pixels[good]
    mixed = exchanged(pixels) if chosen.first.modality == "CT" else None
    if mixed is not None:
        one, other = (slice_number(index) for index in mixed)
        warnings.append(
            f"slices {one} and {other} (from 1 at the lowest) look exchanged: each fits better in the "
            "other's place; their headers may be mixed up"
        )
    volume, made = to_volume(stack, pixels, chosen.first.modality)
    # A name may stand on the first picture alone.
    shown = {0, len(pixels) // 2, len(pixels) - 1} if chosen.first.modality == "CT" else set()
    has_text = any(burned_in_text(to_grey_uint8(pixels[place], "brain")) for place in shown)
    return _Series(stack, volume, (*warnings, *stack.warnings, *made, *repairs), has_text)


def _without_copies(slices: Sequence[Slice]) -> tuple[list[Slice], int]:
    """Slices without position that have a number in common are copies where their pictures are the same; the first of
    each is kept. Gives how many were not."""
    seen: dict[tuple[object, ...], list[NDArray[np.float32]]] = {}
    numbers = Counter(_numbered(one) for one in slices)
    kept = []
    for one in slices:
        instance, frame = one
        if plane_of(frame) is None and numbers[_numbered(one)] > 1:
            try:
                picture = read_pixels(instance).hu[frame.index]
            except UserError:
                continue  # of what is told apart by its picture, one without says nothing
            alike = seen.setdefault(_numbered(one), [])
            if any(np.array_equal(picture, other) for other in alike):
                continue
            alike.append(picture)
        kept.append(one)
    return kept, len(slices) - len(kept)


def _numbered(one: Slice) -> tuple[object, ...]:
    return one[0].number, one[1].index


def _double_warnings(stack: Stack, pixels: NDArray[np.float32], copies: int) -> list[str]:
    """How many slices lie where another one does: copies of it, or other pictures."""
    others = 0
    for place, (instance, frame) in stack.doubles:
        try:
            picture = read_pixels(instance).hu[frame.index]
        except UserError:
            copies += 1  # the place is not lost with it
            continue
        same = np.array_equal(picture, pixels[place])
        copies, others = copies + same, others + (not same)
    warnings: list[str] = []
    if copies:
        warnings.append(note(f"{plural(copies, 'slice')} left out that share their place with another (duplicates)"))
    if others:
        line = f"{plural(others, 'slice')} left out that share their place with another, and are not the same"
        warnings.append(part(line) if others >= len(stack.slices) else line)
    return warnings


def _source_slices(stack: Stack) -> tuple[SourceSlice, ...]:
    return tuple(
        SourceSlice(
            file=instance.entry.name,
            frame=frame.index,
            matrix=tuple(tuple(row) for row in stack.slice_affine(place).tolist()),
            shape=(instance.rows, instance.columns),
        )
        for place, (instance, frame) in enumerate(stack.slices)
    )


def _read_headers(path: Path, entries: Sequence[Entry]) -> tuple[list[Instance], list[str]]:
    instances: list[Instance] = []
    errors: list[UserError] = []
    strays: list[str] = []
    archives = 0
    for entry in entries:
        try:
            instance = read_instance(entry)
        except NoDicomError as other:
            strays.append(entry.name)
            archives += other.head[:4] == b"PK\x03\x04"
        except UserError as error:
            errors.append(error)
        else:
            instances += [] if instance is None else [instance]
    if not instances and errors:
        raise errors[0]
    if not instances:
        raise _nothing_found(path, len(entries), archives)
    warnings: list[str] = []
    if errors:
        warnings.append(part(f"{plural(len(errors), 'damaged DICOM file')} left out"))
    if strays:
        warnings.append(_stray_line(strays, instances))
    if archives:
        warnings.append(part(f"{plural(archives, 'archive')} inside not opened; unpack to read what is in it"))
    return instances, warnings


def _stray_line(strays: Sequence[str], instances: Sequence[Instance]) -> str:
    """What to say of files that are no DICOM: with the others' ending they were slices once."""
    line = f"{plural(len(strays), 'file')} left out that are no DICOM"
    endings = {Path(instance.entry.name).suffix.lower() for instance in instances}
    named_alike = any(Path(name).suffix.lower() in endings and Path(name).stem[:1] != "." for name in strays)
    return part(line) if named_alike else line


def _nothing_found(path: Path, files: int, archives: int) -> UserError:
    if archives:
        return UserError(f"{path} holds archives inside and no DICOM image; expected the images; unpack it first")
    return UserError(f"{path} holds {plural(files, 'file')} and no DICOM image; expected a CT series; check the path")


def _read_stack(path: Path, stack: Stack, chosen: Candidate) -> tuple[NDArray[np.float32], frozenset[int], list[str]]:
    """Slices (N, R, C) float32 in the order of the stack, each file decoded once, the places that could not be decoded,
    and the repairs in words. Raises: UserError where half of them could not."""
    first = chosen.first
    check_size(path, (len(stack.slices), first.rows, first.columns))
    places: dict[int, list[tuple[int, int]]] = {}
    by_id: dict[int, Instance] = {}
    for place, (instance, frame) in enumerate(stack.slices):
        places.setdefault(id(instance), []).append((place, frame.index))
        by_id[id(instance)] = instance
    turned = _are_turned([instance for instance, _ in stack.slices])
    pixels = np.zeros((len(stack.slices), first.rows, first.columns), dtype=np.float32)
    repaired: Counter[str] = Counter()
    broken: set[int] = set()
    for key, wanted in places.items():
        try:
            decoded = read_pixels(by_id[key], turned=turned)
        except UserError:
            broken |= {place for place, _ in wanted}
            if 2 * len(broken) >= len(stack.slices):
                raise
            continue
        repaired.update(decoded.repairs)
        for place, frame_index in wanted:
            pixels[place] = decoded.hu[frame_index]
    warnings = [_repair_warning(name, count, len(places)) for name, count in sorted(repaired.items())]
    good = np.array([place not in broken for place in range(len(pixels))])
    if first.modality == "CT":
        warnings += _like_the_rest(pixels, [frame for _, frame in stack.slices], good)
    lowest = float(pixels[good].min())
    if first.modality == "CT" and lowest > _NO_AIR_HU:
        warnings.append(f"no value is below {lowest:.0f}, so there is no air; these may be no Hounsfield units")
    if first.modality == "CT" and (lowest > _NO_AIR_HU or repaired["no rescale"] == len(places)):
        pixels[good], lines = as_hounsfield(pixels[good])
        warnings += lines
    return pixels, frozenset(broken), warnings


def _like_the_rest(pixels: NDArray[np.float32], frames: Sequence[Frame], good: NDArray[np.bool_]) -> list[str]:
    """Give slices (N, R, C) the others' rescale intercept where their own is another and puts air elsewhere, in place;
    and a line for those whose air lies elsewhere still. A scanner may rescale each slice in its own way, and air is
    then where it is in the others."""
    air = np.percentile(pixels[:, ::_AIR_EVERY, ::_AIR_EVERY], _AIR_PERCENT, axis=(1, 2))
    intercepts = np.array([frame.intercept for frame in frames])
    usual = Counter(intercepts[good].tolist()).most_common(1)[0][0]
    off = np.abs(air - np.median(air[good]))
    apart = good & (off > _AIR_APART_HU)
    mendable = apart & (np.abs(air + usual - intercepts - np.median(air[good])) <= _AIR_APART_HU)
    if np.median(off[good]) > _AIR_STEADY_HU or 2 * apart.sum() >= good.sum():
        return []  # the darkest parts are no air, or nobody knows where it is
    pixels[mendable] += (usual - intercepts[mendable]).astype(np.float32)[:, None, None]
    lines: list[str] = []
    if mendable.any():
        count = plural(int(mendable.sum()), "slice")
        lines.append(f"{count} had another rescale intercept than the rest, and air elsewhere; the rest's was taken")
    others = int((apart & ~mendable).sum())
    if others:
        count = plural(others, "slice")
        lines.append(f"{count} have air at other values than the rest; these may be no Hounsfield units, or be cut")
    return lines


def _are_turned(instances: Sequence[Instance]) -> bool:
    """Whether MONOCHROME1 values were turned round (`stored_inverted`), judged on the slice nearest the middle that can
    be decoded."""
    middle = len(instances) // 2
    for instance in sorted(instances, key=lambda one: abs(instances.index(one) - middle)):
        if not instance.coding.monochrome1:
            return False
        try:
            return stored_inverted(instance)
        except UserError:
            continue
    return False


def _repair_warning(name: str, count: int, total: int) -> str:
    where = "" if count == total else f" ({count} of {total} files)"
    line = f"{REPAIRS[name]}{where}"
    return mended(line) if name in _MENDED else line
