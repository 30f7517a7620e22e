"""Examples: a data set decoded once under a view, kept as memory-mapped arrays under $HEMOBENCH_HOME/cache."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case
from hemobench.datasets.opening import Dataset
from hemobench.datasets.slice_masks import slice_masks
from hemobench.errors import UserError
from hemobench.machine import cache_home, usable_cores
from hemobench.views.head_box import network_grid
from hemobench.views.render import render
from hemobench.views.view import (
    ClassificationView,
    SegmentationView,
    View,
    default_view,
    view_from_mapping,
    view_to_mapping,
)
from hemobench.volume import Volume

__all__ = [
    "ClassificationView",
    "Examples",
    "SegmentationView",
    "View",
    "build_examples",
    "cache_home",
    "default_view",
    "examples_key",
    "usable_cores",
    "view_from_mapping",
    "view_to_mapping",
]

CACHE_VERSION = 3
VOLUME_VERSION = 4
"""Of segmentations: since the directions of a grid are kept beside its spacing."""
STALE_SECONDS = 24 * 3600
POOL_S = 4.0  # until the first process of a pool has loaded what it needs
_ARRAYS = ("images", "targets", "patient_ids", "study_ids", "slice_indices", "spacing_mm")
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Examples:
    """Decoded examples of one data set under one view; large arrays are memory maps.

    images: uint8 (N, C, H, W) for classification, (N, 1, D, H, W) for segmentation; 0..255 stands for 0..1.
    targets: uint8 (N, 6) in the order of labels.CLASSES, or (N, 1, D, H, W) masks.
    patient_ids, study_ids: (N,) str. slice_indices: (N,) int, -1 for volumes. spacing_mm: (N, 3) of the pixels in
    `images` (slice, row, column). fingerprint: of data and view together. phantom: True when no patient was scanned.
    directions: (N, 3, 3) of volumes, a column of length 1 each along (slice, row, column) in the scan's world; they are
    not at right angles on a sheared grid.
    masks: label maps (N, 1, H, W) uint8 of a classification's slices (see `slice_masks`) where they were asked for.
    unit_ids: (N,) str, what a split divides where that is not patients (`image_splits.by_image`).
    """

    task: str
    images: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    patient_ids: NDArray[np.str_]
    study_ids: NDArray[np.str_]
    slice_indices: NDArray[np.int64]
    spacing_mm: NDArray[np.float64]
    dataset: str
    phantom: bool
    fingerprint: str
    view: View
    masks: NDArray[np.uint8] | None = None
    unit_ids: NDArray[np.str_] | None = None
    directions: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.patient_ids)

    @property
    def units(self) -> NDArray[np.str_]:
        """What the lists of a split name, by row: patients, unless `unit_ids` says otherwise."""
        return self.patient_ids if self.unit_ids is None else self.unit_ids

    def steps_mm(self, row: int) -> NDArray[np.float64]:
        """Steps (3, 3) in mm from voxel to voxel of a volume, a column each along (slice, row, column)."""
        directions = np.eye(3) if self.directions is None else self.directions[row]
        return np.asarray(directions * self.spacing_mm[row], dtype=np.float64)

    def rows_of(self, units: tuple[str, ...]) -> NDArray[np.int64]:
        """Row numbers (n,) of the examples of these patients (or other `units`), ascending."""
        return np.flatnonzero(np.isin(self.units, np.asarray(units, dtype=np.str_)))


def examples_key(dataset: Dataset, view: View, *, masks: bool = False) -> str:
    """Name of the cache folder: changes with the data, with the view and with the code that renders it."""
    version = VOLUME_VERSION if isinstance(view, SegmentationView) else CACHE_VERSION
    parts = [version, dataset.fingerprint, type(view).__name__, view_to_mapping(view), *(["masks"] * masks)]
    text = json.dumps(parts, sort_keys=True)
    return f"{dataset.info.name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def build_examples(
    dataset: Dataset,
    view: View,
    *,
    masks: bool = False,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> Examples:
    """Examples of a data set under a view: built on the first call, opened as memory maps afterwards.

    Each case is loaded once, in `jobs` processes (default: as many as there are cores, or this one alone as long as the
    cases left take it less time than others take to start). Rows follow the order of `dataset.cases`. masks: slices of
    a classification with label maps of them. `progress(done, total)` counts cases.
    Raises: UserError of the reader or of the view, and for masks beside a segmentation, whose targets they are.
    """
    if masks and not isinstance(view, ClassificationView):
        raise UserError("masks beside the targets of a segmentation; expected a classification; leave masks out")
    key = examples_key(dataset, view, masks=masks)
    folder = cache_home() / "cache" / key
    if not folder.is_dir():
        if not dataset.cases:
            raise UserError(f"data set '{dataset.info.name}' has no cases; expected at least one; check its path")
        _build(dataset, view, folder, masks, jobs, progress)
    return _open(dataset, view, key, folder, masks)


def _build(
    dataset: Dataset, view: View, folder: Path, masks: bool, jobs: int | None, progress: ProgressCallback | None
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep_stale(folder.parent)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"cache folder {folder.parent} cannot be written ({error.strerror}); expected a writable "
            "folder; set HEMOBENCH_HOME to one"
        ) from error
    try:
        parts: list[_Part] = [_Part("", "", 0)] * len(dataset.cases)
        for done, (number, part) in enumerate(_rendered(dataset.cases, view, building, masks, jobs), start=1):
            parts[number] = part
            if progress is not None:
                progress(done, len(dataset.cases))
        _join(parts, building, masks)
        try:
            os.replace(building, folder)
        except OSError:
            # Another builder was faster: its folder is whole, ours is the same and goes.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


@dataclass(frozen=True)
class _Part:
    patient_id: str
    study_id: str
    rows: int


def _on_one_thread() -> None:
    """Processes share the cores, so each computes on one; torch, which only phantoms need, reads it when it loads."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _rendered(
    cases: tuple[Case, ...], view: View, building: Path, masks: bool, jobs: int | None
) -> Iterator[tuple[int, _Part]]:
    """(case number, its part) as they finish; the arrays themselves go to disk in the workers."""
    left, alone = list(enumerate(cases)), (jobs or usable_cores()) <= 1 or len(cases) == 1
    while left and (alone or jobs is None):
        begun = time.monotonic()
        number, case = left.pop(0)
        yield number, _render_to_disk(number, case, view, building, masks)
        if not alone and len(left) * (time.monotonic() - begun) > POOL_S:
            break
    if left:
        yield from _rendered_by_others(left, view, building, masks, jobs or usable_cores())


