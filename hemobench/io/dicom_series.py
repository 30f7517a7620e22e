"""Which series of a folder is the head scan: candidates, how they rank, and how the choice is told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemobench.errors import UserError, unknown_name
from hemobench.io.dicom_geometry import by_number, known_spacing, plane_of, plural
from hemobench.io.dicom_headers import Frame, Instance
from hemobench.io.dicom_passes import passes
from hemobench.io.dicom_pixels import read_pixels
from hemobench.io.dicom_torn import rejoined
from hemobench.io.remarks import part
from hemobench.io.scan import MAX_VOXELS, SeriesOffer

_AXIAL_FROM = 0.7
_LOCALISER_WORDS = ("SCOUT", "LOCALIZER", "LOCALISER", "TOPOGRAM", "SURVIEW", "SCANOGRAM")
_OTHER_PARTS = ("CHEST", "THORAX", "ABDOMEN", "PELVIS", "SPINE", "NECK", "LEG", "ARM", "KNEE", "HEART", "LUNG")
_SHARP_WORDS = ("BONE", "EDGE", "LUNG", "SHARP", "DETAIL", "ULTRA", "INNER")
_SHARP_DESCRIBED = ("BONE", "KNOCHEN", "SHARP", "EDGE", "LUNG", "HUESO")
# Fewer slices over less of the patient than this share of the longest scan is a piece, not the scan.
_WHOLE_SHARE = 0.6
_MOST_SHOWN = 6
_LONGEST_NAME = 40
# Direction cosines and, by share, pixel sizes that differ by less are rounded differently and are the same.
_SAME_DIRECTION = 0.01
_SAME_SIZE = 0.002

Slice = tuple[Instance, Frame]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Slices of one pass of one series with one orientation, size and spacing. `key` is what a user calls it by,
    `passes` how often the series goes over the same range."""

    key: str
    slices: tuple[Slice, ...]
    passes: int = 1

    @property
    def first(self) -> Instance:
        return self.slices[0][0]

    @property
    def is_localiser(self) -> bool:
        words = (*self.first.image_type, *self.first.description.replace("_", " ").split())
        return any(word in words for word in _LOCALISER_WORDS)

    @property
    def is_axial(self) -> bool:
        plane = plane_of(self.slices[0][1])
        return plane is None or abs(float(plane[1][2, 0])) >= _AXIAL_FROM

    @property
    def is_sharp(self) -> bool:
        if self.first.kernel:
            return is_sharp_kernel(self.first.kernel)
        return any(word in self.first.description for word in _SHARP_DESCRIBED)

    @property
    def fits(self) -> bool:
        """Whether its voxels are not more than are read."""
        return len(self.slices) * self.first.rows * self.first.columns <= MAX_VOXELS

    @property
    def extent_mm(self) -> float:
        """From the first to the last slice along their normal; by thickness where positions are missing."""
        planes = [plane_of(frame) for _, frame in self.slices]
        known = [plane for plane in planes if plane is not None]
        if len(known) < 2:
            return len(self.slices) * (self.first.thickness_mm or 1.0)
        along = np.array([origin for origin, _ in known]) @ known[0][1][:, 0]
        return float(np.ptp(along))

    def described(self) -> str:
        """The series in words, without any text of the header's."""
        return f"series {self.key} ({', '.join([plural(len(self.slices), 'slice'), *self.properties()])})"

    def properties(self) -> list[str]:
        """What sets it apart, in words of ours."""
        words = []
        if self.is_localiser:
            words.append("localiser")
        elif not self.is_axial:
            words.append("not axial")
        if self.first.contrast:
            words.append("with contrast agent")
        if not self.fits:
            words.append("too large")
        if self.first.kernel:
            words.append("sharp kernel" if self.is_sharp else "soft kernel")
        return words

    def offered(self, chosen: Candidate) -> SeriesOffer:
        """The series as one to choose, beside the one that was chosen."""

        def picture() -> NDArray[np.float32]:
            instance, frame = sorted(self.slices, key=by_number)[len(self.slices) // 2]
            return read_pixels(instance).hu[frame.index]

        return SeriesOffer(
            self.key,
            len(self.slices),
            _printable(self.first.description),
            _printable(self.first.kernel),
            ", ".join(self.properties()),
            self is chosen,
            picture,
        )


def is_sharp_kernel(kernel: str) -> bool:
    """Whether a reconstruction kernel (upper case) is for bone or lung. Unknown names count as soft.

    GE and others name them; Siemens numbers them (H30s, Hr64h: 50 and above is sharp); Canon's FC30 to FC39 and FC80
    to FC89 are bone and lung; Philips' D, E, L and Y.. are sharp.

    >>> [is_sharp_kernel(name) for name in ("STANDARD", "BONEPLUS", "H31S", "HR64H", "FC26", "FC30", "UB", "YC")]
    [False, True, False, True, False, True, False, True]
    """
    if any(word in kernel for word in _SHARP_WORDS):
        return True
    canon = re.match(r"FC(\d+)", kernel)
    if canon:
        return int(canon[1]) // 10 in (3, 8)
    siemens = re.match(r"[A-Z]{1,2}(\d{2})[A-Z]?", kernel)
    if siemens:
        return int(siemens[1]) >= 50
    return re.fullmatch(r"[DEL]|Y[A-Z]?", kernel) is not None


def group_series(instances: Iterable[Instance]) -> list[Candidate]:
    """Grey-scale slices grouped by series, and within it by orientation, size, spacing and pass, in the order of
    numbers. A slice is known by its place and its picture: identifiers are no help where an anonymiser copied one."""
    kinds: dict[tuple[object, ...], list[list[Slice]]] = {}
    for instance in instances:
        if instance.samples != 1:
            continue
        for frame in instance.frames:
            alike = kinds.setdefault(_kind(instance), [])
            group = next((one for one in alike if _same_grid(one[0][1], frame)), None)
            if group is None:
                alike.append([(instance, frame)])
            else:
                group.append((instance, frame))
    found = [passes(group) for group in rejoined([group for alike in kinds.values() for group in alike], _same_grid)]
    ordered = sorted(
        ((group, number, len(parted)) for parted in found for number, group in enumerate(parted)),
        key=lambda one: (_number(one[0]), one[1], -len(one[0])),
    )
    counts = Counter(_number(group) for group, _, _ in ordered)
    used: Counter[int] = Counter()
    candidates = []
    for group, _, count in ordered:
        number = _number(group)
        used[number] += 1
        key = str(number) if counts[number] == 1 else f"{number}.{used[number]}"
        candidates.append(Candidate(key, tuple(group), count))
    return candidates


def ranked(candidates: list[Candidate], wanted: str | None) -> list[Candidate]:
    """The head scan among candidates, then what may be read in its stead where it cannot be; or only the one that a
    user asked for by key (as reported) or SeriesInstanceUID. Raises: UserError where there is no such one."""
    if wanted is not None:
        matching = [one for one in candidates if wanted in (one.key, one.first.series_uid)]
        matching = matching or [one for one in candidates if one.key.split(".")[0] == wanted]
        if not matching:
            raise unknown_name("series", wanted, [one.key for one in candidates])
        return [max(matching, key=lambda one: len(one.slices))]
    longest = max((one.extent_mm for one in candidates if _scans_head(one)), default=0.0)
    best, *others = sorted(candidates, key=lambda one: _rank(one, longest), reverse=True)
    if best.is_localiser and len(candidates) == 1 and len(best.slices) <= 2:
        raise UserError(
            f"{best.first.entry.root} holds a localiser only; expected axial slices of the head; give the scan's folder"
        )
    return [best, *(one for one in others if _scans_head(one) and one.fits)]


def choice_warnings(chosen: Candidate, candidates: list[Candidate]) -> list[str]:
    """What to tell about the choice: the series read, those left, and anything that makes it doubtful."""
    warnings = []
    others = [one for one in candidates if one is not chosen]
    if others:
        listed = ", ".join(one.described() for one in others[:_MOST_SHOWN])
        more = f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
        warnings.append(f"{len(candidates)} series found; {chosen.described()} was read, not {listed}{more}")
    torn = [one for one in others if _belongs_to(one, chosen)]
    if torn:
        count = plural(sum(len(one.slices) for one in torn), "slice")
        warnings.append(
            part(
                f"{count} of the series read lie in another direction, or have another size or no "
                "position, and were left out"
            )
        )
    if len({one.first.person for one in candidates}) > 1:
        warnings.append("the files belong to more than one patient; give the folder of one patient")
    elif len({one.first.study_uid for one in candidates}) > 1:
        warnings.append("the files belong to more than one study; give the folder of one study to be sure")
    if chosen.first.modality != "CT":
        warnings.append("the series is no CT; its values are no Hounsfield units")
    if chosen.is_localiser:
        warnings.append("the series is called a localiser by its header")
    elif not chosen.is_axial:
        warnings.append("the series is not axial; its slices were turned to axial ones")
    if chosen.first.contrast:
        warnings.append("a contrast agent was given; it looks like fresh blood")
    return warnings


def pass_warnings(chosen: Candidate) -> list[str]:
    """Lines where a series goes over the same range more than once, and where several were taken as one."""
    torn = len({instance.series_uid for instance, _ in chosen.slices})
    lines = []
    if torn > 1:
        lines.append(f"{torn} series that lie one after the other, and are alike in all else, were taken as one")
    if chosen.passes == 1:
        return lines
    count = len(chosen.slices)
    return [
        *lines,
        f"the series holds {chosen.passes} passes over one range (acquisitions); one of {count} slices, "
        f"{chosen.key}, was read; --series takes another",
    ]


def _kind(instance: Instance) -> tuple[object, ...]:
    # Two people may have one UID, where an anonymiser copied it.
    return (
        instance.series_uid,
        instance.person,
        instance.modality,
        instance.kernel,
        instance.rows,
        instance.columns,
    )


def _same_grid(one: Frame, other: Frame) -> bool:
    first, second = plane_of(one), plane_of(other)
    if first is None or second is None:
        return first is second is None and _same_sizes(known_spacing(one), known_spacing(other))
    turned = float(np.abs(first[1] - second[1]).max())
    return turned <= _SAME_DIRECTION and _same_sizes(known_spacing(one), known_spacing(other))


def _same_sizes(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(abs(first - second) <= _SAME_SIZE * first for first, second in zip(one, other, strict=True))


def _belongs_to(one: Candidate, chosen: Candidate) -> bool:
    """Whether slices were most likely of the series read, and no reformat, localiser or other pass."""
    first, read = one.first, chosen.first
    shared = first.series_uid == read.series_uid and first.kernel == read.kernel and one.passes == chosen.passes == 1
    same = shared and first.person == read.person and one.is_axial and chosen.is_axial
    return same and not one.is_localiser and len(one.slices) <= len(chosen.slices)


def _printable(words: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())[:_LONGEST_NAME]


def _number(group: list[tuple[Instance, Frame]]) -> int:
    number = group[0][0].series_number
    return 0 if number is None else number


def _scans_head(one: Candidate) -> bool:
    return one.first.modality == "CT" and one.is_axial and not one.is_localiser


def _rank(one: Candidate, longest_mm: float) -> tuple[float, ...]:
    """Larger is better; the first difference decides."""
    first = one.first
    return (
        first.modality == "CT",
        not one.is_localiser,
        one.is_axial,
        not any(name in first.body_part for name in _OTHER_PARTS),
        one.fits,
        one.extent_mm >= _WHOLE_SHARE * longest_mm,
        not first.contrast,
        not one.is_sharp,
        "SECONDARY" not in first.image_type and "DERIVED" not in first.image_type,
        len(one.slices),
    )
