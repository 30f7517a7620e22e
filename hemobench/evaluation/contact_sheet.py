"""Cases of a data set on one page: which ones, what the pipeline says of each, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemobench.case import Case, Dataset, DatasetInfo, Loaded
from hemobench.datasets.patient_hashes import person_hash
from hemobench.errors import UserError
from hemobench.evaluation.case_predictions import slice_truth
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.overview.sheet import SheetPanel, Truth, draw_sheet, sheet_panel
from hemobench.inference.report import ModelUsed
from hemobench.inference.study import analyse
from hemobench.io.atomic import replacing
from hemobench.io.scan import GridSource, Scan, Space
from hemobench.labels import SUBTYPES

# Of catalogued data that are a user's own: who is in them, and by which name, nobody here can know.
_OWN = "your own"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SheetDone:
    """How many cases are on a sheet, and why others that were chosen are not, one line each."""

    shown: int
    left_out: tuple[str, ...]


def write_sheet(
    dataset: Dataset,
    checkpoints: Sequence[Checkpoint],
    path: Path,
    *,
    cases: int = 12,
    engine: str = "auto",
    flip_tta: bool = False,
    strangers: bool = False,
    progress: Progress | None = None,
) -> SheetDone:
    """Analyse some cases of a data set and draw them on one PNG page, which appears whole or not at all. strangers:
    only people who neither taught nor chose one of the networks.

    Raises: UserError where `path` is no PNG, nobody is left to draw, or no case gives an answer.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"sheet {path}; expected a name ending in .png; rename it")
    pool = [case for case in dataset.cases if not (strangers and is_known(case, checkpoints))]
    if not pool:
        raise UserError(
            f"all people of '{dataset.info.name}' are known to the networks; expected strangers; leave out "
            "--strangers, or choose other data"
        )
    chosen = choose_cases(pool, cases)
    panels: list[SheetPanel] = []
    left_out: list[str] = []
    models: dict[str, ModelUsed] = {}
    known = [case for case in chosen if not dataset.info.phantom and is_known(case, checkpoints)]
    for number, case in enumerate(chosen, start=1):
        name = shown_name(dataset, case)
        try:
            panel, used = _panel(case, f"{name} (seen)" if case in known else name, checkpoints, engine, flip_tta)
        except UserError as error:
            left_out.append(f"{name}: {error}")
        else:
            panels.append(panel)
            models |= {one.role: one for one in used}
        if progress is not None:
            progress(number, len(chosen))
    if not panels:
        raise UserError(
            f"none of {len(chosen)} cases of '{dataset.info.name}' gave an answer (first: {left_out[0]}); "
            "expected some; check the data"
        )
    title = f"contact sheet: {len(panels)} of {len(dataset.cases)} cases of {dataset.info.name}"
    page = draw_sheet(panels, title, tuple(models.values()), _notes(dataset.info, chosen, known))
    with replacing(path) as temporary:
        page.save(temporary, format="PNG", optimize=True)
    return SheetDone(len(panels), tuple(left_out))


def choose_cases(cases: Sequence[Case], count: int) -> list[Case]:
    """At most `count` cases, evenly from first to last, one a patient as long as there are patients.

    Where labels of studies are known, half of them bleed; too few of one kind are made up by the other.
    """
    first = list({case.patient_id: case for case in reversed(cases)}.values())[::-1]
    pool = first if len(first) >= count else list(cases)
    bleeding = [case for case in pool if case.study_labels is not None and any(case.study_labels)]
    without = [case for case in pool if case.study_labels is not None and not any(case.study_labels)]
    unknown = [case for case in pool if case.study_labels is None]
    if not bleeding or not without:
        return _evenly(pool, count)
    wanted = min(len(bleeding), max(count - count // 2, count - len(without)))
    chosen = [*_evenly(bleeding, wanted), *_evenly(without, min(len(without), count - wanted))]
    chosen += _evenly(unknown, count - len(chosen))
    return sorted(chosen, key=pool.index)


def _evenly(cases: Sequence[Case], count: int) -> list[Case]:
    """At most `count` of them; the middles of as many equal stretches, so that no end is favoured."""
    count = min(count, len(cases))
    return [cases[int((number + 0.5) * len(cases) / count)] for number in range(count)]


def shown_name(dataset: Dataset, case: Case) -> str:
    """A case's number in a public data set; in a user's own, which may name people, its place there."""
    if dataset.info.licence == _OWN:
        return f"case {dataset.cases.index(case) + 1}"
    return case.patient_id


def is_known(case: Case, checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether a case's patient taught one of the networks or helped to choose it."""
    person = person_hash(case.lineage, case.patient_id)
    return any(one.people is not None and person in (*one.people.taught, *one.people.chose) for one in checkpoints)


def _panel(
    case: Case, name: str, checkpoints: Sequence[Checkpoint], engine: str, flip_tta: bool
) -> tuple[SheetPanel, tuple[ModelUsed, ...]]:
    loaded = case.load()
    report = analyse(scan_of(loaded, case), list(checkpoints), engine=engine, flip_tta=flip_tta)
    return sheet_panel(report, truth_of(loaded, case), name), report.model


def scan_of(loaded: Loaded, case: Case) -> Scan:
    """A case's image as the pipeline takes it, its millimetres known or nominal as the data set says."""
    image = loaded.image
    source = GridSource(Path("case"), Space(np.array(image.affine), image.shape))
    return Scan(image, "volume", (), source, spacing_known=case.spacing_known)


def truth_of(loaded: Loaded, case: Case) -> Truth:
    """What a case's labels say, as a sheet shows it."""
    label_map = loaded.label_map
    if loaded.image.modality == "MR":
        return Truth(label_map=label_map, volume_ml=_volume_ml(loaded, case))
    known = slice_truth(loaded)
    if known is None:
        return Truth()
    targets, typed, by_slice = known
    present: NDArray[np.bool_] = np.asarray(targets > 0).max(axis=0)
    types = tuple(name for name, found in zip(SUBTYPES, present[:-1], strict=True) if found and typed)
    slices = np.asarray(targets[:, -1] > 0) if by_slice else None
    return Truth(bool(present[-1]), types, slices, label_map, _volume_ml(loaded, case))


def _volume_ml(loaded: Loaded, case: Case) -> float | None:
    if loaded.foreground is None or not case.spacing_known:
        return None
    return float(np.count_nonzero(loaded.foreground) * loaded.image.voxel_volume_ml)


def _notes(info: DatasetInfo, chosen: Sequence[Case], known: Sequence[Case]) -> list[str]:
    notes = []
    if info.phantom:
        notes.append("PHANTOMS: these patients are generated")
    if known:
        notes.append(
            f"{len(known)} of these {len(chosen)} patients taught the networks or helped to choose them: "
            "what is shown of them is no test"
        )
    if any(not case.spacing_known for case in chosen):
        notes.append(
            "without millimetres no volume can be given in mL; the heads were scaled to an average one for the networks"
        )
    return notes
