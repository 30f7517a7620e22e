"""What came in, made ready for the networks: a scan, what kind of picture it is, and what must be said about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hemobench.datasets.views import assumed_scale
from hemobench.errors import UserError, unknown_name
from hemobench.io import DicomSource, GridSource, Scan, Space, read_scan
from hemobench.io.scan import NO_AIR
from hemobench.volume import DISPLAY_ORIENTATION, GREY, Volume
from hemobench.windows import apply_window

MODALITIES = ("CT", GREY, "MR")
# The window that `read_scan` takes black and white of a picture for.
_PICTURE_WINDOW = "brain"
# MR intensities are not negative, but for a few voxels' ringing; CT has air and fat, whatever window clipped it.
_CT_BELOW_HU = -50.0
_CT_SHARE = 0.005


@dataclass(frozen=True, eq=False)
class Intake:
    """A scan and its `volume` as the networks take it: CT in Hounsfield units, a picture as grey 0..1, or MR.

    Where the scan has no millimetres, the volume's are such that the head has an average length.
    """

    scan: Scan
    volume: Volume
    warnings: tuple[str, ...]

    @property
    def modality(self) -> str:
        return self.volume.modality

    @property
    def files(self) -> int:
        """From how many files the scan was read."""
        source = self.scan.source
        return len({one.file for one in source.slices}) if isinstance(source, DicomSource) else 1


def take_in(given: str | Path | Volume | Scan, *, series: str | None = None, modality: str | None = None) -> Intake:
    """Read what `hemobench.io.read_scan` reads, or take a Volume or Scan as it is.

    `modality` overrides what is found: DICOM says it, a picture is grey, and for files that do not say, voxels far
    below water make a CT. Raises UserError for what cannot be read and for modalities without a network.
    """
    scan = _scan_of(given, series)
    volume, warnings = scan.volume, list(scan.warnings)
    if modality is not None and modality not in MODALITIES:
        raise unknown_name("modality", modality, MODALITIES)
    found = modality or (GREY if scan.kind == "picture" else volume.modality)
    if modality is None and found == "CT" and scan.kind in ("nifti", "npz") and not _looks_like_ct(volume):
        found = "MR"
        warnings = [line for line in warnings if line != NO_AIR]
        warnings.append("the file does not say what it is and has no air below -50 HU, so it was taken as MR")
    if found not in MODALITIES:
        raise UserError(f"a scan of modality {found[:16]}; expected CT, MR or a picture; choose another series")
    if found == GREY and volume.modality == "CT":
        volume = volume.with_voxels(apply_window(volume.voxels, _PICTURE_WINDOW), GREY)
    volume = volume.with_voxels(np.asarray(volume.voxels), found)
    if not scan.spacing_known:
        volume = assumed_scale(volume)
        warnings.append(
            "without millimetres no volume in mL and no length can be given; the head was scaled to an "
            "average one for the networks"
        )
    return Intake(scan, volume, tuple(warnings))


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


def _looks_like_ct(volume: Volume) -> bool:
    some = volume.voxels[:, ::4, ::4]
    return bool(np.count_nonzero(some <= _CT_BELOW_HU) >= _CT_SHARE * some.size)
