"""The contact sheet: phantoms of every type in rows, drawn with PIL, real slices beside them where a data set is given.

A row a type: slices with most of that blood, each followed by itself with the mask outlined. Then the look-alikes, each
followed by the same slice of the same patient without it; then patients without bleed. All in one display window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hemobench.case import Case, Dataset
from hemobench.datasets.cache import usable_cores
from hemobench.datasets.phantom.generate import prepare_anatomy, render_plan
from hemobench.datasets.phantom.plan import LOOKALIKES, PhantomSpec, Plan, plan_patient
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.views.windows import to_grey_uint8

WINDOW = "brain-ct-ich"  # that of the real pictures beside the phantoms
CELL = 144
CAPTION = 13
MARGIN = 4
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "epidural": (255, 160, 40),
    "intraparenchymal": (255, 80, 80),
    "intraventricular": (80, 200, 255),
    "subarachnoid": (90, 230, 110),
    "subdural": (255, 240, 90),
}
GreyPicture = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """One square picture, uint8 (H, W) or (H, W, 3), and the line under it."""

    picture: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True)
class SheetRow:
    """A heading and the pictures under it."""

    heading: str
    tiles: tuple[Tile, ...]


def write_sheet(
    output: Path,
    *,
    anatomy: Path | None = None,
    beside: Dataset | None = None,
    patients: int = 4,
    spec: PhantomSpec | None = None,
    jobs: int | None = None,
) -> None:
    """Draw the contact sheet of phantom CTs into a PNG file.

    anatomy: folder of label maps, or None for the MNI152 head. beside: a CT data set whose slices are put next to
    phantoms of the same type. patients: how many phantoms a row shows. spec: the phantoms to draw, by default those of
    the embedded data set. Raises UserError when `output` does not end in .png or `beside` has no slice labels.
    """
    if output.suffix.lower() != ".png":
        raise UserError(f"output {output}; expected a name ending in .png; rename it")
    if beside is not None and any(case.study_labels is None for case in beside.cases):
        name = beside.info.name
        raise UserError(f"data set {name} has cases without labels; expected a labelled CT set; use ct-ich")
    spec = spec or PhantomSpec(patients=400, anatomy=str(anatomy) if anatomy else None)
    prepare_anatomy(spec)
    rows = [row for group in (_bleed_rows, _healthy_rows, _lookalike_rows) for row in group(spec, patients, jobs)]
    if beside is not None:
        rows = [_with_real(row, beside, patients) for row in rows]
    sheet = _compose(rows, 2 * patients)
    with replacing(output) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def _bleed_rows(spec: PhantomSpec, patients: int, jobs: int | None) -> Iterable[SheetRow]:
    plans = {subtype: _plans_with(spec, subtype, patients) for subtype in SUBTYPES}
    tasks = [(subtype, plan) for subtype in SUBTYPES for plan in plans[subtype]]
    pairs = _in_parallel(partial(_bleed_pair, spec), tasks, jobs)
    for subtype in SUBTYPES:
        tiles = [tile for (kind, _), pair in zip(tasks, pairs, strict=True) if kind == subtype for tile in pair]
        yield SheetRow(subtype, tuple(tiles))


def _plans_with(spec: PhantomSpec, subtype: str, wanted: int) -> list[Plan]:
    """The first patients with a type, taking another place or age of it each time while there are any."""
    found: list[Plan] = []
    seen: set[tuple[str, str]] = set()
    plans = [plan_patient(spec, index) for index in range(spec.patients)]
    candidates = [(plan, bleed) for plan in plans for bleed in plan.bleeds if bleed.subtype == subtype]
    for plan, bleed in candidates:
        if (bleed.place, bleed.age) not in seen and len(found) < wanted:
            seen.add((bleed.place, bleed.age))
            found.append(plan)
    rest = [plan for plan, _ in candidates if plan not in found]
    return (found + rest)[:wanted]


def _bleed_pair(spec: PhantomSpec, task: tuple[str, Plan]) -> tuple[Tile, Tile]:
    subtype, plan = task
    loaded = render_plan(spec, plan)
    assert loaded.label_map is not None
    blood = loaded.label_map == LABEL_IDS[subtype]
    index = int(blood.sum(axis=(1, 2)).argmax())
    bleed = next(bleed for bleed in plan.bleeds if bleed.subtype == subtype)
    grey = to_grey_uint8(loaded.image.voxels[index], WINDOW)
    outlined = _outlined(grey, loaded.label_map[index])
    return Tile(grey, f"{bleed.place}, {bleed.age}"), Tile(outlined, f"#{plan.index}, {plan.scan.thickness_mm:g} mm")


def _outlined(grey: GreyPicture, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at twice its size in colour, every type's border drawn in that type's colour."""
    large = np.repeat(np.repeat(grey, 2, axis=0), 2, axis=1)
    drawn = np.stack([large] * 3, axis=-1)
    wide = np.repeat(np.repeat(labels, 2, axis=0), 2, axis=1)
    for subtype, label in LABEL_IDS.items():
        mask = np.pad(wide == label, 1)
        core = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        drawn[mask[1:-1, 1:-1] & ~core] = COLOURS[subtype]
    return drawn


