"""T1 phantoms as the paper's ventricle volumes: pairs of npz and npy files of (176, 208, 176) voxels of 1 mm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hemobench.case import Loaded
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.ventricles import MASK_ENDING, SHAPE
from hemobench.errors import UserError
from hemobench.volume import LABEL_MAP, Volume

_NPY_EVERY = 2


def write_ventricles(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """Write `OAS1_0001_MR.npz` and `OAS1_0001_MRseg.npz` and so on, each second pair as npy.

    "real": the first scan lacks its mask.
    """
    for number, (_, loaded) in enumerate(studies, start=1):
        scan, mask = official_arrays(loaded)
        stem = root / f"OAS1_{number:04d}_MR"
        pairs = [(stem, np.rint(scan.voxels).astype(np.uint16))]
        if quirks == "clean" or number > 1:
            pairs.append((stem.with_name(stem.name + MASK_ENDING), mask.voxels))
        for path, array in pairs:
            if number % _NPY_EVERY:
                np.savez_compressed(path.with_name(f"{path.name}.npz"), array)
            else:
                np.save(path.with_name(f"{path.name}.npy"), array)


def official_arrays(loaded: Loaded) -> tuple[Volume, Volume]:
    """Scan and mask with axes right, anterior, superior at 1 mm, cut or padded to the official shape."""
    if loaded.label_map is None:
        raise UserError("a study without label map; expected T1 phantoms; build from 'phantom-t1'")
    mask = loaded.image.with_voxels(loaded.label_map, LABEL_MAP)
    at_1_mm = np.allclose(loaded.image.spacing_mm, 1.0, atol=1e-6)
    scan, mask = (volume if at_1_mm else volume.resampled((1, 1, 1)) for volume in (loaded.image, mask))
    return scan.reoriented("RAS").crop_or_pad(SHAPE), mask.reoriented("RAS").crop_or_pad(SHAPE)
