"""A folder of answers, opened for a data set: which file and which row answers for which case, and what fits none.

Masks lie anywhere in the folder as NIfTI or DICOM SEG, one a case, under the case's name; `ids.yaml` says what their
ids stand for. Tables of probabilities by slice or study lie directly in it; `thresholds.yaml` says from which
probability on something is called. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hemobench.case import Case, Dataset
from hemobench.datasets.nifti_pairs import stem_of
from hemobench.errors import UserError, unknown_name
from hemobench.io.json_files import read_json
from hemobench.io.strict_yaml import read_yaml
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES
from hemobench.machine import usable_cores
from hemobench.predictions.dicom_seg import seg_header
from hemobench.predictions.ids import IDS_FILE, IdMap, binary_or_ours, read_ids
from hemobench.predictions.masks import ids_in, is_dicom
from hemobench.predictions.names import CaseNames, few, file_names
from hemobench.predictions.slice_names import slice_names
from hemobench.predictions.tables import Table, list_tables, read_table

COUNT, EMPTY = "count", "empty"
STRANGERS = "fit no case and are left out"
"""How a remark that names files of the folder goes on."""
MISSING = (COUNT, EMPTY)
THRESHOLDS_FILE, MADE_BY = "thresholds.yaml", "made-by.json"
LEVELS = ("slice", "study")
CALL = 0.5
_AT_ONCE = 16
WHAT = "NIfTI masks (.nii.gz, .nii), DICOM SEG (.dcm), or a CSV of probabilities"


class NothingFitsError(UserError):
    """A folder of answers to other cases than those of a data set."""


_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class MaskFile:
    """A case's mask and what its ids stand for; None where a DICOM SEG says it itself."""

    path: Path
    ids: IdMap | None


@dataclass(frozen=True)
class Predictions:
    """Answers made elsewhere to the cases of one data set, all by the case's place in it.

    kinds: what is answered at all, of "masks", "slices" and "studies". missing: one of MISSING, whether a case without
    an answer has none or counts as one in which nothing was found. masks: a case's file; types: those that masks can
    tell. slices: probabilities by the number of the slice, in the order of slice_classes; by a picture's name where the
    data set names its slices. studies: probabilities of the whole, in the order of study_classes. thresholds: by level
    ("slice", "study"), of each of CLASSES. remarks: lines on how the folder was understood. fingerprint: changes with
    the files. seen: how many people of the data made the networks, where hemobench's own answered.
    """

    name: str
    kinds: frozenset[str]
    missing: str
    masks: Mapping[int, MaskFile]
    types: tuple[str, ...]
    slices: Mapping[int, Mapping[str, tuple[float, ...]]]
    slice_classes: tuple[str, ...]
    studies: Mapping[int, tuple[float, ...]]
    study_classes: tuple[str, ...]
    thresholds: Mapping[str, tuple[float, ...]]
    remarks: tuple[str, ...]
    fingerprint: str
    seen: int = 0

    @property
    def outlines_alone(self) -> bool:
        """Whether slices and studies are judged by what is outlined there, since no table says anything of them."""
        return self.kinds == {"masks"}

    def part(self, number: int) -> Predictions:
        """The same with the answers to one case alone: what a worker needs of it."""
        return replace(
            self,
            masks=_one(self.masks, number),
            slices=_one(self.slices, number),
            studies=_one(self.studies, number),
        )


def _one(held: Mapping[int, _Answer], number: int) -> dict[int, _Answer]:
    return {number: held[number]} if number in held else {}


