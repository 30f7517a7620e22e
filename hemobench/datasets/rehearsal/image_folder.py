"""Phantoms as anybody's folder of pictures: PNG in the brain window, masks beside them, a table of labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from hemobench.datasets.image_folder import MASKS
from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.agreement import agreed_ids
from hemobench.labels import SUBTYPES
from hemobench.views.windows import to_grey_uint8

WINDOW = "brain"
_COLOURED_EVERY = 3


def write_image_folder(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """Write `images/00000.png`, `masks/00000.png` where there is blood, and `labels.csv` with a byte-order mark.

    Each third picture is saved in colour. Ids in the table are numbers without leading zeros. "real": the first picture
    is in the table and not on disk.
    """
    rows: list[tuple[object, ...]] = []
    for name in ("images", MASKS):
        (root / name).mkdir(parents=True)
    for patient_id, loaded in studies:
        label_map, slice_labels = agreed_ids(loaded)
        for hu, ids, types in zip(loaded.image.voxels, label_map, slice_labels, strict=True):
            number = len(rows)
            rows.append((number, patient_id, *types.tolist()))
            if quirks == "real" and not number:
                continue
            picture = Image.fromarray(to_grey_uint8(hu, WINDOW))
            picture = picture.convert("RGB") if number % _COLOURED_EVERY == 0 else picture
            picture.save(root / "images" / f"{number:05d}.png")
            if ids.any():
                mask = np.where(ids > 0, 255, 0).astype(np.uint8)
                Image.fromarray(mask).save(root / MASKS / f"{number:05d}.png")
    with (root / "labels.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "patient", *SUBTYPES))
        writer.writerows(rows)
