"""Which series of a folder is the head scan: candidates, how they rank, and how the choice is told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hemobench.errors import UserError, unknown_name
from hemobench.io.dicom_geometry import known_spacing, plane_of, plural
from hemobench.io.dicom_headers import Frame, Instance

_AXIAL_FROM = 0.7
_LOCALISER_WORDS = ("SCOUT", "LOCALIZER", "LOCALISER", "TOPOGRAM", "SURVIEW", "SCANOGRAM")
_OTHER_PARTS = ("CHEST", "THORAX", "ABDOMEN", "PELVIS", "SPINE", "NECK", "LEG", "ARM", "KNEE", "HEART", "LUNG")
_SHARP_WORDS = ("BONE", "EDGE", "LUNG", "SHARP", "DETAIL", "ULTRA", "INNER")
# Fewer slices over less of the patient than this share of the longest scan is a piece, not the scan.
_WHOLE_SHARE = 0.6
_MOST_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Candidate:
    """Slices of one series with one orientation, size and spacing. `key` is what a user calls it by."""

    key: str
    slices: tuple[tuple[Instance, Frame], ...]

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
        return is_sharp_kernel(self.first.kernel)

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
        words = []
        if self.is_localiser:
            words.append("localiser")
        elif not self.is_axial:
            words.append("not axial")
        if self.first.contrast:
            words.append("with contrast agent")
        if self.first.kernel:
            words.append("sharp kernel" if self.is_sharp else "soft kernel")
        words.insert(0, plural(len(self.slices), "slice"))
        return f"series {self.key} ({', '.join(words)})"


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
    """Grey-scale slices grouped by series, and within it by orientation, size and spacing, in the order of numbers."""
    groups: dict[tuple[object, ...], list[tuple[Instance, Frame]]] = {}
    seen: set[str] = set()
    for instance in instances:
        if instance.samples != 1 or (instance.sop_uid and instance.sop_uid in seen):
            continue
        seen.add(instance.sop_uid)
        for frame in instance.frames:
            groups.setdefault(_group_key(instance, frame), []).append((instance, frame))
    ordered = sorted(groups.values(), key=lambda group: (_number(group), -len(group)))
    counts = Counter(_number(group) for group in ordered)
    used: Counter[int] = Counter()
    candidates = []
    for group in ordered:
        number = _number(group)
        used[number] += 1
        key = str(number) if counts[number] == 1 else f"{number}.{used[number]}"
        candidates.append(Candidate(key, tuple(group)))
    return candidates


def choose_series(candidates: list[Candidate], wanted: str | None) -> Candidate:
    """The head scan among candidates, or the one a user asked for by key (as reported) or SeriesInstanceUID."""
    if wanted is not None:
        matching = [one for one in candidates if wanted in (one.key, one.first.series_uid)]
        matching = matching or [one for one in candidates if one.key.split(".")[0] == wanted]
        if not matching:
            raise unknown_name("series", wanted, [one.key for one in candidates])
        return max(matching, key=lambda one: len(one.slices))
    longest = max((one.extent_mm for one in candidates if _scans_head(one)), default=0.0)
    best = max(candidates, key=lambda one: _rank(one, longest))
    if best.is_localiser and len(candidates) == 1 and len(best.slices) <= 2:
        raise UserError(
            f"{best.first.entry.root} holds a localiser only; expected axial slices of the head; give the scan's folder"
        )
    return best


def choice_warnings(chosen: Candidate, candidates: list[Candidate]) -> list[str]:
    """What to tell about the choice: the series read, those left, and anything that makes it doubtful."""
    warnings = []
    others = [one for one in candidates if one is not chosen]
    if others:
        listed = ", ".join(one.described() for one in others[:_MOST_SHOWN])
        more = f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
        warnings.append(f"{len(candidates)} series found; {chosen.described()} was read, not {listed}{more}")
    if len({one.first.study_uid for one in candidates}) > 1:
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


def _group_key(instance: Instance, frame: Frame) -> tuple[object, ...]:
    plane = plane_of(frame)
    axes = None if plane is None else tuple(np.round(plane[1], 2).ravel().tolist())
    spacing = known_spacing(frame)
    rounded = None if spacing is None else (round(spacing[0], 4), round(spacing[1], 4))
    return (
        instance.series_uid, instance.modality, instance.kernel, instance.rows, instance.columns, axes, rounded,
    )  # fmt: skip


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
        not any(part in first.body_part for part in _OTHER_PARTS),
        one.extent_mm >= _WHOLE_SHARE * longest_mm,
        not first.contrast,
        "SECONDARY" not in first.image_type and "DERIVED" not in first.image_type,
        not one.is_sharp,
        len(one.slices),
    )