def _lookalike_rows(spec: PhantomSpec, patients: int, jobs: int | None) -> Iterable[SheetRow]:
    tasks = []
    for name in LOOKALIKES:
        plans = (plan_patient(spec, index) for index in range(spec.patients))
        plan = next((plan for plan in plans if name in plan.lookalikes and not plan.bleeds), None)
        if plan is not None:
            tasks.append((name, plan))
    pairs = _in_parallel(partial(_lookalike_pair, spec), tasks, jobs)
    for start in range(0, len(pairs), patients):
        tiles = tuple(tile for pair in pairs[start : start + patients] for tile in pair)
        yield SheetRow("look-alikes, each beside the same slice without it", tiles)


def _lookalike_pair(spec: PhantomSpec, task: tuple[str, Plan]) -> tuple[Tile, Tile]:
    name, plan = task
    without = replace(plan, lookalikes=tuple(other for other in plan.lookalikes if other != name))
    pair = [to_grey_uint8(render_plan(spec, p).image.voxels, WINDOW) for p in (plan, without)]
    change = np.abs(pair[0].astype(np.int16) - pair[1]).sum(axis=(1, 2))
    index = int(change.argmax())
    return Tile(pair[0][index], name), Tile(pair[1][index], f"#{plan.index}, without")


def _healthy_rows(spec: PhantomSpec, patients: int, jobs: int | None) -> Iterable[SheetRow]:
    plans = (plan_patient(spec, index) for index in range(spec.patients))
    chosen = [plan for plan in plans if not plan.bleeds][: 2 * patients]
    levels = np.linspace(0.3, 0.85, max(1, len(chosen)))
    tiles = _in_parallel(partial(_healthy_tile, spec), list(zip(chosen, levels.tolist(), strict=False)), jobs)
    yield SheetRow("no bleed", tuple(tiles))


def _healthy_tile(spec: PhantomSpec, task: tuple[Plan, float]) -> Tile:
    plan, level = task
    voxels = render_plan(spec, plan).image.voxels
    grey = to_grey_uint8(voxels[int(level * (len(voxels) - 1))], WINDOW)
    return Tile(grey, f"#{plan.index}, {plan.person.age_years:.0f} y, {plan.scan.thickness_mm:g} mm")


def _in_parallel(make: partial, tasks: Sequence[tuple], jobs: int | None) -> list:  # type: ignore[type-arg]
    workers = min(jobs or usable_cores(), len(tasks))
    if workers <= 1:
        return [make(task) for task in tasks]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(make, tasks))


def _with_real(row: SheetRow, dataset: Dataset, wanted: int) -> SheetRow:
    """The row with real slices of the same type at its end; rows of look-alikes have no counterpart."""
    if row.heading not in (*SUBTYPES, "no bleed"):
        return row
    tiles = [tile for case in _real_cases(dataset, row.heading, wanted) for tile in _real_tiles(case, row.heading)]
    return replace(row, tiles=row.tiles + tuple(tiles))


def _real_cases(dataset: Dataset, kind: str, wanted: int) -> list[Case]:
    if kind in SUBTYPES:
        position = SUBTYPES.index(kind)
        found = [case for case in dataset.cases if case.study_labels and case.study_labels[position]]
    else:
        found = [case for case in dataset.cases if case.study_labels and not any(case.study_labels)]
    step = max(1, len(found) // wanted)
    return found[::step][:wanted]


def _real_tiles(case: Case, kind: str) -> list[Tile]:
    loaded = case.load()
    assert loaded.slice_labels is not None
    count = len(loaded.slice_labels)
    slices = np.arange(int(count * 0.4), int(count * 0.8))
    if kind in SUBTYPES:
        slices = np.flatnonzero(loaded.slice_labels[:, SUBTYPES.index(kind)])
    index = int(slices[len(slices) // 2])
    return [Tile(to_grey_uint8(loaded.image.voxels[index], WINDOW), f"{case.dataset} {case.patient_id}")]


def _compose(rows: Sequence[SheetRow], columns: int) -> Image.Image:
    columns = max([columns, *(len(row.tiles) for row in rows)])
    height = 2 * CAPTION + CELL + MARGIN
    sheet = Image.new("RGB", (MARGIN + columns * (CELL + MARGIN), MARGIN + len(rows) * height), (18, 18, 18))
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = MARGIN + number * height
        draw.text((MARGIN, top), row.heading, fill=COLOURS.get(row.heading, (255, 255, 255)))
        for position, tile in enumerate(row.tiles):
            left = MARGIN + position * (CELL + MARGIN)
            picture = Image.fromarray(tile.picture).convert("RGB").resize((CELL, CELL), Image.Resampling.BOX)
            sheet.paste(picture, (left, top + CAPTION))
            draw.text((left, top + CAPTION + CELL), tile.caption[:24], fill=(190, 190, 190))
    return sheet
