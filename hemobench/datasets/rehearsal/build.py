"""Phantoms made and written in one of the official layouts, as a folder that appears whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hemobench.case import Loaded
from hemobench.datasets.phantom.dataset import SPEC_FILE, fingerprint
from hemobench.datasets.phantom.generate import generate_patients
from hemobench.datasets.phantom.plan import PhantomSpec, plan_patient
from hemobench.datasets.rehearsal import QUIRKS, Layout
from hemobench.errors import UserError, unknown_name

Progress = Callable[[int, int], None]


def build_layout(
    output: Path,
    layout: Layout,
    spec: PhantomSpec,
    *,
    quirks: str = "clean",
    jobs: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write `spec`'s patients into `output`, a new or empty folder, in an official layout.

    `phantom.json` in it says what was made; with it `open_dataset` knows the copy for phantoms. Raises UserError for a
    folder that holds something, a spec of another product and unknown quirks.
    """
    if quirks not in QUIRKS:
        raise unknown_name("quirks", quirks, QUIRKS)
    if spec.product != layout.product:
        name = "phantom-t1" if layout.product == "t1" else "phantom"
        raise UserError(f"layout {layout.name} for {spec.product} phantoms; expected {layout.product}; build '{name}'")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output {output} holds something else; expected a new or empty folder; choose another")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=output.parent))
    except OSError as error:
        raise UserError(f"cannot write {output} ({error.strerror}); expected a writable folder; use another") from error
    try:
        layout.write(building, _studies(spec, jobs, progress), spec.seed, quirks)
        made = {**spec.to_mapping(), "fingerprint": fingerprint(spec), "layout": layout.name, "quirks": quirks}
        (building / SPEC_FILE).write_text(json.dumps(made, indent=2), encoding="utf-8")
        building.chmod(0o755)  # mkdtemp's are private; what is kept should be as readable as any folder of the user's
        if output.is_dir():
            output.rmdir()
        building.rename(output)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _studies(spec: PhantomSpec, jobs: int | None, progress: Progress | None) -> Iterator[tuple[str, Loaded]]:
    for done, (index, loaded) in enumerate(generate_patients(spec, jobs), start=1):
        yield plan_patient(spec, index).patient_id, loaded
        if progress is not None:
            progress(done, spec.patients)
