"""The folder that `predict` writes to: one folder a scan, what makes it up to date, and summary.csv."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.cli.scans import CLAIM_FILE
from hemobench.errors import UserError
from hemobench.inference.outputs import REPORT, write_outputs
from hemobench.inference.report import StudyReport
from hemobench.io.archive import folder_entries
from hemobench.io.atomic import replacing
from hemobench.labels import CLASSES, SUBTYPES

SUMMARY = "summary.csv"
VENTRICLE_COLUMNS = (
    "volume_ml_ventricles_left",
    "volume_ml_ventricles_right",
    "blood_share_ventricles",
    "evans_index",
    "midline_shift_mm",
)
DONE, REFUSED, FAILED = "done", "refused", "failed"
COLUMNS = (
    "scan",
    "folder",
    "status",
    "read",
    "reason",
    "modality",
    "slices",
    *(f"probability_{name}" for name in CLASSES),
    *(f"called_{name}" for name in CLASSES),
    "volume_ml_total",
    *(f"volume_ml_{name}" for name in SUBTYPES),
    "volume_ml_ventricles",
    *VENTRICLE_COLUMNS,
    "lesions",
    "warnings",
    "seconds",
)
_CLAIM_SCHEMA = 1


@dataclass(frozen=True)
class Claim:
    """Whose answer a folder holds: which scan, in which state, answered with which settings (all hashes)."""

    source: str
    stamp: str
    settings: str


@dataclass(frozen=True)
class Outcome:
    """What became of one scan: `status` with a reason unless done, and its report and folder if done.

    `reused`: the answer is an earlier run's and still holds.
    """

    scan: Path
    status: str
    reason: str = ""
    folder: str = ""
    report: StudyReport | None = None
    remarks: tuple[str, ...] = ()
    reused: bool = False

    @property
    def reason_alone(self) -> str:
        """The reason where the scan's name stands before it already."""
        return self.reason.removeprefix(f"{self.scan} ")

    def row(self) -> dict[str, str]:
        """Its line of summary.csv."""
        cells = {"scan": str(self.scan), "folder": self.folder, "status": self.status}
        cells["reason"] = self.reason_alone
        return dict.fromkeys(COLUMNS, "") | (_report_cells(self.report) if self.report else {}) | cells


def _report_cells(report: StudyReport) -> dict[str, str]:
    study = report.study
    cells = {
        "read": "whole" if report.source.complete else "in part",
        "modality": report.source.modality,
        "slices": str(report.source.shape[0]),
        "lesions": str(len(report.lesions)),
        "warnings": " | ".join(report.source.warnings),
        "seconds": f"{report.timing_s.get('total', 0.0):.2f}",
    }
    cells |= {f"probability_{name}": f"{probability:.4f}" for name, probability in study.probabilities.items()}
    cells |= {f"called_{name}": "yes" if call.positive else "no" for name, call in study.calls.items()}
    cells |= {f"volume_ml_{name}": f"{volume:.3f}" for name, volume in (report.volume_ml or {}).items()}
    found = report.ventricles
    if found is not None:
        measured = {
            "volume_ml_ventricles": (found.volume_ml, 3),
            "volume_ml_ventricles_left": (found.left_ml, 3),
            "volume_ml_ventricles_right": (found.right_ml, 3),
            "blood_share_ventricles": (found.blood_share, 4),
            "evans_index": (found.evans_index, 3),
            "midline_shift_mm": (found.midline_shift_mm, 1),
        }
        cells |= {name: f"{value:.{digits}f}" for name, (value, digits) in measured.items() if value is not None}
    return cells


def claim_of(scan: Path, settings: Mapping[str, Any]) -> Claim:
    """The claim for a scan as it lies there now: sizes and times of its files, nothing of their content.

    Raises UserError where the scan cannot be looked at.
    """
    return Claim(_hash(str(scan.resolve())), _hash(list(_states(scan))), _hash(dict(settings)))


def _states(scan: Path) -> Iterator[tuple[str, int, int]]:
    paths = [entry.path for entry in folder_entries(scan)] if scan.is_dir() else [scan]
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise UserError(f"no scan {scan} ({error.strerror}); expected a file or folder; check the path") from error
        yield path.name, state.st_size, state.st_mtime_ns


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class PredictionFolder:
    """`predict`'s output folder. Knows from their claims which of its folders answer for which scan."""

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_dir():
            raise UserError(f"output {path} is a file; expected a folder; name another")
        self.path = path
        self._by_source = {claim.source: folder for folder, claim in _claims(path)}
        self._earlier = _earlier_rows(path / SUMMARY)

    def finished(self, claim: Claim) -> tuple[str, StudyReport] | None:
        """Folder name and report of an answer to exactly this claim, None where there is none that is whole."""
        folder = self._by_source.get(claim.source)
        if folder is None or _read_claim(folder) != (claim, True):
            return None
        try:
            return folder.name, StudyReport.from_json((folder / REPORT).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UserError):
            return None  # gone or damaged since: it is made again

    def write(self, claim: Claim, name: str, report: StudyReport, *, dicom_seg: bool) -> tuple[str, list[str]]:
        """Write an answer into the scan's folder, or a new one of `name`; gives the folder's name and remarks."""
        folder = self._by_source.get(claim.source) or self._new_folder(name)
        # Claimed first and marked finished last: what is interrupted in between is found again, and made again.
        _write_claim(folder, claim, finished=False)
        self._by_source[claim.source] = folder
        remarks = write_outputs(report, folder, dicom_seg=dicom_seg)
        _write_claim(folder, claim, finished=True)
        return folder.name, remarks

    def write_summary(self, outcomes: Iterable[Outcome]) -> None:
        """Write summary.csv: these scans, after those of earlier runs that are not among them."""
        rows = [outcome.row() for outcome in outcomes]
        named = {row["scan"] for row in rows}
        with replacing(self.path / SUMMARY) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows([row for row in self._earlier if row["scan"] not in named] + rows)

    def _new_folder(self, name: str) -> Path:
        number = 1
        while (folder := self.path / (name if number == 1 else f"{name}-{number}")).exists():
            number += 1
        return folder


def _claims(path: Path) -> Iterator[tuple[Path, Claim]]:
    for file in sorted(path.glob(f"*/{CLAIM_FILE}")):
        read = _read_claim(file.parent)
        if read is not None:
            yield file.parent, read[0]


def _read_claim(folder: Path) -> tuple[Claim, bool] | None:
    """The claim of a folder and whether its answer is whole; None where nothing readable claims it."""
    try:
        content = json.loads((folder / CLAIM_FILE).read_text(encoding="utf-8"))
        if content["schema"] != _CLAIM_SCHEMA:
            return None
        return Claim(content["source"], content["stamp"], content["settings"]), bool(content["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_claim(folder: Path, claim: Claim, *, finished: bool) -> None:
    content = {
        "schema": _CLAIM_SCHEMA,
        "source": claim.source,
        "stamp": claim.stamp,
        "settings": claim.settings,
        "finished": finished,
    }
    with replacing(folder / CLAIM_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _earlier_rows(path: Path) -> list[dict[str, str]]:
    """Rows of the summary that stands there, none where it has other columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            return rows if tuple(reader.fieldnames or ()) == COLUMNS else []
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