def _rendered_by_others(
    cases: list[tuple[int, Case]], view: View, building: Path, masks: bool, jobs: int
) -> Iterator[tuple[int, _Part]]:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(
        min(jobs, len(cases)),
        mp_context=multiprocessing.get_context(method),
        initializer=_on_one_thread,
    )
    try:
        pending: dict[Future[_Part], int] = {
            pool.submit(_render_to_disk, number, case, view, building, masks): number for number, case in cases
        }
        # Not `wait` again and again, which looks at all that is pending each time: minutes for RSNA's 21,744 studies.
        for future in as_completed(pending):
            yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"a process that was reading cases died ({jobs} ran at once), probably of too little memory; "
            "expected all to finish; run again with fewer jobs"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _render_to_disk(number: int, case: Case, view: View, building: Path, masks: bool) -> _Part:
    loaded = case.load()
    images, targets = render(loaded, view, f"case {case.study_id} of {case.dataset}", spacing_known=case.spacing_known)
    np.save(building / f"images-{number}.npy", images)
    np.save(building / f"targets-{number}.npy", targets)
    if masks:
        assert isinstance(view, ClassificationView)
        np.save(building / f"masks-{number}.npy", slice_masks(loaded, view, targets))
    np.save(building / f"spacing-{number}.npy", _row_spacing(loaded.image, view))
    np.save(building / f"directions-{number}.npy", loaded.image.affine[:3, :3] / loaded.image.spacing_mm)
    return _Part(case.patient_id, case.study_id, len(images))


def _row_spacing(image: Volume, view: View) -> NDArray[np.float64]:
    spacing_mm, shape = image.spacing_mm, image.shape
    if isinstance(view, SegmentationView):
        ratio = network_grid(image, view, view.shape).ratio
        return np.asarray([step * own for step, own in zip(ratio, spacing_mm, strict=True)], dtype=np.float64)
    pixel_mm = max(shape[1] * spacing_mm[1], shape[2] * spacing_mm[2]) / view.size
    return np.asarray([spacing_mm[0], pixel_mm, pixel_mm], dtype=np.float64)


def _join(parts: list[_Part], building: Path, masks: bool) -> None:
    """Copy the cases' files, one at a time, into one array a kind; memory stays that of one case."""
    rows = [part.rows for part in parts]
    starts = np.concatenate([[0], np.cumsum(rows)])
    for kind in ("images", "targets", *(["masks"] * masks)):
        first = np.load(building / f"{kind}-0.npy", mmap_mode="r", allow_pickle=False)
        whole = np.lib.format.open_memmap(
            building / f"{kind}.npy", mode="w+", dtype=first.dtype, shape=(int(starts[-1]), *first.shape[1:])
        )
        for number, start in enumerate(starts[:-1]):
            part_path = building / f"{kind}-{number}.npy"
            whole[start : start + rows[number]] = np.load(part_path, allow_pickle=False)
            part_path.unlink()
        whole.flush()
    for kind, name in (("spacing", "spacing_mm"), ("directions", "directions")):
        paths = [building / f"{kind}-{number}.npy" for number in range(len(parts))]
        by_case = np.asarray([np.load(path, allow_pickle=False) for path in paths])
        np.save(building / f"{name}.npy", np.repeat(by_case, rows, axis=0))
        for path in paths:
            path.unlink()
    np.save(building / "patient_ids.npy", np.repeat(np.asarray([p.patient_id for p in parts], dtype=np.str_), rows))
    np.save(building / "study_ids.npy", np.repeat(np.asarray([p.study_id for p in parts], dtype=np.str_), rows))
    indices = np.concatenate([np.arange(count) for count in rows])
    if np.load(building / "images.npy", mmap_mode="r", allow_pickle=False).ndim == 5:
        indices = np.full(len(indices), -1)
    np.save(building / "slice_indices.npy", indices.astype(np.int64))


def _open(dataset: Dataset, view: View, key: str, folder: Path, masks: bool) -> Examples:
    arrays: dict[str, Any] = {}
    try:
        for name in (*_ARRAYS, *(["masks"] * masks), *(["directions"] * isinstance(view, SegmentationView))):
            large = name in ("images", "targets", "masks")
            # "c": writes stay in memory, so torch may wrap the map without warning and the file is safe.
            arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="c" if large else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cache folder {folder} cannot be read ({error}); expected the arrays of a finished build; "
            "delete this folder and run again"
        ) from error
    task = "classification" if isinstance(view, ClassificationView) else "segmentation"
    return Examples(
        task=task, dataset=dataset.info.name, phantom=dataset.info.phantom, fingerprint=key, view=view, **arrays
    )


def _sweep_stale(folder: Path) -> None:
    """Remove what builds killed more than a day ago left; younger ones may still be running."""
    for leftover in folder.glob(".building-*"):
        try:
            stale = time.time() - leftover.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(leftover, ignore_errors=True)
