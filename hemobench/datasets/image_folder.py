"""Anybody's pictures: PNG or JPEG with a table of labels, or one folder a class; each picture is a case of one slice.

With a table: `image-folder:PATH` finds the only CSV in the folder (or `labels=NAME`), and its columns by the names
people give them (`id, hemorrhage`, or `image,patient,epidural,…`), or by the options `id_column`, `patient_column`,
`any_column`, `epidural_column` and so on. A picture is found by its path in the folder, its file name, the name without
ending, or, for numbers, the same number (`7` is `007.png`); ids that then remain by what they have in common with a
name (`C:/data/007.jpg`, `7.0`), where one picture alone can be meant. Masks, where there are any, lie in a folder of
their own (`masks/`, or `masks=NAME`) under the picture's name.

Without a table: folders named after the types, `normal`, `hemorrhage` and the like.

Pictures have no units: they come as grey in 0..1, or as Hounsfield units with `window=NAME` where all of them were made
with that display window. Millimetres are nominal. Where patients are unknown, a split by picture leaks.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import IMAGE_FOLDER
from hemobench.datasets.image_labels import (
    Columns,
    PictureLabels,
    find_columns,
    labels_of_folder,
    list_pictures,
    match_pictures,
    read_picture_labels,
)
from hemobench.datasets.tables import TABLE_ENDINGS
from hemobench.errors import UserError
from hemobench.io.pictures import MAX_PIXELS, NOMINAL_FIELD_MM, NOMINAL_SLICE_MM, read_grey, read_picture
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.views.windows import Window, get_window, hu_from_grey
from hemobench.volume import GREY, Volume, display_affine

MASKS = "masks"
LEAK_WARNING = (
    "no patients: pictures of one person may be on both sides of a split by picture, which then leaks; "
    "add a column of patient ids to the table"
)
# Of 255: where a mask's white begins, and what is still black or white.
_HALF, _NEARLY = 128, 2
_DISPLAY = Window("display", 0.5, 1.0)


def open_image_folder(
    path: Path | None,
    *,
    labels: str | None = None,
    masks: str | None = None,
    window: str | None = None,
    id_column: str | None = None,
    patient_column: str | None = None,
    any_column: str | None = None,
    epidural_column: str | None = None,
    intraparenchymal_column: str | None = None,
    intraventricular_column: str | None = None,
    subarachnoid_column: str | None = None,
    subdural_column: str | None = None,
) -> Dataset:
    """The pictures under `path`, one Case each; those without labels, and labels without picture, are named.

    labels: name of the table in the folder; without one the only CSV there, or else class folders. window: the display
    window that the pictures were made with. The other options are the module's. Raises UserError for a folder without
    pictures, a table that cannot be understood or lacks a column, and unknown windows.
    """
    given = (
        id_column,
        patient_column,
        any_column,
        epidural_column,
        intraparenchymal_column,
        intraventricular_column,
        subarachnoid_column,
        subdural_column,
    )
    root = _checked_root(path)
    preset = get_window(window) if window is not None else None
    mask_folder = _mask_folder(root, masks)
    warnings: list[str] = []
    pictures = list_pictures(root, mask_folder, warnings)
    table = _table(root, labels)
    if table is None and any(given):
        raise UserError(f"columns are given and {root} has no CSV; expected a table of labels; add it, or say labels=")
    if table is None:
        labelled = labels_of_folder(root, pictures, warnings)
    else:
        columns = find_columns(table, dict(zip(Columns.roles(), given, strict=True)), warnings)
        labelled = match_pictures(root, pictures, read_picture_labels(table, columns, warnings), table, warnings)
    if not labelled:
        raise UserError(
            f"{root} has no picture with labels; expected PNG or JPEG and a CSV, or folders named after "
            f"{', '.join(SUBTYPES)}, normal or hemorrhage; check the path"
        )
    found_masks = _match_masks(root, mask_folder, labelled, warnings)
    leaky = any(entry.patient is None for entry in labelled.values())
    if leaky:
        warnings.insert(0, LEAK_WARNING)
    notes = () if preset else ("pictures have no units; they are used as grey (window=NAME gives Hounsfield units)",)
    if not any(entry.types and any(entry.types) for entry in labelled.values()):
        notes = (*notes, "labels say whether there is blood, not which type: the types' metrics are undefined")
    # Types of some pictures alone would miscount patients, so it is all or none.
    typed = all(entry.types is not None for entry in labelled.values())
    cases = tuple(
        _case(root, picture, entry, found_masks, preset, typed) for picture, entry in sorted(labelled.items())
    )
    digest = _fingerprint(root, table, pictures, found_masks, (window, given))
    return Dataset(IMAGE_FOLDER, cases, digest, tuple(warnings), leaky=leaky, notes=notes)


def load_image(
    path: Path, mask: Path | None, has_masks: bool, types: tuple[int, ...] | None, bleeds: int, window: Window | None
) -> Loaded:
    """Decode one picture, and its mask: pixels from half of white on are blood, of the picture's type if it has one; of
    a mask with two levels the upper one, however dark.

    has_masks: whether the folder has masks at all; then a picture without blood and mask has an empty one.
    """
    image, remarks = _read_image(path, window)
    slice_labels = None if types is None else np.array([types], dtype=np.uint8)
    any_labels = np.array([bleeds], dtype=np.uint8) if types is None or bleeds > max(types) else None
    label_map, blood_mask = None, None
    if mask is not None:
        blood, odd = _read_mask(mask)
        remarks += odd
        if blood.shape != image.shape:
            raise UserError(f"{mask} is {blood.shape[1:]}; expected the picture's {image.shape[1:]}; copy it again")
        if bool(blood.any()) != bool(bleeds):
            remarks.append(f"{mask}: {'blood' if blood.any() else 'no blood'} in the mask against the labels; not used")
        elif types is None or sum(types) > 1 or (bleeds and not any(types)):
            blood_mask = blood
        else:
            label_map = blood * np.uint8(LABEL_IDS[SUBTYPES[types.index(1)]] if bleeds else 0)
    elif has_masks and not bleeds:
        label_map = np.zeros(image.shape, dtype=np.uint8)
    return Loaded(image, label_map, slice_labels, tuple(remarks), blood_mask, any_labels=any_labels)


def _read_mask(path: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """Blood (1, H, W) by a mask's picture, and a remark where that is not black and white."""
    levels = read_grey(path)[None]
    low, high = int(levels.min()), int(levels.max())
    if low == 0 < high < _HALF and not np.any((levels > 0) & (levels < high)):
        return levels > 0, [f"{path}: mask of levels 0 and {high}, not 0 and 255; {high} is taken for blood"]
    between = np.count_nonzero((levels > _NEARLY) & (levels < 255 - _NEARLY))
    if not between:
        return levels >= _HALF, []
    remark = f"{path}: {between} pixels of the mask are grey (a JPEG, or interpolated); rounded at half of white"
    return levels >= _HALF, [remark]