def open_predictions(
    folder: Path,
    dataset: Dataset,
    *,
    name: str | None = None,
    ids: str | None = None,
    missing: str = COUNT,
    left_out: Sequence[Case] = (),
) -> Predictions:
    """The answers in a folder to the cases of a data set. ids: see `read_ids`. name: how they are called, by default
    as the folder. missing: one of MISSING. left_out: cases that the data set no longer has, whose answers are nobody's
    concern.

    Raises NothingFitsError for a folder that answers for no case. Raises UserError for one that is missing or empty;
    for a name that may mean several cases, two answers to one case, ids without a meaning, and numbers that are no
    probabilities.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; expected one that holds {WHAT}; check the path")
    check_missing(missing)
    names = CaseNames(dataset.cases, left_out)
    found = _files(folder)
    read = {path: read_table(path) for path in list_tables(folder)}
    tables = [table for table in read.values() if table is not None]
    if not found and not tables:
        raise UserError(f"{folder} holds no predictions; expected {WHAT}; check the path")
    given = read_ids(ids, folder)
    masks, types, strangers, remarks = _match_masks(folder, found, names, dataset.cases, given)
    by_slice, by_study, strange_rows, more = _match_tables(tables, names, dataset)
    strangers += strange_rows
    remarks += more + [
        f"{path.name} holds no probabilities and is left out" for path, table in read.items() if table is None
    ]
    if not masks and by_slice is None and by_study is None:
        raise NothingFitsError(
            f"nothing in {folder} fits a case of '{dataset.info.name}' (there: {few(strangers, 3)}; cases: "
            f"{few([case.study_id for case in dataset.cases], 3)}); expected files named after the cases; rename them"
        )
    if strangers:
        remarks.append(f"{len(strangers)} of the folder's answers {STRANGERS}: {few(strangers)}")
    slices, slice_classes = by_slice or ({}, ())
    studies, study_classes = by_study or ({}, ())
    held = (("masks", masks), ("slices", slices), ("studies", studies))
    kinds = frozenset(kind for kind, answers in held if answers)
    return Predictions(
        name or folder.resolve().name,
        kinds,
        missing,
        masks,
        types,
        slices,
        slice_classes,
        studies,
        study_classes,
        _thresholds(folder),
        tuple(remarks),
        _fingerprint(folder, found, tables, ids),
        _seen(folder),
    )


def check_missing(missing: str) -> None:
    """Raise UserError for another word than those of MISSING."""
    if missing not in MISSING:
        raise unknown_name("--missing", missing, MISSING)


def _files(folder: Path) -> list[str]:
    """Masks under the folder, relative to it, sorted; what begins with a dot is nobody's answer."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder)
        for name in sorted(names):
            if not name.startswith(".") and (stem_of(name) is not None or name.lower().endswith(".dcm")):
                found.append((inside / name).as_posix())
    return found


def _match_masks(
    folder: Path, files: Sequence[str], names: CaseNames, cases: Sequence[Case], given: IdMap | None
) -> tuple[dict[int, MaskFile], tuple[str, ...], list[str], list[str]]:
    """Masks by case, the types that they tell, files that fit no case, and remarks."""
    paths: dict[int, Path] = {}
    strangers: list[str] = []
    labels: set[int] = set()
    for file in files:
        path = folder / file
        in_header, present = seg_header(path, given) if is_dicom(path) else ([], set())
        number = names.find([*file_names(file), *in_header], str(path))
        if number is None:
            strangers.append(file)
            continue
        if number >= len(cases):
            continue
        if number in paths:
            raise UserError(
                f"{paths[number]} and {path} are both answers for {cases[number].study_id}; expected one; "
                "delete one, or keep them in folders of their own"
            )
        paths[number] = path
        labels |= present
    nifti = [path for path in paths.values() if not is_dicom(path)]
    meant = given
    if nifti and given is None:
        meant = binary_or_ours(_some_ids(nifti))
    segs = set(paths.values()) - set(nifti)
    masks = {number: MaskFile(path, given if path in segs else meant) for number, path in sorted(paths.items())}
    told = {name for name, label in LABEL_IDS.items() if label in labels} | set(meant.types if meant else ())
    remarks = [f"masks: {meant.words}"] if nifti and meant is not None else []
    return masks, tuple(name for name in SUBTYPES if name in told), strangers, remarks


def _some_ids(masks: Sequence[Path]) -> set[int]:
    """Ids of masks, of so many that two above 0 are known; of all where they have one alone."""
    found: set[int] = set()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(masks), _AT_ONCE):
            found = found.union(*pool.map(ids_in, masks[start : start + _AT_ONCE]))
            if len(found - {0}) > 1:
                break
    return found


