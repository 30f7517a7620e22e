"""Scans and masks that come as pairs of NIfTI files: read onto one grid, listed, fingerprinted, their tables parsed."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from hemobench.case import DatasetInfo
from hemobench.datasets.tables import PLAIN, Layout, csv_reader, whole
from hemobench.errors import UserError
from hemobench.io.nifti import read_label_map_with_remarks, read_nifti, read_space
from hemobench.labels import SUBTYPES
from hemobench.volume import DISPLAY_ORIENTATION, LABEL_MAP, Volume

ENDINGS = (".nii.gz", ".nii")
# Headers are float32, and tools round them: this far apart (mm) two grids are one.
_SAME_PLACE_MM = 0.05
_SHOWN = 20


def read_pair(image_path: Path, mask_path: Path) -> tuple[Volume, NDArray[np.integer], list[str]]:
    """Image and the ids (D, H, W) of its mask, both S-P-L, and remarks; see `read_mask_on`."""
    image = read_nifti(image_path)
    mask, remarks = read_mask_on(image, image_path, mask_path)
    return image, mask, remarks


def read_mask_on(image: Volume, image_path: Path, mask_path: Path) -> tuple[NDArray[np.integer], list[str]]:
    """Ids (D, H, W) of the mask file on the grid of `image`, which was read from `image_path`.

    Both files hold the same array of voxels in public data sets; a mask whose header puts it elsewhere is laid on the
    image voxel for voxel, with a remark; so has one whose ids were rounded. Raises UserError for a mask of another
    shape.
    """
    mask, rounded = read_label_map_with_remarks(mask_path)
    remarks = [f"{mask_path}: {line}" for line in rounded]
    if mask.shape == image.shape and np.allclose(mask.affine, image.affine, atol=_SAME_PLACE_MM):
        return mask.voxels, remarks
    own, target = read_space(mask_path), read_space(image_path)
    if own.shape != target.shape:
        raise UserError(
            f"{mask_path} is {own.shape}, its image {image_path} is {target.shape}; expected one grid; "
            "resample the mask onto the image"
        )
    stored = mask.reoriented("".join(nib.aff2axcodes(own.affine))).voxels
    laid = Volume(stored, target.affine, LABEL_MAP).reoriented(DISPLAY_ORIENTATION)
    remarks.append(f"{mask_path}: its header puts it elsewhere than its image; laid on it voxel for voxel")
    return laid.voxels, remarks


def typed(ids: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
    """Ids of a label map of the five types. Raises UserError for ids outside 0..5, naming the file."""
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > len(SUBTYPES):
        raise UserError(
            f"{path} has ids {low}..{high}; expected 0 for background and 1..{len(SUBTYPES)} for "
            f"{', '.join(SUBTYPES)}; map the ids first"
        )
    return ids.astype(np.uint8, copy=False)


def binary(ids: NDArray[np.integer], path: Path) -> NDArray[np.bool_]:
    """Mask of blood without types or of ventricles: 0 and one other id (1, sometimes 255). UserError for more ids."""
    mask = np.asarray(ids != 0)
    values = ids[mask]
    if len(values) and (values[0] < 0 or (values != values[0]).any()):
        present = np.unique(ids)[:6].tolist()
        raise UserError(
            f"{path} has ids {', '.join(map(str, present))}; expected 0 and 1; use a data set reader for "
            "typed masks, or merge the ids"
        )
    return mask


def stem_of(name: str) -> str | None:
    """File name without .nii or .nii.gz; None for another file, and for what macOS leaves beside it (`._name`)."""
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    return None if ending is None or name.startswith(".") else name[: -len(ending)]


def list_nifti(folder: Path) -> dict[str, Path]:
    """NIfTI files directly in a folder by stem, sorted; empty where there is no folder.

    Raises UserError for two files of one stem (a.nii and a.nii.gz): which is meant cannot be known.
    """
    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        stem = stem_of(path.name)
        if stem is None or not path.is_file():
            continue
        if stem in found:
            raise UserError(f"{found[stem]} and {path.name} are one scan twice; expected one; delete the other")
        found[stem] = path
    return found


def checked_folder(path: Path | None, info: DatasetInfo, layout: str) -> Path:
    """`path` where it is a folder, else UserError with what belongs there and where to get it."""
    remedy = f"get it ({info.where}) and say {info.name}:PATH"
    if path is None:
        raise UserError(f"{info.name} without a path; expected the folder that holds {layout}; {remedy}")
    if not path.is_dir():
        raise UserError(f"no folder {path}; expected the one that holds {layout}; check the path, or {remedy}")
    return path


def unmatched(left: Iterable[str], right: Iterable[str], text: str) -> list[str]:
    """A warning for each name in `left` that `right` lacks; `text` has {} for the name. See `few`.

    >>> unmatched(["a", "b"], ["a"], "{}: no mask masks/{study}")
    ['b: no mask masks/{study}']
    """
    # Not str.format: the text may hold patterns and names with braces of their own.
    return few([text.replace("{}", printable(name)) for name in sorted(set(left) - set(right))])


def few(lines: Sequence[str], shown: int = _SHOWN) -> list[str]:
    """The first lines, and one that counts the others: a copy that lacks half of its files stays readable."""
    more = len(lines) - shown
    return [*lines[:shown], *([f"and {more} more like the last line"] if more > 0 else [])]


def fingerprint(root: Path, files: Iterable[Path], *parts: str) -> str:
    """SHA-256 over paths (relative to `root` where they are under it) and sizes in bytes, and other parts (options)."""
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in sorted(set(files)):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        digest.update(f"{name}\0{os.stat(path).st_size}\n".encode())
    return digest.hexdigest()


def csv_rows(path: Path, needed: Sequence[str], layout: Layout = PLAIN) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields) of a CSV with a header, UTF-8 with or without byte-order mark; empty lines are passed over.

    Its columns are separated by commas, semicolons, tabs or bars. layout: what `layout_of` found.

    Raises UserError for a file that is missing, no text, or lacks a needed column, and for lines of another length.
    """
    try:
        with path.open(encoding=layout.encoding, newline="") as file:
            yield from _parsed(file, path, needed, layout)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}; expected a CSV with {', '.join(needed)}; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is no CSV in UTF-8 ({type(error).__name__}); expected columns {', '.join(needed)}; "
            "save it as UTF-8"
        ) from error


def _parsed(
    file: io.TextIOWrapper, path: Path, needed: Sequence[str], layout: Layout
) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv_reader(file, needed, layout=layout)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in needed if name not in header]
    if missing:
        shown = ", ".join(header[:12])[:200] or "none"
        raise UserError(
            f"{path} has no column {', '.join(missing)} (it has: {printable(shown)}); expected them; correct the header"
        )
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            line = reader.line_num + layout.above
            raise UserError(f"{path} line {line} has {len(row)} fields; expected {len(header)}; correct it")
        yield reader.line_num + layout.above, {name: field.strip() for name, field in zip(header, row, strict=True)}


def printable(text: str) -> str:
    """Text on one line, with control characters (line breaks, NULs, terminal codes) as question marks."""
    return "".join(character if character.isprintable() else "?" for character in text)


def zero_or_one(fields: dict[str, str], column: str, line: int, path: Path) -> int:
    """0 or 1 in a field (1.0 counts). Raises UserError for anything else."""
    value = whole(fields[column])
    if value in ("0", "1"):
        return int(value)
    raise UserError(f"{path} line {line} has {column} '{printable(value[:40])}'; expected 0 or 1; correct it")
