"""BHSD (Wu et al. 2023) and MBH-Seg: RSNA scans as NIfTI with voxel masks of the five types.

BHSD comes as `label_192/images` and `label_192/ground truths` with files ID_<patient>_ID_<study>.nii.gz, or in the
style of the Medical Segmentation Decathlon (`imagesTr`, `labelsTr`, `dataset.json`). MBH-Seg has a folder a case with
`image.nii.gz` and up to four raters, `label_annot_1.nii.gz` and on. Ids are 1 EDH, 2 IPH, 3 IVH, 4 SAH, 5 SDH: ours.
Most headers have a qform only. The ID_ names are those of RSNA 2019, so patients are the same people as there.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, DatasetInfo, Loaded
from hemobench.datasets.catalogue import BHSD, MBH_SEG
from hemobench.datasets.nifti_pairs import (
    checked_folder,
    few,
    fingerprint,
    list_nifti,
    printable,
    read_mask_on,
    read_pair,
    typed,
    unmatched,
)
from hemobench.errors import UserError
from hemobench.io.nifti import read_nifti
from hemobench.labels import LABEL_IDS, SUBTYPES, slice_labels_from_label_map

OFFICIAL = ("images", "ground truths")
DECATHLON = ("imagesTr", "labelsTr")
MAJORITY = "majority"
_NAME = re.compile(r"(ID_[0-9a-zA-Z]+)_(ID_[0-9a-zA-Z]+)")
_RATER = re.compile(r"label_annot_(\d+)\.nii(\.gz)?")
# The names that files use for our types, in the order of the ids.
_SHORT = ("edh", "iph", "ivh", "sah", "sdh")


def open_bhsd(path: Path | None) -> Dataset:
    """The copy under `path`: the folder of `label_192`, that folder itself, or one in the Decathlon's style.

    One Case a scan; image and mask without the other are named in the warnings. Raises UserError for another layout
    and for a `dataset.json` whose ids mean something else.
    """
    layout = f"label_192/{OFFICIAL[0]} and label_192/{OFFICIAL[1]}, or {DECATHLON[0]} and {DECATHLON[1]}"
    root = checked_folder(path, BHSD, layout)
    images_folder, masks_folder = _pair_of_folders(root, layout)
    if images_folder.name == DECATHLON[0]:
        _check_dataset_json(images_folder.parent / "dataset.json")
    images, masks = _by_scan(images_folder), _by_scan(masks_folder)
    image_place, mask_place = (folder.relative_to(root).as_posix() for folder in (images_folder, masks_folder))
    warnings = unmatched(images, masks, f"{image_place}/{{}}: no mask in {mask_place}; scan left out")
    warnings += unmatched(masks, images, f"{mask_place}/{{}}: no image in {image_place}; mask left out")
    both = sorted(set(images) & set(masks))
    if not both:
        raise UserError(f"{root} has no scan with a mask; expected {layout} with .nii.gz files; copy it again")
    cases = [_case(scan, BHSD, warnings, partial(load_typed, images[scan], masks[scan])) for scan in both]
    files = [place[scan] for place in (images, masks) for scan in both]
    return Dataset(BHSD, tuple(cases), fingerprint(root, files), tuple(warnings))


def open_mbh_seg(path: Path | None, *, rater: int | str = MAJORITY) -> Dataset:
    """The copy under `path`, a folder a case. `rater` is a number from 1, or "majority" for what most raters drew.

    A case without the rater, or without any, is named in the warnings and left out. Raises UserError for another
    layout.
    """
    layout = "<case>/image.nii.gz and <case>/label_annot_1.nii.gz"
    root = checked_folder(path, MBH_SEG, layout)
    if rater != MAJORITY and (not isinstance(rater, int) or rater < 1):
        raise UserError(f"rater {printable(str(rater))}; expected a number from 1 or '{MAJORITY}'; choose one")
    cases: list[Case] = []
    warnings: list[str] = []
    lacking: list[str] = []
    files: list[Path] = []
    for image, raters in _case_folders(root):
        chosen = raters if rater == MAJORITY else {key: file for key, file in raters.items() if key == rater}
        scan = image.parent.name
        if not chosen:
            wanted = "label_annot_N.nii.gz" if rater == MAJORITY else f"label_annot_{rater}.nii.gz"
            lacking.append(f"{scan}: no {wanted}; case left out")
            continue
        masks = tuple(chosen[number] for number in sorted(chosen))
        cases.append(_case(scan, MBH_SEG, warnings, partial(load_raters, image, masks)))
        files += [image, *masks]
    if not cases:
        raise UserError(f"{root} has no case with masks (rater: {rater}); expected {layout}; check the path")
    marks = fingerprint(root, files, str(rater))
    return Dataset(MBH_SEG, tuple(cases), marks, tuple(warnings + few(lacking)))


def load_typed(image_path: Path, mask_path: Path) -> Loaded:
    """One scan and its mask of the five types, S-P-L, with the slice labels that follow from the mask."""
    image, ids, remarks = read_pair(image_path, mask_path)
    label_map = typed(ids, mask_path)
    return Loaded(image, label_map, slice_labels_from_label_map(label_map), tuple(remarks))


def load_raters(image_path: Path, mask_paths: tuple[Path, ...]) -> Loaded:
    """One scan and what most of its raters drew."""
    image = read_nifti(image_path)
    drawn, remarks = [], []
    for path in mask_paths:
        ids, lines = read_mask_on(image, image_path, path)
        drawn.append(typed(ids, path))
        remarks += lines
    label_map = majority(np.stack(drawn))
    return Loaded(image, label_map, slice_labels_from_label_map(label_map), tuple(remarks))


def majority(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ids (D, H, W) of raters' maps (R, D, H, W): blood where more than half of the raters drew blood of any type.

    Its type is the one most of them named; of types named equally often the one of the lower id.

    >>> maps = np.array([[2, 2, 0, 1], [2, 5, 0, 5], [0, 0, 4, 2]], dtype=np.uint8)
    >>> majority(maps.reshape(3, 1, 1, 4)).ravel().tolist()
    [2, 2, 0, 1]
    """
    if len(drawn) == 1:
        return drawn[0]
    flat = drawn.reshape(len(drawn), -1)
    # Nearly every voxel is background to all of them.
    (places,) = np.nonzero(np.bitwise_or.reduce(flat, axis=0))
    ids = flat[:, places]
    most, winner = np.zeros(len(places), dtype=np.uint8), np.zeros(len(places), dtype=np.uint8)
    for number in LABEL_IDS.values():
        votes = (ids == number).sum(axis=0, dtype=np.uint8)
        better = votes > most
        winner[better], most[better] = number, votes[better]
    winner[2 * np.count_nonzero(ids, axis=0) <= len(drawn)] = 0
    agreed = np.zeros(drawn.shape[1:], dtype=np.uint8)
    agreed.ravel()[places] = winner
    return agreed


