"""RSNA 2019 intracranial haemorrhage detection (Flanders et al. 2020): DICOM slices with labels in one long CSV.

`stage_2_train.csv` has six lines an image, `stage_2_train/` the images by the name of the line. Patient, study and
series are `ID_...` texts in the headers, no valid UIDs; cases are series, named by study, and BHSD, MBH-Seg and HemSeg
call the same people by the same ids. Known of the files, and put right without a word: 12-bit values with a lost sign
(intercept 0 where -1024 belongs), padding below air, values far beyond CT's scale, labels repeated alike in the CSV.
A damaged slice is left out of its study with a remark.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import RSNA
from hemobench.datasets.nifti_pairs import checked_folder
from hemobench.datasets.rsna.index import (
    INDEX_VERSION,
    Progress,
    get_index,
    images_of,
    lines,
    list_images,
    series_rows,
)
from hemobench.datasets.slice_stack import read_stack
from hemobench.errors import UserError
from hemobench.labels import SUBTYPES

TABLE, IMAGES = "stage_2_train.csv", "stage_2_train"
KNOWN_REPAIRS = frozenset({"sign", "padding", "range"})
_LAYOUT = f"{TABLE} and {IMAGES}/ID_*.dcm"
_DOWNLOAD = "rsna-intracranial-hemorrhage-detection"


def open_rsna(path: Path | None, *, jobs: int | None = None, progress: Progress | None = None) -> Dataset:
    """The copy under `path`, which holds `stage_2_train.csv` and `stage_2_train` (or Kaggle's folder that does).

    The first call reads every header, in `jobs` processes (default: all cores), into an index under the cache folder;
    `progress(done, total)` counts images. Later calls list the folder and open the index. What the CSV names and the
    disk lacks is in the warnings. Raises UserError for another layout or a CSV that cannot be understood.
    """
    root = rsna_root(checked_folder(path, RSNA, _LAYOUT))
    listing = list_images(root / IMAGES)
    table_digest = _file_digest(root / TABLE)
    index = get_index(root / IMAGES, root / TABLE, listing, table_digest, jobs=jobs, progress=progress)
    series = list(series_rows(index))
    if not series:
        raise UserError(f"{root} has no image with labels; expected {_LAYOUT}; copy it again")
    studies: dict[str, int] = {}
    for row in series:
        studies[row.study] = studies.get(row.study, 0) + 1
    cases = tuple(
        Case(
            patient_id=row.patient,
            study_id=row.study if studies[row.study] == 1 else f"{row.study}/{row.series}",
            dataset=RSNA.name,
            lineage=RSNA.lineage,
            study_labels=_bits(row.labels),
            load=partial(load_rsna, root / IMAGES, index, row.first, row.last),
        )
        for row in series
    )
    marks = hashlib.sha256(f"{INDEX_VERSION}/{listing.count}/{listing.digest}/{table_digest}".encode()).hexdigest()
    return Dataset(RSNA, cases, marks, lines(index, "warning"), notes=lines(index, "note"))


def load_rsna(folder: Path, index: Path, first: int, last: int) -> Loaded:
    """One series: the images in these rows of the index as a volume from the lowest slice up, labels in its order."""
    images = images_of(index, first, last)
    stack = read_stack([folder / f"{name}.dcm" for name, _ in images], KNOWN_REPAIRS)
    labels = np.array([_bits(images[number][1]) for number in stack.order], dtype=np.uint8)
    return Loaded(stack.volume, None, labels, stack.remarks)


def rsna_root(path: Path) -> Path:
    """The folder that holds table and images: `path` or Kaggle's folder in it. Raises UserError where neither does."""
    for root in (path, path / _DOWNLOAD):
        if (root / IMAGES).is_dir() and (root / TABLE).is_file():
            return root
    missing = [name for name in (TABLE, IMAGES) if not (path / name).exists()]
    raise UserError(
        f"{path} has no {' and no '.join(missing) or 'such layout'}; expected {_LAYOUT}; check the path, "
        f"or get it ({RSNA.where})"
    )


def _bits(labels: int) -> tuple[int, ...]:
    return tuple(labels >> position & 1 for position in range(len(SUBTYPES)))


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