_BySlice = tuple[dict[int, dict[str, tuple[float, ...]]], tuple[str, ...]]
_ByStudy = tuple[dict[int, tuple[float, ...]], tuple[str, ...]]


def _match_tables(
    tables: Sequence[Table], names: CaseNames, dataset: Dataset
) -> tuple[_BySlice | None, _ByStudy | None, list[str], list[str]]:
    """Answers by case of the table of slices and of that of studies; names that fit no case; remarks."""
    slices: _BySlice | None = None
    studies: _ByStudy | None = None
    strangers: list[str] = []
    remarks = []
    pictures = slice_names(dataset) if tables else {}
    for table in tables:
        by_slice: dict[int, dict[str, tuple[float, ...]]] = {}
        by_study: dict[int, tuple[float, ...]] = {}
        known: dict[str, int | None] = {}
        for (study, number), row in table.rows.items():
            if study not in known:
                found = names.find(file_names(study), f"{table.path} line {row.line}")
                known[study] = pictures.get(study) if found is None else found
            case = known[study]
            if case is None or case >= len(dataset.cases):
                continue
            if table.by_slice or study in pictures:
                own, key = by_slice.setdefault(case, {}), number if table.by_slice else study
                again, own[key] = key in own, row.values
            else:
                again, by_study[case] = case in by_study, row.values
            if again:
                raise UserError(
                    f"{table.path} line {row.line} answers again for {dataset.cases[case].study_id}; "
                    "expected one answer a slice or study; delete one"
                )
        strangers += [study for study, case in known.items() if case is None]
        if (by_slice and slices is not None) or (by_study and studies is not None):
            kind = "slices" if by_slice else "studies"
            raise UserError(f"{table.path} is a second table of {kind}; expected one; move the other away")
        slices = (by_slice, table.classes) if by_slice else slices
        studies = (by_study, table.classes) if by_study else studies
        remarks += (
            []
            if "any" in table.classes or not (by_slice or by_study)
            else [f"{table.path.name} has no column for any haemorrhage: the likeliest type stands for it"]
        )
    return slices, studies, strangers, remarks


def _thresholds(folder: Path) -> dict[str, tuple[float, ...]]:
    """By level the probability from which on each class is called: a half, or what the folder's file says."""
    path = folder / THRESHOLDS_FILE
    content = read_yaml(path)[0] if path.is_file() else {}
    if not isinstance(content, Mapping) or not all(isinstance(one, Mapping) for one in content.values()):
        raise UserError(f"{path} is no mapping of levels; expected 'slice:' and 'study:' with numbers; correct it")
    for level, by_class in content.items():
        if level not in LEVELS:
            raise unknown_name(f"level of {path}", str(level), LEVELS)
        for name, value in by_class.items():
            if name not in CLASSES:
                raise unknown_name(f"class of {path}", str(name), CLASSES)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise UserError(f"{path} has {level} {name} {value!r}; expected 0 to 1; correct it")
    return plain_thresholds() | {
        level: tuple(float(by_class.get(name, CALL)) for name in CLASSES) for level, by_class in content.items()
    }


def plain_thresholds() -> dict[str, tuple[float, ...]]:
    """By level, that each of CLASSES is called from a half on."""
    return {level: (CALL,) * len(CLASSES) for level in LEVELS}


def _seen(folder: Path) -> int:
    """How many people the networks know, where the folder says that hemobench's own answered."""
    seen = read_json(folder / MADE_BY).get("seen") if (folder / MADE_BY).is_file() else 0
    if isinstance(seen, bool) or not isinstance(seen, int) or seen < 0:
        raise UserError(f"{folder / MADE_BY} has seen {seen!r}; expected a number of people; write the folder again")
    return seen


def _fingerprint(folder: Path, files: Sequence[str], tables: Sequence[Table], ids: str | None) -> str:
    """SHA-256 over names, sizes and times of all that is read; not over contents, which may be many gigabytes."""
    digest = hashlib.sha256(str(ids).encode())
    known = [folder / name for name in (IDS_FILE, THRESHOLDS_FILE)] + ([Path(ids)] if ids else [])
    for path in [*(folder / file for file in files), *(table.path for table in tables), *known]:
        if path.is_file():
            state = path.stat()
            digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