def _read_image(path: Path, window: Window | None) -> tuple[Volume, list[str]]:
    """A picture as a volume of one slice, and a remark where it is not grey."""
    levels = _plain_levels(path)
    if levels is None:
        scan = read_picture(path, window or _DISPLAY)
        remarks = [f"{path}: {line}" for line in scan.warnings if "is coloured" in line]
        return scan.volume if window else scan.volume.with_voxels(scan.volume.voxels, GREY), remarks
    voxels = hu_from_grey(levels, window or _DISPLAY)[None]
    pixel_mm = NOMINAL_FIELD_MM / max(levels.shape)
    affine = display_affine(voxels.shape, (NOMINAL_SLICE_MM, pixel_mm, pixel_mm))
    return Volume(voxels, affine, "CT" if window else GREY), []


def _plain_levels(path: Path) -> NDArray[np.uint8] | None:
    """Grey levels of an 8-bit picture without colour, quickly; None for all others and for what cannot be read."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            large = picture.width * picture.height > MAX_PIXELS
            if large or picture.mode not in ("L", "RGB") or {"transparency", "exif"} & set(picture.info):
                return None
            if picture.mode == "L":
                return np.asarray(picture)
            channels = picture.split()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # `read_picture` says what is wrong.
        return None
    first, *others = (channel.tobytes() for channel in channels)
    if any(other != first for other in others):
        return None
    return np.frombuffer(first, dtype=np.uint8).reshape(channels[0].height, channels[0].width)


def _checked_root(path: Path | None) -> Path:
    if path is None:
        raise UserError("image-folder without a path; expected a folder of PNG or JPEG; say image-folder:PATH")
    if not path.is_dir():
        raise UserError(f"no folder {path}; expected one of PNG or JPEG pictures; check the path")
    return path


def _mask_folder(root: Path, masks: str | None) -> Path | None:
    if masks is None:
        return root / MASKS if (root / MASKS).is_dir() else None
    if not (root / masks).is_dir():
        raise UserError(f"no folder {root / masks}; expected the one of the masks; correct masks={masks}")
    return root / masks


def _table(root: Path, labels: str | None) -> Path | None:
    """The table of labels: the one that is named, the only CSV, or none."""
    if labels is not None:
        return root / labels
    tables = sorted(entry for entry in root.iterdir() if entry.suffix.lower() in TABLE_ENDINGS and entry.is_file())
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise UserError(f"{root} has the tables {names}; expected one; say which by labels=NAME")
    return tables[0] if tables else None


def _match_masks(
    root: Path, folder: Path | None, labelled: dict[str, PictureLabels], warnings: list[str]
) -> dict[str, Path] | None:
    """Mask of each picture, by the picture's path; None where the folder has no masks at all."""
    if folder is None:
        return None
    by_stem: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in (".png", ".jpg", ".jpeg") and not path.name.startswith("."):
            by_stem[path.stem.lower().removesuffix("_mask").removesuffix("_seg")] = path
    found = {}
    for picture, entry in labelled.items():
        mask = by_stem.pop(Path(picture).stem.lower(), None)
        if mask is not None:
            found[picture] = mask
        elif entry.bleeds:
            warnings.append(f"{picture}: bleeds and has no mask in {folder.name}/")
    warnings += [
        f"{path.relative_to(root).as_posix()}: mask of no labelled picture; left out" for path in by_stem.values()
    ]
    return found


def _case(
    root: Path, picture: str, entry: PictureLabels, masks: dict[str, Path] | None, window: Window | None, typed: bool
) -> Case:
    mask = None if masks is None else masks.get(picture)
    return Case(
        patient_id=entry.patient if entry.patient is not None else picture,
        study_id=picture,
        dataset=IMAGE_FOLDER.name,
        lineage=IMAGE_FOLDER.lineage,
        study_labels=entry.types if typed else None,
        load=partial(load_image, root / picture, mask, masks is not None, entry.types, entry.bleeds, window),
        spacing_known=False,
    )


def _fingerprint(
    root: Path, table: Path | None, pictures: dict[str, int], masks: dict[str, Path] | None, options: tuple[object, ...]
) -> str:
    """SHA-256 over the table, the files' paths and sizes and the options; the pictures are not read."""
    digest = hashlib.sha256(repr(options).encode())
    if table is not None:
        digest.update(table.read_bytes())
    for name, size in pictures.items():
        digest.update(f"{name}\0{size}\n".encode())
    for name, mask in sorted((masks or {}).items()):
        digest.update(f"{name}\0{mask.stat().st_size}\n".encode())
    return digest.hexdigest()