def _pair_of_folders(root: Path, layout: str) -> tuple[Path, Path]:
    for base in (root, root / "label_192"):
        for images, masks in (OFFICIAL, DECATHLON):
            if (base / images).is_dir() and (base / masks).is_dir():
                return base / images, base / masks
    raise UserError(f"{root} has another layout; expected {layout}; check the path, or get it ({BHSD.where})")


def _by_scan(folder: Path) -> dict[str, Path]:
    """Files by scan; the Decathlon's images end in _0000 where nnU-Net has been at them."""
    return {stem.removesuffix("_0000"): path for stem, path in list_nifti(folder).items()}


def _check_dataset_json(path: Path) -> None:
    """Refuse label ids that are not ours: `labels` maps ids to names, or names to ids in nnU-Net's later style."""
    if not path.is_file():
        return
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        kind = type(error).__name__
        raise UserError(f"{path} is no JSON ({kind}); expected the Decathlon's; copy it again") from error
    labels = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(labels, dict):
        raise UserError(f"{path} has no object 'labels'; expected ids 0..5 with names; copy it again")
    for key, value in labels.items():
        number, name = (key, value) if str(key).isdecimal() else (value, key)
        meant = _type_of(str(name))
        if meant is not None and str(number) != str(meant):
            raise UserError(
                f"{path} gives id {printable(str(number))[:20]} to {printable(str(name))[:40]}; expected "
                f"{meant}; map the ids of the masks to 1..5 for {', '.join(SUBTYPES)}"
            )


def _type_of(name: str) -> int | None:
    """Our id for the name of a type as files write it, None for other names."""
    plain = name.strip().lower()
    for number, (short, subtype) in enumerate(zip(_SHORT, SUBTYPES, strict=True), start=1):
        if plain == short or plain.startswith(subtype):
            return number
    return None


def _case_folders(root: Path) -> list[tuple[Path, dict[int, Path]]]:
    """(image, masks by rater) of each folder under `root`, or one level deeper, that has an image."""
    found = []
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    if not any(_image_in(folder) for folder in folders):
        folders = [inner for folder in folders for inner in sorted(folder.iterdir()) if inner.is_dir()]
    for folder in folders:
        image = _image_in(folder)
        if image is None:
            continue
        matches = ((_RATER.fullmatch(file.name), file) for file in sorted(folder.iterdir()))
        found.append((image, {int(match[1]): file for match, file in matches if match}))
    return found


def _image_in(folder: Path) -> Path | None:
    return next((folder / name for name in ("image.nii.gz", "image.nii") if (folder / name).is_file()), None)


def _case(scan: str, info: DatasetInfo, warnings: list[str], load: partial[Loaded]) -> Case:
    """The case of a scan named ID_<patient>_ID_<study>; another name is a patient of its own, with a warning."""
    match = _NAME.fullmatch(scan)
    if match is None:
        warnings.append(f"{scan}: no name like ID_<patient>_ID_<study>; taken for a patient of its own")
    patient, study = (scan, scan) if match is None else (match[1], match[2])
    return Case(patient, study, info.name, info.lineage, None, load)
