"""What came in, made ready for the networks: a scan, what kind of picture it is, and what must be said about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hemobench.errors import UserError, unknown_name
from hemobench.inference.headlike import refuse_labels, unlike_a_head
from hemobench.inference.plausible import doubts_about
from hemobench.io import DicomSource, GridSource, Scan, Space, read_scan
from hemobench.io.remarks import note, unlike
from hemobench.io.scan import NO_AIR
from hemobench.io.values import is_ct_without_units, looks_like_brain
from hemobench.labels import SUBTYPES
from hemobench.views.head_box import assumed_scale
from hemobench.views.windows import apply_window, get_window
from hemobench.volume import AIR_HU, DISPLAY_ORIENTATION, GREY, Volume

MODALITIES = ("CT", GREY, "MR")
# The window that `read_scan` takes black and white of a picture for.
_PICTURE_WINDOW = "brain"
_BLACK_HU, _WHITE_HU = get_window(_PICTURE_WINDOW).low_hu, get_window(_PICTURE_WINDOW).high_hu
# MR intensities are not negative, but for a few voxels' ringing; CT has air and fat, whatever window clipped it.
_CT_BELOW_HU = -50.0
_CT_SHARE = 0.005
# No display window of a picture reaches so low; one that does holds Hounsfield units of its own.
_BELOW_WINDOWS_HU = -900.0


@dataclass(frozen=True, eq=False)
class Intake:
    """A scan and its `volume` as the networks take it: CT in Hounsfield units, a picture as grey 0..1, or MR.

    Where nothing is known of the scan's millimetres, the volume's are such that the head has an average length.
    `unlike` says in what it is no head, the gravest of `warnings`; "" where it looks like one.
    """

    scan: Scan
    volume: Volume
    warnings: tuple[str, ...]
    unlike: str = ""

    @property
    def modality(self) -> str:
        return self.volume.modality

    @property
    def files(self) -> int:
        """From how many files the scan was read."""
        source = self.scan.source
        return len({one.file for one in source.slices}) if isinstance(source, DicomSource) else source.files


def take_in(
    given: str | Path | Volume | Scan,
    *,
    series: str | None = None,
    modality: str | None = None,
    look_for_head: bool = True,
) -> Intake:
    """Read what `hemobench.io.read_scan` reads, or take a Volume or Scan as it is.

    `modality` overrides what is found: DICOM says it, a picture is grey, and for files that do not say, voxels far
    below water make a CT. `look_for_head` False leaves out whether it is a head at all, which takes a moment. Raises
    UserError for what cannot be read, for label maps, and for modalities without a network.
    """
    scan = _scan_of(given, series)
    volume, warnings = scan.volume, list(scan.warnings)
    if modality is not None and modality not in MODALITIES:
        raise unknown_name("modality", modality, MODALITIES)
    found = modality or _found_modality(scan)
    if modality is None and found == "MR" and volume.modality != "MR":
        warnings = [line for line in warnings if line != NO_AIR]
        warnings.append("the file does not say what it is and has no air below -50 HU, so it was taken as MR")
    if modality == "MR" and scan.kind in ("nifti", "npz"):
        # The reader may have put air around what it took for a CT; MR has none.
        volume = volume.with_voxels(np.where(volume.voxels == AIR_HU, 0, volume.voxels))
    if found not in MODALITIES:
        raise UserError(f"a scan of modality {found[:16]}; expected CT, MR or a picture; choose another series")
    warnings += _check_content(volume, scan.kind)
    if scan.kind in ("nifti", "npz", "mgz"):
        refuse_labels(volume)
    if found == "CT" and scan.kind not in ("picture", "volume"):
        warnings += doubts_about(volume, spacing_known=scan.spacing_known)
    if found == GREY and volume.modality == "CT":
        volume = volume.with_voxels(apply_window(volume.voxels, _PICTURE_WINDOW), GREY)
    volume = volume.with_voxels(np.asarray(volume.voxels), found)
    different = ""
    if look_for_head:
        different = unlike_a_head(volume, spacing_known=scan.spacing_known, coloured=scan.coloured)
        warnings += [unlike(different)] if different else []
    if scan.plane_known and not scan.spacing_known:
        warnings.append(
            note(
                "the distance between slices is not known, so no volume in mL can be given; lengths and areas within a "
                "slice can"
            )
        )
    elif not scan.spacing_known:
        volume = assumed_scale(volume)
        warnings.append(
            "without millimetres no volume in mL and no length can be given; the head was scaled to an "
            "average one for the networks"
        )
    return Intake(scan, volume, tuple(warnings), different)


def _scan_of(given: str | Path | Volume | Scan, series: str | None) -> Scan:
    if isinstance(given, str | Path):
        return read_scan(Path(given), series=series)
    if series is not None:
        raise UserError(f"series '{series}' of a volume in memory; expected a DICOM folder or zip; leave it out")
    if isinstance(given, Scan):
        return dataclasses.replace(given, volume=_upright(given.volume))
    if isinstance(given, Volume):
        if given.is_label_map:
            raise UserError("a label map; expected a scan; give the image that it belongs to")
        # A path that no file has: a volume in memory came from none.
        source = GridSource(Path("volume"), Space(np.array(given.affine), given.shape))
        return Scan(_upright(given), "volume", (), source, spacing_known=True)
    raise UserError(f"{type(given).__name__} to analyse; expected a path, a Volume or a Scan; read it first")


def _upright(volume: Volume) -> Volume:
    return volume if volume.orientation == DISPLAY_ORIENTATION else volume.reoriented()


def _found_modality(scan: Scan) -> str:
    """CT, grey or MR: what the file says, or for kinds that do not say, what the values are."""
    volume = scan.volume
    if scan.kind == "picture":
        return "CT" if volume.voxels.min() < _BELOW_WINDOWS_HU else GREY
    if scan.kind not in ("nifti", "npz") or volume.modality != "CT":
        return volume.modality
    if _has_air(volume) or looks_like_brain(volume.voxels):
        return "CT"
    if is_ct_without_units(volume.voxels):
        raise UserError(
            f"values from {volume.voxels.min():g} to {volume.voxels.max():g} spread as a CT's do, but are no "
            "Hounsfield units; expected these; export the CT with its rescale slope and intercept, or give a modality"
        )
    return "MR"


def _has_air(volume: Volume) -> bool:
    some = volume.voxels[:, ::4, ::4]
    return bool(np.count_nonzero(some <= _CT_BELOW_HU) >= _CT_SHARE * some.size)


def _check_content(volume: Volume, kind: str) -> list[str]:
    """A line for a picture of one grey. Raises UserError for voxels that are no scan: all alike, or those of a mask."""
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    if low == high and kind == "picture" and low not in (_BLACK_HU, _WHITE_HU):
        return ["every pixel of the picture has the same grey, so there is nothing in it to find"]
    if low == high:
        raise UserError(
            f"every voxel of the scan is {low:g}; expected a head with air or black around it; export or copy it again"
        )
    if kind in ("nifti", "npz") and low >= 0 and high <= len(SUBTYPES):
        values = np.asarray(volume.voxels)
        if np.array_equal(values, np.rint(values)):
            raise UserError(
                f"the values are whole numbers from {low:g} to {high:g}, as in a mask; expected the scan itself; give "
                "the image that the mask belongs to"
            )
    return []
