"""The phantom as a data set like any other, and as files on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import PHANTOM, PHANTOM_T1
from hemobench.datasets.phantom.generate import (
    GENERATOR_VERSION,
    T1_VERSION,
    anatomy_number,
    generate_patient,
    generate_selected,
    prepare_anatomy,
)
from hemobench.datasets.phantom.plan import PhantomSpec, plan_patient
from hemobench.datasets.phantom.sources import anatomy_keys
from hemobench.errors import UserError
from hemobench.io.atomic import replacing
from hemobench.io.nifti import write_nifti
from hemobench.labels import SUBTYPES
from hemobench.volume import LABEL_MAP

Progress = Callable[[int, int], None]
SPEC_FILE = "phantom.json"
# One for training, one for validation, one for testing.
_FEWEST_ANATOMIES = 3


def open_phantom(
    path: Path | None,
    *,
    product: str = "ct",
    patients: int = 100,
    seed: int = 2021,
    slices: int | None = None,
    matrix: int | None = None,
    healthy: float | None = None,
    least_size: float | None = None,
    restless: float | None = None,
    least_contrast_hu: float | None = None,
    subtypes: str | None = None,
) -> Dataset:
    """Phantom patients as cases that are made when they are loaded.

    path: folder of FreeSurfer-style label maps for the anatomies, or None for the MNI152 head; the other arguments are
    those of `PhantomSpec`, None its default; subtypes are joined by "+". Raises UserError for values out of range, a
    folder without label maps, or CT options for MRI, whose volumes have one size and no bleeds.
    """
    options = {
        "slices": slices,
        "matrix": matrix,
        "healthy": healthy,
        "least_size": least_size,
        "restless": restless,
        "least_contrast_hu": least_contrast_hu,
        "subtypes": tuple(subtypes.split("+")) if subtypes else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if product == "t1" and given:
        raise UserError(f"phantom-t1 with {', '.join(given)}; expected patients and seed alone; remove the others")
    anatomy = str(path) if path else None
    spec = PhantomSpec(patients=patients, seed=seed, product=product, anatomy=anatomy, **given)  # type: ignore[arg-type]
    prepare_anatomy(spec)
    info = PHANTOM_T1 if product == "t1" else PHANTOM
    cases = tuple(_case(spec, index, info.name) for index in range(patients))
    return Dataset(info, cases, fingerprint(spec), ())


def fingerprint(spec: PhantomSpec) -> str:
    """Changes with anything that changes a voxel: the spec, the anatomies and the version of the generator."""
    keys = [key for key, _ in anatomy_keys(spec.anatomy)]
    versions = [GENERATOR_VERSION, *([T1_VERSION] if spec.product == "t1" else [])]
    text = json.dumps([*versions, spec.to_mapping(), keys], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _case(spec: PhantomSpec, index: int, name: str) -> Case:
    plan = plan_patient(spec, index)
    labels = plan.study_labels if spec.product == "ct" else None
    make = partial(generate_patient, spec, index)
    # From the one MNI head all patients would be one group, and nothing could be split.
    several = len(anatomy_keys(spec.anatomy)) >= _FEWEST_ANATOMIES
    group = f"anatomy {anatomy_number(spec, index)}" if several else ""
    return Case(plan.patient_id, plan.patient_id, name, "phantom", labels, make, group=group)


def build_folder(
    output: Path,
    *,
    patients: int = 100,
    slices: int = 32,
    matrix: int = 256,
    seed: int = 2021,
    product: str = "ct",
    anatomy: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write phantom patients as NIfTI: `<patient>/image.nii.gz` (HU or T1), `<patient>/label_map.nii.gz` (of CT also
    `<patient>/ventricles.nii.gz`), and `patients.csv`, `slices.csv` with what is in them.

    A folder that holds the same phantom in part is completed; anything else in it raises UserError. `progress(done,
    total)` counts patients.
    """
    spec = PhantomSpec(patients, slices, matrix, seed, product, str(anatomy) if anatomy else None)
    _claim(output, spec)
    wanted = [index for index in range(patients) if not _rows_file(output, spec, index).is_file()]
    done = patients - len(wanted)
    for index, loaded in generate_selected(spec, wanted, jobs):
        _write_patient(output, spec, index, loaded)
        done += 1
        if progress is not None:
            progress(done, patients)
    _write_tables(output, spec)


def _claim(output: Path, spec: PhantomSpec) -> None:
    """Take a new or empty folder, or one that an earlier run of the same spec began."""
    mark = json.dumps({**spec.to_mapping(), "fingerprint": fingerprint(spec)}, indent=2)
    held = output / SPEC_FILE
    if held.is_file() and held.read_text() == mark:
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output {output} holds something else; expected a new or empty folder; choose another")
    with replacing(held) as temporary:
        temporary.write_text(mark)


def _rows_file(output: Path, spec: PhantomSpec, index: int) -> Path:
    return output / plan_patient(spec, index).patient_id / "slices.csv"


def _write_patient(output: Path, spec: PhantomSpec, index: int, loaded: Loaded) -> None:
    rows = _rows_file(output, spec, index)
    image = loaded.image.with_voxels(loaded.image.voxels.astype(np.int16))
    write_nifti(image, rows.with_name("image.nii.gz"))
    if loaded.label_map is not None:
        write_nifti(loaded.image.with_voxels(loaded.label_map, LABEL_MAP), rows.with_name("label_map.nii.gz"))
    if loaded.ventricles is not None:
        mask = loaded.ventricles.astype(np.uint8)
        write_nifti(loaded.image.with_voxels(mask, LABEL_MAP), rows.with_name("ventricles.nii.gz"))
    labels = loaded.slice_labels
    table = pd.DataFrame(labels if labels is not None else [], columns=list(SUBTYPES))
    table.insert(0, "slice", range(len(table)))
    table.insert(0, "patient_id", rows.parent.name)
    with replacing(rows) as temporary:  # last: its presence says that the patient is whole
        table.to_csv(temporary, index=False)


def _write_tables(output: Path, spec: PhantomSpec) -> None:
    slices = pd.concat([pd.read_csv(_rows_file(output, spec, index)) for index in range(spec.patients)])
    plans = [plan_patient(spec, index) for index in range(spec.patients)]
    patients = pd.DataFrame(
        {
            "patient_id": [plan.patient_id for plan in plans],
            "anatomy": [anatomy_keys(spec.anatomy)[anatomy_number(spec, plan.index)][0] for plan in plans],
            "slice_thickness_mm": [plan.scan.thickness_mm for plan in plans],
            "bleeds": [" ".join(f"{b.subtype}:{b.place}:{b.age}" for b in plan.bleeds) for plan in plans],
            "lookalikes": [" ".join(plan.lookalikes) for plan in plans],
        }
    )
    for name, table in (("slices.csv", slices), ("patients.csv", patients)):
        with replacing(output / name) as temporary:
            table.to_csv(temporary, index=False)
